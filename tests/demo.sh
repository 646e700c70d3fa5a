#!/usr/bin/env bash
# Shows the whole way of a Singularity image, on this machine alone: build gssfs, start a platform on
# loopback, mount it, copy an image in, register it, list it, read it back, run it.
#
#   tests/demo.sh           leaves you with a mounted folder, and tells how to end it
#   tests/demo.sh --once    cleans up and exits
#   tests/demo.sh --end     ends what an earlier run left
set -u -o pipefail
cd "$(dirname "$0")/.." || exit 1

state=${XDG_RUNTIME_DIR:-/tmp}/gssfs-demo-$(id -u)
build=build
once=0

case ${1-} in
"") ;;
--once) once=1 ;;
--end) ;;
-h | --help)
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
	exit 0
	;;
*)
	echo "demo.sh: unknown argument $1 (see --help)" >&2
	exit 2
	;;
esac

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
note() { printf '%s  %s%s\n' "$dim" "$1" "$plain"; }
# A step as the user would type it, with its output.
step() { printf '%s  $ %s%s\n' "$bold" "$1" "$plain"; }
die() {
	printf '\ndemo.sh: %s\n' "$1" >&2
	exit 1
}

end_demo() {
	local folder pid
	[ -O "$state" ] && [ ! -L "$state" ] || die "$state is not ours"
	for folder in "$state/squashfs" "$state/again" "$state/gss"; do
		if mountpoint -q "$folder" 2>/dev/null; then
			umount "$folder" 2>/dev/null || fusermount3 -u "$folder" || fusermount3 -uz "$folder"
		fi
	done
	# The process behind a mount ends when everything has arrived.
	for pid in $(cat "$state"/*.gssfs.pid 2>/dev/null); do
		for _ in $(seq 150); do
			kill -0 "$pid" 2>/dev/null && [ "$(cut -d' ' -f3 "/proc/$pid/stat" 2>/dev/null)" != Z ] || break
			sleep 0.1
		done
	done
	[ ! -f "$state/server.pid" ] || kill "$(cat "$state/server.pid")" 2>/dev/null
	rm -rf "$state"
}

if [ "${1-}" = --end ]; then
	[ -d "$state" ] || die "nothing to end: there is no $state"
	end_demo
	echo "The demo has ended; nothing of it is left."
	exit 0
fi

[ ! -d "$state" ] || end_demo
mkdir -m 700 "$state" || exit 1
trap 'end_demo' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

title "1. Build"
sh tests/install-deps.sh build demo || exit 1
if [ ! -f $build/build.ninja ]; then
	step "meson setup $build"
	meson setup $build >"$state/build.log" 2>&1 || { tail -n 30 "$state/build.log"; die "the build cannot be set up"; }
fi
step "ninja -C $build"
ninja -C $build >"$state/build.log" 2>&1 || { tail -n 30 "$state/build.log"; die "the build failed"; }
note "$($build/fs/gssfs --version)"

title "2. A platform, on loopback"
step "gss-local --root $state/platform --port 0"
$build/tests/gss-local/gss-local --root "$state/platform" --port 0 >"$state/server.log" 2>&1 </dev/null &
echo $! >"$state/server.pid"
for _ in $(seq 100); do
	grep -q '^gss-local: listening' "$state/server.log" && break
	kill -0 "$(cat "$state/server.pid")" 2>/dev/null || break
	sleep 0.05
done
url=$(sed -n 's/^gss-local: listening on //p' "$state/server.log")
[ -n "$url" ] || { cat "$state/server.log"; die "the platform did not start"; }
sed 's/^/  /' "$state/server.log"

title "3. Mount"
export CFG_USERNAME=demo CFG_PROJECT=demo CFG_PASSWORD=demo
mkdir -p "$state/config" "$state/gss" "$state/again"
cat >"$state/config/gssfs.conf" <<CONF
[platform]
auth=$url/authManager/AuthManager?wsdl
gss=$url/gss-0.1/FileUtilities?wsdl

[storage it4i_anselm]
images=$url/hpc-4-anselm/Images?wsdl

[storage it4i_salomon]
images=$url/hpc-4-salomon/Images?wsdl
CONF
mount_gss() { # MOUNTPOINT CACHE
	step "gssfs it4i_anselm:// $1"
	PATH=$PATH:/usr/sbin:/sbin $build/fs/gssfs -o "config=$state/config/gssfs.conf,cache_dir=$state/$2" it4i_anselm:// "$1" ||
		die "it could not be mounted"
	pgrep -n -u "$(id -u)" -f "gssfs -o config=$state/config/gssfs.conf,cache_dir=$state/$2 " >"$state/$2.gssfs.pid"
}
mount_gss "$state/gss" cache
step "ls $state/gss"
ls "$state/gss" | sed 's/^/  /'

title "4. An image"
app=$state/image
mkdir -p "$app/scratch" "$app/service" "$app/home"
cp -r tests/waiter/app "$app/app"
step "mksquashfs image waiter.simg"
PATH=$PATH:/usr/sbin:/sbin mksquashfs "$app" "$state/waiter.simg" -quiet -no-progress -noappend -all-root >"$state/build.log" 2>&1 ||
	{ cat "$state/build.log"; die "mksquashfs failed"; }
note "$(stat -c '%s bytes' "$state/waiter.simg")"

title "5. Copy it in"
step "cp waiter.simg gss/home/"
cp "$state/waiter.simg" "$state/gss/home/" || die "the copy failed"
step "getfattr -n user.gss.state gss/home/waiter.simg"
getfattr --absolute-names --only-values -n user.gss.state "$state/gss/home/waiter.simg" | sed 's/^/  /;$a\'
step "sync gss/home/waiter.simg          (returns when GSS has every byte)"
sync "$state/gss/home/waiter.simg" || die "the upload failed"
getfattr -d "$state/gss/home/waiter.simg" 2>/dev/null | sed -n 's/^user/  user/p'
cmp "$state/waiter.simg" "$state/platform/it4i_anselm/home/waiter.simg" || die "the platform has other bytes"

title "6. Register it"
step "echo waiter.simg > gss/home/.register"
echo waiter.simg >"$state/gss/home/.register" || die "the registration failed"
step "tail -n 1 gss/.register"
tail -n 1 "$state/gss/.register" | sed 's/^/  /'
step "echo nothing.simg > gss/home/.register          (a mistake is a failed write)"
if (echo nothing.simg >"$state/gss/home/.register") 2>"$state/mistake"; then die "that should have failed"; fi
sed 's/^.*echo: /  echo: /' "$state/mistake"

title "7. What the Images service has"
step "curl $url/hpc-4-anselm/Images          (SOAP: listImages)"
call() { # ENDPOINT NAMESPACE BODY
	curl -sS --fail -H 'Content-Type: text/xml; charset=utf-8' -H 'SOAPAction: ""' --data @- "$1" <<XML
<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:n="$2"><e:Body>$3</e:Body></e:Envelope>
XML
}
token=$(call "$url/authManager/AuthManager" http://authmanager.sintef.no/ \
	'<n:getSessionToken><n:username>demo</n:username><n:password>demo</n:password><n:project>demo</n:project></n:getSessionToken>' |
	sed -n 's|.*<return>\(.*\)</return>.*|\1|p')
namespace=$(curl -sS "$url/hpc-4-anselm/Images?wsdl" | grep -o 'targetNamespace="[^"]*"' | head -n 1 | cut -d'"' -f2)
call "$url/hpc-4-anselm/Images" "$namespace" "<n:listImages><token>$token</token></n:listImages>" |
	grep -o '<name>[^<]*</name>\|<size>[^<]*</size>\|<lastModified>[^<]*</lastModified>' | sed 's/<[^>]*>//g;s/^/  /' |
	tee "$state/images"
grep -q '^  waiter\.simg$' "$state/images" || die "the image is not in the list"

title "8. Read it back: another mount, with an empty cache"
mount_gss "$state/again" empty-cache
step "sha256sum waiter.simg again/home/waiter.simg"
(cd "$state" && sha256sum waiter.simg again/home/waiter.simg | tee sums | sed 's/^/  /')
[ "$(cut -d' ' -f1 "$state/sums" | uniq | wc -l)" = 1 ] || die "the bytes differ"

title "9. Run it from the mount"
mkdir -p "$state/squashfs" "$state/service"
if [ "$(id -u)" = 0 ] && step "mount -t squashfs -o loop,ro again/home/waiter.simg squashfs" &&
	mount -t squashfs -o loop,ro "$state/again/home/waiter.simg" "$state/squashfs" 2>"$state/mistake"; then
	root=$state/squashfs
elif command -v squashfuse >/dev/null && step "squashfuse again/home/waiter.simg squashfs" &&
	squashfuse "$state/again/home/waiter.simg" "$state/squashfs" 2>"$state/mistake"; then
	root=$state/squashfs
else
	note "this machine cannot mount it (no loop device, no squashfuse): unpacking instead"
	step "unsquashfs again/home/waiter.simg"
	PATH=$PATH:/usr/sbin:/sbin unsquashfs -q -n -d "$state/unpacked" "$state/again/home/waiter.simg" >/dev/null || die "it cannot be unpacked"
	root=$state/unpacked
fi
step "python3 /app/wait_a_while.py 1"
SERVICE=$state/service python3 "$root/app/wait_a_while.py" 1 || die "it does not run"
sed 's/^/  /' "$state/service/result.txt"
! mountpoint -q "$state/squashfs" || umount "$state/squashfs" 2>/dev/null || fusermount3 -u "$state/squashfs"
fusermount3 -u "$state/again"

if [ $once = 1 ]; then
	end_demo
	trap - EXIT
	title "Everything worked."
	exit 0
fi
trap - EXIT INT TERM HUP
title "Everything worked. The folder is yours to play in:"
echo
echo "    $state/gss"
echo
echo "To end it, and to remove everything:  $(pwd)/tests/demo.sh --end"
