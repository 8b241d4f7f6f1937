#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing to build, test, measure and check objpool on Debian 12 and later.
#   scripts/deps.sh [build] [test] [page] [vm] [valgrind] [bench] [lint] [mypy] [debian-mypy] [bench-python] [node] [go] [rust] [java]
#                   [wheel] [deb] [prometheus] [nats] [rpm] [site] [debian] [foreign-ARCH]   ARCH: s390x, arm64, armhf, i386
# Without an argument: build.
# Calls apt-get only when something is missing, and sudo only when not root. The servers that `bench` and `prometheus` bring are neither
# started nor enabled: the benchmarks start their own.
set -eu

# a|b: the first of these that this release of Debian has.
build='build-essential pkg-config libevent-dev libmsgpack-dev|libmsgpack-c-dev libinih-dev libjansson-dev libssl-dev libhunspell-dev
	hunspell-en-us libdw-dev libseccomp-dev libncurses-dev python3-dev libnats-dev'
test='libcmocka-dev python3-msgpack python3-cryptography python3-pynvim openssl curl socat python3-pytest python3-pytest-xdist python3-numpy python3-cloudpickle python3-dill systemd-container procps zsh fish logrotate runit nats-server'
page='chromium chromium-driver fonts-dejavu-core'
vm='qemu-system-x86 cpio'
valgrind='valgrind'
bench='openssl gearman-job-server libgearman-dev nats-server libnats-dev redis-server redis-tools libhiredis-dev'
lint='clang clang-format clang-tidy cppcheck libclang-rt-14-dev|libclang-rt-dev mandoc'
bench_python='python3-venv'
mypy='python3-venv'
debian_mypy='mypy'
foreign='qemu-user-static'
debian='debootstrap'
wheel='python3-venv binutils hunspell-en-us'
node='nodejs npm'
go='golang-go ca-certificates'
rust='rustc'
java='default-jdk-headless'
deb='dpkg-dev debhelper dh-python lintian libcmocka-dev'
prometheus='prometheus'
nats='nats-server'
rpm='rpm'
site='python3-sphinx python3-myst-parser furo mandoc graphviz'
servers='gearman-job-server nats-server redis-server prometheus prometheus-node-exporter'

usage() {
	sed -n 's/^# \{0,1\}//; 3,8p' "$0" >&2
	exit 2
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

first_known() {
	for name in $(echo "$1" | tr '|' ' '); do
		! apt-cache show "$name" >/dev/null 2>&1 || break
	done
	echo "$name"
}

any_installed() {
	for name in $(echo "$1" | tr '|' ' '); do
		! installed "$name" || return 0
	done
	return 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Package scripts ask policy-rc.d before they start a service; 101 is no. One that is there already stays: it is the
# administrator's.
policy=/usr/sbin/policy-rc.d
forbid_starts() {
	[ ! -e $policy ] || return 0
	trap allow_starts EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' | as_root sh -c "umask 022; cat > $policy; chmod 755 $policy"
}
allow_starts() {
	as_root rm -f $policy
}

[ $# -gt 0 ] || set -- build
wanted=
for group; do
	case $group in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	page) wanted="$wanted $page" ;;
	vm) wanted="$wanted $vm" ;;
	valgrind) wanted="$wanted $valgrind" ;;
	bench) wanted="$wanted $bench" ;;
	lint) wanted="$wanted $lint" ;;
	bench-python) wanted="$wanted $bench_python" ;;
	mypy) wanted="$wanted $mypy" ;;
	debian-mypy) wanted="$wanted $debian_mypy" ;;
	node) wanted="$wanted $node" ;;
	go) wanted="$wanted $go" ;;
	rust) wanted="$wanted $rust" ;;
	java) wanted="$wanted $java" ;;
	wheel) wanted="$wanted $wheel" ;;
	foreign-s390x) wanted="$wanted $foreign gcc-s390x-linux-gnu" ;;
	foreign-arm64) wanted="$wanted $foreign gcc-aarch64-linux-gnu" ;;
	foreign-armhf) wanted="$wanted $foreign gcc-arm-linux-gnueabihf" ;;
	foreign-i386) wanted="$wanted $foreign gcc-i686-linux-gnu" ;;
	debian) wanted="$wanted $debian" ;;
	deb) wanted="$wanted $deb" ;;
	prometheus) wanted="$wanted $prometheus" ;;
	nats) wanted="$wanted $nats" ;;
	site) wanted="$wanted $site" ;;
	rpm) wanted="$wanted $rpm" ;;
	*) usage ;;
	esac
done

command -v apt-get >/dev/null || { echo "deps.sh: no apt-get here; needed:$wanted" >&2; exit 1; }
missing=
for package in $wanted; do
	any_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "deps.sh: installing$missing" >&2
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
	echo "deps.sh: not root, and no sudo; as root: apt-get install$missing" >&2
	exit 1
fi
forbid_starts
as_root apt-get -qq update
known=
for package in $missing; do
	known="$known $(first_known "$package")"
done
# shellcheck disable=SC2086  # a list of words
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $known >&2

for server in $servers; do
	case " $missing " in
	*" $server "*)
		as_root systemctl -q disable "$server" 2>/dev/null || true
		as_root systemctl -q stop "$server" 2>/dev/null || true
		;;
	esac
done
