/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_parts.h"

#include "base/file.h"
#include "base/spawn.h"
#include "engine/archive_out.h"
#include "engine/checkpoint.h"
#include "engine/ckfiles.h"
#include "engine/lifecycle.h"
#include "engine/precheckpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define ROUNDS_MAX 8 /* of those that nobody has asked for by number */
/* What freezing, dumping and thawing take besides the memory; a guess for the first estimate. */
#define FIXED_US 120000

struct moving {
	struct engine *e;
	struct container *c;
	const struct migrate_options *o;
	struct channel *ch;
	pid_t ssh;
	int in, out;
	struct migrate_report *report;
	uint64_t rate; /* bytes a second that get through */
	int64_t frozen_at;
	bool streaming, killed;
	char *said; /* the first error of what came after the kill */
};

static void moving_clear(struct moving *m)
{
	ERR_KEEP;

	channel_free(&m->ch);
	cleanup_close(&m->out); /* it ends by itself then */
	cleanup_close(&m->in);
	if (m->ssh > 0)
		waitpid(m->ssh, NULL, 0);
	g_free(m->said);
}

/* ssh and its options, the host, and the command there. */
static int connect_there(struct moving *m)
{
	g_autofree char *there =
		g_strdup_printf("%s container migrate-receive", m->o->command ?: "cryopod");
	g_auto(GStrv) words = NULL;
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GError) why = NULL;
	int to[2], from[2], r;

	if (!g_shell_parse_argv(m->o->ssh ?: "ssh", NULL, &words, &why))
		return err_set(EINVAL, "--ssh %s: %s", m->o->ssh, why->message);
	for (char **w = words; *w; w++)
		g_ptr_array_add(argv, *w);
	g_ptr_array_add(argv, (void *)m->o->host);
	g_ptr_array_add(argv, there);
	g_ptr_array_add(argv, NULL);
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return err_errno("make a pipe");
	r = spawn_start(&(struct spawn){.argv = (const char *const *)argv->pdata,
					.in = to[0],
					.out = from[1],
					.err = STDERR_FILENO},
			&m->ssh);
	close(to[0]);
	close(from[1]);
	m->out = to[1];
	m->in = from[0];
	if (r == 0)
		m->ch = channel_new(m->in, m->out);
	return r;
}

static int greet(struct moving *m)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	json_t *hello, *answer = NULL;
	int r = image_resolve(m->e, m->c->image_id, &img);

	if (r < 0)
		return r;
	hello = json_pack("{si ss ss ss ss ss sb ss*}", "version", MIGRATE_VERSION, "id", m->c->id,
			  "name", m->c->name, "imageID", img.id, "imageDigest", img.digest,
			  "imageName", m->c->image_name, "tcpEstablished", m->o->tcp_established,
			  "newName", m->o->name);
	r = channel_say(m->ch, hello);
	if (r == 0)
		r = channel_hear(m->ch, &answer);
	if (r == 0 && json_is_true(json_object_get(answer, "needImage"))) {
		uint64_t before = channel_bytes_out(m->ch);

		json_decref(answer);
		r = migrate_send_image(m->e, m->ch, &img);
		m->report->image_bytes = channel_bytes_out(m->ch) - before;
		answer = NULL;
		if (r == 0)
			r = channel_hear(m->ch, &answer);
	}
	json_decref(answer);
	return r;
}

/* The files of the newest round; those before are there already. */
static int pack_round(struct pack *p, int dir)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", dir);
	g_autoptr(GDir) names = g_dir_open(path, 0, NULL);
	const char *name;
	struct stat st;
	int r = names ? 0 : err_set(EIO, "read " CK_PRE_IMAGES);

	while (r == 0 && (name = g_dir_read_name(names))) {
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = err_errno("stat %s", name);
		else if (S_ISREG(st.st_mode))
			r = pack_file_at(p, name, dir, name);
		else if (S_ISLNK(st.st_mode))
			r = pack_symlink(p, "parent", "previous");
	}
	return r < 0 ? r : pack_finish(p);
}

static int send_round(struct moving *m)
{
	CLEANUP(pack_drop) struct pack *p = NULL;
	g_autofree char *path = ck_path(m->e, m->c, CK_PRE_IMAGES);
	autoclose int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *answer = NULL;
	int fd, r1, r = dir < 0 ? err_errno("open %s", path) : 0;

	if (r == 0)
		r = channel_say(m->ch, json_pack("{ss}", "next", "round"));
	if (r == 0)
		r = channel_out_begin(m->ch, &fd);
	if (r < 0)
		return r;
	r = pack_open(&(struct pack_options){.fd = fd,
					     .compression = PACK_NONE,
					     .shown = "a round of memory"},
		      &p);
	if (r == 0)
		r = pack_round(p, dir);
	r1 = channel_out_end(m->ch);
	if (r == 0)
		r = r1;
	if (r == 0)
		r = channel_hear(m->ch, &answer);
	json_decref(answer);
	return r;
}

static void tell(const struct moving *m, const struct migrate_round *round)
{
	if (m->o->progress)
		m->o->progress(m->o->progress_arg, round);
}

/* Is another round worth it? */
static bool enough(const struct moving *m, const struct migrate_round *now, uint64_t before)
{
	if (m->o->rounds >= 0)
		return (int)now->number >= m->o->rounds;
	return now->expected_us <= m->o->downtime_us || now->number >= ROUNDS_MAX ||
	       (before && now->bytes >= before - before / 5);
}

