# SPDX-License-Identifier: Apache-2.0
# fish completion of cryopod and cryo: the program itself knows what may come next.
function __cryopod_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c cryopod -a '(__cryopod_complete)'
complete -c cryo -a '(__cryopod_complete)'
