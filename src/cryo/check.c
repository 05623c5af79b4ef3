/* SPDX-License-Identifier: Apache-2.0 */
/* cryo check: what this kernel has of what a tree may need. */
#include "cryo/session.h"

#include "kernel/feature.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static bool is_wanted(const struct options *o, const struct feature *f)
{
	return f->probe.required || o->json || o->all || (o->extra && f->level == FEATURE_EXTRA) ||
	       (o->experimental && f->level == FEATURE_EXPERIMENTAL);
}

/* Without rights in the initial user namespace there is another way: names, and copies. */
static bool is_required(const struct options *o, const struct probe *p)
{
	return p->required && !(o->unprivileged && strcmp(p->name, "map-files") == 0);
}

static void add_json(json_t *to, const struct probe *p, int answer, const char *why)
{
	json_t *j = json_pack("{s:s,s:b,s:b,s:s,s:s}", "name", p->name, "present", answer == 1,
			      "required", p->required, "needed_for", p->needed_for, "without",
			      p->without);

	if (answer != 1)
		json_object_set_new(j, "reason", json_string(why));
	json_array_append_new(to, j);
}

static int one(const char *name)
{
	const struct feature *f;
	int r;

	if (strcmp(name, "list") == 0) {
		for (size_t i = 0; i < feature_count; i++)
			printf("%s%s", i ? " " : "", features[i].probe.name);
		putchar('\n');
		return 0;
	}
	f = feature_find(name);
	if (!f)
		return err_set(EINVAL, "feature %s is not known; see --feature list", name);
	r = f->probe.check();
	if (r == 1) {
		printf("%s is supported\n", name);
		return 0;
	}
	printf("%s is not supported: %s (%s)\n", name, f->probe.without, err_message());
	return 1;
}

static int check(struct session *s)
{
	json_t *list = json_array();
	bool bad = false, incomplete = false;

	if (s->o.feature) {
		json_decref(list);
		return one(s->o.feature);
	}
	for (size_t i = 0; i < feature_count; i++) {
		const struct probe *p = &features[i].probe;
		int r;

		if (!is_wanted(&s->o, &features[i]) ||
		    (p->required && !is_required(&s->o, p) && !s->o.json))
			continue;
		r = p->check();
		if (s->o.json)
			add_json(list, p, r, err_message());
		else if (r != 1)
			printf("%s %s: needed for %s; without it %s (%s)\n",
			       is_required(&s->o, p) ? "Error:" : "Warn:", p->name, p->needed_for,
			       p->without, err_message());
		bad = bad || (r != 1 && is_required(&s->o, p));
		incomplete = incomplete || r != 1;
		err_clear();
	}
	if (s->o.json) {
		json_t *all = json_pack("{s:b,s:O}", "usable", !bad, "features", list);
		char *text = json_dumps(all, JSON_INDENT(2));

		puts(text);
		free(text);
		json_decref(all);
	} else {
		session_say(s, bad ? "Checking FAILED." : "Checking finished successfully");
		puts(bad	  ? "Nothing can be saved or restored here."
		     : incomplete ? "Looks good but some kernel features are missing\n"
				    "which, depending on your process tree, may cause\n"
				    "dump or restore failure."
				  : "Looks good.");
	}
	json_decref(list);
	return bad;
}

const struct action action_check = {
	.name = "check",
	.log = NULL,
	.needs_images = false,
	.brief = "Tell whether this kernel has what is needed",
	.run = check,
};
