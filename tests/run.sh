#!/bin/sh
# Builds gssfs and runs every test. The last line says how many passed and failed; the exit status is 0 when none
# failed. What is built lies in build-test/, one folder a stage.
set -u

usage()
{
	cat <<'END'
Usage: tests/run.sh [OPTION...]

Builds gssfs in all its ways and runs every test. Without options all stages run but --quick and
--thread:

  --quick      gcc: the tests, without those that wait for deadlines
  --gcc        gcc, warnings are errors: all tests
  --user       the mount's tests once more, as an unprivileged user (when run as root)
  --sanitize   gcc with AddressSanitizer and UndefinedBehaviorSanitizer: all tests
  --clang      clang, warnings are errors: the unit tests
  --thread     gcc with ThreadSanitizer: the unit tests, and some of the mount's
  --demo       tests/demo.sh --once
  --help       print this

As root it installs what is missing through apt-get, as anybody else it says what to install.
GSSFS_BIG_MIB=N sets the size of the big image that is copied (1024).
END
}

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
build=$top/build-test
results=$build/results
stages=
# The tests wait more than they work.
jobs=$(($(nproc) * 4))

for argument in "$@"; do
	case $argument in
	--quick | --gcc | --user | --sanitize | --clang | --thread | --demo) stages="$stages ${argument#--}" ;;
	--help | -h)
		usage
		exit 0
		;;
	*)
		echo "run.sh: there is no option $argument" >&2
		usage >&2
		exit 2
		;;
	esac
done
[ -n "$stages" ] || stages="gcc user sanitize clang demo"

"$top/tests/install-deps.sh" build demo test || exit 1

# A user's own settings must not change the outcome.
unset CFG_TOKEN CFG_USERNAME CFG_PROJECT CFG_PASSWORD PYTEST_ADDOPTS CFLAGS LDFLAGS MESON_TESTTHREADS
rm -rf "$results"
mkdir -p "$results"

say()
{
	printf '\n== %s\n' "$*"
}

# took START WHAT
took()
{
	echo "($2 took $(($(date +%s) - $1)) s)"
}

# A stage that could not run at all counts as one failure.
broken()
{
	echo "$1" >>"$results/broken"
	echo "run.sh: $1" >&2
}

# build STAGE OPTION... : makes build-test/STAGE
build()
{
	stage=$1
	shift
	if ! { meson setup --reconfigure "$@" "$build/$stage" "$top" ||
		{ rm -rf "${build:?}/$stage" && meson setup "$@" "$build/$stage" "$top"; }; } \
		>"$results/$stage.setup.log" 2>&1; then
		tail -n 20 "$results/$stage.setup.log" >&2
		broken "$stage: meson setup failed"
		return 1
	fi
	# Without a terminal ninja writes a line a file.
	if ! ninja -C "$build/$stage" >"$results/$stage.build.log" 2>&1; then
		grep -v '^\[[0-9/]*\] ' "$results/$stage.build.log" >&2
		broken "$stage: it does not compile"
		return 1
	fi
	grep -A 8 'warning:' "$results/$stage.build.log" >&2
	took "$start" "building"
}

# run STAGE NAME OPTION... : runs the tests of build-test/STAGE, results under NAME
run()
{
	stage=$1
	name=$2
	shift 2
	mkdir -p "$results/$name"
	GSSFS_JUNIT_DIR=$results/$name MALLOC_PERTURB_=1 meson test -C "$build/$stage" --no-rebuild \
		--print-errorlogs --num-processes "$jobs" --logbase "$name" "$@"
	status=$?
	for kind in json junit.xml; do
		if ! cp "$build/$stage/meson-logs/$name.$kind" "$results/$name/meson.$kind"; then
			broken "$name: meson test wrote no results (status $status)"
			return 1
		fi
	done
}

