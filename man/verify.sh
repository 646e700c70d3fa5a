#!/bin/sh
# Has the manual pages checked: that they are formatted without a warning, and found by whatis(1). Usage: verify.sh PAGE...
# Exits 77 (skipped) where there is no man.
set -u

command -v man >/dev/null && command -v lexgrog >/dev/null || exit 77
status=0
for page in "$@"; do
	said=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
	[ -z "$said" ] || { echo "$page: $said"; status=1; }
	lexgrog "$page" >/dev/null || { echo "$page: no name is found in it"; status=1; }
done
exit $status
