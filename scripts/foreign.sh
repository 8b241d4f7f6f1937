#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds objpool for another architecture of Debian, and runs tests of it with qemu's emulation of programs.
#   scripts/foreign.sh ARCH [TEST-FILE...]   ARCH as Debian names it: s390x, arm64, armhf, i386
# The libraries of that architecture come as packages from where this machine's come from. They are unpacked in
# build/foreign/ARCH/root; nothing is installed but the compiler and qemu. Without TEST-FILE: unit tests, the simulation,
# the dialogues of the wire, and calls.
set -eu
cd "$(dirname "$0")/.."

libraries='libc6-dev linux-libc-dev libevent-dev libmsgpack-dev libinih-dev libjansson-dev libssl-dev libcmocka-dev libseccomp-dev
	libncurses-dev libdw-dev libc-bin'
arch=${1:?scripts/foreign.sh ARCH}
shift
case $arch in
s390x) triplet=s390x-linux-gnu gcc=$triplet qemu=s390x ;;
arm64) triplet=aarch64-linux-gnu gcc=$triplet qemu=aarch64 ;;
armhf) triplet=arm-linux-gnueabihf gcc=$triplet qemu=arm ;;
i386) triplet=i386-linux-gnu gcc=i686-linux-gnu qemu=i386 ;;
*) echo "foreign.sh: unknown architecture $arch" >&2; exit 2 ;;
esac
place=$PWD/build/foreign/$arch
root=$place/root
tree=$place/tree
sh scripts/deps.sh build test "foreign-$arch"

# ---- the libraries ----

apt() {
	apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root \
		-o Dir::State="$place/apt" -o Dir::State::status="$place/apt/status" -o Dir::Cache="$place/apt/cache" "$@"
}
fetch_libraries() {
	rm -rf "$root" "$place/apt"
	mkdir -p "$root" "$place/apt/lists/partial" "$place/apt/cache/archives/partial"
	: >"$place/apt/status"
	apt update 2>/dev/null || true # sources that do not have this architecture
	# shellcheck disable=SC2086  # a list of words
	apt -y --no-install-recommends --download-only install $libraries
	for package in "$place"/apt/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	touch "$root/complete"
}
[ -e "$root/complete" ] || fetch_libraries

# ---- the build ----

cross() {
	"${gcc#ccache }-gcc" --sysroot="$root" "$@"
}
! command -v ccache >/dev/null || gcc="ccache $gcc"
mkdir -p "$tree"
cross -O1 -fPIC -c -o "$tree/calls.o" tests/foreign/calls.c
export PKG_CONFIG_LIBDIR="$root/usr/lib/$triplet/pkgconfig:$root/usr/share/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
units=$(ls tests/unit/test_*.c | sed "s,tests/unit/\(.*\)\.c,$tree/tests/\1,")
# shellcheck disable=SC2086  # a list of words
make -s -j"$(nproc)" B="$tree" LTO= LDFLAGS="$tree/calls.o" CC="$gcc-gcc --sysroot=$root" AR="${gcc#ccache }-ar" OBJCOPY="${gcc#ccache }-objcopy" \
	WITHOUT='spell python' PYTHON=/usr/bin/python3 all "$tree/sim" $units

# ---- programs that this machine can run: each calls qemu for the foreign one ----

run=$place/run
rm -rf "$run"
mkdir -p "$run"
ln -s "$tree/plugins" "$tree/needs.mk" "$tree/libobjpool.a" "$run"
for program in objpoold objpool objpool-worker; do
	cp "$tree/$program" "$run/$program.real"
	cc -O1 -o "$run/$program" -DPROGRAM="\"$run/$program.real\"" -DQEMU="\"$(command -v qemu-$qemu-static)\"" -DROOT="\"$root\"" \
		tests/foreign/under_qemu.c
done

# ---- tests ----

under_qemu() {
	"qemu-$qemu-static" -L "$root" "$@"
}
if [ $# -eq 0 ]; then
	for unit in $units; do
		case $unit in
		*/test_cage) ;; # qemu has no filters of system calls
		*) OBJPOOL_PLUGINS=$tree/plugins under_qemu "$unit" ;;
		esac
	done
	under_qemu "$tree/sim" --seeds 1-200
	set -- tests/wire/test_dialogues.py tests/integration/test_calls.py tests/integration/test_numbers.py
fi
unset PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
OBJPOOL_BUILD=$run OBJPOOL_TEST_DEADLINE=120 /usr/bin/python3 -m pytest -q -p no:cacheprovider -n "$(nproc)" "$@"
