#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages: packaging/deb.sh DIRECTORY VERSION REVISION (`make deb`).
# Lays out the source package in DIRECTORY, with packaging/debian as its debian/, and has dpkg-buildpackage build it there.
set -eu
umask 022

out=$1 version=$2 revision=$3
cd "$(dirname "$0")/.."
mkdir -p "$out"
out=$(cd "$out" && pwd)
tree=$out/objpool-$version

# In a checkout what git tracks, as it is now; elsewhere all but what has been built.
in_checkout() {
	[ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]
}
sources() {
	if in_checkout; then
		git ls-files -z
	else
		find . -maxdepth 1 ! -name . ! -name 'build*' -print0
	fi
}
date_of_sources() {
	if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
		echo "$SOURCE_DATE_EPOCH"
	elif in_checkout; then
		git log -1 --format=%ct
	else
		stat -c %Y CHANGELOG.md
	fi
}

SOURCE_DATE_EPOCH=$(date_of_sources)
export SOURCE_DATE_EPOCH
rm -rf "$tree"
mkdir "$tree"
sources | tar --null --files-from=- --ignore-failed-read -c | tar -C "$tree" -x
tar -C "$out" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s \
	-czf "$out/objpool_$version.orig.tar.gz" "objpool-$version"
cp -r packaging/debian "$tree/debian"
sed -e "s/@VERSION@/$version/; s/@REVISION@/$revision/; s/@DATE@/$(date -R -u -d "@$SOURCE_DATE_EPOCH")/" \
	packaging/debian/changelog.in > "$tree/debian/changelog"
rm "$tree/debian/changelog.in"
cd "$tree"
exec dpkg-buildpackage -us -uc -J"$(nproc)"
