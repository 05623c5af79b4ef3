/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/opt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

struct opts {
	bool all, tty, detach;
	const char *name;
	char *owned;
	int64_t last;
	uint64_t time;
	double cpus;
	char **list, **env;
};

static const struct opt table[] = {
	OPT(struct opts, all, "all", 'a', "All of them"),
	OPT(struct opts, tty, "tty", 't', "Terminal"),
	OPT(struct opts, detach, "detach", 'd', "Background"),
	OPT(struct opts, name, "name", 'n', "A name", .aliases = "label,alias"),
	OPT(struct opts, owned, "owned", 0, "Owned", .choices = "a, b"),
	OPT(struct opts, last, "last", 'l', "Last", .def = "-1"),
	OPT(struct opts, time, "time", 0, "Seconds\nto wait", .def = "10"),
	OPT(struct opts, cpus, "cpus", 0, "CPUs"),
	OPT(struct opts, list, "list", 'p', "List"),
	OPT_ARRAY(struct opts, env, "env", 'e', "Environment"),
	OPT(struct opts, all, "secret", 0, "Hidden", .hidden = true),
	{}};

static struct opts o;
static struct opt_parsed p;

/* LINE's words; the result or the error as text. */
static const char *parse(const char *line, bool stop)
{
	static char **words;
	const struct opt_table t = {table, &o};
	int r;

	opt_free(table, &o);
	opt_parsed_clear(&p);
	g_strfreev(words);
	memset(&o, 0, sizeof(o));
	words = g_strsplit(line, " ", -1);
	if (!*line)
		words[0] = NULL;
	r = opt_parse(&t, 1, stop, words, &p);
	return r < 0 ? err_message() : "";
}

static void forms(void **state)
{
	assert_string_equal(parse("-at x --name=n y --label z --last -5 --time 7", false), "");
	assert_true(o.all && o.tty && !o.detach);
	assert_string_equal(o.name, "z");
	assert_int_equal(o.last, -5);
	assert_int_equal(o.time, 7);
	assert_int_equal(p.args->len, 2);
	assert_string_equal(p.args->pdata[1], "y");
	assert_true(opt_given(&p, "name") && !opt_given(&p, "cpus"));

	assert_string_equal(parse("-dnfoo --all=false -- -x", false), "");
	assert_true(o.detach && !o.all);
	assert_string_equal(o.name, "foo");
	assert_string_equal(p.args->pdata[0], "-x");

	assert_string_equal(parse("-a IMAGE -t --bogus", true), "");
	assert_true(o.all && !o.tty);
	assert_int_equal(p.args->len, 3);

	assert_string_equal(parse("-n=v --cpus 1.5 -l=3 - -h", false), "");
	assert_string_equal(o.name, "v");
	assert_true(o.cpus == 1.5 && o.last == 3 && p.help);
	assert_string_equal(p.args->pdata[0], "-");
}

static void lists(void **state)
{
	assert_string_equal(parse("-p a,b -p c --list \"d,e\",f -e x,y -e z", false), "");
	assert_int_equal(g_strv_length(o.list), 5);
	assert_string_equal(o.list[3], "d,e");
	assert_string_equal(o.list[4], "f");
	assert_int_equal(g_strv_length(o.env), 2);
	assert_string_equal(o.env[0], "x,y");
}

static void mistakes(void **state)
{
	assert_string_equal(parse("--bogus", false), "unknown flag: --bogus");
	assert_string_equal(parse("-axy", false), "unknown shorthand flag: 'x' in -xy");
	assert_string_equal(parse("--name", false), "flag needs an argument: --name");
	assert_string_equal(parse("-an", false), "flag needs an argument: 'n' in -n");
	assert_string_equal(parse("--time x", false),
			    "invalid argument \"x\" for \"--time\" flag: strconv.ParseUint: "
			    "parsing \"x\": invalid syntax");
	assert_string_equal(
		parse("-l 99999999999999999999", false),
		"invalid argument \"99999999999999999999\" for \"-l, --last\" flag: "
		"strconv.ParseInt: parsing \"99999999999999999999\": value out of range");
	assert_string_equal(parse("--all=x", false),
			    "invalid argument \"x\" for \"-a, --all\" flag: strconv.ParseBool: "
			    "parsing \"x\": invalid syntax");
	assert_string_equal(parse("--owned c", false),
			    "invalid argument \"c\" for \"--owned\" flag: \"c\" is not a valid "
			    "value.  Choose from: \"a, b\"");
	assert_string_equal(parse("--=x", false), "bad flag syntax: --=x");
}

static void help(void **state)
{
	g_autoptr(GString) s = g_string_new(NULL);

	opt_help(table, s);
	assert_non_null(strstr(s->str, "  -a, --all               All of them\n"));
	assert_non_null(strstr(s->str, "      --time uint         Seconds\n"
				       "                          to wait (default 10)\n"));
	assert_non_null(strstr(s->str, "  -e, --env stringArray   Environment\n"));
	assert_null(strstr(s->str, "secret"));
}

static int finish(void **state)
{
	parse("", false);
	opt_parsed_clear(&p);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(lists),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(help),
	};

	return cmocka_run_group_tests(tests, NULL, finish);
}
