/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps by libcryo: in rounds, as they are, and with each step failing once. */
#include "run.h"

#include "base/fd.h"
#include "cr/step.h"
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

int run_images_dir(struct run *r, int *ret_fd)
{
	g_autofree char *name = g_strdup_printf("%s/%u", r->dir, r->generation++);

	if (mkdir(name, 0700) < 0)
		return err_errno("mkdir %s", name);
	*ret_fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_errno("open %s", name) : 0;
}

#define ROUNDS	 2 /* of programs that know nothing of it */
#define CHANGING 4 /* mode rounds: the program changes its memory before each but the first */

/* Rounds of memory before; *RET_PARENT is the last one's directory. */
int run_predump(struct run *r, bool changing, char **ret_parent, int *ret_fd)
{
	g_autofree char *parent = NULL;
	autoclose int parent_fd = -1;
	int e = 0;

	for (int i = 0; e == 0 && i < (changing ? CHANGING : ROUNDS); i++) {
		struct cryo_dump_options o = {
			.pid = r->pid, .parent = parent, .parent_dir = parent_fd};
		g_autofree char *mine = g_strdup_printf("../%u", r->generation);
		struct cryo_dump_stats stats;
		autoclose int dir = -1;

		e = run_images_dir(r, &dir);
		if (e == 0)
			e = cryo_predump(&o, dir, &stats);
		if (e == 0)
			printf("pre-dump: frozen %u us, pages %" G_GUINT64_FORMAT
			       ", unchanged %" G_GUINT64_FORMAT "\n",
			       stats.frozen_time, stats.pages_written, stats.pages_skipped_parent);
		if (e == 0 && changing)
			e = fd_write_full(r->in[1], "r", 1);
		if (e == 0 && changing)
			e = run_expect(r, "ready");
		g_free(parent);
		parent = g_steal_pointer(&mine);
		cleanup_close(&parent_fd);
		parent_fd = take_fd(&dir);
	}
	*ret_parent = g_steal_pointer(&parent);
	*ret_fd = take_fd(&parent_fd);
	return e < 0 ? err_wrap(e, "pre-dump") : 0;
}

int run_dump(struct run *r, int dir, enum cryo_finish how, const char *parent, int parent_dir)
{
	const struct cryo_external externals[] = {{r->keys[0], "stdin"}, {r->keys[1], "stdout"}};
	const struct cryo_dump_options o = {
		.pid = r->pid,
		.externals = externals,
		.nexternals = 2,
		.leave_running = how == CRYO_RESUME,
		.tcp_established = r->tcp,
		.ext_unix_sk = r->ext_unix,
		.snapshot = how == CRYO_RESUME,
		.file_locks = r->expected->len == 0,
		.parent = parent,
		.parent_dir = parent_dir,
	};
	CLEANUP(cryo_dump_drop) struct cryo_dump *d = NULL;
	int e = cryo_dump_new(&o, &d);

	if (e == 0)
		e = cryo_dump_write(d, dir);
	if (e == 0)
		e = step_begin("run", "commit");
	if (e == 0)
		e = cryo_dump_finish(d, how);
	if (e < 0)
		return err_wrap(e, "dump");
	printf("freezing %u us, frozen %u us, pages %" G_GUINT64_FORMAT "\n",
	       cryo_dump_stats(d)->freezing_time, cryo_dump_stats(d)->frozen_time,
	       cryo_dump_stats(d)->pages_written);
	/* who is parent and tracer at once has reaped it already */
	if (how == CRYO_KILL && waitpid(r->pid, NULL, 0) != r->pid && errno != ECHILD)
		return err_errno("waiting for process %d", r->pid);
	return 0;
}

/* *RET_DIR: the images of the dump that did not fail. */
int run_dump_with_faults(struct run *r, int *ret_dir)
{
	for (unsigned i = 1;; i++) {
		autoclose int dir = -1;
		int e = run_images_dir(r, &dir);

		if (e < 0)
			return e;
		faults_arm(i);
		e = run_dump(r, dir, CRYO_KILL, NULL, -1);
		if (!faults_struck()) {
			faults_arm(0);
			*ret_dir = take_fd(&dir);
			return e;
		}
		if (e == 0)
			return err_set(EPROTO, "fault %u was not noticed", i);
		printf("%s\n", err_message());
		err_clear();
	}
}
