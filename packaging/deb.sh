#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Debian packages: packaging/deb.sh DIRECTORY VERSION REVISION (`make deb`).
# Lays out the source package in DIRECTORY, with packaging/debian as its debian/, and has dpkg-buildpackage build it there.
set -eu
umask 022

out=$1 version=$2 revision=$3
cd "$(dirname "$0")/.."
. packaging/source.sh

lay_out "$out" "$version" "objpool_$version.orig.tar.gz"
debian=$out/objpool-$version/debian
cp -r packaging/debian "$debian"
sed -e "s/@VERSION@/$version/; s/@REVISION@/$revision/; s/@DATE@/$(date -R -u -d "@$SOURCE_DATE_EPOCH")/" \
	packaging/debian/changelog.in > "$debian/changelog"
rm "$debian/changelog.in"
cd "$debian/.."
exec dpkg-buildpackage -us -uc -J"$(nproc)"
