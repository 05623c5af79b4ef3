/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tmpl/exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the above first */
#include <cmocka.h>

static json_t *label_of(json_t *self, const char *arg)
{
	return json_string(
		json_string_value(json_object_get(json_object_get(self, "labels"), arg)));
}

static const struct go_field state_fields[] = {
	{"Status", NULL, &go_string},  {"Pid", NULL, &go_int},	    {"Running", NULL, &go_bool},
	{"StartedAt", NULL, &go_time}, {"Log", "log", &go_strings}, {}};
static const struct go_type state_type = {"*define.State", GO_STRUCT, NULL, state_fields};
static const struct go_field row_fields[] = {{"ID", "Id", &go_string},
					     {"Id", "Id", &go_string, true},
					     {"State", NULL, &state_type},
					     {"Labels", "labels", &go_string_map},
					     {"Names", NULL, &go_strings},
					     {"Any", NULL, NULL},
					     {}};
static const struct go_method row_methods[] = {{"Label", &go_string, label_of}, {}};
static const struct go_type row_type = {"main.row", GO_STRUCT, NULL, row_fields, row_methods};

static const char data_text[] =
	"{\"Id\": \"abc\", \"State\": {\"Status\": \"running\", \"Pid\": 12, \"Running\": true,"
	" \"StartedAt\": \"2026-11-21T07:42:09.180963558Z\"},"
	" \"labels\": {\"b\": \"2\", \"a\": \"<1>\"}, \"Names\": [\"x\", \"y\"],"
	" \"Any\": {\"n\": 7, \"f\": 1.5, \"l\": [1, 2, 3], \"z\": null}}";

static char *run(const char *text)
{
	CLEANUP(tree_free) struct tree *t = NULL;
	GString *out = g_string_new(NULL);
	json_t *j = json_loads(data_text, 0, NULL);
	int r = tree_parse("t", text, &t);

	assert_non_null(j);
	if (r >= 0)
		r = tree_execute(t, (struct go_value){&row_type, j}, out);
	if (r < 0)
		g_string_append_printf(out, "!%s", err_message());
	json_decref(j);
	return g_string_free(out, FALSE);
}

struct sample {
	const char *text, *expected;
};

static void check_all(const struct sample *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_autofree char *got = run(s[i].text);

		assert_string_equal(got, s[i].expected);
	}
}

static void values_print_as_in_go(void **state)
{
	static const struct sample samples[] = {
		{"plain", "plain"},
		{"", ""},
		{"{{.ID}} {{.Id}}", "abc abc"},
		{"{{.State}}", "{running 12 true 2026-11-21 07:42:09.180963558 +0000 UTC []}"},
		{"{{.State.StartedAt}}", "2026-11-21 07:42:09.180963558 +0000 UTC"},
		{"{{.Labels}} {{.Names}}", "map[a:<1> b:2] [x y]"},
		{"{{.Any}}", "map[f:1.5 l:[1 2 3] n:7 z:<nil>]"},
		{"{{.Any.missing}}|{{.Labels.missing}}|{{.Any.z}}",
		 "<no value>|<no value>|<no value>"},
		{"{{.State.Log}}", "[]"},
		{"{{.Label \"b\"}}", "2"},
		{"{{.Label (index .Names 0)}}.", "."},
		{"{{json .Labels}}", "{\"a\":\"<1>\",\"b\":\"2\"}"},
		{"{{json .Names}} {{json .State.Running}}", "[\"x\",\"y\"] true"},
		{"{{1}} {{1.5}} {{0x10}} {{'a'}} {{\"s\\n\"}}{{`r\\n`}} {{true}}",
		 "1 1.5 16 97 s\nr\\n true"},
	};

	check_all(samples, ARRAY_SIZE(samples));
}

