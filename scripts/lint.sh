#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make lint: all warnings as errors, with gcc and clang; cppcheck; floors; types of the Python client; man pages.
set -eu
cd "$(dirname "$0")/.."
sh scripts/deps.sh build test lint
for cc in gcc clang; do
	echo "== $cc, all warnings"
	make -s -j"$(nproc)" CC=$cc B="build/lint-$cc" LTO= DEVELOPER=1 all
done
echo "== cppcheck"
# It does not look into system headers: these macros of theirs it must know.
cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
	--suppress=nullPointerArithmeticRedundantCheck --suppress=negativeIndex:proto/scan.c --suppress=uninitvar \
	-D'TAILQ_FOREACH(v,h,f)=for(v=(h)->tqh_first;v;v=v->f.tqe_next)' \
	-D'json_array_foreach(a,i,v)=for(i=0;(v=json_array_get(a,i));i++)' \
	-D'json_object_foreach(o,k,v)=for(k="";(v=json_object_get(o,k));)' \
	-I. -Iclient/include -Iplugins/include proto json daemon gateway client cli plugins
echo "== floors: files that use each other in circles"
python3 scripts/floors.py
echo "== mypy"
mypy=$(sh scripts/mypy.sh)
(cd client/python && "$mypy" --no-incremental --exclude objpool/compat/ objpool)
echo "== man pages"
mandoc -Tlint -Wwarning packaging/man/*.[1-8] || exit 1
/usr/bin/python3 scripts/man3.py client/include/objpool/client.h client/c/example.c build/lint-man3
# shellcheck disable=SC2046  # a list of names; a page that only refers to another one is left out
mandoc -Tlint -Wwarning $(grep -L '^\.so' build/lint-man3/*.3) || exit 1
