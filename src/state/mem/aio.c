/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings of io_setup(2).  The ring is memory that both sides write (struct aio_ring, fs/aio.c): the
 * kernel adds events at the tail, the program or io_getevents(2) takes them at the head.  The
 * kernel has a tail of its own, which only completed requests move: a ring is made again by reading
 * /dev/null as often as it takes, with all events reaped up to the head and none behind it.  That
 * leaves the kernel's account of free places right, too.  Then the ring is moved to where it was,
 * which renames it (aio_ring_mremap()), and gets its events.
 *
 * Requests under way cannot be seen.  Those for files end by themselves: the ring is watched until
 * nothing has ended for a while.  Only IOCB_CMD_POLL waits for others, and is lost.
 */
#include "state/mem/mem.h"

#include "base/fd.h"
#include "kernel/fdinfo.h"
#include "state/mem/cow.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define AIO_MAGIC     0xa10a10a1u
#define RING_MAX      (UINT64_C(64) << 20)
#define QUIET_US      1000  /* of a ring whose requests are served at once */
#define QUIET_DISK_US 20000 /* with files that are open with O_DIRECT */
#define PATIENCE_US   5000000
#define AT_ONCE	      32u /* requests of one io_submit(2) */

struct ring { /* struct aio_ring */
	uint32_t id, nr, head, tail, magic, compat_features, incompat_features, header_length;
};

bool aio_is_ring(const struct vma *v)
{
	return v->deleted && strcmp(v->name, "/[aio]") == 0;
}

/* What CRIU asks io_setup(2) for, so that the kernel comes to the same size: aio_setup_ring(). */
static uint32_t requests_of(uint64_t bytes)
{
	uint64_t places = (bytes - sizeof(struct ring)) / sizeof(struct io_event);

	return (uint32_t)(places - 2) / 2;
}

static int check_ring(const struct ring *g, uint64_t bytes)
{
	if (bytes > RING_MAX || g->magic != AIO_MAGIC || g->header_length != sizeof(*g) ||
	    g->nr != (bytes - sizeof(*g)) / sizeof(struct io_event) || g->head >= g->nr ||
	    g->tail >= g->nr)
		return err_set(EOPNOTSUPP,
			       "a ring of io_setup(2) in disorder: %u places in %" PRIu64
			       " bytes, head %u, tail %u",
			       g->nr, bytes, g->head, g->tail);
	return 0;
}

static bool has_direct_files(const struct dtask *t)
{
	CLEANUP(pid_list_clear) struct pid_list fds = {0};

	if (proc_fds(t->proc.dir, &fds) < 0) {
		err_clear();
		return true;
	}
	for (size_t i = 0; i < fds.n; i++) {
		CLEANUP(fdinfo_clear) struct fdinfo info = {0};

		if (fdinfo_read(t->proc.dir, fds.v[i], &info) < 0)
			err_clear();
		else if (info.flags & O_DIRECT)
			return true;
	}
	return false;
}

/* 0: nothing has ended for QUIET us. */
static int await_quiet(struct dtask *t, const struct vma *v, unsigned quiet_us)
{
	gint64 end = g_get_monotonic_time() + PATIENCE_US;
	struct ring last, now;
	int r = task_read_memory(t->proc.pid, v->start, &last, sizeof(last));

	while (r == 0 && g_get_monotonic_time() < end) {
		g_usleep(quiet_us);
		r = task_read_memory(t->proc.pid, v->start, &now, sizeof(now));
		if (r == 0 && now.tail == last.tail)
			return check_ring(&now, vma_len(v));
		last = now;
	}
	return r < 0 ? r : err_set(EBUSY, "requests of io_submit(2) do not come to an end");
}

int aio_dump(struct dtask *t, const struct vma *v, VmaEntry *e)
{
	MmEntry *m = t->mm;
	AioRingEntry *a;
	int r = await_quiet(t, v, has_direct_files(t) ? QUIET_DISK_US : QUIET_US);

	if (r < 0)
		return err_wrap(r, "mapping %" PRIx64, v->start);
	e->status |= VMA_STATUS_ANON_PRIVATE | VMA_STATUS_AIORING;
	e->flags = MAP_PRIVATE | MAP_ANONYMOUS;
	e->pgoff = 0;
	a = g_new0(AioRingEntry, 1);
	aio_ring_entry__init(a);
	a->id = v->start;
	a->ring_len = (uint32_t)vma_len(v);
	a->nr_req = requests_of(vma_len(v));
	m->aios = g_renew(AioRingEntry *, m->aios, m->n_aios + 1);
	m->aios[m->n_aios++] = a;
	return 0;
}

/* Its pages as the image has them. */
static int load_content(const struct rtask *t, const VmaEntry *v, uint8_t *buf)
{
	uint64_t have = 0;

	for (unsigned i = 0; i < t->pages.n; i++) {
		const struct image_run *run = &t->pages.runs[i];
		uint64_t from = MAX(run->vaddr, v->start);
		uint64_t to = MIN(run->vaddr + run->nr_pages * IMAGE_PAGE_SIZE, v->end);
		int r;

		if (from >= to)
			continue;
		r = fd_pread_full(run->fd, buf + (from - v->start), to - from,
				  (off_t)(run->offset + from - run->vaddr));
		if (r < 0)
			return r;
		have += to - from;
	}
	if (have != v->end - v->start)
		return err_set(EBADMSG, "pages of the ring are missing");
	return check_ring((const struct ring *)(const void *)buf, v->end - v->start);
}

