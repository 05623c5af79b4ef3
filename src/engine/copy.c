/* SPDX-License-Identifier: Apache-2.0 */
/* A tar stream between two views: what the one writes, the other unpacks. */
#include "engine/copy.h"
#include "engine/copy_parts.h"
#include "engine/layer_entry.h"
#include "engine/pack_tree.h"
#include "engine/spec_parts.h"
#include "engine/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct job {
	struct engine *e;
	const struct copy_end *from, *to;
	const struct copy_options *o;
	struct copy_view source_view, target_view;
	struct copy_spot source, target;
	int in, out; /* the pipe between them, or our own stdin and stdout */
	/* What becomes of the names in the stream. */
	const char *prefix; /* takes the place of the first part, or is put before all */
	bool replace;
	int dir; /* where they go; of TARGET */
	uid_t uid;
	gid_t gid;
	struct container *locked[2];
};

static void job_clear(struct job *j)
{
	ERR_KEEP;

	copy_spot_clear(&j->source);
	copy_spot_clear(&j->target);
	copy_view_close(&j->source_view);
	copy_view_close(&j->target_view);
	cleanup_close(&j->in);
	cleanup_close(&j->out);
	for (unsigned i = 0; i < ARRAY_SIZE(j->locked); i++)
		if (j->locked[i])
			container_unlock(j->locked[i]);
}

/* Always in the same order, so that nobody who copies the other way waits for us. */
static int lock_all(struct job *j)
{
	struct container *a = j->from->c, *b = j->to->c, *swap = a;
	int r;

	if (a && b && strcmp(a->id, b->id) > 0) {
		a = b;
		b = swap;
	}
	r = a ? container_lock(j->e, a) : 0;
	if (r < 0)
		return r;
	j->locked[0] = a;
	r = b && b != a ? container_lock(j->e, b) : 0;
	if (r == 0 && b != a)
		j->locked[1] = b;
	return r;
}

/* Who runs is looked at through its process: nothing has to wait for us. */
static void unlock_running(struct job *j)
{
	for (unsigned i = 0; i < ARRAY_SIZE(j->locked); i++)
		if (j->locked[i] && container_is_running(j->locked[i])) {
			container_unlock(j->locked[i]);
			j->locked[i] = NULL;
		}
}

static int not_found(const struct copy_end *end)
{
	if (!end->c)
		return err_set(ENOENT, "\"%s\" could not be found on the host", end->path);
	return err_set(ENOENT,
		       "\"%s\" could not be found on container %s: no such file or directory",
		       end->path, end->shown);
}

static bool is_stream(const struct copy_end *end)
{
	return !end->c && !strcmp(end->path, "-");
}

static int find_source(struct job *j)
{
	int r = copy_view_open(j->e, j->from->c, &j->source_view);

	if (r == 0)
		r = copy_spot_find(&j->source_view, j->from->path, &j->source);
	if (r == -ENOENT || (r == 0 && j->source.fd < 0))
		return not_found(j->from);
	if (r == 0 && j->source.slash && !S_ISDIR(j->source.st.st_mode))
		return err_set(ENOTDIR, "\"%s\" is not a directory", j->from->path);
	return r;
}

static bool is_directory(const struct copy_spot *s)
{
	return s->fd >= 0 && S_ISDIR(s->st.st_mode);
}

static int bad_target(const struct job *j)
{
	return err_set(EINVAL, "invalid destination: \"%s\" must be a directory or a regular file",
		       j->to->path);
}

/* Where it goes, and under which name. */
static int choose_names(struct job *j)
{
	struct copy_spot *t = &j->target;
	bool stream = is_stream(j->from), dir = is_directory(&j->source);

	if (stream && !is_directory(t))
		return err_set(ENOTDIR, "destination must be a directory when copying from stdin");
	if (t->fd < 0 && t->slash)
		return not_found(j->to);
	if (t->fd >= 0 && !S_ISDIR(t->st.st_mode) && !S_ISREG(t->st.st_mode))
		return bad_target(j);
	if (dir && t->fd >= 0 && !is_directory(t))
		return err_set(ENOTDIR, "destination must be a directory when copying a directory");
	if (t->fd >= 0 && t->slash && !is_directory(t))
		return not_found(j->to);
	j->dir = is_directory(t) ? t->fd : t->parent;
	j->prefix = is_directory(t) ? NULL : t->base;
	if (!stream && !(dir && j->source.contents)) {
		j->replace = true;
		j->prefix = is_directory(t) ? j->source.name : t->base;
	}
	return 0;
}

