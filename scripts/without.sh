#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds objpool without each optional part, and without all of them. Each build must tell that it is without, and pass the tests of
# builds, calls and the parts: those of a part that is left out are skipped.
#   scripts/without.sh [TEST-FILE...]
set -eu
cd "$(dirname "$0")/.."
parts=$(sed -n 's/^	optional \([a-z]*\) .*/\1/p' scripts/needs.sh)
[ $# -gt 0 ] || set -- tests/integration/test_build.py tests/integration/test_calls.py tests/integration/test_cages.py \
	tests/integration/test_top.py tests/integration/test_slowlog.py tests/integration/test_spell.py tests/integration/test_python.py

# shellcheck disable=SC2086,SC2116  # words
for without in $parts "$(echo $parts)"; do
	echo "== WITHOUT=\"$without\""
	build=build/without-$(echo "$without" | tr ' ' -)
	make -s -j"$(nproc)" B="$build" LTO= WITHOUT="$without" all
	for part in $without; do
		! grep -q "^WITH_$part " "$build/needs.mk" || { echo "without.sh: $part is there all the same" >&2; exit 1; }
	done
	OBJPOOL_BUILD=$build /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "${TEST_JOBS:-3}" --dist loadfile "$@"
done