static void actions(void **state)
{
	static const struct sample samples[] = {
		{"{{if .State.Running}}up{{else}}down{{end}}", "up"},
		{"{{if not .State.Running}}a{{else if eq .State.Pid 12}}b{{else}}c{{end}}", "b"},
		{"{{with .Labels}}{{.a}}{{end}}", "<1>"},
		{"{{with .Any.z}}x{{else}}none{{end}}", "none"},
		{"{{with $x := .ID}}{{$x}}{{.}}{{end}}", "abcabc"},
		{"{{range .Names}}<{{.}}>{{end}}", "<x><y>"},
		{"{{range $i, $n := .Names}}{{$i}}={{$n}} {{end}}", "0=x 1=y "},
		{"{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}", "a:<1>;b:2;"},
		{"{{range $n := .Names}}{{$n}}{{$.ID}}{{end}}", "xabcyabc"},
		{"{{range .State.Log}}x{{else}}empty{{end}}", "empty"},
		{"{{range .Any.l}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}", "1"},
		{"{{range .Any.l}}{{if eq . 2}}{{continue}}{{end}}{{.}}{{end}}", "13"},
		{"{{$x := 1}}{{range .Any.l}}{{$x = .}}{{end}}{{$x}}", "3"},
		{"a  {{- .ID -}}  b", "aabcb"},
		{"a{{/* note */}}b {{- /* x */ -}} c", "abc"},
		{"{{define \"T\"}}[{{.}}]{{end}}{{template \"T\" .ID}}", "[abc]"},
		{"{{block \"B\" .ID}}<{{.}}>{{end}}", "<abc>"},
		{"{{(index .Any.l 1)}} {{(.State).Pid}}", "2 12"},
	};

	check_all(samples, ARRAY_SIZE(samples));
}

static void functions(void **state)
{
	static const struct sample samples[] = {
		{"{{len .Names}} {{len .ID}} {{len .Labels}}", "2 3 2"},
		{"{{index .Labels \"a\"}} {{index .Any \"l\" 2}}", "<1> 3"},
		{"{{slice .ID 1}} {{slice .ID 0 2}} {{slice .Any.l 1}}", "bc ab [2 3]"},
		{"{{and 1 0}} {{and 1 2}} {{or 0 \"\"}}. {{or 0 3}}", "0 2 . 3"},
		{"{{or true (index .Names 9)}}", "true"},
		{"{{eq 1 2 1}} {{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}}",
		 "true true true true true false"},
		{"{{print 1 2 \"x\" 3}} {{println \"a\" 1}}", "1 2x3 a 1\n"},
		{"{{printf \"%s-%5d|%-4s|%q|%v|%05d|%x|%%\" .ID .State.Pid \"a\" \"b\\n\" .Names "
		 "42 255}}",
		 "abc-   12|a   |\"b\\n\"|[x y]|00042|ff|%"},
		{"{{printf \"%.2f %t %T\" 1.5 true .ID}}", "1.50 true string"},
		{"{{printf \"%d\" .ID}} {{printf \"%s\"}}", "%!d(string=abc) %!s(MISSING)"},
		{"{{html .Labels.a}} {{urlquery \"a b&c\"}} {{js \"'x'\"}}",
		 "&lt;1&gt; a+b%26c \\'x\\'"},
		{"{{upper .ID}} {{lower \"ABC\"}} {{title \"ab cd\"}}", "ABC abc Ab Cd"},
		{"{{join .Names \", \"}} {{split \"a,b\" \",\"}}", "x, y [a b]"},
		{"{{pad .ID 1 2}}| {{truncate .ID 2}} {{truncate .ID 9}}", " abc  | ab abc"},
		{"{{.ID | upper | printf \"%s!\"}}", "ABC!"},
		{"{{.Names | len}}", "2"},
	};

	check_all(samples, ARRAY_SIZE(samples));
}

