/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pack_stage.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define STAGE ((size_t)4 << 20)
#define TRIAL 8 /* pieces each way */

struct worker {
	struct pack_stage *s;
	bool (*work)(struct pack_stage *s); /* on what is leaving; false: it did not work */
	GThread *thread;
	bool busy, failed;
};

enum { WRITER, TAPPER, NWORKERS };
enum way { CACHED, DIRECT, NWAYS };

struct pack_stage {
	int fd, direct; /* the file; the same with O_DIRECT, or -1 */
	bool choose;	/* whichever is quicker, with what reads it */
	struct {
		unsigned n;
		int64_t took;
	} tried[NWAYS];
	pack_tap tap;
	void *tap_arg;
	char *filling, *leaving;
	size_t filled, left; /* bytes in them */
	off_t at;	     /* in the file: where LEAVING begins */
	GMutex lock;	     /* of what is below and the workers */
	GCond wake;
	bool over;
	struct worker workers[NWORKERS];
};

/*
 * What somebody reads at once should be in the page cache, which costs nothing but new memory;
 * where that is slow (a virtual machine whose free pages have been given back) the disk may be
 * quicker, even twice: written, and read again.
 */
static enum way choose(const struct pack_stage *s)
{
	unsigned n = s->tried[CACHED].n + s->tried[DIRECT].n;

	if (s->direct < 0 || s->left != STAGE)
		return CACHED;
	if (!s->choose)
		return DIRECT;
	if (n < NWAYS * TRIAL)
		return n % NWAYS;
	return 2 * s->tried[DIRECT].took < s->tried[CACHED].took ? DIRECT : CACHED;
}

static bool write_out(struct pack_stage *s)
{
	enum way way = choose(s);
	gint64 begun = g_get_monotonic_time();
	bool good = pwrite(way == DIRECT ? s->direct : s->fd, s->leaving, s->left, s->at) ==
		    (ssize_t)s->left;

	if (s->tried[way].n < TRIAL) {
		s->tried[way].n++;
		s->tried[way].took += g_get_monotonic_time() - begun;
	}
	return good;
}

static bool show(struct pack_stage *s)
{
	s->tap(s->tap_arg, s->leaving, s->left);
	return true;
}

static void *run(void *data)
{
	struct worker *w = data;
	struct pack_stage *s = w->s;

	g_mutex_lock(&s->lock);
	while (!s->over) {
		if (!w->busy) {
			g_cond_wait(&s->wake, &s->lock);
			continue;
		}
		g_mutex_unlock(&s->lock);
		bool good = w->work(s);

		g_mutex_lock(&s->lock);
		w->failed = !good;
		w->busy = false;
		g_cond_broadcast(&s->wake);
	}
	g_mutex_unlock(&s->lock);
	return NULL;
}

/* What is leaving has left; if that did not work, it goes the other way, which tells why. */
static int await(struct pack_stage *s)
{
	bool failed;

	g_mutex_lock(&s->lock);
	for (unsigned i = 0; i < NWORKERS; i++)
		while (s->workers[i].busy)
			g_cond_wait(&s->wake, &s->lock);
	failed = s->workers[WRITER].failed;
	s->workers[WRITER].failed = false;
	g_mutex_unlock(&s->lock);
	if (!failed)
		return 0;
	if (s->direct >= 0)
		close(take_fd(&s->direct));
	return fd_pwrite_full(s->fd, s->leaving, s->left, s->at);
}

/* Little is written at once: a thread costs more. */
static void start(struct pack_stage *s, struct worker *w)
{
	if (!w->work)
		return;
	if (!w->thread && s->left == STAGE)
		w->thread = g_thread_try_new("archive", run, w, NULL);
	if (!w->thread) {
		w->failed = !w->work(s);
		return;
	}
	g_mutex_lock(&s->lock);
	w->busy = true;
	g_cond_broadcast(&s->wake);
	g_mutex_unlock(&s->lock);
}

static int leave(struct pack_stage *s)
{
	char *full = s->filling;
	int r = await(s);

	if (r < 0)
		return r;
	s->at += (off_t)s->left;
	s->filling = s->leaving;
	s->leaving = full;
	s->left = s->filled;
	s->filled = 0;
	for (unsigned i = 0; s->left && i < NWORKERS; i++)
		start(s, &s->workers[i]);
	return 0;
}

struct pack_stage *pack_stage_new(int fd, bool read_next, pack_tap tap, void *arg)
{
	struct pack_stage *s;
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size)
		return NULL;
	s = g_new0(struct pack_stage, 1);
	s->fd = fd;
	s->tap = tap;
	s->tap_arg = arg;
	s->filling = g_aligned_alloc(1, STAGE, 4096);
	s->leaving = g_aligned_alloc(1, STAGE, 4096);
	s->workers[WRITER] = (struct worker){.s = s, .work = write_out};
	s->workers[TAPPER] = (struct worker){.s = s, .work = tap ? show : NULL};
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	s->choose = read_next;
	return s;
}

int pack_stage_put(struct pack_stage *s, const char *buf, size_t len)
{
	int r = 0;

	while (r == 0 && len) {
		size_t n = MIN(len, STAGE - s->filled);

		memcpy(s->filling + s->filled, buf, n);
		s->filled += n;
		buf += n;
		len -= n;
		if (s->filled == STAGE)
			r = leave(s);
	}
	return r;
}

int pack_stage_end(struct pack_stage *s)
{
	int r = leave(s);

	return r < 0 ? r : await(s);
}

void pack_stage_drop(struct pack_stage **sp)
{
	struct pack_stage *s = *sp;

	if (!s)
		return;
	g_mutex_lock(&s->lock);
	for (unsigned i = 0; i < NWORKERS; i++)
		while (s->workers[i].busy)
			g_cond_wait(&s->wake, &s->lock);
	s->over = true;
	g_cond_broadcast(&s->wake);
	g_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < NWORKERS; i++)
		if (s->workers[i].thread)
			g_thread_join(s->workers[i].thread);
	g_aligned_free(s->filling);
	g_aligned_free(s->leaving);
	cleanup_close(&s->direct);
	g_clear_pointer(sp, g_free);
}
