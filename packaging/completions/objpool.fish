# SPDX-License-Identifier: Apache-2.0
# fish completion for objpool(1): `objpool complete` says what may stand next.

function __objpool_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (command $words[1] complete -- $words[2..-1] 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path (string replace -r -- '^--[^=]*=' '' $words[-1])
    else
        printf '%s\n' $lines
    end
end
complete -c objpool -f -a '(__objpool_complete)'
