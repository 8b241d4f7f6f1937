#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make demo-cluster: a NATS server and three hosts, each a daemon of its own, on this machine: calls from one host to the others, one
# that is killed in the middle of a map, and its return.
#   scripts/demo-cluster.sh BUILD
set -eu

build=$1
source=$(cd "$(dirname "$0")/.." && pwd)
case $build in /*) ;; *) build=$source/$build ;; esac
place=$(mktemp -d "${TMPDIR:-/tmp}/objpool-demo.XXXXXX")
server=
map=
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

# end PID-FILE SIGNAL: a process of the demo's own, which is waited for.
end() {
	[ -e "$1" ] || return 0
	pid=$(cat "$1")
	rm -f "$1"
	kill -"$2" "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

clean_up() {
	status=$?
	trap - EXIT INT TERM
	[ -z "$map" ] || kill "$map" 2>/dev/null || true
	for host in h1 h2 h3; do end "$place/$host.pid" TERM; done
	[ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
	[ $status = 0 ] || { echo "The demo failed. The logs:" >&2; tail -n 30 "$place"/*.log >&2; }
	rm -rf "$place"
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# typed HOST objpool ARGUMENTS...: prints the command as one would type it on that host.
typed() {
	line="$1\$ objpool"
	shift
	for word in "$@"; do
		case $word in *[!A-Za-z0-9_.:=@/-]*) word="'$word'" ;; esac
		line="$line $word"
	done
	printf '  %s\n' "$line"
}

# run HOST ARGUMENTS...: objpool on that host.
run() {
	OBJPOOL_ADDRESS="unix:$place/$1.sock"
	export OBJPOOL_ADDRESS
	shift
	"$build/objpool" "$@"
}

# show EXPECTED-STATUS HOST ARGUMENTS...: prints the command and its result.
show() {
	expected=$1
	shift
	typed "$@"
	got=0
	run "$@" >"$place/out" 2>&1 || got=$?
	sed 's/^/    /' "$place/out"
	[ "$got" = "$expected" ] || { echo "exit status $got, not $expected" >&2; exit 1; }
}

# expect TEXT: the last result contains it.
expect() {
	grep -qF -- "$1" "$place/out" || { echo "the result does not contain: $1" >&2; exit 1; }
}

# until_true WHAT COMMAND...: tries it for 20 seconds.
until_true() {
	what=$1
	shift
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 400 ] || { echo "waited too long for $what" >&2; exit 1; }
		sleep 0.05
	done
}

start_server() {
	mkdir "$place/ports"
	printf 'listen: "127.0.0.1:-1"\nports_file_dir: "%s"\n' "$place/ports" >"$place/nats.conf"
	nats-server -c "$place/nats.conf" >"$place/nats.log" 2>&1 &
	server=$!
	until_true "the NATS server" has_port
}

has_port() {
	bus=$(sed -n 's/.*\(nats:[^"]*\)".*/\1/p' "$place"/ports/* 2>/dev/null)
	[ -n "$bus" ]
}

start_host() {
	cat >"$place/$1.conf" <<CONF
[daemon]
listen = unix:$place/$1.sock
plugin_dir = $build/plugins
drain_timeout = 5

[cluster]
name = $1
domain = demo
bus = $bus

[pool work]
plugin = probe
class = Probe
workers = 2
share = yes
kwargs = {"tag": "$1"}
CONF
	"$build/objpoold" --config "$place/$1.conf" 2>>"$place/$1.log" &
	echo $! >"$place/$1.pid"
}

# The host, and all that runs on it, without a word to anybody.
kill_host() {
	pid=$(cat "$place/$1.pid")
	children=$(cat "/proc/$pid/task/$pid/children")
	# shellcheck disable=SC2086  # numbers
	kill -KILL "$pid" $children 2>/dev/null || true
	end "$place/$1.pid" KILL
}

# sees HOST COUNT: that host sees so many slots ready on all hosts.
sees() {
	run "$1" call 'work@*:all.tag' >"$place/seen" 2>/dev/null && [ "$(tr -cd , <"$place/seen" | wc -c)" -eq $(($2 - 1)) ]
}

