#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of mypy: that of build/mypy, a virtual environment into which PyPI's is installed; where PyPI can't be reached,
# that of Debian.
set -eu
cd "$(dirname "$0")/.."
wanted=1.18.2
mypy=$PWD/build/mypy/bin/mypy
if ! "$mypy" --version 2>/dev/null | grep -qF "$wanted"; then
	sh scripts/deps.sh mypy >&2
	/usr/bin/python3 -m venv --clear build/mypy
	if ! build/mypy/bin/pip -q --disable-pip-version-check install "mypy==$wanted" >&2; then
		rm -rf build/mypy
		sh scripts/deps.sh debian-mypy >&2
		mypy=/usr/bin/mypy
	fi
fi
echo "$mypy"
