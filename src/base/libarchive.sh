#!/bin/sh -eu
# SPDX-License-Identifier: Apache-2.0
# libarchive.sh LIST OUT.h OUT.c: libarchive behind pointers that are filled when first needed.
#
# It draws in a dozen libraries (libxml2, ICU, those of C++): loading them takes longer than most
# commands run, and most commands read no archive.
list=$1 header=$2 source=$3
names=$(grep -v '^#' "$list")
{
	echo '/* Made by libarchive.sh from libarchive.sym: a function that is missing goes there. */'
	echo '#pragma once'
	echo '#include <archive.h>'
	echo '#include <archive_entry.h>'
	echo 'struct libarchive {'
	for n in $names; do echo "	__typeof__($n) *$n;"; done
	echo '};'
	echo '/* Ends the program with a message when the library is not installed. */'
	echo 'const struct libarchive *libarchive(void);'
	for n in $names; do echo "#define $n libarchive()->$n"; done
} >"$header"
{
	echo '#include "base/libarchive.h"'
	echo '#include "base/lazy.h"'
	for n in $names; do echo "#undef $n"; done
	echo 'static struct libarchive table;'
	echo 'static const struct lazy_symbol symbols[] = {'
	for n in $names; do echo "	{\"$n\", &table.$n},"; done
	echo '};'
	echo 'const struct libarchive *libarchive(void)'
	echo '{'
	echo '	static bool loaded;'
	echo
	echo '	if (!loaded)'
	echo '		lazy_load("libarchive.so.13", symbols, ARRAY_SIZE(symbols));'
	echo '	loaded = true;'
	echo '	return &table;'
	echo '}'
} >"$source"
