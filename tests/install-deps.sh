#!/bin/sh
# Sees to it that what a purpose needs is installed: through apt-get when run as root on Debian or
# one of its kin, else by saying exactly what to install.
#
#   tests/install-deps.sh build [demo] [test]
set -u

missing= # Debian packages
what=    # in plain words

need()
{
	missing="$missing $1"
	what="$what
  $2"
}

command_of() # COMMAND PACKAGE
{
	PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || need "$2" "the command $1"
}

library() # PKG-CONFIG-MODULE VERSION PACKAGE
{
	pkg-config --atleast-version="$2" "$1" 2>/dev/null || need "$3" "the library $1, $2 or newer, with its headers"
}

python_module() # MODULE PACKAGE
{
	/usr/bin/python3 -c "import $1" 2>/dev/null || need "$2" "the module $1 of /usr/bin/python3"
}

check()
{
	missing=
	what=
	for purpose in "$@"; do
		case $purpose in
		build)
			command_of cc gcc
			echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1 || need libc6-dev "the headers of the C library"
			command_of meson meson
			command_of ninja ninja-build
			command_of pkg-config pkg-config
			library fuse3 3.14 libfuse3-dev
			library libcurl 7.88 libcurl4-openssl-dev
			library gio-2.0 2.74 libglib2.0-dev
			library libxml-2.0 2.9.14 libxml2-dev
			library sqlite3 3.40 libsqlite3-dev
			library json-glib-1.0 1.6 libjson-glib-dev
			library libmicrohttpd 0.9.75 libmicrohttpd-dev
			command_of fusermount3 fuse3
			;;
		demo)
			command_of mksquashfs squashfs-tools
			command_of pgrep procps
			command_of curl curl
			command_of getfattr attr
			command_of python3 python3
			;;
		test)
			command_of bwrap bubblewrap
			command_of clang clang
			command_of git git
			command_of rsync rsync
			command_of squashfuse squashfuse
			command_of tar tar
			command_of systemd-analyze systemd
			python_module pytest python3-pytest
			python_module zeep python3-zeep
			;;
		*)
			echo "install-deps.sh: there is no purpose \"$purpose\": build, demo or test" >&2
			exit 2
			;;
		esac
	done
}

install()
{
	echo "Installing$missing"
	log=$(mktemp) || exit 1
	export DEBIAN_FRONTEND=noninteractive
	# The lists may be old or not there at all; where they can't be renewed they may still do.
	# shellcheck disable=SC2086 # a list of words
	if { apt-get update || true; } >"$log" 2>&1 &&
		apt-get install -y --no-install-recommends $missing >>"$log" 2>&1; then
		rm -f "$log"
		return
	fi
	tail -n 20 "$log" >&2
	rm -f "$log"
	echo "install-deps.sh: apt-get could not install:$missing" >&2
	exit 1
}

[ $# -gt 0 ] || set -- build
check "$@"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	install
	check "$@"
	[ -n "$missing" ] || exit 0
	echo "These are still missing, although their packages are installed:$what" >&2
	exit 1
fi
echo "Missing here:$what" >&2
echo >&2
if command -v apt-get >/dev/null 2>&1; then
	echo "Install them with:" >&2
	echo "  sudo apt-get install --no-install-recommends$missing" >&2
else
	echo "On Debian these are the packages:$missing" >&2
fi
exit 1
