/* SPDX-License-Identifier: Apache-2.0 */
/* fmt.Sprintf with the verbs that make sense for data: v s q d x X o b c t f g e T %. */
#include "cli/tmpl/exec.h"

#include <ctype.h>
#include <string.h>

struct spec {
	bool minus, plus, zero, sharp, blank, has_precision;
	int width, precision;
	char verb;
};

static const char *parse_spec(const char *p, struct spec *s)
{
	for (; *p && strchr("-+0# ", *p); p++) {
		s->minus |= *p == '-';
		s->plus |= *p == '+';
		s->zero |= *p == '0';
		s->sharp |= *p == '#';
		s->blank |= *p == ' ';
	}
	while (isdigit((unsigned char)*p) && s->width < 65536)
		s->width = s->width * 10 + *p++ - '0';
	if (*p == '.') {
		s->has_precision = true;
		p++;
		while (isdigit((unsigned char)*p) && s->precision < 65536)
			s->precision = s->precision * 10 + *p++ - '0';
	}
	s->verb = *p;
	return *p ? p + 1 : p;
}

static void pad(const struct spec *s, const char *text, GString *to)
{
	int fill = s->width - (int)g_utf8_strlen(text, -1);
	bool zero = s->zero && !s->minus;
	size_t sign = zero && (*text == '-' || *text == '+');

	g_string_append_len(to, text, sign);
	for (; !s->minus && fill > 0; fill--)
		g_string_append_c(to, zero ? '0' : ' ');
	g_string_append(to, text + sign);
	for (; fill > 0; fill--)
		g_string_append_c(to, ' ');
}

static void quote(const char *text, GString *to)
{
	g_string_append_c(to, '"');
	for (; *text; text++) {
		static const char from[] = "\a\b\f\n\r\t\v\\\"", into[] = "abfnrtv\\\"";
		const char *known = strchr(from, *text);

		if (known)
			g_string_append_printf(to, "\\%c", into[known - from]);
		else if ((unsigned char)*text < 0x20 || *text == 0x7f)
			g_string_append_printf(to, "\\x%02x", *text);
		else
			g_string_append_c(to, *text);
	}
	g_string_append_c(to, '"');
}

static void hex(const char *text, bool upper, GString *to)
{
	for (; *text; text++)
		g_string_append_printf(to, upper ? "%02X" : "%02x", (unsigned char)*text);
}

static void binary(uint64_t n, GString *to)
{
	char digits[65];
	int i = sizeof(digits) - 1;

	digits[i] = '\0';
	do
		digits[--i] = '0' + (n & 1);
	while (n >>= 1);
	g_string_append(to, digits + i);
}

static bool format_int(const struct spec *s, json_int_t n, GString *to)
{
	bool negative = n < 0;
	unsigned long long u = negative ? -(unsigned long long)n : n;

	if (s->verb == 'c') {
		g_string_append_unichar(to, (gunichar)n);
		return true;
	}
	if (!strchr("vdxXobq", s->verb) || s->verb == 'q')
		return false;
	g_string_append(to, negative ? "-" : s->plus ? "+" : s->blank ? " " : "");
	switch (s->verb) {
	case 'x':
		g_string_append_printf(to, s->sharp ? "0x%llx" : "%llx", u);
		break;
	case 'X':
		g_string_append_printf(to, s->sharp ? "0X%llX" : "%llX", u);
		break;
	case 'o':
		g_string_append_printf(to, s->sharp ? "0%llo" : "%llo", u);
		break;
	case 'b':
		binary(u, to);
		break;
	default:
		g_string_append_printf(to, "%llu", u);
	}
	return true;
}

static bool format_float(const struct spec *s, double d, GString *to)
{
	if (!strchr("eEfFgG", s->verb))
		return false;
	if (s->plus && d >= 0)
		g_string_append_c(to, '+');
	switch (s->verb) {
	case 'e':
	case 'E':
		g_string_append_printf(to, "%.*e", s->has_precision ? s->precision : 6, d);
		break;
	case 'f':
	case 'F':
		g_string_append_printf(to, "%.*f", s->has_precision ? s->precision : 6, d);
		break;
	default:
		g_string_append_printf(to, "%.*g", s->has_precision ? s->precision : 17, d);
	}
	return true;
}

static bool format_string(const struct spec *s, const char *text, GString *to)
{
	g_autofree char *cut = NULL;

	if (s->has_precision) {
		cut = g_utf8_substring(text, 0, MIN(s->precision, g_utf8_strlen(text, -1)));
		text = cut;
	}
	switch (s->verb) {
	case 'v':
	case 's':
		if (s->sharp && s->verb == 'v')
			quote(text, to);
		else
			g_string_append(to, text);
		return true;
	case 'q':
		quote(text, to);
		return true;
	case 'x':
	case 'X':
		hex(text, s->verb == 'X', to);
		return true;
	}
	return false;
}

/* Lists and maps format each member with the same verb. */
static void format_value(const struct spec *s, struct go_value v, GString *to)
{
	struct spec inner = *s;
	bool done = false;

	inner.width = 0;
	if (s->verb == 'T') {
		g_string_append(to, v.type ? go_type_name(v) : "<nil>");
		return;
	}
	switch (go_kind_of(v)) {
	case GO_INT:
		done = format_int(s, json_integer_value(v.j), to);
		break;
	case GO_FLOAT:
		done = format_float(s, json_number_value(v.j), to);
		break;
	case GO_STRING:
		done = format_string(s, json_is_string(v.j) ? json_string_value(v.j) : "", to);
		break;
	case GO_BOOL:
		done = s->verb == 't';
		if (done)
			go_print(v, to);
		break;
	case GO_SLICE:
		if (s->verb == 'v' || s->verb == 's')
			break;
		g_string_append_c(to, '[');
		for (ssize_t i = 0; i < go_len(v); i++) {
			g_string_append(to, i ? " " : "");
			format_value(&inner, go_element(v, i), to);
		}
		g_string_append_c(to, ']');
		done = true;
		break;
	default:
		break;
	}
	if (done)
		return;
	if (s->verb == 'v' || (s->verb == 's' && go_kind_of(v) >= GO_TIME)) {
		go_print(v, to);
		return;
	}
	g_string_append_printf(to, "%%!%c(%s=", s->verb, go_type_name(v));
	go_print(v, to);
	g_string_append_c(to, ')');
}

void go_sprintf(const char *p, const struct go_value *args, unsigned n, GString *to)
{
	unsigned used = 0;

	while (*p) {
		struct spec s = {0};
		g_autoptr(GString) text = g_string_new(NULL);

		if (*p != '%') {
			g_string_append_c(to, *p++);
			continue;
		}
		p = parse_spec(p + 1, &s);
		if (s.verb == '%') {
			g_string_append_c(to, '%');
			continue;
		}
		if (!s.verb) {
			g_string_append(to, "%!(NOVERB)");
			break;
		}
		if (used >= n) {
			g_string_append_printf(to, "%%!%c(MISSING)", s.verb);
			continue;
		}
		format_value(&s, args[used], text);
		if (s.zero && go_kind_of(args[used]) == GO_STRING)
			s.zero = false;
		pad(&s, text->str, to);
		used++;
	}
	for (unsigned i = used; i < n; i++) {
		g_string_append(to, i == used ? "%!(EXTRA " : ", ");
		g_string_append_printf(to, "%s=", go_type_name(args[i]));
		go_print(args[i], to);
		if (i + 1 == n)
			g_string_append_c(to, ')');
	}
}
