#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds what git knows of this tree in two folders, and compares what `make all` has made there, byte by byte.
#   scripts/reproducible.sh [VARIABLE=VALUE...]   variables of make, such as LTO=
set -eu
export CCACHE_DISABLE=1 # what the first build has cached would be compared with itself
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM

mkdir -p "$place/one" "$place/another"
git ls-files -z | tar -c --null -T - | tar -x -C "$place/one"
cp -R "$place/one" "$place/another/folder"
for folder in "$place/one" "$place/another/folder"; do
	make -s -C "$folder" -j"$(nproc)" B=build "$@" all
done

failed=0
compare() {
	cmp "$place/one/$1" "$place/another/folder/$1" || failed=1
}
cd "$place/one"
for file in build/objpool* build/libobjpool.* build/plugins/*.so build/python/*.so build/man3/*; do
	[ ! -f "$file" ] || compare "$file"
done
[ $failed = 0 ] && echo "the same from both folders"
exit $failed
