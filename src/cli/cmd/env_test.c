/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/env.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static char *write_file(const char *text)
{
	char *path = g_strdup("/tmp/cryopod-env-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void files_come_before_options(void **state)
{
	g_autofree char *path = write_file("# comment\n\nA=file\n  B=two words\r\nFROM_HOST\n");
	char *files[] = {path, NULL};
	char *vars[] = {(char *)"A=opt", (char *)"CRYOTEST_*", (char *)"NOT_SET_ANYWHERE", NULL};
	g_auto(GStrv) got = NULL;
	g_autofree char *all = NULL;

	setenv("FROM_HOST", "yes", 1);
	setenv("CRYOTEST_X", "1", 1);
	assert_int_equal(env_collect(files, vars, &got), 0);
	all = g_strjoinv("|", got);
	assert_string_equal(all, "A=file|B=two words|FROM_HOST=yes|A=opt|CRYOTEST_X=1");
	unlink(path);
}

static void mistakes_are_named(void **state)
{
	char *files[] = {(char *)"/nosuch/env", NULL};
	char *bad[] = {(char *)"=x", NULL};
	g_auto(GStrv) got = NULL;

	assert_int_equal(env_collect(files, NULL, &got), -ENOENT);
	assert_string_equal(err_message(), "parsing env file \"/nosuch/env\": open /nosuch/env: no "
					   "such file or directory");
	assert_int_equal(env_collect(NULL, bad, &got), -EINVAL);
	assert_string_equal(err_message(), "invalid environment variable: \"=x\"");
	assert_int_equal(env_labels(NULL, bad, &got), -EINVAL);
	assert_string_equal(err_message(),
			    "unable to process labels: invalid label format: \"=x\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_come_before_options),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
