#!/bin/sh
# Tests the pool @name@ of objpoold.conf in a daemon of its own. `make check` runs this.
set -eu
folder=$(mktemp -d)
OBJPOOL_ADDRESS=unix:$folder/socket
export OBJPOOL_ADDRESS
objpoold --config objpoold.conf --listen "$OBJPOOL_ADDRESS" 2>"$folder/log" &
daemon=$!
end() {
	status=$?
	kill $daemon 2>/dev/null || true
	wait $daemon || true
	[ $status = 0 ] || cat "$folder/log" >&2
	rm -rf "$folder"
	exit $status
}
trap end EXIT
trap 'exit 130' INT TERM
while ! objpool ping >"$folder/ping" 2>&1; do
	kill -0 $daemon 2>/dev/null || { echo "test.sh: the daemon has not started" >&2; exit 1; }
	sleep 0.1
done

fail() {
	echo "test.sh: $*" >&2
	exit 1
}

# expect RESULT TARGET.METHOD [ARGUMENT]...: a call gives this.
expect() {
	expected=$1
	shift
	got=$(objpool call "$@" 2>&1) || true
	[ "$got" = "$expected" ] || fail "$*: expected $expected, got $got"
}

# refuse WORDS TARGET.METHOD [ARGUMENT]...: a call fails with an error that has these words.
refuse() {
	words=$1
	shift
	! got=$(objpool call "$@" 2>&1) || fail "$*: expected an error, got $got"
	case $got in *"$words"*) ;; *) fail "$*: expected $words, got $got" ;; esac
}

expect 15 @name@:0.add 5
expect '[16, 11]' @name@:all.add 1
refuse ': n must be an integer' @name@.add '"five"'
echo "@name@: all tests passed"
