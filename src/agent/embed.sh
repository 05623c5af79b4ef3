#!/bin/sh -eu
# SPDX-License-Identifier: Apache-2.0
# embed.sh OBJCOPY IN.elf OUT.S OUT.bin NAME ARGS...: makes IN.elf, treated by "objcopy ARGS",
# linkable as NAME ... NAME_end.
objcopy=$1 elf=$2 asm=$3 bin=$4 name=$5
shift 5
"$objcopy" "$@" "$elf" "$bin"
cat >"$asm" <<END
	.section .rodata
	.balign 16
	.globl $name, ${name}_end
	.hidden $name, ${name}_end
$name:	.incbin "$(realpath "$bin")"
${name}_end:
	.section .note.GNU-stack, "", %progbits
END
