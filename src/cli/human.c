/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/human.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000LL

char *human_duration(int64_t ns)
{
	int64_t seconds = ns / SECOND_NS, minutes = seconds / 60;
	int64_t hours = (seconds + 1800) / 3600;

	if (seconds < 1)
		return g_strdup("Less than a second");
	if (seconds == 1)
		return g_strdup("1 second");
	if (seconds < 60)
		return g_strdup_printf("%d seconds", (int)seconds);
	if (minutes == 1)
		return g_strdup("About a minute");
	if (minutes < 60)
		return g_strdup_printf("%d minutes", (int)minutes);
	if (hours == 1)
		return g_strdup("About an hour");
	if (hours < 48)
		return g_strdup_printf("%d hours", (int)hours);
	if (hours < 24 * 7 * 2)
		return g_strdup_printf("%d days", (int)(hours / 24));
	if (hours < 24 * 30 * 2)
		return g_strdup_printf("%d weeks", (int)(hours / 24 / 7));
	if (hours < 24 * 365 * 2)
		return g_strdup_printf("%d months", (int)(hours / 24 / 30));
	return g_strdup_printf("%d years", (int)(seconds / 3600 / 24 / 365));
}

char *human_ago(int64_t then_ns, int64_t now_ns)
{
	g_autofree char *d = human_duration(now_ns - then_ns);

	return g_strdup_printf("%s ago", d);
}

static char *size_text(double bytes, const char *blank, int digits)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
	size_t i = 0;

	while (bytes >= 1000 && i + 1 < ARRAY_SIZE(units)) {
		bytes /= 1000;
		i++;
	}
	/* %.3g would print 999.6 as 1e+03. */
	if (bytes >= 999.5)
		return g_strdup_printf("%.0f%s%s", bytes, blank, units[i]);
	return g_strdup_printf("%.*g%s%s", digits, bytes, blank, units[i]);
}

char *human_size(double bytes)
{
	return size_text(bytes, "", 3);
}

char *human_size4(double bytes)
{
	return size_text(bytes, "", 4);
}

char *human_size_blank(double bytes)
{
	return size_text(bytes, " ", 3);
}

/* Digits from *P, exactly N of them. */
static bool digits(const char **p, int n, int *ret)
{
	*ret = 0;
	while (n--) {
		if (!isdigit((unsigned char)**p))
			return false;
		*ret = *ret * 10 + *(*p)++ - '0';
	}
	return true;
}

static bool fraction(const char **p, int64_t *ret_ns)
{
	int64_t unit = SECOND_NS;

	*ret_ns = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++) {
		unit /= 10;
		*ret_ns += (**p - '0') * unit;
	}
	return true;
}

static bool clock_part(const char **p, struct tm *tm, int64_t *ret_ns)
{
	if (!digits(p, 2, &tm->tm_hour))
		return false;
	if (**p != ':')
		return true;
	(*p)++;
	if (!digits(p, 2, &tm->tm_min))
		return false;
	if (**p != ':')
		return true;
	(*p)++;
	return digits(p, 2, &tm->tm_sec) && fraction(p, ret_ns);
}

/* "Z", "+01:00", or nothing, which *RET_LOCAL tells. */
static bool zone_part(const char **p, int *ret_offset, bool *ret_local)
{
	int sign = **p == '-' ? -1 : 1, h, m;

	*ret_offset = 0;
	*ret_local = false;
	if (**p == 'Z') {
		(*p)++;
		return true;
	}
	if (!**p) {
		*ret_local = true;
		return true;
	}
	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	if (!digits(p, 2, &h) || *(*p)++ != ':' || !digits(p, 2, &m))
		return false;
	*ret_offset = sign * (h * 3600 + m * 60);
	return true;
}

/* WHOLE demands every part of the time and a zone. */
static bool parse_time(const char *p, bool whole, int64_t *ret_ns)
{
	struct tm tm = {.tm_mday = 1, .tm_isdst = -1};
	bool local = true;
	int offset = 0;
	int64_t ns = 0;

	if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' || !digits(&p, 2, &tm.tm_mon) ||
	    *p++ != '-' || !digits(&p, 2, &tm.tm_mday))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (*p == 'T' || *p == ' ') {
		p++;
		if (!clock_part(&p, &tm, &ns))
			return false;
	} else if (whole) {
		return false;
	}
	if (!zone_part(&p, &offset, &local) || *p || (whole && local))
		return false;
	*ret_ns = (local ? (int64_t)mktime(&tm) : (int64_t)timegm(&tm) - offset) * SECOND_NS + ns;
	return true;
}

