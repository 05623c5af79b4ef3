/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/events.h"
#include "engine/image_name.h"
#include "engine/image_store.h"
#include "engine/registries.h"
#include "engine/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	enum pull_policy policy;
} policies[] = {
	{"missing", PULL_MISSING}, {"ifnotpresent", PULL_MISSING},
	{"always", PULL_ALWAYS},   {"true", PULL_ALWAYS},
	{"1", PULL_ALWAYS},	   {"never", PULL_NEVER},
	{"false", PULL_MISSING},   {"0", PULL_MISSING},
	{"newer", PULL_NEWER},	   {"ifnewer", PULL_NEWER},
};

int pull_policy_parse(const char *text, enum pull_policy *ret)
{
	*ret = PULL_MISSING;
	if (!text || !*text)
		return 0;
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
		if (!g_ascii_strcasecmp(policies[i].name, text)) {
			*ret = policies[i].policy;
			return 0;
		}
	return err_set(EINVAL, "unsupported pull policy \"%s\"", text);
}

static const char *const transports[] = {
	"docker://", "oci:",	       "oci-archive:",	      "docker-archive:",
	"dir:",	     "docker-daemon:", "containers-storage:",
};

/* The transport's length in NAME, or 0 when it is a plain name. */
static size_t transport_length(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(transports); i++)
		if (g_str_has_prefix(name, transports[i]))
			return strlen(transports[i]);
	return 0;
}

static int load_by_id(struct engine *e, const char *id, const char *name, struct image *ret)
{
	int r = image_load_record(e, id, ret);

	if (r < 0)
		return r;
	if (r == 0)
		return err_set(ENOENT, "%s: image not known", id);
	ret->name = g_strdup(name ? name : id);
	return 0;
}

/* FULL is a complete name; what is fetched gets it. */
static int fetch_name(struct transport *t, const char *full, char id[ENGINE_ID_LEN + 1])
{
	CLEANUP(image_name_clear) struct image_name n = {0};
	g_autofree char *source = NULL, *repository = NULL;
	char digest[DIGEST_MAX], *names[2] = {NULL, NULL};
	int r = image_name_parse(full, &n);

	if (r < 0)
		return r;
	/* skopeo refuses a tag next to a digest; the digest is what counts. */
	repository = image_name_repository(&n, NULL);
	source = n.digest ? g_strdup_printf("docker://%s@%s", repository, n.digest)
			  : g_strdup_printf("docker://%s", full);
	if (!t->options->quiet)
		fprintf(stderr, "Trying to pull %s...\n", full);
	r = transport_fetch(t, source, digest);
	if (r < 0)
		return r;
	if (!n.digest)
		names[0] = (char *)full;
	return image_adopt(t->e,
			   &(struct image_source){.digest = digest,
						  .names = names,
						  .repository = repository,
						  .listed = n.digest ? n.digest : digest},
			   id);
}

static int pull_short(struct transport *t, const struct image_name *n, char **ret_name,
		      char id[ENGINE_ID_LEN + 1])
{
	g_autoptr(GString) story = g_string_new(NULL);
	g_auto(GStrv) names = NULL;
	int r = registries_candidates(n, false, &names);

	if (r < 0)
		return r;
	for (char **c = names; *c; c++) {
		r = fetch_name(t, *c, id);
		if (r == 0) {
			*ret_name = g_strdup(*c);
			return 0;
		}
		if (r == -ENOSPC || !names[1])
			return r;
		g_string_append_printf(story, "%s%s: %s", story->len ? "; " : "", *c,
				       err_message());
	}
	return err_set(r, "%u errors occurred while pulling: %s", g_strv_length(names), story->str);
}

static int pull_name(struct transport *t, const char *text, char **ret_name,
		     char id[ENGINE_ID_LEN + 1])
{
	CLEANUP(image_name_clear) struct image_name n = {0};
	int r = image_name_parse(text, &n);

	if (r < 0)
		return r;
	if (!n.domain)
		return pull_short(t, &n, ret_name, id);
	*ret_name = image_name_full(&n, NULL);
	return fetch_name(t, *ret_name, id);
}

