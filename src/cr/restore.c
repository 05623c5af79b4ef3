/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of a restore: the parts of restore_steps.h, each step for all that it is about. Nothing
 * of the tree outlives a failure; the images are only read.
 */
#include "cr/born.h"
#include "cr/cryo.h"
#include "cr/records.h"
#include "cr/restore_steps.h"

#include "base/log.h"
#include "state/fd/files.h"
#include "state/mem/lazy.h"
#include "state/mem/mem.h"
#include "state/mem/staged.h"
#include "state/ns/mqueue.h"
#include "state/ns/spaces.h"
#include "state/sock/socks.h"
#include "state/task/task.h"
#include "state/tty/tty.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define KILL_TIMEOUT_MS 5000

int rtask_wrap(const struct rtask *t, int err)
{
	const char *comm = t->core ? t->core->tc->comm : "helper";

	return err < 0 ? err_wrap(err, "task %d (%s)", t->nspid, comm) : err;
}

/* CPUs that poll are for turns; reading much memory takes few of them. */
static bool has_little_memory(const struct restore *r)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < r->nimages; i++)
		pages += restore_task(r, i)->pages.nr_pages;
	return pages * IMAGE_PAGE_SIZE <= PACE_MAX_BYTES;
}

static int run(struct restore *r, const struct restore_part *part, uint32_t *ret_us)
{
	uint64_t start = step_now_us();
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < part->n; i++) {
		const struct restore_step *s = &part->steps[i];
		uint64_t at = step_now_us();

		if (s->all == mem_fill && !has_little_memory(r))
			pace_end(&r->pace);
		ret = restore_step_run(r, s);
		log_debug("restore: %s: %" PRIu64 " us", s->name, step_now_us() - at);
	}
	*ret_us += (uint32_t)(step_now_us() - start);
	return ret;
}

static void task_free(void *p)
{
	struct rtask *t = p;

	for (unsigned i = 1; i < t->nthreads; i++)
		if (t->threads[i].core)
			core_entry__free_unpacked(t->threads[i].core, NULL);
	fs_threads_end(t);
	files_threads_free(t);
	if (t->core)
		core_entry__free_unpacked(t->core, NULL);
	if (t->mm)
		mm_entry__free_unpacked(t->mm, NULL);
	if (t->fs)
		fs_entry__free_unpacked(t->fs, NULL);
	if (t->fds)
		g_ptr_array_unref(t->fds);
	page_set_clear(&t->pages);
	if (t->have)
		g_array_unref(t->have);
	g_free(t->threads);
	g_free(t);
}

static void restore_clear(struct restore *r)
{
	ERR_KEEP;

	if (r->ghosts_made && ghosts_unlink(r) < 0)
		log_warn("%s", err_message());
	mqueue_close(r);
	bpfmaps_end(r);
	socks_restore_end(r);
	socks_tcp_end(r);
	if (r->files)
		files_close(r);
	shmem_close(r);
	ttys_free(r);
	adrift_end(r);
	agent_free(&r->agent);
	g_clear_pointer(&r->tasks, g_ptr_array_unref);
	g_clear_pointer(&r->steps, g_array_unref);
	g_clear_pointer(&r->files, g_hash_table_unref);
	g_clear_pointer(&r->named, g_hash_table_unref);
	g_clear_pointer(&r->shms, g_hash_table_unref);
	g_clear_pointer(&r->ghosts, g_hash_table_unref);
	linked_restore_end(r, false);
	g_clear_pointer(&r->linked, g_hash_table_unref);
	g_clear_pointer(&r->gone, g_hash_table_unref);
	g_clear_pointer(&r->urings, g_hash_table_unref);
	g_clear_pointer(&r->traced, g_ptr_array_unref);
	g_clear_pointer(&r->locks, g_ptr_array_unref);
	g_clear_pointer(&r->groups, g_array_unref);
	g_clear_pointer(&r->ghosts_made, g_hash_table_unref);
	if (r->seccomp)
		seccomp_entry__free_unpacked(r->seccomp, NULL);
	if (r->users)
		userns_entry__free_unpacked(r->users, NULL);
	json_decref(r->extra);
	for (int i = 0; i < 3; i++)
		cleanup_close(&r->stdio[i]);
	cleanup_close(&r->root);
	spaces_free(r);
	stub_clear(&r->stub);
	pace_end(&r->pace);
	for (unsigned i = 0; r->guests && i < r->o.nguests; i++) {
		for (int k = 0; k < 3; k++)
			cleanup_close(&r->guests[i].stdio[k]);
		stub_clear(&r->guests[i].stub);
	}
	g_free(r->guests);
}

