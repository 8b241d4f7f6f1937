# SPDX-License-Identifier: Apache-2.0
# bash completion for objpoold(8). Options come from --help.

_objpoold() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	case $prev in
	--config | --check-plugin)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2>/dev/null
		;;
	--user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
	--listen | --acl) COMPREPLY=() ;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null | grep -oE -- '^  (-[a-zA-Z], )?--[a-z-]+' |
			grep -oE -- '--[a-z-]+') --check=preload --check=syntax" -- "$cur")
		;;
	esac
}
complete -F _objpoold objpoold
