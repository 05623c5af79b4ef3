/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_trust.h"
#include "base/file.h"
#include "engine/digest.h"
#include "engine/mounts.h"
#include "engine/spec_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct wishes {
	const struct container_options *o;
	GString *text; /* "--privileged, -v /etc:/x" */
};

static void wish(struct wishes *w, const char *option, const char *value)
{
	g_string_append_printf(w->text, "%s%s%s%s", w->text->len ? ", " : "", option,
			       value ? " " : "", value ? value : "");
}

static void wish_each(struct wishes *w, const char *option, char *const *values)
{
	for (; values && *values; values++)
		wish(w, option, *values);
}

static void wish_capabilities(struct wishes *w)
{
	for (char *const *c = w->o->cap_add; c && *c; c++) {
		const char *name = options_capability(*c);
		int number = name ? options_capability_number(name) : -1;

		if (number < 0 || !(spec_default_capabilities() >> number & 1))
			wish(w, "--cap-add", *c);
	}
}

static void wish_namespaces(struct wishes *w)
{
	const struct {
		const char *option, *value;
	} all[] = {{"--pid", w->o->pid},
		   {"--ipc", w->o->ipc},
		   {"--uts", w->o->uts},
		   {"--cgroupns", w->o->cgroupns}};
	const char *net = w->o->network;

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i].value && strcmp(all[i].value, "private") &&
		    strcmp(all[i].value, "shareable") && strcmp(all[i].value, "none"))
			wish(w, all[i].option, all[i].value);
	if (net && (!strcmp(net, "host") || strchr(net, ':')))
		wish(w, "--network", net);
}

static void wish_security(struct wishes *w)
{
	for (char *const *s = w->o->security_opt; s && *s; s++)
		if (!g_str_has_prefix(*s, "no-new-privileges") && !g_str_has_prefix(*s, "mask="))
			wish(w, "--security-opt", *s);
}

static int wish_mounts(struct wishes *w)
{
	CLEANUP(user_mounts_clear) struct user_mounts all = {0};
	int r = user_mounts_parse(w->o, &all);

	for (unsigned i = 0; r == 0 && i < all.n; i++) {
		g_autofree char *value = NULL;

		if (all.v[i].type != USER_MOUNT_BIND)
			continue;
		value = g_strdup_printf("%s:%s", all.v[i].source, all.v[i].destination);
		wish(w, "-v", value);
	}
	return r;
}

static void wish_limits(struct wishes *w)
{
	if (w->o->cgroup_parent)
		wish(w, "--cgroup-parent", w->o->cgroup_parent);
	if (w->o->has_oom_score_adj && w->o->oom_score_adj < 0)
		wish(w, "--oom-score-adj", NULL);
	if (w->o->oom_kill_disable)
		wish(w, "--oom-kill-disable", NULL);
}

int archive_check_trust(const struct archive_in *in, const struct container_options *o)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct wishes w = {.o = o, .text = text};
	int r = wish_mounts(&w);

	if (r < 0)
		return r;
	if (o->privileged)
		wish(&w, "--privileged", NULL);
	wish_capabilities(&w);
	wish_each(&w, "--device", o->devices);
	wish_namespaces(&w);
	wish_security(&w);
	wish_each(&w, "--annotation", o->annotations);
	wish_limits(&w);
	if (!text->len)
		return 0;
	return err_set(EPERM,
		       "%s asks for what reaches out of the container: %s: if you know where it "
		       "comes from, use --trust",
		       in->o.shown, text->str);
}

#define SECRET_FILE  "archive.key"
#define SECRET_BYTES 32
#define MARK	     "trusted.cryopod.archive" /* needs CAP_SYS_ADMIN: xattr(7) */

/* Made at the first export. */
static int secret(struct engine *e, bool make, char ret[2 * SECRET_BYTES + 1])
{
	g_autofree char *text = NULL;
	autoclose int root = open(e->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char fresh[ENGINE_ID_LEN + 1];
	size_t len = 0;
	int r;

	if (root < 0)
		return err_errno("open %s", e->root);
	r = file_read_at(root, SECRET_FILE, 2 * SECRET_BYTES, &text, &len);
	if (r == -ENOENT && make) {
		engine_random_id(fresh);
		r = file_replace_at(root, SECRET_FILE, fresh, strlen(fresh), 0400);
		if (r == 0) /* two at once: the last one's stays */
			r = file_read_at(root, SECRET_FILE, 2 * SECRET_BYTES, &text, &len);
	}
	if (r == 0 && len != 2 * SECRET_BYTES)
		r = err_set(EBADMSG, "%s/" SECRET_FILE " is damaged: remove it", e->root);
	if (r == 0)
		g_strlcpy(ret, text, 2 * SECRET_BYTES + 1);
	return r;
}

/* Whoever changes the file changes its time or its size; whoever copies it takes no mark along. */
static int mark_of(struct engine *e, int fd, bool make, char ret[DIGEST_MAX])
{
	char key[2 * SECRET_BYTES + 1];
	g_autofree char *text = NULL;
	struct stat st;
	int r = secret(e, make, key);

	if (r == 0 && fstat(fd, &st) < 0)
		r = err_errno("look at an archive");
	if (r < 0)
		return r;
	text = g_strdup_printf("%s %lld %lld.%09ld", key, (long long)st.st_size,
			       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	digest_of(text, strlen(text), ret);
	return 0;
}

void archive_mark(struct engine *e, int fd)
{
	char mark[DIGEST_MAX];

	if (mark_of(e, fd, true, mark) < 0)
		err_clear();
	else if (fsetxattr(fd, MARK, mark, strlen(mark), 0) < 0)
		return; /* the file system has no such attributes */
}

bool archive_is_ours(struct engine *e, int fd)
{
	char mark[DIGEST_MAX], real[DIGEST_MAX];
	ssize_t n = fgetxattr(fd, MARK, real, sizeof(real) - 1);

	if (n <= 0)
		return false;
	real[n] = 0;
	if (mark_of(e, fd, false, mark) < 0) {
		err_clear();
		return false;
	}
	return !strcmp(mark, real);
}