/* The story so far must survive the clearing up. */
static void kill_box(struct restore *r, const struct cryo_box *box)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;

	agent_free(&r->agent);
	if (box->pid > 0 && proc_open(box->pid, &p) == 0) {
		if (proc_signal(&p, SIGKILL) == 0 && proc_wait_end(&p, KILL_TIMEOUT_MS) != 1)
			log_warn("process %d would not die", box->pid);
		if (box->child)
			waitpid(box->pid, NULL, __WALL);
	}
}

static int thaw(struct restore *r, const struct cryo_box *box)
{
	uint32_t planning = 0;
	int ret = r->o.stage ? 0 : stub_await(box->sock, STUB_TIMEOUT_MS, &r->stub);

	if (r->o.stage)
		stage_give_stub(r->o.stage, &r->stub);
	if (ret == 0)
		ret = run(r, &restore_plan, &planning);
	if (ret == 0)
		ret = run(r, &restore_fork, &r->stats.forking_time);
	if (ret == 0)
		ret = run(r, &restore_rest, &r->stats.restore_time);
	if (ret == 0)
		ret = run(r, &restore_end, &r->stats.restore_time);
	if (ret == 0 && r->traced->len)
		ret = run(r, &restore_traced, &r->stats.restore_time);
	if (ret == 0 && r->tracers)
		ret = run(r, &restore_end, &r->stats.restore_time);
	r->stats.restore_time += planning + r->stats.forking_time;
	if (ret == 0)
		ret = step_begin("restore", "end");
	return ret == 0 && r->o.commit ? r->o.commit(r->o.commit_arg) : ret;
}

int cryo_restore(const struct cryo_restore_options *options, struct cryo_box *box,
		 struct cryo_restored *ret)
{
	CLEANUP(restore_clear)
	struct restore r = {
		.o = *options,
		.stub = STUB_NONE,
		.stdio = {-1, -1, -1},
		.root = -1,
		.pace = PACE_NONE,
		.tasks = g_ptr_array_new_with_free_func(task_free),
	};
	int e;

	for (unsigned k = 0; k < NS_COUNT; k++)
		r.home[k] = -1;
	pace_begin(&r.pace);
	e = thaw(&r, box);
	close(take_fd(&box->sock));
	if (e < 0) {
		g_autofree char *story = g_strdup(err_message());

		kill_box(&r, box);
		return err_adopt(e, story);
	}
	linked_restore_end(&r, true);
	socks_go(&r);
	ret->pid = r.stub.pid;
	e = r.o.leave_stopped ? stopped_let_go(&r) : agent_let_go(r.agent);
	if (e == 0)
		e = lazy_end(&r);
	ret->stats = r.stats;
	records_restore_stats(&r);
	return e;
}

int cryo_images_check(int images)
{
	CLEANUP(restore_clear)
	struct restore r = {
		.o = {.images = images},
		.stub = STUB_NONE,
		.stdio = {-1, -1, -1},
		.root = -1,
		.pace = PACE_NONE,
		.tasks = g_ptr_array_new_with_free_func(task_free),
	};

	int ret;

	for (unsigned k = 0; k < NS_COUNT; k++)
		r.home[k] = -1;
	ret = records_load(&r);

	if (ret == 0 && restore_task(&r, 0)->zombie)
		return err_set(EBADMSG, "the first process of the checkpoint had ended");
	return ret < 0 ? ret : born_plan(&r);
}
