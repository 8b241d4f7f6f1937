#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the packages for rpm: packaging/rpm.sh DIRECTORY VERSION REVISION (`make rpm`).
# rpmbuild looks for what it needs in rpm's database, which is empty on Debian: there it does not look.
set -eu
umask 022

out=$1 version=$2 revision=$3
cd "$(dirname "$0")/.."
. packaging/source.sh

mkdir -p "$out/SOURCES" "$out/SPECS"
lay_out "$out/SOURCES" "$version" "objpool-$version.tar.gz"
rm -rf "${out:?}/SOURCES/objpool-$version"
sed -e "s/@VERSION@/$version/; s/@REVISION@/$revision/" packaging/rpm/objpool.spec.in > "$out/SPECS/objpool.spec"
unchecked=
rpm -q rpm >/dev/null 2>&1 || unchecked=--nodeps
exec rpmbuild -ba $unchecked --define "_topdir $(cd "$out" && pwd)" "$out/SPECS/objpool.spec"
