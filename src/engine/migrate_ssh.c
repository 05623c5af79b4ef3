/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/migrate_out.h"

#include "base/interrupt.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 600 /* it may have to unpack a large image */
#define END_MS	   3000

int migrate_connect(struct moving *m)
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
					.err = STDERR_FILENO,
					.unmoved = true},
			&m->ssh);
	close(to[0]);
	close(from[1]);
	m->out = to[1];
	m->in = from[0];
	if (r < 0)
		return r;
	m->ch = channel_new(m->in, m->out);
	channel_patience(m->ch, PATIENCE_S, true);
	return 0;
}

/*
 * What is undone there is waited for.  Whoever has not even been reached, or does not end, is left:
 * it may be ssh that asks for a password, or a dead network.
 */
void migrate_disconnect(struct moving *m)
{
	unsigned patience = !m->heard && interrupt_check() < 0 ? 0 : END_MS;
	int status = -1;

	channel_free(&m->ch);
	cleanup_close(&m->out); /* it ends by itself then */
	cleanup_close(&m->in);
	m->out = m->in = -1;
	for (unsigned i = 0; m->ssh > 0 && waitpid(m->ssh, &status, WNOHANG) == 0; i++) {
		if (i == patience) /* our own child keeps its number until now */
			kill(m->ssh, SIGTERM);
		if (i == patience + END_MS)
			kill(m->ssh, SIGKILL);
		g_usleep(1000);
	}
	if (m->ssh > 0)
		m->ssh_status = status;
	m->ssh = 0;
}

/* ssh(1): 255 for its own failures, which it has told by then; else the command's status. */
int migrate_explain(struct moving *m, int r)
{
	const char *command = m->o->command ?: "cryopod";
	json_t *unused = NULL;
	int code;

	if (r != -EPIPE)
		return r;
	/* It may have said why before it closed, while we were writing. */
	channel_patience(m->ch, 1, true);
	r = channel_hear(m->ch, &unused);
	if (r == 0)
		r = err_set(EPIPE, "the other side has closed the connection");
	json_decref(unused);
	if (channel_was_refused(m->ch))
		return r;
	{
		ERR_KEEP;

		migrate_disconnect(m);
	}
	code = m->ssh_status < 0 ? 0 : spawn_exit_code(m->ssh_status);
	if (code == 255)
		return err_set(EPIPE, "ssh could not reach %s, or has lost it", m->o->host);
	if (!m->heard && (code == 126 || code == 127))
		return err_set(ENOENT,
			       "%s could not be started on %s: is it installed, and in PATH there? "
			       "(--remote-command names it)",
			       command, m->o->host);
	return r;
}

int migrate_hear(struct moving *m, const char *key, json_t **ret)
{
	json_t *answer = NULL;
	int r = channel_hear(m->ch, &answer);

	m->heard |= r == 0 || channel_was_refused(m->ch);
	if (r == 0 && !json_object_get(answer, key))
		r = err_set(EBADMSG, "the other side did not say \"%s\"", key);
	if (r == 0 && ret)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}

int migrate_ask(struct moving *m, json_t *say, const char *key, json_t **ret)
{
	int r = channel_say(m->ch, say);

	return r < 0 ? r : migrate_hear(m, key, ret);
}