each_sees() {
	for host in "$1" "$2" ${3:+"$3"}; do
		until_true "$host to see the others" sees "$host" $((2 * $#))
	done
}

# lists HOST WHO STATE: what that host says of another one.
lists() {
	run "$1" hosts 2>/dev/null | grep -q "^$2  *$3 "
}

[ -x "$build/objpool-gateway" ] || { echo "$build/objpool-gateway is not there: objpool was built without libnats" >&2; exit 1; }
command -v nats-server >/dev/null || { echo "nats-server is not installed: scripts/deps.sh test" >&2; exit 1; }

say "A NATS server, and three hosts with two instances each. This is all that the first is told:"
start_server
for host in h1 h2 h3; do start_host $host; done
sed -n '/^.cluster/,$p' "$place/h1.conf" | sed 's/^/  /'
each_sees h1 h2 h3
for host in h2 h3; do until_true "h1 to list $host" lists h1 $host ready; done
show 0 h1 hosts

say "Any host that is free, a host by its name, an instance of that host:"
show 0 h1 call 'work@*.echo' '"hello"'
show 0 h1 call work@h2.tag
expect '"h2"'
show 0 h3 call work@h1:1.slot
expect 1
say "By key: the same instance, from whichever host one asks."
show 0 h1 call 'work@*:key=alice.tag'
cp "$place/out" "$place/alice"
show 0 h2 call 'work@*:key=alice.tag'
cmp -s "$place/out" "$place/alice" || { echo "another host has answered" >&2; exit 1; }
say "all: every instance of every host, in this order:"
show 0 h2 call 'work@*:all.tag'
expect '["h1", "h1", "h2", "h2", "h3", "h3"]'
say "A method tells how far it is, from another host, too:"
show 0 h1 call work@h3.progress 3 0.2 --progress
expect 3

say "map: 3,000 items over all instances; who has done them?"
seq 3000 | sed 's/.*/[&, 1]/' >"$place/items"
typed h1 map 'work@*.add' --args-as positional --items items
run h1 map 'work@*.add' --args-as positional --items "$place/items" >"$place/sums"
seq 2 3001 | cmp -s - "$place/sums" || { echo "the results are others" >&2; exit 1; }
echo "    $(wc -l <"$place/sums") results, from $(head -n 1 "$place/sums") to $(tail -n 1 "$place/sums")"
show 0 h1 call 'work@*:all.calls'

# The map of 600 items that take 10 ms each, and what has come of it meanwhile.
yes 0.01 | head -n 600 >"$place/naps"
begin_map() {
	typed h1 map 'work@*.sleep' --items naps "$@"
	: >"$place/done"
	OBJPOOL_ADDRESS="unix:$place/h1.sock" "$build/objpool" map 'work@*.sleep' --items "$place/naps" "$@" \
		>"$place/done" 2>"$place/map.err" &
	map=$!
}

has_done() {
	[ "$(wc -l <"$place/done")" -ge "$1" ]
}

tell() {
	until_true "the map" has_done "$1"
	printf '    %s of 600 items\n' "$(wc -l <"$place/done")"
}

end_map() {
	status=0
	wait "$map" || status=$?
	map=
	echo "    $(grep -c '^0.01$' "$place/done" || true) of 600 items have a result; exit status $status"
}

say "h2 is killed in the middle of a map: -9, with all its processes. The map's items may run twice:"
begin_map --idempotent
tell 100
kill_host h2
say "(h2 is dead)"
tell 200
tell 400
end_map
[ "$(grep -c '^0.01$' "$place/done")" = 600 ] || { echo "a result is missing" >&2; exit 1; }
until_true "h1 to list h2 as gone" lists h1 h2 gone
show 0 h1 hosts

say "h2 comes back: a new one, that knows nothing of the old one's calls."
start_host h2
each_sees h1 h2 h3
show 0 h1 call 'work@*:all.tag'
expect '["h1", "h1", "h2", "h2", "h3", "h3"]'

say "The same, where an item must not run twice: what h2 had in hand ends with HOST_LOST, and says whether it ran."
begin_map --errors collect
tell 100
kill_host h2
say "(h2 is dead)"
tell 400
end_map
grep -m 1 HOST_LOST "$place/done" >"$place/out" || cat "$place/map.err" >"$place/out"
sed 's/^/    /' "$place/out"
expect HOST_LOST
show 75 h1 call work@h2.tag
expect UNREACHABLE

say "SIGTERM: a host that ends says goodbye, and gets no call more."
end "$place/h3.pid" TERM
until_true "h1 to see itself alone" sees h1 2
until_true "h1 to list h3 as gone" lists h1 h3 gone
show 0 h1 hosts
end "$place/h1.pid" TERM
sed -n '$s/^/    /p' "$place/h1.log" | tee "$place/out"
expect stopped
echo
echo "Done. Nothing is left running. Next: docs/CLUSTER.md."