bool human_parse_rfc3339(const char *text, int64_t *ret_ns)
{
	return text && parse_time(text, true, ret_ns);
}

static char *go_time(int64_t ns, bool nanos)
{
	time_t seconds = ns / SECOND_NS;
	int64_t rest = nanos ? ns % SECOND_NS : 0;
	char day[64], frac[16] = "";
	struct tm tm;

	if (rest < 0) {
		rest += SECOND_NS;
		seconds--;
	}
	gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm);
	if (rest) {
		snprintf(frac, sizeof(frac), ".%09d", (int)rest);
		for (size_t i = strlen(frac); frac[i - 1] == '0'; i--)
			frac[i - 1] = '\0';
	}
	return g_strdup_printf("%s%s +0000 UTC", day, frac);
}

char *human_go_time_ns(int64_t ns, bool nanos)
{
	return go_time(ns, nanos);
}

void human_go_time(const char *rfc3339, GString *to)
{
	g_autofree char *text = NULL;
	int64_t ns;

	if (!rfc3339 || !*rfc3339 || g_str_has_prefix(rfc3339, "0001-01-01T00:00:00")) {
		g_string_append(to, "0001-01-01 00:00:00 +0000 UTC");
		return;
	}
	if (!human_parse_rfc3339(rfc3339, &ns)) {
		g_string_append(to, rfc3339);
		return;
	}
	text = go_time(ns, true);
	g_string_append(to, text);
}

char *human_rfc3339(int64_t ns, bool local)
{
	time_t seconds = ns / SECOND_NS;
	char day[64], frac[16] = "", zone[16] = "Z";
	struct tm tm;

	if (local)
		localtime_r(&seconds, &tm);
	else
		gmtime_r(&seconds, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	if (ns % SECOND_NS)
		snprintf(frac, sizeof(frac), ".%09d", (int)(ns % SECOND_NS));
	for (size_t i = strlen(frac); i && frac[i - 1] == '0'; i--)
		frac[i - 1] = '\0';
	if (local && tm.tm_gmtoff)
		snprintf(zone, sizeof(zone), "%c%02d:%02d", tm.tm_gmtoff < 0 ? '-' : '+',
			 (int)(labs(tm.tm_gmtoff) / 3600), (int)(labs(tm.tm_gmtoff) / 60 % 60));
	return g_strdup_printf("%s%s%s", day, frac, zone);
}

bool human_parse_duration(const char *p, int64_t *ret_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"ns", 1},	 {"us", 1e3},	    {"ms", 1e6},
		     {"s", 1e9}, {"m", 60.0 * 1e9}, {"h", 3600.0 * 1e9}};
	double total = 0;
	bool negative = *p == '-', any = false;

	p += *p == '-' || *p == '+';
	if (!strcmp(p, "0")) {
		*ret_ns = 0;
		return true;
	}
	while (isdigit((unsigned char)*p) || *p == '.') {
		char *end;
		double n = g_ascii_strtod(p, &end);
		size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyz"), i;

		for (i = 0; i < ARRAY_SIZE(units); i++)
			if (strlen(units[i].name) == len && !memcmp(units[i].name, end, len))
				break;
		if (end == p || i == ARRAY_SIZE(units))
			return false;
		total += n * units[i].ns;
		p = end + len;
		any = true;
	}
	*ret_ns = (int64_t)(negative ? -total : total);
	return any && !*p;
}

bool human_parse_when(const char *text, int64_t now_ns, int64_t *ret_ns)
{
	int64_t d;

	if (text[0] && strspn(text, "0123456789.") == strlen(text)) {
		const char *dot = text + strcspn(text, ".");

		*ret_ns = g_ascii_strtoll(text, NULL, 10) * SECOND_NS;
		if (!*dot)
			return true;
		if (!fraction(&dot, &d))
			return false;
		*ret_ns += d;
		return !*dot;
	}
	if (human_parse_duration(text, &d)) {
		*ret_ns = now_ns - d;
		return true;
	}
	return parse_time(text, false, ret_ns);
}