static void errors_read_as_in_go(void **state)
{
	static const struct sample samples[] = {
		{"{{range .Names}}{{end}}x{{.XYZ}}",
		 "x!template: t:1:26: executing \"t\" at <.XYZ>: can't evaluate field XYZ in type "
		 "main.row"},
		{"{{.State.Foo}}",
		 "!template: t:1:8: executing \"t\" at <.State.Foo>: can't evaluate "
		 "field Foo in type *define.State"},
		{"\n{{.ID.Foo}}",
		 "\n!template: t:2:5: executing \"t\" at <.ID.Foo>: can't evaluate "
		 "field Foo in type string"},
		{"{{.Any.z.q}}", "!template: t:1:6: executing \"t\" at <.Any.z.q>: nil pointer "
				 "evaluating interface {}.q"},
		{"{{.ID 1}}", "!template: t:1:2: executing \"t\" at <.ID>: ID has arguments but "
			      "cannot be invoked as function"},
		{"{{index .Names 5}}",
		 "!template: t:1:2: executing \"t\" at <index .Names 5>: error calling "
		 "index: index out of range: 5"},
		{"{{foo}}", "!template: t:1: function \"foo\" not defined"},
		{"{{$x}}", "!template: t:1: undefined variable \"$x\""},
		{"{{if}}x{{end}}", "!template: t:1: missing value for if"},
		{"{{if .ID}}", "!template: t:1: unexpected EOF"},
		{"{{end}}", "!template: t:1: unexpected {{end}}"},
		{"{{.ID", "!template: t:1: unclosed action"},
		{"{{.ID}", "!template: t:1: bad character U+007D '}'"},
		{"{{.ID{{end}}", "!template: t:1: bad character U+007B '{'"},
		{"{{\"x}}", "!template: t:1: unterminated quoted string"},
		{"{{(.ID}}", "!template: t:1: unclosed left paren"},
		{"{{.ID)}}", "!template: t:1: unexpected right paren"},
		{"{{break}}", "!template: t:1: {{break}} outside {{range}}"},
		{"{{1 | 2}}", "!template: t:1: non executable command in pipeline stage 2"},
		{"{{range .ID}}{{end}}", "!template: t:1:8: executing \"t\" at <.ID>: range can't "
					 "iterate over abc"},
		{"{{template \"no\"}}",
		 "!template: t:1:11: executing \"t\" at <{{template \"no\"}}>: "
		 "template \"no\" not defined"},
		{"{{len 3}}",
		 "!template: t:1:2: executing \"t\" at <len 3>: error calling len: len of "
		 "type int"},
		{"{{lt 1 \"a\"}}",
		 "!template: t:1:2: executing \"t\" at <lt 1 \"a\">: error calling lt: "
		 "incompatible types for comparison"},
	};

	check_all(samples, ARRAY_SIZE(samples));
}

/* Whatever is typed ends in text or an error. */
static void rubbish_is_survived(void **state)
{
	static const char *const parts[] = {"{{",
					    "}}",
					    ".",
					    "(",
					    ")",
					    "|",
					    "if ",
					    "end",
					    "$x",
					    ":=",
					    "\"",
					    "range ",
					    "-",
					    " ",
					    "else",
					    "len",
					    "index",
					    "1",
					    ".ID",
					    "\n",
					    "with ",
					    "{{-",
					    "-}}",
					    ",",
					    "é",
					    "define \"x\"",
					    "template \"x\""};
	unsigned seed = 12345;

	for (int i = 0; i < 20000; i++) {
		g_autoptr(GString) text = g_string_new("{{");
		g_autofree char *got = NULL;

		for (int k = 0; k < 12; k++) {
			seed = seed * 1103515245 + 12345;
			g_string_append(text, parts[(seed >> 16) % ARRAY_SIZE(parts)]);
		}
		got = run(text->str);
		assert_non_null(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_print_as_in_go),
		cmocka_unit_test(actions),
		cmocka_unit_test(functions),
		cmocka_unit_test(errors_read_as_in_go),
		cmocka_unit_test(rubbish_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
