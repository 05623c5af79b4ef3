/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/archive_in.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/archive_out.h"
#include "engine/archive_rootfs.h"
#include "engine/blobs.h"
#include "engine/ckfiles.h"
#include "engine/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define DOCUMENT_MAX ((size_t)32 << 20)
#define STATUS_MAX   ((size_t)1 << 20)
#define LOG_MAX	     (UINT64_C(64) << 30)
#define IMAGES_MAX   100000
#define BEFORE_MAX   (UINT64_C(1) << 40) /* bytes of an archive before config.dump */

struct reading {
	struct archive_in *in;
	struct unpack *u;
	const struct unpack_member *m;
	const char *rest; /* of its name, below the directory of the table's row */
	bool callers;	  /* the failure is that of the caller's hook: not about the archive */
	unsigned nimages;
};

static int refuse_link(const struct unpack_member *m)
{
	return err_set(EPERM, "member %s: a link, which is not taken from an archive", m->name);
}

static int read_json(struct reading *r, size_t max, json_t **to)
{
	g_autofree char *text = NULL;
	g_autoptr(GString) doc = NULL;
	json_error_t why;
	size_t len;
	int e = unpack_to_bytes(r->u, max, &text, &len);

	if (e < 0)
		return e;
	if (*to)
		return err_set(EEXIST, "member %s: twice in the archive", r->m->name);
	if (memchr(text, 0, len))
		return err_set(EBADMSG, "member %s: not JSON", r->m->name);
	doc = g_string_new(text);
	/* No limit at all, which jansson's numbers do not reach (engine/spec.c). */
	g_string_replace(doc, ": 18446744073709551615", ": 9223372036854775807", 0);
	g_string_replace(doc, ":18446744073709551615", ":9223372036854775807", 0);
	*to = json_loads(doc->str, JSON_DECODE_ANY, &why);
	if (!*to)
		return err_set(EBADMSG, "member %s: line %d: %s", r->m->name, why.line, why.text);
	return 0;
}

static int take_document(struct reading *r, json_t **to)
{
	int e = read_json(r, DOCUMENT_MAX, to);

	if (e < 0)
		return e;
	if (!json_is_object(*to))
		return err_set(EBADMSG, "member %s: not a JSON object", r->m->name);
	if (!r->in->config || !r->in->spec)
		return 0;
	r->in->decided = true;
	r->callers = true;
	e = r->in->o.documents ? r->in->o.documents(r->in->o.documents_arg, r->in) : 0;
	r->callers = e < 0;
	return e;
}

static int take_config(struct reading *r)
{
	return take_document(r, &r->in->config);
}

static int take_spec(struct reading *r)
{
	return take_document(r, &r->in->spec);
}

static int take_network(struct reading *r)
{
	return read_json(r, STATUS_MAX, &r->in->network);
}

static int take_deleted(struct reading *r)
{
	if (r->in->o.ignore_rootfs)
		return 0;
	return read_json(r, DOCUMENT_MAX, &r->in->deleted);
}

static int take_log(struct reading *r)
{
	r->in->has_log = true;
	if (r->m->bytes > LOG_MAX)
		return err_set(EFBIG, "member %s: larger than any log", r->m->name);
	return unpack_to_file(r->u, r->in->dir, ARCHIVE_LOG);
}

static int take_stats(struct reading *r)
{
	if (r->m->bytes > STATUS_MAX)
		return err_set(EFBIG, "member %s: larger than any statistics", r->m->name);
	return unpack_to_file(r->u, r->in->dir, ARCHIVE_STATS);
}

static int take_shm(struct reading *r)
{
	r->in->has_shm = true;
	return unpack_to_file(r->u, r->in->dir, ARCHIVE_SHM);
}

/* The layers below are known with the documents; an archive that has those last is fine, too. */
static int take_rootfs(struct reading *r)
{
	if (r->in->o.ignore_rootfs)
		return 0;
	if (!r->in->decided)
		return unpack_to_file(r->u, r->in->dir, ARCHIVE_ROOTFS);
	return archive_rootfs_unpack(r->in, r->u);
}

