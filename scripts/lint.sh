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
# It must see a fault: with a wrong option it checks nothing, and says nothing.
check() {
	cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=missingIncludeSystem \
		--suppress=nullPointerArithmeticRedundantCheck --suppress=negativeIndex:proto/scan.c --suppress=uninitvar \
		--suppress=internalAstError --suppress=ctunullpointer --suppress=memleak:cli/csv.c --suppress=memleak:proto/sendq.c \
		--suppress=memleak:daemon/worker/cage/cage.c --suppress=selfAssignment:daemon/supervisor/base/loan.c \
		--suppress=nullPointer:daemon/core/entry/from_worker.c --suppress=invalidFunctionArg:cli/generate/generate_go.c \
		--suppress=invalidFunctionArgBool:cli/npy.c --suppress=nullPointerRedundantCheck:daemon/worker/worker_loop.c \
		--include=scripts/cppcheck.h -I. -Iclient/include -Iplugins/include "$@"
}
mkdir -p build
printf 'int fault(void)\n{\n\tint a[3];\n\treturn a[5];\n}\n' > build/fault.c
if check build/fault.c 2> build/fault.txt; then
	echo "cppcheck does not see build/fault.c"
	exit 1
fi
check -j"$(nproc)" proto json daemon gateway client cli plugins
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
