/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cryo: checkpoint and restore of process trees, with CRIU's command line.  Exit status 0: done, 1:
 * not, for whatever reason; a restore that waits for its tree gives that one's.
 */
#include "cryo/complete.h"
#include "cryo/manual.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct action *const actions[] = {
	&action_dump,	 &action_pre_dump,    &action_restore,	  &action_check, &action_swrk,
	&action_cpuinfo, &action_page_server, &action_lazy_pages, &action_dedup, &action_service,
};

/* Actions that CRIU has had, and what does that now. */
static const struct {
	const char *name, *instead;
} former[] = {
	{"exec", "cryopod exec, or nsenter(1), runs something where a tree is"},
	{"show", "crit show FILE shows an image"},
};

static const struct action *find_action(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (strcmp(actions[i]->name, name) == 0)
			return actions[i];
	for (size_t i = 0; i < ARRAY_SIZE(former); i++)
		if (strcmp(former[i].name, name) == 0) {
			err_set(EOPNOTSUPP, "action %s is not supported: %s", name,
				former[i].instead);
			return NULL;
		}
	err_set(EINVAL, "action %s is not known; see cryo --help", name);
	return NULL;
}

/* A word too many is an option that lacks its dashes. */
static int check_words(const struct options *o, const struct action *a)
{
	unsigned most = a == &action_swrk || a == &action_cpuinfo ? 2 : 1;

	if (o->words->len <= most || (a == &action_restore && o->exec_cmd))
		return 0;
	return err_set(EINVAL, "\"%s\" is one word too many for %s",
		       (char *)g_ptr_array_index(o->words, most), a->name);
}

static void print_help(void)
{
	g_autoptr(GString) text = g_string_new("Usage:\n"
					       "  cryo dump|pre-dump -t PID [OPTIONS]\n"
					       "  cryo restore [OPTIONS]\n"
					       "  cryo page-server|lazy-pages|dedup [OPTIONS]\n"
					       "  cryo check [--feature NAME] [--all] [--json]\n"
					       "  cryo cpuinfo dump|check [OPTIONS]\n"
					       "  cryo swrk FD | service [--address PATH] "
					       "[--daemon]\n\n"
					       "Actions:\n");

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		g_string_append_printf(text, "  %-11s ", actions[i]->name);
		options_wrap(text, 14, actions[i]->brief);
	}
	g_string_append(text, "\nOptions:\n");
	options_help(text);
	fputs(text->str, stdout);
}

static int run(struct session *s, int argc, char **argv)
{
	const struct action *a;
	int r;

	if (argc == 2 && strcmp(argv[1], "__man") == 0) {
		manual_print(actions, ARRAY_SIZE(actions));
		return 0;
	}
	if (argc >= 2 && strcmp(argv[1], "__complete") == 0) {
		complete_print(actions, ARRAY_SIZE(actions), argc - 2, argv + 2);
		return 0;
	}
	r = options_parse(argc, argv, &s->o);
	if (r < 0)
		return r;
	if (s->o.version) {
		printf("Version: %d.%d\nGitID: cryo-%s\n", CRYO_INTERFACE_MAJOR,
		       CRYO_INTERFACE_MINOR, CRYOPOD_VERSION);
		return 0;
	}
	if (s->o.help) {
		print_help();
		return 0;
	}
	if (s->o.words->len == 0)
		return err_set(EINVAL, "an action is missing; see cryo --help");
	a = find_action(g_ptr_array_index(s->o.words, 0));
	if (!a)
		return -EINVAL;
	r = check_words(&s->o, a);
	if (r < 0)
		return r;
	if (s->o.stream && a != &action_dump && a != &action_restore)
		return err_set(EINVAL,
			       "--stream cannot be used with %s, only with dump and restore",
			       a->name);
	r = session_open(s, a);
	return r < 0 ? r : a->run(s);
}

int main(int argc, char **argv)
{
	struct session s = SESSION_NONE;
	int r = run(&s, argc, argv);

	if (r < 0)
		session_report_error(&s);
	session_close(&s);
	return r < 0 ? 1 : r;
}
