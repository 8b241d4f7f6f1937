#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make demo: a daemon with sample pools on a private socket, calls of every kind on real input, and an orderly end.
#   scripts/demo.sh BUILD
set -eu

build=$1
source=$(cd "$(dirname "$0")/.." && pwd)
case $build in /*) ;; *) build=$source/$build ;; esac
place=$(mktemp -d "${TMPDIR:-/tmp}/objpool-demo.XXXXXX")
daemon=
export OBJPOOL_ADDRESS="unix:$place/objpool.sock"
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); else bold='' plain=''; fi

clean_up() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	[ $status = 0 ] || { echo "The demo failed. The daemon's log:" >&2; cat "$place/log" >&2; }
	rm -rf "$place"
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
	printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# show EXPECTED-STATUS objpool ARGUMENTS...: prints the command as one would type it, and its result.
show() {
	expected=$1
	shift
	line=
	for word in "$@"; do
		case $word in *[!A-Za-z0-9_.:=/-]*) word="'$word'" ;; esac
		line="$line $word"
	done
	printf '  $ objpool%s\n' "$line"
	got=0
	"$build/objpool" "$@" >"$place/out" 2>&1 || got=$?
	sed 's/^/    /' "$place/out"
	[ "$got" = "$expected" ] || { echo "exit status $got, not $expected" >&2; exit 1; }
}

# expect TEXT: the last result contains it.
expect() {
	grep -qF -- "$1" "$place/out" || { echo "the result does not contain: $1" >&2; exit 1; }
}

cat >"$place/objpoold.conf" <<CONF
[daemon]
listen = unix:$place/objpool.sock
plugin_dir = $build/plugins
drain_timeout = 5

[pool spell]
plugin = spell
class = Dictionary
workers = 2

[pool dice]
plugin = sampler
class = Sampler
workers = 4
slot_kwargs = [{"seed": 1}, {"seed": 2}, {"seed": 3}, {"seed": 4}]

[pool probe]
plugin = probe
class = Probe
workers = 2
CONF

say "A daemon starts, with three pools on a private socket:"
sed -n 's/^\[/  [/p' "$place/objpoold.conf"
"$build/objpoold" --config "$place/objpoold.conf" 2>"$place/log" &
daemon=$!
tries=0
until "$build/objpool" ping >/dev/null 2>&1; do # it answers as soon as it listens
	tries=$((tries + 1))
	if [ $tries -gt 200 ] || ! kill -0 $daemon 2>/dev/null; then echo "the daemon did not start" >&2; exit 1; fi
	sleep 0.05
done

say "Any free instance answers. The dictionary was loaded once, before the workers were forked:"
show 0 call spell.check separate
expect true
show 0 call spell.suggest seperate
expect separate

say "map: a real text, line by line, over all instances; results come in order. Unknown words of each line:"
grep . "$source/plugins/spell/sample.txt" | sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/"&"/' >"$place/lines"
show 0 map spell.check_text --items "$place/lines"
expect '[{"word": "nieghborhood", "offset": 53}]'
[ "$(wc -l <"$place/out")" -eq "$(wc -l <"$place/lines")" ] || { echo "a line got no answer" >&2; exit 1; }

say "all: every instance once, in slot order. Four samplers, each with its own seed:"
show 0 call dice:all.get_normal_sample
expect '[0.7497'
say "By number: this instance and no other. Its state stays with it:"
show 0 call dice:2.set_property 40
show 0 call dice:2.add_and_get_property 2
expect 42
show 0 call dice:all.get_property
expect '[0, 0, 42, 0]'
say "By key: the same instance for the same key:"
show 0 call dice:key=alice.set_property 7
show 0 call dice:key=alice.get_property
expect 7
say "scatter: item i to slot i:"
show 0 call dice:scatter.set_property '[10, 20, 30, 40]'
show 0 call dice:all.get_property
expect '[10, 20, 30, 40]'
say "Keyword arguments:"
show 0 call spell.suggest recieve --kwargs '{"limit": 2}'
expect receive

say "An error says what went wrong, and the exit status is 1:"
show 1 call probe.fail 'out of paper'
expect 'out of paper'
show 1 call probe.nothing
expect NO_SUCH_METHOD
say "A deadline: the caller is told in time, and the method that it is cancelled:"
show 1 call probe.sleep 60 --timeout 0.2
expect TIMEOUT
say "A method that crashes costs its own call and nothing else; the slot is built again:"
show 1 call probe:0.crash 11
expect 'signal 11'
show 0 call probe:all.generation
expect '[2, 1]'
show 0 call probe:all.echo '"both are there"'
expect '["both are there", "both are there"]'

say "What the daemon knows:"
show 0 status probe
expect '2 of 2 ready'
say "SIGTERM: what runs is finished, then the daemon ends."
kill $daemon
wait $daemon
daemon=
sed -n '$s/^/    /p' "$place/log" | tee "$place/out"
expect stopped
echo
echo "Done. Nothing is left running. Next: README.md, docs/PLUGINS.md."