/* Podman's name for what has none: "dir:/tmp/x" is localhost/tmp/x:latest. */
static char *name_from_path(const char *path)
{
	CLEANUP(image_name_clear) struct image_name n = {0};
	g_autofree char *local = g_strconcat("localhost/", path + strspn(path, "/"), NULL);

	if (image_name_parse(local, &n) < 0) {
		err_clear();
		return NULL;
	}
	return image_name_full(&n, NULL);
}

/* "dir:", "docker-daemon:" and the like, and archives with a reference into them. */
static int pull_other(struct transport *t, const char *source, const char *details, char **ret_name,
		      char id[ENGINE_ID_LEN + 1])
{
	char *names[2] = {NULL, NULL}, digest[DIGEST_MAX];
	g_autofree char *absolute = NULL;
	int r;

	if (g_str_has_prefix(source, "dir:") || g_str_has_prefix(source, "oci:") ||
	    strstr(source, "-archive:")) { /* skopeo runs in its scratch directory */
		g_autofree char *path = g_canonicalize_filename(details, NULL);

		absolute = g_strdup_printf("%.*s%s", (int)(details - source), source, path);
	}
	r = transport_fetch(t, absolute ? absolute : source, digest);
	if (r < 0)
		return r;
	if (!strchr(details, ':') && !g_str_has_prefix(source, "containers-storage:"))
		*ret_name = name_from_path(details);
	names[0] = *ret_name;
	return image_adopt(t->e, &(struct image_source){.digest = digest, .names = names}, id);
}

/* Whole archives bring their names with them. */
static int pull_archive(struct transport *t, const char *path, char **ret_name,
			char id[ENGINE_ID_LEN + 1])
{
	g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
	int r = image_load_from(t, path, said, id);

	if (r == 0 && !g_str_has_prefix(said->pdata[said->len - 1], DIGEST_PREFIX))
		*ret_name = g_strdup(said->pdata[said->len - 1]);
	return r;
}

static int pull_from(struct transport *t, const char *name, char **ret_name,
		     char id[ENGINE_ID_LEN + 1])
{
	const char *details = name + transport_length(name);

	if (details == name || g_str_has_prefix(name, "docker://"))
		return pull_name(t, details, ret_name, id);
	if (strstr(name, "-archive:") && !strchr(details, ':'))
		return pull_archive(t, details, ret_name, id);
	return pull_other(t, name, details, ret_name, id);
}

static int pull(struct engine *e, const char *name, const struct pull_options *o, struct image *ret)
{
	CLEANUP(transport_close) struct transport t = {.hold = -1};
	g_autofree char *full = NULL;
	char id[ENGINE_ID_LEN + 1];
	int r = transport_open(e, o, &t);

	if (r == 0)
		r = pull_from(&t, name, &full, id);
	if (r == 0)
		r = load_by_id(e, id, full, ret);
	if (r < 0)
		return transport_give_up(&t, r);
	event_image(e, "pull", ret->id, ret->name);
	transport_close(&t);
	return image_collect_garbage(e);
}

int image_obtain(struct engine *e, const char *name, const struct pull_options *o,
		 struct image *ret)
{
	size_t scheme = transport_length(name);
	const char *plain = g_str_has_prefix(name, "docker://") ? name + scheme : name;
	int r;

	if (scheme && plain == name) /* an archive or a directory: there is nothing to look up */
		return pull(e, name, o, ret);
	if (o->policy == PULL_ALWAYS)
		return pull(e, name, o, ret);
	r = image_resolve(e, plain, ret);
	if (r == -ENOENT && o->policy != PULL_NEVER) {
		err_clear();
		return pull(e, name, o, ret);
	}
	if (r == 0 && o->policy == PULL_NEWER) {
		struct image newer = IMAGE_NONE;

		/* Podman: a registry that cannot be reached is no reason not to start. */
		if (pull(e, ret->names[0] ? ret->name : name, o, &newer) < 0) {
			err_clear();
			return 0;
		}
		image_clear(ret);
		*ret = newer;
	}
	return r;
}
