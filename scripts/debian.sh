#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds objpool in another release of Debian, with that release's compiler and libraries, and runs tests there.
#   scripts/debian.sh SUITE ARCH [TEST-FILE...]   SUITE: bookworm, trixie, sid. ARCH: this machine's, or i386 on amd64
# The release is unpacked by debootstrap in build/debian/SUITE-ARCH (1.5 GB), and stays there for the next run. Needs root.
# From the environment: CC, WITHOUT. Without TEST-FILE: unit tests, the simulation, the dialogues of the wire, and some
# integration tests.
set -eu
cd "$(dirname "$0")/.."

suite=${1:?scripts/debian.sh SUITE ARCH}
arch=${2:-$(dpkg --print-architecture)}
shift $(($# < 2 ? $# : 2))
place=$PWD/build/debian/$suite-$arch
root=$place/root
[ "$(id -u)" = 0 ] || { echo "debian.sh: only root can unpack a release of Debian and run programs in it" >&2; exit 1; }
sh scripts/deps.sh debian

if [ ! -e "$place/complete" ]; then
	rm -rf "$place"
	mkdir -p "$place"
	debootstrap --variant=minbase --arch="$arch" "$suite" "$root" >"$place/log" || { tail "$place/log" >&2; exit 1; }
	rm -rf "$root"/var/cache/apt/archives/*.deb
	echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/90mirror" # a mirror of sid may be behind
	touch "$place/complete"
fi
# Nothing of the last run that is no longer in the checkout, but its build.
mkdir -p "$root/objpool"
find "$root/objpool" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
git ls-files -z | tar -c --null --ignore-failed-read -T - | tar -x -C "$root/objpool"

# The mounts and processes of this shell end with it.
cat >"$root/objpool/.check" <<'END'
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /tmp
mount -t tmpfs -o mode=755 tmpfs /run
cd /objpool
export LC_ALL=C.UTF-8
sh scripts/deps.sh build test
apt-get clean
make -s -j"$(nproc)" LTO= DEVELOPER=1 all
if [ $# -eq 0 ]; then
	make -s LTO= DEVELOPER=1 unit
	make -s LTO= build/sim
	build/sim --seeds 1-400
	set -- tests/wire tests/integration/test_build.py tests/integration/test_calls.py tests/integration/test_payloads.py \
		tests/integration/test_numbers.py tests/integration/test_cages.py tests/integration/test_python.py \
		tests/integration/test_tls.py tests/integration/test_clients.py tests/integration/test_direct.py
fi
/usr/bin/python3 -m pytest -q -p no:cacheprovider -n "${TEST_JOBS:-3}" --dist loadfile "$@"
END
bits=
[ "$arch" != i386 ] || bits=linux32
exec $bits unshare --mount --pid --fork --kill-child sh -euc 'mount --rbind /dev "$0/dev"
	exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root ${CC:+CC="$CC"} ${WITHOUT:+WITHOUT="$WITHOUT"} \
		${TEST_JOBS:+TEST_JOBS="$TEST_JOBS"} sh /objpool/.check "$@"' "$root" "$@"