struct making {
	struct rtask *t;
	struct batch b;
	int null, ctx; /* the task's number; operation of mmap */
	uint64_t at;   /* the ring for now */
};

static void making_end(struct making *m)
{
	batch_end(&m->b);
}

/* N requests that end at once, and their events taken if REAPED. */
static int complete(struct making *m, uint32_t n, bool reaped)
{
	struct iocb cb = {.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t)m->null};
	uint64_t list[AT_ONCE];

	while (n) {
		uint32_t now = MIN(n, AT_ONCE);
		struct arg at;

		batch_room(&m->b, 2, sizeof(cb) + sizeof(list) + AT_ONCE * sizeof(struct io_event));
		at = batch_in(&m->b, &cb, sizeof(cb));
		for (unsigned i = 0; i < now; i++)
			list[i] = batch_addr(&m->b, at);
		batch_expect(&m->b,
			     batch_add(&m->b, SYS_io_submit, IMM(m->at), IMM(now),
				       batch_in(&m->b, list, now * sizeof(*list))),
			     now);
		if (reaped)
			batch_expect(
				&m->b,
				batch_add(&m->b, SYS_io_getevents, IMM(m->at), IMM(now), IMM(now),
					  batch_out(&m->b, NULL, AT_ONCE * sizeof(struct io_event)),
					  IMM(0)),
				now);
		n -= now;
	}
	return batch_run(&m->b);
}

/* The place is taken first: the kernel chooses where a ring begins its life. */
static int make(struct making *m, const VmaEntry *v)
{
	uint64_t bytes = v->end - v->start;
	int r;

	batch_expect(&m->b,
		     batch_add(&m->b, SYS_mmap, IMM(v->start), IMM(bytes), IMM(PROT_NONE),
			       IMM(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE), IMM(-1),
			       IMM(0)),
		     (int64_t)v->start);
	batch_add(&m->b, SYS_io_setup, IMM(requests_of(bytes)),
		  batch_out(&m->b, &m->at, sizeof(m->at)));
	r = batch_run(&m->b);
	if (r == -EAGAIN)
		return err_wrap(r, "/proc/sys/fs/aio-max-nr is too small");
	return r;
}

/* Free places are kept per CPU, some on each that the task comes to: fs/aio.c, struct kioctx_cpu.
 */
static int one_cpu(pid_t tid, cpu_set_t *old)
{
	cpu_set_t one;
	int cpu = 0;

	if (sched_getaffinity(tid, sizeof(*old), old) < 0)
		return err_errno("CPUs of process %d", tid);
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, old))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(tid, sizeof(one), &one) < 0
		       ? err_errno("CPU %d for process %d", cpu, tid)
		       : 0;
}

static int fill(struct making *m, const VmaEntry *v, const uint8_t *content)
{
	const struct ring *g = (const struct ring *)(const void *)content;
	pid_t tid = rtask_pid(m->t);
	cpu_set_t old;
	struct ring now;
	int r = task_read_memory(tid, m->at, &now, sizeof(now));

	if (r == 0 && now.nr != g->nr)
		return err_set(EOPNOTSUPP, "it had %u places, this kernel makes %u", g->nr, now.nr);
	if (r == 0)
		r = one_cpu(tid, &old);
	if (r < 0)
		return r;
	r = complete(m, g->head, true);
	if (r == 0)
		r = complete(m, (g->tail + g->nr - g->head) % g->nr, false);
	if (sched_setaffinity(tid, sizeof(old), &old) < 0 && r == 0)
		r = err_errno("CPUs of process %d", tid);
	if (r == 0)
		r = task_write_memory(tid, m->at + sizeof(*g), content + sizeof(*g),
				      v->end - v->start - sizeof(*g));
	return r;
}

static int restore_one(struct making *m, const VmaEntry *v)
{
	uint64_t bytes = v->end - v->start;
	g_autofree uint8_t *content = NULL;
	int r;

	if (bytes > RING_MAX)
		return err_set(EBADMSG, "a ring of %" PRIu64 " bytes", bytes);
	content = g_malloc(bytes);
	r = load_content(m->t, v, content);
	if (r == 0)
		r = make(m, v);
	if (r == 0)
		r = fill(m, v, content);
	if (r < 0)
		return r;
	batch_expect(&m->b,
		     batch_add(&m->b, SYS_mremap, IMM(m->at), IMM(bytes), IMM(bytes),
			       IMM(MREMAP_MAYMOVE | MREMAP_FIXED), IMM(v->start)),
		     (int64_t)v->start);
	cow_add(m->t, v->start, v->end);
	return batch_run(&m->b);
}

int aio_restore(struct rtask *t)
{
	CLEANUP(making_end) struct making m = {.t = t};
	autoclose int null = -1;
	int r;

	if (t->mm->n_aios == 0)
		return 0;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0)
		return err_errno("open /dev/null");
	rtask_batch(t, &m.b);
	batch_recv_fds(&m.b, &null, 1, &m.null);
	r = batch_run(&m.b);
	for (size_t i = 0; r == 0 && i < t->mm->n_vmas; i++)
		if (t->mm->vmas[i]->status & VMA_STATUS_AIORING) {
			r = restore_one(&m, t->mm->vmas[i]);
			if (r < 0)
				r = err_wrap(r, "ring of io_setup(2) at %" PRIx64,
					     t->mm->vmas[i]->start);
		}
	batch_add(&m.b, SYS_close, IMM(m.null));
	return r < 0 ? r : batch_run(&m.b);
}
