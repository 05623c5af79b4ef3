/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "engine/image_change.h"
#include "engine/image_name.h"
#include "engine/registries.h"
#include "engine/toml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEX "b2bd61ba5eadfc00d3335443bc4e556c88265024d45dff7608e804349be7b619"

static void test_full_names(void **state)
{
	static const struct {
		const char *text, *domain, *full;
	} cases[] = {
		{"busybox", NULL, "localhost/busybox:latest"},
		{"busybox", "docker.io", "docker.io/library/busybox:latest"},
		{"a/b", "docker.io", "docker.io/a/b:latest"},
		{"docker.io/busybox:1", NULL, "docker.io/library/busybox:1"},
		{"index.docker.io/busybox", NULL, "docker.io/library/busybox:latest"},
		{"localhost/x", NULL, "localhost/x:latest"},
		{"localhost:5000/x/y:t", NULL, "localhost:5000/x/y:t"},
		{"quay.io/a__b/c--d.e:V_1.2-x", NULL, "quay.io/a__b/c--d.e:V_1.2-x"},
		{"q.io/x@sha256:" HEX, NULL, "q.io/x@sha256:" HEX},
		{"q.io/x:t@sha256:" HEX, NULL, "q.io/x:t@sha256:" HEX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(image_name_clear) struct image_name n = {0};
		g_autofree char *full = NULL;

		assert_int_equal(image_name_parse(cases[i].text, &n), 0);
		full = image_name_full(&n, cases[i].domain);
		assert_string_equal(full, cases[i].full);
	}
}

static void test_bad_names(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"", "repository name must have at least one component"},
		{"INVALID", "repository name must be lowercase"},
		{"a/B:t", "repository name must be lowercase"},
		{"a b", "invalid reference format"},
		{"foo:bar:baz", "invalid reference format"},
		{"foo@sha256:12", "invalid reference format"},
		{"-x", "invalid reference format"},
		{"a//b", "invalid reference format"},
		{"a/", "invalid reference format"},
		{"../x", "invalid reference format"},
		{"a___b", "invalid reference format"},
		{"x:", "invalid reference format"},
		{"x:.t", "invalid reference format"},
		{"a.b:x/y", "invalid reference format"},
		{HEX, "invalid repository name (" HEX "), cannot specify 64-byte hexadecimal "
		      "strings"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_name n;

		assert_int_equal(image_name_parse(cases[i].text, &n), -EINVAL);
		assert_string_equal(err_message(), cases[i].error);
	}
}

static int note(void *data, const struct toml_item *item)
{
	g_autofree char *all = g_strjoinv("|", item->values);

	g_string_append_printf(data, "%s.%s%s%s\n", item->table, item->key,
			       item->array ? "[]=" : "=", all);
	return 0;
}

static void test_toml(void **state)
{
	static const char text[] = "# comment\n"
				   "a = \"x\\ty\\u00e9\" # more\n"
				   "b = [ 'one', # first\n  \"two\",\n]\n"
				   "[[registry]]\r\n"
				   "insecure=true\n"
				   "\"quoted key\" = 'C:\\x'\n"
				   "[engine.runtimes]\n"
				   "n = 42\n"
				   "e = []\n"
				   "m = \"\"\"\nlong\ntext\"\"\"\n"
				   "i = { a = 1 }";
	static const char *const bad[] = {"a",		"a =", "a = \"x",     "[x",
					  "a = [\"x\"", "= 1", "a = \"x\" y", "a = [\"1\" \"2\"]",
					  "a = \"\\q\""};
	g_autoptr(GString) out = g_string_new(NULL);

	assert_int_equal(toml_read(text, note, out), 0);
	assert_string_equal(out->str, ".a=x\ty\xc3\xa9\n"
				      ".b[]=one|two\n"
				      "registry.insecure=true\n"
				      "registry.quoted key=C:\\x\n"
				      "engine.runtimes.n=42\n"
				      "engine.runtimes.e[]=\n"
				      "engine.runtimes.m=long\ntext\n"
				      "engine.runtimes.i={ a = 1 }\n");
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(toml_read(bad[i], note, out), -EINVAL);
		assert_non_null(strstr(err_message(), "line 1: "));
	}
}

static void test_candidates(void **state)
{
	static const char conf[] = "unqualified-search-registries = [\"one.io\", \"two.io\"]\n"
				   "[aliases]\n\"our/tool\" = \"quay.io/x/tool\"\n";
	char path[] = "/tmp/registries-XXXXXX";
	CLEANUP(image_name_clear) struct image_name n = {0}, tool = {0};
	g_auto(GStrv) local = NULL, remote = NULL, aliased = NULL;
	autoclose int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, conf, strlen(conf)), strlen(conf));
	setenv("CONTAINERS_REGISTRIES_CONF", path, 1);
	assert_int_equal(image_name_parse("surely/no-alias:1", &n), 0);
	assert_int_equal(registries_candidates(&n, true, &local), 0);
	assert_string_equal(local[0], "localhost/surely/no-alias:1");
	assert_string_equal(local[1], "one.io/surely/no-alias:1");
	assert_string_equal(local[2], "two.io/surely/no-alias:1");
	assert_string_equal(local[3], "docker.io/surely/no-alias:1");
	assert_null(local[4]);
	assert_int_equal(registries_candidates(&n, false, &remote), 0);
	assert_string_equal(remote[0], "one.io/surely/no-alias:1");
	assert_int_equal(g_strv_length(remote), 2);
	assert_int_equal(image_name_parse("our/tool:2", &tool), 0);
	assert_int_equal(registries_candidates(&tool, false, &aliased), 0);
	assert_string_equal(aliased[0], "quay.io/x/tool:2");
	assert_null(aliased[1]);
	assert_int_equal(truncate(path, 0), 0);
	g_clear_pointer(&remote, g_strfreev);
	assert_int_equal(registries_candidates(&n, false, &remote), -ENOENT);
	assert_non_null(strstr(err_message(), "short-name \"surely/no-alias\" did not resolve"));
	unlink(path);
}

static void test_changes(void **state)
{
	static const char *const good[] = {"CMD [\"/bin/sh\", \"-c\"]",
					   "ENTRYPOINT=run it",
					   "ENV A=b c",
					   "ENV B x",
					   "env A=new",
					   "EXPOSE 80 53/udp",
					   "LABEL k=\"v\"",
					   "VOLUME /data",
					   "WORKDIR /w",
					   "USER 1:2",
					   "STOPSIGNAL SIGINT"};
	static const char *const bad[] = {"FOO bar", "CMD", ""};
	json_t *config = json_object(), *expected;

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(image_change(config, good[i]), 0);
	expected = json_loads("{\"Cmd\":[\"/bin/sh\",\"-c\"],"
			      "\"Entrypoint\":[\"/bin/sh\",\"-c\",\"run it\"],"
			      "\"Env\":[\"A=new\",\"B=x\"],"
			      "\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}},"
			      "\"Labels\":{\"k\":\"v\"},\"Volumes\":{\"/data\":{}},"
			      "\"WorkingDir\":\"/w\",\"User\":\"1:2\",\"StopSignal\":\"SIGINT\"}",
			      0, NULL);
	assert_non_null(expected);
	assert_true(json_equal(config, expected));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(image_change(config, bad[i]), -EINVAL);
	assert_int_equal(image_change(config, "FOO bar"), -EINVAL);
	assert_string_equal(err_message(), "invalid change \"FOO bar\" - invalid instruction FOO");
	json_decref(config);
	json_decref(expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_names), cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_toml),	   cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
