#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks for what the build needs, and for what it can do without, and prints what it finds as variables of make (needs.mk).
# From the environment: CC, PKG_CONFIG, CFLAGS, CPPFLAGS, SANITIZE; WITHOUT names optional parts that are not to be built.
set -eu

missing=
without=

miss() {
	missing="$missing$1. "
}

# ---- the compiler ----

# Does the compiler take these flags, and this source text?
compiles() {
	text=$1
	shift
	# shellcheck disable=SC2086  # words
	printf '%s\n' "$text" | $CC -std=gnu11 -D_GNU_SOURCE -Werror "$@" -xc -fsyntax-only - >/dev/null 2>&1
}

look_at_compiler() {
	if ! command -v "${CC%% *}" >/dev/null 2>&1; then
		miss "No C compiler: ${CC%% *} is not installed (Debian: build-essential)"
	elif ! compiles '#if defined __clang__ ? __clang_major__ < 11 : __GNUC__ < 9
		#error
		#endif'; then
		miss "$CC is too old: objpool is compiled by gcc 9 or clang 11 or later"
	elif ! compiles '#include <stdatomic.h>
		_Static_assert(ATOMIC_LLONG_LOCK_FREE, "");'; then
		miss "$CC does not compile C11 with atomic integers of 64 bits (gcc 9 or later does)"
	elif ! compiles '#include <sys/mman.h>
		int f(void); int f(void) { return memfd_create("x", MFD_ALLOW_SEALING); }'; then
		miss "The C library has no memfd_create (glibc 2.27 or later has)"
	elif ! compiles '#include <features.h>
		#if defined __GLIBC__ && !__GLIBC_PREREQ(2, 30)
		#error
		#endif'; then
		miss "The C library is older than glibc 2.30"
	elif ! compiles '#include <linux/landlock.h>'; then
		miss "The kernel's headers have no linux/landlock.h (those of Linux 5.13 or later have; Debian: linux-libc-dev)"
	fi
}

# A program's own checks of its memory. Packagers' flags come after these, and win.
harden() {
	compile= link=
	[ -z "${SANITIZE:-}" ] || return 0
	for flag in -fstack-protector-strong -fstack-clash-protection -fcf-protection -mbranch-protection=standard; do
		! compiles '' "$flag" || compile="$compile $flag"
	done
	case " ${CPPFLAGS:-} ${CFLAGS:-} " in
	*_FORTIFY_SOURCE*) ;;
	# shellcheck disable=SC2086  # words
	*) ! compiles '#ifndef __OPTIMIZE__
		#error
		#endif' ${CFLAGS:-} || compile="$compile -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3" ;;
	esac
	link='-Wl,-z,relro,-z,now,-z,noexecstack'
}

# ---- libraries ----

pkg() {
	$PKG_CONFIG "$@" 2>/dev/null
}

# library NAME VERSION PACKAGE: one that must be there.
library() {
	pkg --atleast-version "$2" "$1" || miss "$1 $2 or later is not found by $PKG_CONFIG (Debian: $3)"
}

# Its name has changed twice: Debian 12 has msgpack, Debian 13 msgpack-c, others msgpackc.
find_msgpack() {
	msgpack=
	for name in msgpack-c msgpack msgpackc; do
		if pkg --atleast-version 3.1 "$name" && pkg --libs "$name" | grep -q -- -lmsgpack; then
			msgpack=$name
			return
		fi
	done
	miss "msgpack-c 3.1 or later is not found by $PKG_CONFIG, neither as msgpack-c nor msgpack nor msgpackc (Debian: libmsgpack-dev or libmsgpack-c-dev)"
}

# optional NAME LIBRARIES WHAT PACKAGE: a part that is built if its libraries are there.
optional() {
	case " ${WITHOUT:-} " in
	*" $1 "*) without="$without$3, left out (WITHOUT=$1); " ;;
	*)
		# shellcheck disable=SC2086  # words
		if pkg --exists $2; then
			echo "WITH_$1 := 1"
			echo "LIBS_OF_$1 := $(pkg --libs $2)"
			echo "FLAGS_OF_$1 := $(pkg --cflags-only-I $2)"
		else
			without="$without$3: $2 is not found by $PKG_CONFIG (Debian: $4); "
		fi
		;;
	esac
}

# On 32 bits gcc remarks for each file that versions before it aligned or passed some arguments otherwise. A build has one compiler.
quiet=
! compiles '' -Wno-psabi || quiet=' -Wno-psabi'

daemon='libevent_openssl libevent_extra libevent_core inih jansson openssl'
cli='jansson libcrypto'
look_at_compiler
harden
if ! command -v "${PKG_CONFIG%% *}" >/dev/null 2>&1; then
	miss "${PKG_CONFIG%% *} is not installed (Debian: pkg-config)"
else
	find_msgpack
	library libevent_core 2.1 libevent-dev
	library libevent_extra 2.1 libevent-dev
	library libevent_openssl 2.1 libevent-dev
	library inih 44 libinih-dev
	library jansson 2.10 libjansson-dev
	library openssl 1.1.1 libssl-dev
fi
includes=
if [ -z "$missing" ]; then
	includes=$(pkg --cflags-only-I "$msgpack" $daemon $cli)
	echo "MSGPACK := $msgpack"
	echo "MSGPACK_LIBS := $(pkg --libs "$msgpack")"
	# libevent_openssl names -levent, which has all of libevent's parts once more.
	echo "DAEMON_LIBS := $(pkg --libs $daemon | tr ' ' '\n' | grep -vx -- -levent | tr '\n' ' ')"
	echo "CLI_LIBS := $(pkg --libs $cli)"
	optional backtrace libdw 'objpool-backtrace (backtraces of slow methods)' libdw-dev
	optional seccomp 'libseccomp >= 2.5' 'the filter of system calls (cages)' libseccomp-dev
	optional curses 'ncursesw tinfo' 'the full screen of objpool top' libncurses-dev
	optional nats 'libnats libevent_core libevent_pthreads' 'objpool-gateway (pools over many machines)' libnats-dev
	optional spell hunspell 'the plugin spell' libhunspell-dev
	optional python 'python3-embed >= 3.9' 'the plugin python' python3-dev
fi
echo "MISSING := $missing"
echo "WITHOUT_PARTS := $without"
echo "NEEDED_FLAGS :=$includes$quiet"
echo "HARDEN :=$compile"
echo "HARDEN_LINK := $link"
