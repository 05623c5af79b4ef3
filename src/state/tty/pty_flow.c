/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output that was stopped: by tcflow(3), or by whoever typed ^S.  Nothing says so, but a slave that
 * does not take output although its master has nothing to read is stopped (drivers/tty/pty.c:
 * pty_write_room()), and TCOON goes on with what TCOOFF has stopped, and with nothing else
 * (drivers/tty/tty_ioctl.c: n_tty_ioctl_helper()).
 */
#include "state/tty/pty.h"

#include <asm/termbits.h>
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>

#define SETTLE_MS 20   /* the kernel's worker frees the room of what has been read */
#define KEY_MS	  1000 /* and looks at what was typed */

static const char *const names[] = {NULL, "call", "key"};

static bool takes_output(int slave, int ms)
{
	struct pollfd p = {.fd = slave, .events = POLLOUT};

	return poll(&p, 1, ms) > 0 && p.revents & (POLLOUT | POLLHUP | POLLERR);
}

static int flow(int slave, int how)
{
	return ioctl(slave, TCXONC, how) < 0 ? err_errno("start or stop a terminal") : 0;
}

int pty_flow_start(int master, int slave, GByteArray *queued, enum pty_flow *ret)
{
	int r;

	*ret = PTY_FLOWS;
	if (takes_output(slave, 0))
		return 0;
	r = pty_queue_take(master, queued);
	if (r < 0 || takes_output(slave, SETTLE_MS))
		return r;
	r = flow(slave, TCOON);
	if (r < 0)
		return r;
	*ret = takes_output(slave, 0) ? PTY_STOPPED_BY_CALL : PTY_STOPPED_BY_KEY;
	if (*ret == PTY_STOPPED_BY_KEY)
		r = flow(slave, TCOOFF);
	return r < 0 || *ret == PTY_STOPPED_BY_CALL ? r : flow(slave, TCOON);
}

static int type_stop(int master, int slave)
{
	struct termios2 t;

	if (ioctl(slave, TCGETS2, &t) < 0)
		return err_errno("modes of a terminal");
	if (!(t.c_iflag & IXON) || t.c_cc[VSTOP] == 0)
		return flow(slave, TCOOFF);
	if (write(master, &t.c_cc[VSTOP], 1) != 1)
		return err_errno("stop a terminal");
	for (unsigned i = 0; i < KEY_MS && takes_output(slave, 0); i++)
		g_usleep(1000);
	return 0;
}

int pty_flow_stop(int master, int slave, enum pty_flow how)
{
	return how == PTY_STOPPED_BY_CALL  ? flow(slave, TCOOFF)
	       : how == PTY_STOPPED_BY_KEY ? type_stop(master, slave)
					   : 0;
}

json_t *pty_flow_json(enum pty_flow how)
{
	return json_string(names[how]);
}

enum pty_flow pty_flow_load(const json_t *v)
{
	for (unsigned i = PTY_STOPPED_BY_CALL; i < ARRAY_SIZE(names); i++)
		if (g_strcmp0(json_string_value(v), names[i]) == 0)
			return (enum pty_flow)i;
	return PTY_FLOWS;
}
