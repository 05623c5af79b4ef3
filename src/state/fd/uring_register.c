/* SPDX-License-Identifier: Apache-2.0 */
/* What is registered with a ring: last of all, as an eventfd would count what is done before. */
#include "state/fd/uring_making.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>

#define SLICE 256 /* things registered by one call */

/* The number of file ID in the maker's process. */
static int number_of(const struct uring_making *m, uint32_t id, int *ret)
{
	const struct rtask *t = restore_task(m->r, m->u->by->task->files);

	for (unsigned i = 0; t->fds && i < t->fds->len; i++) {
		const FdinfoEntry *e = g_ptr_array_index(t->fds, i);

		*ret = (int)e->fd;
		if (e->id == id)
			return 0;
	}
	return err_set(EOPNOTSUPP,
		       "file %u that is registered with it is not open in the process "
		       "that makes it",
		       id);
}

static int64_t element(const json_t *list, size_t i)
{
	return json_integer_value(json_array_get(list, i));
}

/* A table without anything in it first. */
static void make_table(struct uring_making *m, unsigned how, size_t n)
{
	struct io_uring_rsrc_register t = {.nr = (uint32_t)n, .flags = IORING_RSRC_REGISTER_SPARSE};

	if (n)
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(how),
			  batch_in(&m->b, &t, sizeof(t)), IMM(sizeof(t)));
}

static void fill_table(struct uring_making *m, unsigned how, size_t from, size_t n,
		       const void *data, size_t bytes, const uint64_t *tags)
{
	struct io_uring_rsrc_update2 u = {.offset = (uint32_t)from, .nr = (uint32_t)n};

	batch_room(&m->b, 1, bytes + n * sizeof(*tags) + sizeof(u) + 64);
	u.data = batch_addr(&m->b, batch_in(&m->b, data, bytes));
	u.tags = batch_addr(&m->b, batch_in(&m->b, tags, n * sizeof(*tags)));
	batch_expect(&m->b,
		     batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(how),
			       batch_in(&m->b, &u, sizeof(u)), IMM(sizeof(u))),
		     (int64_t)n);
}

static int register_files(struct uring_making *m)
{
	const json_t *all = json_object_get(m->u->x, "files");
	const json_t *range = json_object_get(m->u->x, "range");
	size_t n = json_array_size(all);

	make_table(m, IORING_REGISTER_FILES2, n);
	for (size_t i = 0; i < n; i += SLICE) {
		size_t some = MIN(n - i, SLICE);
		uint64_t tags[SLICE];
		int32_t fds[SLICE];

		for (size_t k = 0; k < some; k++) {
			const json_t *one = json_array_get(all, i + k);
			int ret = 0, fd = -1;

			if (element(one, 0))
				ret = number_of(m, (uint32_t)element(one, 0), &fd);
			if (ret < 0)
				return ret;
			fds[k] = fd;
			tags[k] = (uint64_t)element(one, 1);
		}
		fill_table(m, IORING_REGISTER_FILES_UPDATE2, i, some, fds, some * sizeof(*fds),
			   tags);
	}
	if (range) {
		struct {
			uint32_t off, len;
			uint64_t resv;
		} v = {(uint32_t)element(range, 0), (uint32_t)element(range, 1), 0};

		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(URING_REGISTER_FILE_RANGE),
			  batch_in(&m->b, &v, sizeof(v)), IMM(0));
	}
	return 0;
}

static void register_buffers(struct uring_making *m)
{
	const json_t *all = json_object_get(m->u->x, "buffers");
	size_t n = json_array_size(all);

	make_table(m, IORING_REGISTER_BUFFERS2, n);
	for (size_t i = 0; i < n; i += SLICE) {
		size_t some = MIN(n - i, SLICE);
		uint64_t tags[SLICE];
		struct iovec v[SLICE];

		for (size_t k = 0; k < some; k++) {
			const json_t *one = json_array_get(all, i + k);

			v[k] = (struct iovec){(void *)(uintptr_t)element(one, 0),
					      (size_t)element(one, 1)};
			tags[k] = (uint64_t)element(one, 2);
		}
		fill_table(m, IORING_REGISTER_BUFFERS_UPDATE, i, some, v, some * sizeof(*v), tags);
	}
}

int uring_register(struct uring_making *m)
{
	const json_t *eventfd = json_object_get(m->u->x, "eventfd");
	const json_t *workers = json_object_get(m->u->x, "workers");
	uint32_t limits[2] = {(uint32_t)element(workers, 0), (uint32_t)element(workers, 1)};
	uint32_t clock[4] = {(uint32_t)making_number(m, "clock")};
	int ret = register_files(m), fd;

	register_buffers(m);
	if (ret == 0 && eventfd) {
		ret = number_of(m, (uint32_t)element(eventfd, 0), &fd);
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd),
			  IMM(json_is_true(json_array_get(eventfd, 1))
				      ? IORING_REGISTER_EVENTFD_ASYNC
				      : IORING_REGISTER_EVENTFD),
			  batch_in(&m->b, &fd, sizeof(fd)), IMM(1));
	}
	if (limits[0] || limits[1])
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd),
			  IMM(IORING_REGISTER_IOWQ_MAX_WORKERS),
			  batch_in(&m->b, limits, sizeof(limits)), IMM(2));
	if (clock[0] != CLOCK_MONOTONIC)
		batch_add(&m->b, SYS_io_uring_register, IMM(m->tfd), IMM(URING_REGISTER_CLOCK),
			  batch_in(&m->b, clock, sizeof(clock)), IMM(0));
	return ret < 0 ? ret : batch_run(&m->b);
}
