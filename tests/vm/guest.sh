# SPDX-License-Identifier: Apache-2.0
# Runs in the virtual machine (init.sh): the tests of cages, and of memory_max with the kernel's own cgroups. Where the kernel was
# booted without Landlock: that a pool which needs it says so.
status=0
tests() {
	/usr/bin/python3 -m pytest -q -p no:cacheprovider -p no:xdist -rs --color=no "$@" || status=1
}

landlock=$(/usr/bin/python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')
echo "check-vm: Linux $(uname -r), version of Landlock: $landlock"
if [ "$landlock" -lt 1 ]; then
	tests tests/vm/test_no_landlock.py
else
	"$OBJPOOL_BUILD/tests/test_cage" || status=1
	tests tests/integration/test_cages.py
	tests tests/vm/test_memory_max.py
fi
exit $status
