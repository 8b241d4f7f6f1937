# SPDX-License-Identifier: Apache-2.0
# bash completion for objpool(1): `objpool complete` says what may stand next.

_objpool() {
	local cur words cword line broken
	if declare -F _get_comp_words_by_ref >/dev/null; then
		_get_comp_words_by_ref -n :=@ cur words cword
	else # without the package bash-completion: words as blanks divide them
		line=${COMP_LINE:0:COMP_POINT}
		read -ra words <<<"$line"
		[[ $line == *[[:blank:]] ]] && words+=("")
		cword=$((${#words[@]} - 1)) cur=${words[-1]}
	fi
	mapfile -t COMPREPLY < <("$1" complete -- "${words[@]:1:cword}" 2>/dev/null)
	if [[ ${COMPREPLY[0]} == :files ]]; then
		[[ $cur == --*=* ]] && cur=${cur#*=}
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		return
	fi
	# Readline replaces only what stands behind the last :, = or @ of the word.
	broken=${cur%"${cur##*[:=@]}"}
	COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
	COMPREPLY=("${COMPREPLY[@]#"$broken"}")
	[[ ${COMPREPLY[0]} == *[.=] ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _objpool objpool
