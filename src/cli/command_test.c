/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of commands and options hold what the parser takes for granted. */
#include "cli/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static void no_option_has_two_meanings(void **state)
{
	for (const struct command *const *c = commands; *c; c++) {
		g_autoptr(GHashTable) names =
			g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

		for (const struct opt *o = (*c)->options; o && o->name; o++) {
			g_auto(GStrv) aliases = g_strsplit(o->aliases ? o->aliases : "", ",", -1);

			assert_true(o->at < (*c)->size);
			assert_non_null(o->help);
			assert_true(g_hash_table_add(names, g_strdup(o->name)));
			if (o->brief)
				assert_true(
					g_hash_table_add(names, g_strdup_printf("%c", o->brief)));
			for (char **a = aliases; *a; a++)
				assert_true(g_hash_table_add(names, g_strdup(*a)));
			assert_null(opt_find(global_options, o->name, strlen(o->name)));
		}
	}
}

static void no_path_has_two_commands(void **state)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (const struct command *const *c = commands; *c; c++) {
		g_autofree char *all = g_strjoin(",", (*c)->path, (*c)->aliases, NULL);
		g_auto(GStrv) paths = g_strsplit(all, ",", -1);

		assert_non_null((*c)->run);
		assert_non_null((*c)->brief);
		assert_non_null((*c)->usage);
		for (char **p = paths; *p; p++) {
			assert_true(g_hash_table_add(seen, g_strdup(*p)));
			assert_ptr_equal(command_find(*p), *c);
		}
	}
}

static void help_has_podmans_shape(void **state)
{
	g_autoptr(GString) s = g_string_new(NULL), group = g_string_new(NULL);

	help_command(command_find("umount"), "unmount", s);
	assert_non_null(strstr(s->str, "\n\nDescription:\n  "));
	assert_non_null(strstr(s->str, "\nUsage:\n  cryopod unmount [options] CONTAINER "));
	assert_non_null(strstr(s->str, "\nAliases:\n  unmount, umount\n"));
	assert_non_null(strstr(s->str, "\nExamples:\n  cryopod unmount web\n"));
	assert_non_null(strstr(s->str, "\nOptions:\n  -a, --all "));
	help_group("container", group);
	assert_non_null(strstr(group->str, "\n  checkpoint  "));
	assert_null(strstr(group->str, "cleanup"));
}

static void suggestions(void **state)
{
	g_autoptr(GString) s = g_string_new(NULL), none = g_string_new(NULL);

	help_suggest("", "restore", s);
	assert_string_equal(s->str, "\nDid you mean this?\n\trestart\n\n");
	help_suggest("container", "bogus", none);
	assert_string_equal(none->str, "");
	help_suggest("container", "restor", none);
	assert_string_equal(none->str, "\nDid you mean this?\n\trestore\n\n");
}

static void errors_of_the_kernel_are_in_lower_case(void **state)
{
	g_autofree char *a = cli_error_text("open x: No such file or directory");
	g_autofree char *b = cli_error_text("Invalid argument: Is a directory; RPC y: Not owner");

	assert_string_equal(a, "open x: no such file or directory");
	assert_string_equal(b, "Invalid argument: is a directory; RPC y: Not owner");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_option_has_two_meanings),
		cmocka_unit_test(no_path_has_two_commands),
		cmocka_unit_test(help_has_podmans_shape),
		cmocka_unit_test(suggestions),
		cmocka_unit_test(errors_of_the_kernel_are_in_lower_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