static int find_target(struct job *j)
{
	CLEANUP(spec_user_clear) struct spec_user user = {0};
	struct stat st;
	int r;

	if (!j->to->c && stat(j->to->path, &st) == 0 && !S_ISDIR(st.st_mode) &&
	    !S_ISREG(st.st_mode))
		return bad_target(j);
	r = copy_view_open(j->e, j->to->c, &j->target_view);

	if (r == 0)
		r = copy_spot_find(&j->target_view, j->to->path, &j->target);
	if (r == -ENOENT)
		return not_found(j->to);
	if (r == 0)
		r = choose_names(j);
	if (r == 0 && j->to->c && j->o->archive)
		r = spec_user_find(j->target_view.root, container_text(j->to->c, "user"), NULL,
				   &user);
	j->uid = j->to->c ? user.uid : geteuid();
	j->gid = j->to->c ? user.gid : getegid();
	return r;
}

static int pack(struct job *j)
{
	CLEANUP(pack_tree_drop) struct pack_tree *t = NULL;
	const struct copy_spot *s = &j->source;
	bool contents = is_directory(s) && s->contents;
	autoclose int root = contents ? openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				      : openat(s->parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t bytes;
	int r;

	if (root < 0)
		return err_errno("open %s", s->shown);
	r = pack_tree_new(root, &t);
	if (r == 0)
		pack_tree_cross(t);
	if (r == 0)
		r = contents ? pack_tree_add_all(t) : pack_tree_add_tree(t, s->base);
	return r < 0 ? r : pack_tree_write_fd(t, j->out, NULL, &bytes);
}

struct writing {
	struct job *j;
	int error;
	char *why;
};

static void *write_stream(void *arg)
{
	struct writing *w = arg;
	sigset_t pipe;

	sigemptyset(&pipe); /* a reader that gave up is an error like others */
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	w->error = pack(w->j);
	if (w->error < 0)
		w->why = g_strdup(err_message());
	cleanup_close(&w->j->out); /* the reader sees the end */
	return NULL;
}

/* NAME where it goes, relative to JOB.DIR; NULL: it is that directory itself. */
static char *renamed(const struct job *j, const char *name)
{
	const char *rest = name;

	while (g_str_has_prefix(rest, "./"))
		rest += 2;
	if (j->replace)
		rest += strcspn(rest, "/");
	while (*rest == '/')
		rest++;
	if (!strcmp(rest, "."))
		rest = "";
	if (!j->prefix)
		return *rest ? g_strdup(rest) : NULL;
	return *rest ? g_strdup_printf("%s/%s", j->prefix, rest) : g_strdup(j->prefix);
}

/* A directory is not replaced by something else, nor the other way around, unless asked for. */
static int check_existing(struct job *j, struct layer_unpacker *u, const char *path, bool dir)
{
	g_autofree char *clean = NULL, *shown = NULL;
	const char *base;
	struct stat st;
	int parent, r = layer_tree_clean(&u->tree, path, &clean);

	if (r < 0 || !*clean)
		return r;
	r = layer_tree_parent(&u->tree, clean, false, &parent, &base);
	if (r < 0 || fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		err_clear();
		return 0; /* a failure comes up when it is made */
	}
	if (j->o->overwrite || dir == !!S_ISDIR(st.st_mode))
		return 0;
	shown = g_build_filename("/", j->to->c && is_directory(&j->target) ? j->target.shown : "",
				 path, NULL);
	return err_set(EEXIST, "copying %s: error creating \"%s\": %s: file exists", j->from->path,
		       shown, S_ISDIR(st.st_mode) ? "a directory is there" : "not a directory");
}

static int take(struct job *j, struct layer_unpacker *u, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry), *link = archive_entry_hardlink(entry);
	g_autofree char *path = name ? renamed(j, name) : NULL;
	int r;

	if (name && !path)
		return 0;
	if (path)
		archive_entry_set_pathname(entry, path);
	if (link) {
		g_autofree char *first = renamed(j, link);

		archive_entry_set_hardlink(entry, first);
	}
	if (j->o->archive) {
		archive_entry_set_uid(entry, j->uid);
		archive_entry_set_gid(entry, j->gid);
	}
	r = path ? check_existing(j, u, path, archive_entry_filetype(entry) == AE_IFDIR) : 0;
	return r < 0 ? r : layer_entry_unpack(u, entry);
}

