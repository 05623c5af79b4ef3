/* SPDX-License-Identifier: Apache-2.0 */
/* The same by the program cryo: --dry-run, dump and restore. */
#include "run.h"

#include "base/file.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int command(struct run *r, const char *const *argv)
{
	const int fds[] = {r->in[0], r->out[1]};
	const struct spawn s = {
		.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE, .fds = fds, .nfds = 2};

	return spawn_check(&s, NULL, NULL);
}

/*
 * All that /proc tells of the program, which stands still; how often it was woken up, too.  Whoever
 * reads its memory makes pages of files present.
 */
static int picture(pid_t pid, char **ret)
{
	g_autofree char *script =
		g_strdup_printf("cd /proc/%d && grep -v -e ^VmHWM -e ^VmRSS -e ^RssFile -e ^VmPTE "
				"-e ^SigQ status && "
				"cat maps limits && cut -d' ' -f 1-9 stat && "
				"for i in fd/*; do readlink $i; cat fdinfo/${i#fd/}; done; ls task",
				pid);
	const char *const argv[] = {"sh", "-c", script, NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE};

	return spawn_check(&s, ret, NULL);
}

static int compare(const char *before, const char *after)
{
	g_auto(GStrv) was = g_strsplit(before, "\n", -1), is = g_strsplit(after, "\n", -1);

	for (unsigned i = 0; was[i]; i++)
		if (g_strcmp0(was[i], is[i]) != 0)
			return err_set(EPROTO, "the program is another one: \"%s\" was \"%s\"",
				       is[i] ?: "", was[i]);
	return 0;
}

/* Whoever has said a word is not asleep yet. */
static int settle(pid_t pid, char **ret)
{
	g_autofree char *before = NULL;
	int e = picture(pid, &before);

	for (unsigned i = 0; e == 0; i++) {
		g_usleep(10000);
		e = picture(pid, ret);
		if (e == 0 && (strcmp(before, *ret) == 0 || i == PATIENCE_MS / 10))
			return 0;
		g_free(before);
		before = e == 0 ? g_steal_pointer(ret) : NULL;
	}
	return e;
}

/* POSSIBLE: nothing is to stop a dump. */
int run_look(struct run *r, bool possible)
{
	g_autofree char *pid = g_strdup_printf("%d", r->pid), *before = NULL, *after = NULL;
	const int fds[] = {r->in[0], r->out[1]};
	const char *const argv[] = {r->cryo, "dump", "--dry-run", "-D", r->dir, "-t", pid, NULL};
	const struct spawn s = {.argv = argv,
				.in = SPAWN_NULL,
				.out = SPAWN_CAPTURE,
				.err = SPAWN_CAPTURE,
				.fds = fds,
				.nfds = 2};
	CLEANUP(spawn_result_clear) struct spawn_result done = {0};
	int e = settle(r->pid, &before);

	if (e == 0)
		e = spawn_run(&s, &done);
	if (e == 0)
		e = picture(r->pid, &after);
	if (e < 0)
		return e;
	printf("look: %s%s", done.out, done.err);
	if (spawn_exit_code(done.status) != !possible)
		return err_set(EPROTO, "it ended with status %d", spawn_exit_code(done.status));
	e = run_says_all(r, done.out);
	return e < 0 ? e : compare(before, after);
}

/* A child of ours again: its parent is that of cryo. */
int run_by_command(struct run *r)
{
	g_autofree char *dir = g_strdup_printf("%s/%u", r->dir, r->generation++);
	g_autofree char *pid = g_strdup_printf("%d", r->pid), *now = NULL;
	g_autofree char *in = g_strconcat("fd[3]:", r->keys[0], NULL);
	g_autofree char *out = g_strconcat("fd[4]:", r->keys[1], NULL);
	const char *rooted = r->root ? "--root" : NULL;
	const char *tcp = r->tcp ? "--tcp-established" : "--no-tcp-established";
	const char *const to_dump[] = {r->cryo, "dump", "-v4", "-D",   dir,	"-t",
				       pid,	"-l",	tcp,   rooted, r->root, NULL};
	const char *const to_restore[] = {
		r->cryo,	"restore", "-v4",	   "-D", dir,	      "-d",  "-S", "-l",
		"--inherit-fd", in,	   "--inherit-fd", out,	 "--pidfile", "pid", tcp,  rooted,
		r->root,	NULL};
	int e;

	/* as runtimes have it: who is mapped cannot get at the root by its path */
	if (chmod(r->dir, 0700) < 0 || mkdir(dir, 0700) < 0)
		return err_errno("mkdir %s", dir);
	e = command(r, to_dump);
	if (e < 0)
		return err_wrap(e, "dump");
	if (waitpid(r->pid, NULL, 0) != r->pid)
		return err_errno("waiting for process %d", r->pid);
	e = command(r, to_restore);
	if (e < 0)
		return err_wrap(e, "restore");
	g_free(pid);
	pid = g_build_filename(dir, "pid", NULL);
	e = file_read_at(AT_FDCWD, pid, 64, &now, NULL);
	if (e == 0)
		r->pid = atoi(now);
	return e;
}
