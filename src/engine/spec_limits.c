/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.rlimits and oomScoreAdj.
 *
 * Raising a hard limit, or lowering the OOM score below what it once was, needs CAP_SYS_RESOURCE,
 * which even root may lack (in a nested container, for one).  The runtime would fail to start the
 * container, so both are clamped to what can be set.
 */
#include "engine/spec_parts.h"

#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Podman's */
#define NOFILE_DEFAULT 1048576
#define NPROC_DEFAULT  4194304

static const struct {
	const char *type;
	int resource;
} resources[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

static bool can_raise(const struct spec_context *c)
{
	return c->own >> CAP_SYS_RESOURCE & 1;
}

static uint64_t nr_open(void)
{
	g_autofree char *text = NULL;

	if (file_read_at(AT_FDCWD, "/proc/sys/fs/nr_open", 64, &text, NULL) < 0) {
		err_clear();
		return NOFILE_DEFAULT;
	}
	return strtoull(text, NULL, 10);
}

/* The largest hard limit that the runtime can set. */
static uint64_t highest(const struct spec_context *c, const char *type)
{
	struct rlimit now = {RLIM_INFINITY, RLIM_INFINITY};

	/* beyond fs.nr_open even the capability does not help (do_prlimit, kernel/sys.c) */
	if (can_raise(c))
		return !strcmp(type, "RLIMIT_NOFILE") ? nr_open() : RLIM_INFINITY;
	for (unsigned i = 0; i < ARRAY_SIZE(resources); i++)
		if (!strcmp(resources[i].type, type))
			getrlimit(resources[i].resource, &now);
	return now.rlim_max;
}

/* jansson has signed numbers only; RLIM_INFINITY is stored as the real does, and put right later.
 */
static json_t *limit_number(uint64_t v)
{
	return json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX));
}

static void add(struct spec_context *c, json_t *list, const struct ulimit *l, bool asked)
{
	uint64_t max = highest(c, l->type);

	if (asked && l->hard > max)
		log_warn("%s is limited to %" G_GUINT64_FORMAT
			 ": raising it needs CAP_SYS_RESOURCE",
			 l->type, max);
	json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "type", l->type, "hard",
					      limit_number(MIN(l->hard, max)), "soft",
					      limit_number(MIN(l->soft, max))));
}

static bool has_type(const json_t *list, const char *type)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *t = json_object_get(json_array_get(list, i), "type");

		if (!strcmp(json_string_value(t), type))
			return true;
	}
	return false;
}

static void put_oom_score(struct spec_context *c)
{
	g_autofree char *text = NULL;
	int64_t now, wanted = c->o->oom_score_adj;

	if (!c->o->has_oom_score_adj)
		return;
	if (file_read_at(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text, NULL) < 0) {
		err_clear();
		return;
	}
	now = strtol(text, NULL, 10);
	if (wanted < now && !can_raise(c)) {
		log_warn("--oom-score-adj is limited to %" G_GINT64_FORMAT
			 ": lowering it needs CAP_SYS_RESOURCE",
			 now);
		wanted = now;
	}
	json_object_set_new(c->process, "oomScoreAdj", json_integer(wanted));
}

int spec_put_rlimits(struct spec_context *c)
{
	static const struct ulimit defaults[] = {
		{"RLIMIT_NOFILE", NOFILE_DEFAULT, NOFILE_DEFAULT},
		{"RLIMIT_NPROC", NPROC_DEFAULT, NPROC_DEFAULT},
	};
	json_t *list = json_array();
	bool host = false;

	json_object_set_new(c->process, "rlimits", list);
	for (char *const *s = c->o->ulimits; s && *s; s++) {
		struct ulimit l;
		int r;

		if (!strcmp(*s, "host")) {
			host = true;
			continue;
		}
		r = options_parse_ulimit(*s, &l);
		if (r < 0)
			return r;
		if (has_type(list, l.type))
			return err_set(EINVAL, "ulimit option \"%s\" is given twice", *s);
		add(c, list, &l, true);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(defaults) && !host; i++)
		if (!has_type(list, defaults[i].type))
			add(c, list, &defaults[i], false);
	put_oom_score(c);
	return 0;
}