static int bad_stream(void)
{
	return err_set(EBADMSG,
		       "source must be a (compressed) tar archive when copying from stdin");
}

static int read_stream(struct job *j)
{
	CLEANUP(utf8_end) struct utf8 utf8 __attribute__((unused)) = utf8_begin();
	CLEANUP(layer_reader_close) struct layer_reader *reader = NULL;
	CLEANUP(layer_unpacker_clear) struct layer_unpacker u = {.tree.dir_fd = -1};
	const struct layer_stream s = {
		.fd = j->in, .copy_fd = -1, .plain = true, .limits = LAYER_LIMITS};
	autoclose int dir = openat(j->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct archive_entry *entry;
	struct layer_result unused;
	bool any = false;
	int r;

	if (dir < 0)
		return err_errno("open %s", j->target.shown);
	r = layer_reader_open(&s, &reader);
	if (r == -EBADMSG && is_stream(j->from))
		return bad_stream();
	if (r < 0)
		return r;
	layer_unpacker_init(&u, reader, dir, NULL, 0, s.limits.depth);
	u.plain = true;
	while ((r = layer_reader_next(reader, &entry)) > 0) {
		any = true;
		r = take(j, &u, entry);
		if (r < 0)
			return r;
	}
	if (is_stream(j->from) && r == 0 && !any)
		return bad_stream();
	if (r == 0)
		r = layer_entry_finish(&u);
	return r < 0 ? r : layer_reader_finish(reader, &unused);
}

/* Both ends at once: the pipe holds little. */
static int pump(struct job *j)
{
	struct writing w = {.j = j};
	GThread *writer;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno("pipe");
	j->in = fds[0];
	j->out = fds[1];
	writer = g_thread_new("pack", write_stream, &w);
	r = read_stream(j);
	cleanup_close(&j->in); /* a writer that goes on gets EPIPE */
	g_thread_join(writer);
	/* What the writer says is the cause when it was the first. */
	if (w.error < 0 && w.error != -EPIPE)
		r = err_set(-w.error, "%s", w.why);
	g_free(w.why);
	return r;
}

int container_copy(struct engine *e, const struct copy_end *from, const struct copy_end *to,
		   const struct copy_options *o)
{
	CLEANUP(job_clear)
	struct job j = {
		.e = e,
		.from = from,
		.to = to,
		.o = o,
		.source_view = COPY_VIEW_NONE,
		.target_view = COPY_VIEW_NONE,
		.source = COPY_SPOT_NONE,
		.target = COPY_SPOT_NONE,
		.in = -1,
		.out = -1,
		.dir = -1,
	};
	int r = lock_all(&j);

	if (r == 0 && !is_stream(from))
		r = find_source(&j);
	if (r == 0 && is_stream(to)) {
		unlock_running(&j);
		j.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		return j.out < 0 ? err_errno("stdout") : pack(&j);
	}
	if (r == 0)
		r = find_target(&j);
	unlock_running(&j);
	if (r < 0 || !is_stream(from))
		return r < 0 ? r : pump(&j);
	j.in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return j.in < 0 ? err_errno("stdin") : read_stream(&j);
}
