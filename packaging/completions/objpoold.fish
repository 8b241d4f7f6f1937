# SPDX-License-Identifier: Apache-2.0
# fish completion for objpoold(8).

complete -c objpoold -f
complete -c objpoold -l config -r -F -d 'The configuration'
complete -c objpoold -l listen -x -d 'Also listen on this address'
complete -c objpoold -l until-eof -d 'Stop when standard input ends'
complete -c objpoold -l check -d 'Check the configuration, and exit'
complete -c objpoold -a '--check=preload --check=syntax' -n 'string match -q -- "--check*" (commandline -ct)'
complete -c objpoold -l check-plugin -r -F -d 'Say all that is wrong with a plugin, and exit'
complete -c objpoold -l user -x -a '(__fish_complete_users)' -d 'With --check: who loads the plugins'
complete -c objpoold -l acl -x -d 'With --check: say what a user may do'
complete -c objpoold -l print-config -d 'Print the configuration with all defaults, and exit'
complete -c objpoold -s V -l version -d 'Print the version, and exit'
complete -c objpoold -s h -l help -d 'Print a summary of the options, and exit'
