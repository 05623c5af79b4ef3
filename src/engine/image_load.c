/* SPDX-License-Identifier: Apache-2.0 */
/* `load`: archives written by `save`, and directories of the same kinds. */
#include "base/fd.h"
#include "base/interrupt.h"
#include "engine/events.h"
#include "engine/image_archive.h"
#include "engine/image_store.h"
#include "engine/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define ARCHIVE	     "in" /* in the scratch directory, where skopeo runs */
#define INTERRUPT_MS 100  /* how soon Ctrl-C is seen where a pipe keeps us waiting */

/* What has no size, and can be read only once; a read(2) would go on after a signal (SA_RESTART).
 */
static int copy_stream(int from, const char *path)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct pollfd p = {.fd = from, .events = POLLIN};
	char buf[65536];
	ssize_t n;
	int r;

	if (fd < 0)
		return err_errno("create %s", path);
	for (;;) {
		r = interrupt_check();
		if (r < 0)
			return r;
		if (poll(&p, 1, INTERRUPT_MS) <= 0)
			continue;
		n = read(from, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_errno("read the archive") : 0;
		r = fd_write_full(fd, buf, (size_t)n);
		if (r < 0)
			return err_wrap(r, "copy the archive");
	}
}

/* Where the archive lies, under a path without the colons that skopeo takes for its own. */
static int settle(struct transport *t, const char *path, char **ret)
{
	g_autofree char *here = g_build_filename(t->scratch, ARCHIVE, NULL);
	g_autofree char *absolute = NULL;
	autoclose int fd = -1;
	struct stat st;
	int r = 0;

	unlink(here);
	if (!path) {
		r = copy_stream(STDIN_FILENO, here);
	} else {
		absolute = g_canonicalize_filename(path, NULL);
		fd = open(absolute, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_set(errno, "stat %s: %s", path,
				       errno == ENOENT ? "no such file or directory"
						       : g_strerror(errno));
		/* /dev/stdin is another file for skopeo */
		if ((!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
		    g_str_has_prefix(absolute, "/dev/") || g_str_has_prefix(absolute, "/proc/"))
			r = copy_stream(fd, here);
		else if (symlink(absolute, here) < 0)
			r = err_errno("create %s", here);
	}
	if (r == 0)
		*ret = g_steal_pointer(&here);
	return r;
}

static int load_one(struct transport *t, struct archive_image *f, GPtrArray *said,
		    char id[ENGINE_ID_LEN + 1])
{
	char digest[DIGEST_MAX];
	int r = transport_fetch(t, f->source, digest);

	if (r < 0)
		return r;
	g_ptr_array_add(f->names, NULL);
	r = image_adopt(t->e,
			&(struct image_source){.digest = digest, .names = (char **)f->names->pdata},
			id);
	if (r < 0)
		return r;
	for (unsigned i = 0; i + 1 < f->names->len; i++)
		g_ptr_array_add(said, g_strdup(f->names->pdata[i]));
	if (f->names->len == 1)
		g_ptr_array_add(said, g_strconcat(DIGEST_PREFIX, id, NULL));
	event_image(t->e, "loadfromarchive", id, said->pdata[said->len - 1]);
	return 0;
}

int image_load_from(struct transport *t, const char *path, GPtrArray *said,
		    char id[ENGINE_ID_LEN + 1])
{
	g_autoptr(GPtrArray) found = NULL;
	g_autofree char *file = NULL;
	int r;

	if (path && !strcmp(path, "-"))
		path = NULL;
	r = settle(t, path, &file);
	if (r == 0)
		r = image_archive_find(file, ARCHIVE, path ? path : "stdin", &found);
	for (unsigned i = 0; r == 0 && i < found->len; i++)
		r = load_one(t, found->pdata[i], said, id);
	return r;
}

int image_load(struct engine *e, const char *path, bool quiet, char ***ret)
{
	struct pull_options options = {.quiet = quiet};
	CLEANUP(transport_close) struct transport t = {.hold = -1};
	g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
	char id[ENGINE_ID_LEN + 1];
	int r = transport_open(e, &options, &t);

	if (r == 0)
		r = image_load_from(&t, path, said, id);
	if (r < 0)
		return transport_give_up(&t, r);
	transport_close(&t);
	if (r == 0)
		r = image_collect_garbage(e);
	if (r < 0)
		return r;
	g_ptr_array_add(said, NULL);
	g_ptr_array_set_free_func(said, NULL);
	*ret = (char **)g_ptr_array_free(g_steal_pointer(&said), FALSE);
	return 0;
}
