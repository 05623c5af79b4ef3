# SPDX-License-Identifier: Apache-2.0
# bash completion of cryopod and cryo: the program itself knows what may come next.
_cryopod()
{
	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	# An image's tag: readline has split the word at its colon.
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "${COMP_WORDS[COMP_CWORD]}"
	fi
}
complete -o default -F _cryopod cryopod cryo