static bool plain_name(const char *name)
{
	return *name && !strchr(name, '/') && name[0] != '.';
}

static int open_dir(struct reading *r, const char *name, int *ret)
{
	if (mkdirat(r->in->dir, name, 0700) < 0 && errno != EEXIST)
		return err_errno("create %s", name);
	*ret = openat(r->in->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", name) : 0;
}

static int take_volume(struct reading *r)
{
	g_autofree char *name = NULL;
	autoclose int volumes = -1, dir = -1;
	int e;

	if (!g_str_has_suffix(r->rest, ".tar") || !plain_name(r->rest))
		return err_set(EBADMSG, "member %s: not that of a volume", r->m->name);
	if (r->in->o.ignore_volumes)
		return 0;
	name = g_strndup(r->rest, strlen(r->rest) - strlen(".tar"));
	e = open_dir(r, ARCHIVE_VOLUMES, &volumes);
	if (e < 0)
		return e;
	if (mkdirat(volumes, name, 0755) < 0)
		return errno == EEXIST
			       ? err_set(EEXIST, "member %s: twice in the archive", r->m->name)
			       : err_errno("create %s", name);
	dir = openat(volumes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", name);
	g_ptr_array_add(r->in->volumes, g_steal_pointer(&name));
	return unpack_to_tree(r->u, dir, NULL, 0);
}

#define ROUNDS_MAX 64

/* Earlier rounds of the memory are in directories below (engine/precheckpoint.h). */
static bool is_round(const char *name, size_t len)
{
	return (len == strlen("previous") && !strncmp(name, "previous", len)) ||
	       (len == strlen(ARCHIVE_PREVIOUS) && !strncmp(name, ARCHIVE_PREVIOUS, len));
}

/* The directory that the member is in, made if need be; *RET_NAME is what remains of its name. */
static int open_round(struct reading *r, const char *where, int *ret, const char **ret_name)
{
	autoclose int dir = -1;
	const char *name = r->rest, *slash;
	int e = open_dir(r, where, &dir);

	for (unsigned depth = 0; e == 0 && (slash = strchr(name, '/')); depth++) {
		g_autofree char *part = g_strndup(name, (gsize)(slash - name));
		int next;

		if (!is_round(part, strlen(part)) || depth == ROUNDS_MAX)
			return err_set(EBADMSG, "member %s: no checkpoint has such a file",
				       r->m->name);
		if (mkdirat(dir, part, 0700) < 0 && errno != EEXIST)
			return err_errno("create %s", part);
		next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_errno("open %s", part);
		close(dir);
		dir = next;
		name = slash + 1;
	}
	*ret = take_fd(&dir);
	*ret_name = name;
	return e;
}

/* A checkpoint on top of another one; the only links that the format has. */
static bool is_parent(const struct unpack_member *m, const char *name)
{
	return S_ISLNK(m->type) && !strcmp(name, "parent") &&
	       (!g_strcmp0(m->link, "../" ARCHIVE_PREVIOUS) || is_round(m->link, strlen(m->link)));
}

static int take_image(struct reading *r, const char *where)
{
	autoclose int dir = -1;
	const char *name = r->rest;
	int e = open_round(r, where, &dir, &name);

	if (e < 0)
		return e;
	if (is_parent(r->m, name))
		return symlinkat(r->m->link, dir, name) < 0 ? err_errno("create %s", r->m->name)
							    : 0;
	if (!S_ISREG(r->m->type))
		return refuse_link(r->m);
	if (!plain_name(name) || ++r->nimages > IMAGES_MAX)
		return err_set(EBADMSG, "member %s: no checkpoint has such a file", r->m->name);
	return unpack_to_file(r->u, dir, name);
}

static int take_images(struct reading *r)
{
	r->in->has_images |= !strcmp(r->rest, "inventory.img");
	return take_image(r, ARCHIVE_IMAGES);
}

static int take_previous(struct reading *r)
{
	r->in->has_previous = true;
	return take_image(r, ARCHIVE_PREVIOUS);
}

/* What is not listed is not for us: statistics and logs of other engines. */
static const struct {
	const char *name;
	bool below; /* members below the directory NAME */
	int (*take)(struct reading *r);
} members[] = {
	{ARCHIVE_CONFIG, false, take_config},	{ARCHIVE_SPEC, false, take_spec},
	{ARCHIVE_NETWORK, false, take_network}, {ARCHIVE_STATS, false, take_stats},
	{ARCHIVE_LOG, false, take_log},		{ARCHIVE_SHM, false, take_shm},
	{ARCHIVE_ROOTFS, false, take_rootfs},	{ARCHIVE_DELETED, false, take_deleted},
	{ARCHIVE_IMAGES, true, take_images},	{ARCHIVE_PREVIOUS, true, take_previous},
	{ARCHIVE_VOLUMES, true, take_volume},
};

/* Of an archive that is only there for its memory. */
static bool is_wanted(const struct reading *r, unsigned i)
{
	if (members[i].take == take_config || members[i].take == take_spec)
		return true;
	if (r->in->o.images_only)
		return members[i].take == take_images || members[i].take == take_shm;
	return !r->in->o.previous || members[i].take == take_previous;
}

static int take_member(struct reading *r)
{
	if (S_ISDIR(r->m->type))
		return 0; /* made when something is in it */
	for (unsigned i = 0; i < ARRAY_SIZE(members); i++) {
		size_t n = strlen(members[i].name);

		if (strncmp(r->m->name, members[i].name, n))
			continue;
		if (members[i].below ? r->m->name[n] != '/' : r->m->name[n])
			continue;
		r->rest = r->m->name + n + members[i].below;
		if (!members[i].below && !S_ISREG(r->m->type))
			break;
		return is_wanted(r, i) ? members[i].take(r) : 0;
	}
	if (!S_ISREG(r->m->type))
		return refuse_link(r->m);
	log_debug("archive: member %s is not used", r->m->name);
	return 0;
}

/*
 * What cannot be on the disk at all need not be read to its end, be it ever so well compressed; not
 * all that is in an archive comes on the disk, though.
 */
static uint64_t most_bytes(const struct archive_in *in)
{
	struct statvfs fs;

	if (fstatvfs(in->dir, &fs) < 0)
		return UINT64_MAX;
	return 2 * (uint64_t)fs.f_blocks * fs.f_frsize + DOCUMENT_MAX;
}

static int read_all(struct reading *r)
{
	struct unpack_member m;
	int e;

	e = unpack_open(&(struct unpack_options){.fd = r->in->fd >= 0 ? r->in->fd : r->in->o.fd,
						 .shown = r->in->o.shown,
						 .limits.bytes = most_bytes(r->in),
						 .watch = r->in->o.watch,
						 .watch_arg = r->in->o.watch_arg},
			&r->u);
	r->m = &m;
	while (e == 0 && (e = unpack_next(r->u, &m)) > 0)
		e = take_member(r);
	if (e == 0)
		e = unpack_finish(r->u);
	if (e == 0 && !r->in->config)
		e = err_set(EBADMSG, ARCHIVE_CONFIG " is missing: this is not the archive of a "
						    "checkpoint");
	if (e == 0 && !r->in->spec)
		e = err_set(EBADMSG, ARCHIVE_SPEC " is missing: this is not the archive of a "
						  "checkpoint");
	return e < 0 ? e : archive_rootfs_finish(r->in);
}

static const char *what_of(const struct archive_in_options *o)
{
	return o->previous ? "pre-checkpoint" : "checkpoint";
}

static int tell(const struct reading *r, int e)
{
	g_autofree char *why = g_strdup(err_message());

	if (e >= 0 || r->callers)
		return e;
	/* Go's archive/tar says so, and scripts look for it. */
	if (g_str_has_prefix(why, "not a tar archive")) {
		g_free(why);
		why = g_strdup("archive/tar: invalid tar header");
	}
	return err_set(e, "unpacking of %s archive %s failed: %s", what_of(&r->in->o),
		       r->in->o.shown, why);
}

static int open_file(const char *what, const char *path, int *ret)
{
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	if (*ret >= 0)
		return 0;
	return err_set(errno, "failed to open %s archive %s for import: open %s: %s", what, path,
		       path, errno == ENOENT ? "no such file or directory" : g_strerror(errno));
}

int archive_in_open(struct archive_in *in, struct engine *e, const struct archive_in_options *o)
{
	int r = 0;

	*in = ARCHIVE_IN_NONE;
	in->e = e;
	in->o = *o;
	in->volumes = g_ptr_array_new_with_free_func(g_free);
	if (!in->o.shown)
		in->o.shown = o->path ? o->path : "the archive";
	if (o->path)
		r = open_file(what_of(&in->o), o->path, &in->fd);
	if (r == 0)
		r = blobs_hold(e, &in->hold);
	if (r == 0)
		r = blobs_scratch(e, "restore", &in->scratch);
	if (r < 0)
		return r;
	in->dir = open(in->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return in->dir < 0 ? err_errno("open %s", in->scratch) : 0;
}

int archive_in_read(struct archive_in *in)
{
	struct reading r = {.in = in};
	int e = read_all(&r);

	unpack_drop(&r.u);
	return tell(&r, e);
}

int archive_in_join_shm(struct archive_in *in)
{
	const json_t *ours = json_object_get(in->config, ARCHIVE_OURS);

	if (!in->has_shm || (ours && !json_is_true(json_object_get(ours, ARCHIVE_SHM_APART))))
		return 0;
	if (renameat(in->dir, ARCHIVE_SHM, in->dir, ARCHIVE_IMAGES "/" CK_SHM) < 0)
		return err_errno("move " ARCHIVE_SHM);
	return 0;
}

void archive_in_clear(struct archive_in *in)
{
	ERR_KEEP;

	blobs_scratch_drop(&in->scratch);
	cleanup_close(&in->dir);
	cleanup_close(&in->fd);
	cleanup_close(&in->hold);
	json_decref(in->config);
	json_decref(in->spec);
	json_decref(in->network);
	json_decref(in->deleted);
	image_clear(&in->image);
	if (in->volumes)
		g_ptr_array_unref(in->volumes);
	*in = ARCHIVE_IN_NONE;
}

int archive_read_config(const char *file, json_t **ret)
{
	struct archive_in in = ARCHIVE_IN_NONE;
	struct reading r = {.in = &in};
	struct unpack_member m;
	int e;

	in.o.shown = file;
	*ret = NULL;
	e = open_file(what_of(&in.o), file, &in.fd);
	if (e < 0)
		return e;
	e = unpack_open(
		&(struct unpack_options){.fd = in.fd, .shown = file, .limits.bytes = BEFORE_MAX},
		&r.u);
	r.m = &m;
	while (e == 0 && !*ret && (e = unpack_next(r.u, &m)) > 0) {
		e = 0;
		if (strcmp(m.name, ARCHIVE_CONFIG))
			continue;
		e = S_ISREG(m.type) ? read_json(&r, DOCUMENT_MAX, ret) : refuse_link(&m);
	}
	if (e == 0 && !*ret)
		e = err_set(EBADMSG, ARCHIVE_CONFIG " is missing: this is not the archive of a "
						    "checkpoint");
	if (e == 0 && !json_is_object(*ret))
		e = err_set(EBADMSG, ARCHIVE_CONFIG " is not a JSON object");
	e = tell(&r, e);
	if (e < 0)
		g_clear_pointer(ret, json_decref);
	unpack_drop(&r.u);
	cleanup_close(&in.fd);
	return e;
}