# Tests as somebody who may do nothing special: user `nobody`, on a copy of what is needed, for the clone may lie where
# that user cannot look.
run_as_user()
{
	if [ "$(id -u)" != 0 ]; then
		echo "(not root: the tests before this were those of an unprivileged user)"
		return
	fi
	stage=$(mktemp -d /tmp/gssfs-user-XXXXXX) || exit 1
	mode=
	trap 'rm -rf "$stage"; [ -z "$mode" ] || chmod "$mode" /dev/fuse' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	if ! runuser -u nobody -- sh -c '[ -r /dev/fuse ] && [ -w /dev/fuse ]'; then
		# As udev makes it on any installed system; some containers leave it to root.
		echo "(opening /dev/fuse to everybody for these tests)"
		mode=$(stat -c %a /dev/fuse) && chmod 666 /dev/fuse || mode=
	fi
	mkdir "$stage/home" "$stage/results" "$stage/tests"
	cp -r "$top/tests/integration" "$top/tests/waiter" "$stage/tests" &&
		cp -r "$top/README.md" "$top/man" "$top/systemd" "$build/gcc/fs/gssfs" "$build/gcc/fs/ctl/gssctl" \
			"$top/fs/ctl/gssctl.bash" "$build/gcc/tests/gss-local/gss-local" "$stage" &&
		chmod -R a+rX "$stage" && chown nobody "$stage/home" "$stage/results" || exit 1
	mkdir -p "$results/user"
	# The long ones come first; those of the server alone need no mount.
	(
		cd "$stage/tests/integration" || exit 1
		for file in test_upload.py test_coherence.py test_version.py test_folder.py test_network.py test_hostile.py test_file.py \
			test_*.py; do
			case $file in
			test_server*) ;;
			*) echo "${file%.py}" ;;
			esac
		done | awk '!seen[$0]++'
	) | xargs -P "$jobs" -I NAME sh -c '
		stage=$1 log=$2 name=$3
		# gssctl finds all mounts there are: each file sees its own only.
		if unshare -m --propagation private runuser -u nobody -- env -C "$stage/home" HOME="$stage/home" TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1 \
			GSSFS_QUICK=1 GSSFS_BIG_MIB=64 GSSFS_JUNIT_DIR="$stage/results" \
			GSSFS="$stage/gssfs" GSSCTL="$stage/gssctl" GSSCTL_BASH="$stage/gssctl.bash" \
			GSS_LOCAL="$stage/gss-local" \
			timeout 900 /usr/bin/python3 -m pytest "$stage/tests/integration/$name.py" >"$log" 2>&1
		then
			echo "$name: $(tail -n 1 "$log")"
		else
			cat "$log"
			[ -e "$stage/results/$name.xml" ] || echo "user: $name did not come to an end" >>"$log.broken"
		fi' sh "$stage" "$results/user/NAME.log" NAME
	cat "$results"/user/*.broken >>"$results/broken" 2>/dev/null
	cp "$stage"/results/*.xml "$results/user/" || broken "user: no results"
	rm -rf "$stage"
	[ -z "$mode" ] || chmod "$mode" /dev/fuse
	trap - EXIT INT TERM HUP
}

for stage in $stages; do
	start=$(date +%s)
	case $stage in
	gcc)
		say "gcc: all tests"
		build gcc -Dwerror=true -Dcrash_points=true && run gcc gcc
		;;
	quick)
		say "gcc: all tests but the slow ones"
		build gcc -Dwerror=true -Dcrash_points=true && GSSFS_QUICK=1 GSSFS_BIG_MIB=${GSSFS_BIG_MIB:-64} run gcc quick
		;;
	user)
		say "the tests of the mount, as an unprivileged user"
		{ [ -x "$build/gcc/fs/gssfs" ] || build gcc -Dwerror=true -Dcrash_points=true; } && run_as_user
		;;
	sanitize)
		say "AddressSanitizer and UndefinedBehaviorSanitizer: all tests"
		build asan -Dwerror=true -Dcrash_points=true -Db_sanitize=address,undefined -Db_lundef=false && run asan asan --timeout-multiplier 3
		;;
	clang)
		say "clang: the unit tests"
		CC=clang build clang -Dwerror=true && run clang clang --suite unit
		;;
	thread)
		say "ThreadSanitizer: the unit tests, and some of the mount's"
		# GLib is not instrumented: what its locks order is told by a preloaded library, and its slices would hand
		# memory from thread to thread.
		if build tsan -Dcrash_points=true -Db_sanitize=thread -Db_lundef=false; then
			export TSAN_OPTIONS="suppressions=$top/tests/tsan.supp:die_after_fork=0"
			export LD_PRELOAD="$build/tsan/tests/libtsan-glib.so" G_SLICE=always-malloc
			names=$(meson test -C "$build/tsan" --list --suite unit 2>/dev/null | sed -n 's|.* / ||p' | grep -vx cache-live)
			# shellcheck disable=SC2086 # a list of words
			run tsan tsan --timeout-multiplier 5 $names
			# A process that was forked from threads may not start others under ThreadSanitizer.
			run tsan tsan-cache --timeout-multiplier 5 --test-args '-s /cache/locked' cache-live
			run tsan tsan-mount --timeout-multiplier 5 register file folder program
			unset TSAN_OPTIONS LD_PRELOAD G_SLICE
		fi
		;;
	demo)
		say "tests/demo.sh --once"
		mkdir -p "$results/demo"
		if "$top/tests/demo.sh" --once >"$results/demo/log" 2>&1; then
			echo "it went through" | tee "$results/demo/passed"
		else
			cat "$results/demo/log"
			echo "tests/demo.sh --once failed" | tee "$results/demo/failed"
		fi
		;;
	esac
	took "$start" "all of it"
done

echo
exec /usr/bin/python3 "$top/tests/count-results.py" "$results"
