# SPDX-License-Identifier: Apache-2.0
# bash completion for objpool(1). Options come from the commands' own --help; pools and methods from the daemon, if it answers.

_objpool_server() {
	local i
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-s | --server | --tls-ca | --tls-cert | --tls-key | --tls-name | --token-file)
			printf '%s\n' "${words[i]}" "${words[i + 1]}" ;;
		esac
	done
}

_objpool_ask() {
	local -a server
	mapfile -t server < <(_objpool_server)
	timeout 1 objpool "${server[@]}" "$@" 2>/dev/null
}

# The first column of the table, without its title.
_objpool_pools() {
	_objpool_ask pools | awk 'NR > 1 { print $1 }'
}

# POOL.METHOD for a pool that is typed already, with its selector; else the pools, with a dot.
_objpool_methods() {
	local target=${1%%.*} pool=${1%%[:.]*}
	if [[ $1 == *.* ]]; then
		_objpool_ask describe "$pool" | awk -v target="$target" '/^  [A-Za-z_]/ { sub(/\(.*/, "", $1); print target "." $1 }'
	else
		_objpool_pools | sed 's/$/./'
	fi
}

_objpool_options() {
	objpool ${1:+"$1"} --help 2>/dev/null | grep -oE -- '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'
}

# Says what stands after an option that has a value. Fails for others.
_objpool_value() {
	case $1 in
	-e | --errors) COMPREPLY=($(compgen -W 'wait first collect' -- "$cur")) ;;
	--args-as) COMPREPLY=($(compgen -W 'zip single positional keyword' -- "$cur")) ;;
	--sticky) COMPREPLY=($(compgen -W 'replace append' -- "$cur")) ;;
	-i | --items | -o | --output | --tls-ca | --tls-cert | --tls-key | --token-file) COMPREPLY=($(compgen -f -- "$cur")) ;;
	-l | --lang) COMPREPLY=($(compgen -W 'c python' -- "$cur")) ;;
	-g | --generate) COMPREPLY=($(compgen -W 'python ts go rust java c' -- "$cur")) ;;
	-s | --server) COMPREPLY=($(compgen -W 'unix:/run/objpool/objpool.sock tcp:127.0.0.1:7117 tls:localhost:7118' -- "$cur")) ;;
	-t | --timeout | --seconds | -n | --calls | -c | --clients | -P | --depth | -d | --delay | --iterations | --chunk | --window | \
		--kwargs | --bind | --bind-kwargs | --target | --traceparent | --priority | --plugin | --class | --workers | \
		--tls-name) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_objpool() {
	local cur prev words cword command= place=0 i
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n : cur prev words cword
	else
		words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
		cur=${words[cword]} prev=${words[cword - 1]}
	fi
	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-s | --server | --tls-ca | --tls-cert | --tls-key | --tls-name | --token-file) ((i++)) ;;
		-*) ;;
		*) [[ $command ]] && ((place++)) || command=${words[i]} ;;
		esac
	done
	_objpool_value "$prev" && return
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(_objpool_options "$command")" -- "$cur"))
	elif [[ -z $command ]]; then
		COMPREPLY=($(compgen -W "$(objpool --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }')" -- "$cur"))
	elif ((place == 0)); then
		case $command in
		call | map | bench)
			COMPREPLY=($(compgen -W "$(_objpool_methods "$cur")" -- "$cur"))
			[[ ${COMPREPLY[0]} == *. ]] && compopt -o nospace 2>/dev/null
			;;
		describe | status | top | drop | scale | restart | forget | pause | resume) COMPREPLY=($(compgen -W "$(_objpool_pools)" -- "$cur")) ;;
		log-level) COMPREPLY=($(compgen -W 'error warning info debug' -- "$cur")) ;;
		acl) COMPREPLY=($(compgen -W check -- "$cur")) ;;
		new) COMPREPLY=($(compgen -W plugin -- "$cur")) ;;
		esac
	elif [[ $command == acl ]] && ((place == 2)); then
		COMPREPLY=($(compgen -W 'call all describe create code admin direct watch operate' -- "$cur"))
	elif [[ $command == acl ]] && ((place == 3)); then
		COMPREPLY=($(compgen -W "$(_objpool_methods "$cur")" -- "$cur"))
	fi
	declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$cur"
	return 0
}
complete -F _objpool objpool