/*
 * What is dirty when this round has been sent has to be sent next: at the rate at which it gets
 * dirty that much comes together in the time that the round takes.
 */
static int pre_copy(struct moving *m)
{
	uint64_t before = 0;
	int64_t ended = 0;

	for (unsigned n = 1; m->o->rounds != 0; n++) {
		struct migrate_round now = {.number = n};
		struct checkpoint_report dumped;
		int64_t from = g_get_monotonic_time(), dumped_at;
		int r = container_precheckpoint(m->e, m->c, NULL, &dumped);

		dumped_at = g_get_monotonic_time();
		if (r == 0)
			r = send_round(m);
		if (r < 0)
			return r;
		now.bytes = dumped.cryo.pages_written * PAGE_BYTES;
		now.took_us = g_get_monotonic_time() - from;
		m->rate = now.bytes * 1000000 / (uint64_t)MAX(now.took_us, 1);
		if (ended)
			now.dirty_rate = now.bytes * 1000000 / (uint64_t)MAX(dumped_at - ended, 1);
		now.expected_us =
			FIXED_US +
			(ended ? (int64_t)(now.dirty_rate * (uint64_t)now.took_us / MAX(m->rate, 1))
			       : now.took_us);
		ended = dumped_at;
		m->report->rounds = n;
		m->report->memory_bytes += now.bytes;
		tell(m, &now);
		if (enough(m, &now, before))
			break;
		before = now.bytes;
	}
	return 0;
}

/* Called frozen: the peer has everything; has it thawed it, too? */
static int agreed(void *arg)
{
	struct moving *m = arg;
	json_t *answer = NULL;
	int r = channel_out_end(m->ch);

	m->streaming = false;
	if (r == 0)
		r = channel_hear(m->ch, &answer);
	if (r == 0 && !json_is_true(json_object_get(answer, "ready")))
		r = err_set(EBADMSG, "the other side did not say that it is ready");
	json_decref(answer);
	return r;
}

static void killed(void *arg)
{
	struct moving *m = arg;

	m->killed = true;
	if (channel_say(m->ch, json_pack("{sb}", "go", 1)) < 0)
		m->said = g_strdup(err_message());
	err_clear();
}

static int send_rest(struct moving *m)
{
	struct archive_options export = {.compression = PACK_NONE};
	const struct checkpoint_options o = {
		.tcp_established = m->o->tcp_established,
		.file_locks = true,
		.with_previous = m->report->rounds > 0,
		.export = &export,
		.agreed = agreed,
		.killed = killed,
		.hook_arg = m,
	};
	uint64_t before = channel_bytes_out(m->ch);
	struct checkpoint_report report;
	int r = channel_say(m->ch, json_pack("{ss}", "next", "rest"));

	if (r == 0)
		r = channel_out_begin(m->ch, &export.fd);
	if (r < 0)
		return r;
	m->streaming = true;
	m->frozen_at = g_get_monotonic_time();
	r = container_checkpoint(m->e, m->c, &o, &report);
	m->report->last_bytes = channel_bytes_out(m->ch) - before;
	m->report->memory_bytes += report.cryo.pages_written * PAGE_BYTES;
	if (m->streaming) {
		ERR_KEEP;

		if (channel_out_end(m->ch) < 0)
			err_clear();
	}
	return r;
}

/* It is not here any more: whatever went wrong, nothing may be lost by it. */
static int confirm(struct moving *m)
{
	json_t *answer = NULL;
	int r = m->said ? err_set(EPIPE, "%s", m->said) : channel_hear(m->ch, &answer);

	m->report->downtime_us = g_get_monotonic_time() - m->frozen_at;
	if (r < 0)
		return err_wrap(r,
				"%s is checkpointed here, and it is not known whether it runs on "
				"%s: if not, `container restore %s` brings it back",
				m->c->name, m->o->host, m->c->name);
	g_strlcpy(m->report->id, json_string_value(json_object_get(answer, "running")) ?: "",
		  sizeof(m->report->id));
	json_decref(answer);
	return 0;
}

static int leave(struct moving *m)
{
	const struct remove_options how = {.force = true, .volumes = true, .timeout = 0};

	return m->o->keep ? 0 : container_remove(m->e, m->c, &how);
}

/* What nobody needs when it stays. */
static void drop_rounds(struct moving *m)
{
	g_autofree char *path = ck_path(m->e, m->c, CK_PRE_IMAGES);
	ERR_KEEP;

	if (file_remove_tree_at(AT_FDCWD, path) < 0)
		err_clear();
}

int container_migrate(struct engine *e, struct container *c, const struct migrate_options *o,
		      struct migrate_report *ret)
{
	CLEANUP(moving_clear)
	struct moving m = {.e = e, .c = c, .o = o, .in = -1, .out = -1, .report = ret};
	int64_t from = g_get_monotonic_time();
	int r = checkpoint_check_state(e, c, true);

	*ret = (struct migrate_report){0};
	if (r == 0)
		r = archive_check(e, c);
	if (r == 0)
		r = connect_there(&m);
	if (r == 0)
		r = greet(&m);
	if (r == 0)
		r = pre_copy(&m);
	if (r == 0)
		r = send_rest(&m);
	if (r < 0) {
		drop_rounds(&m);
		return m.killed
			       ? r
			       : err_set(-r, "%s; %s goes on running here", err_message(), c->name);
	}
	r = confirm(&m);
	if (r == 0)
		r = leave(&m);
	ret->total_us = g_get_monotonic_time() - from;
	return r;
}
