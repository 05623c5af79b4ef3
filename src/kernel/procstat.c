/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/procstat.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 52 /* as proc(5) counts them, from 1 */

/*
 * The name is in parentheses, may itself hold any of them, and is escaped as ESCAPE_SPACE |
 * ESCAPE_SPECIAL would do ("\n" and "\\"); the last ')' ends it.
 */
static int take_comm(char *text, char comm[64], char **rest)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	size_t n = 0;

	if (!open || !close || close < open || close[1] != ' ')
		return err_set(EBADMSG, "stat: no name in parentheses");
	for (char *s = open + 1; s < close && n < 63; s++) {
		if (*s == '\\' && s + 1 < close && (s[1] == 'n' || s[1] == '\\')) {
			comm[n++] = s[1] == 'n' ? '\n' : '\\';
			s++;
		} else {
			comm[n++] = *s;
		}
	}
	comm[n] = 0;
	*rest = close + 2;
	return 0;
}

int procstat_read(int dir, struct procstat *ret)
{
	char text[4096]; /* 52 numbers and a name */
	uint64_t v[FIELDS + 1] = {0};
	struct procstat st = {0};
	char *at = NULL, *end;
	int r, n;

	r = file_read_piece_at(dir, "stat", text, sizeof(text));
	if (r < 0)
		return r;
	st.pid = (pid_t)strtol(text, NULL, 10);
	r = take_comm(text, st.comm, &at);
	if (r < 0)
		return r;
	st.state = *at++;
	/* Negative numbers come through strtoull() as their two's complement. */
	for (n = 4; n <= FIELDS; n++, at = end) {
		v[n] = strtoull(at, &end, 10);
		if (end == at)
			return err_set(EBADMSG, "stat: only %d fields", n - 1);
	}
	st.ppid = (pid_t)v[4];
	st.pgid = (pid_t)v[5];
	st.sid = (pid_t)v[6];
	st.tty_nr = (uint32_t)v[7];
	st.tty_pgrp = (pid_t)v[8];
	st.flags = (uint32_t)v[9];
	st.utime_ticks = v[14];
	st.stime_ticks = v[15];
	st.priority = (int)v[18];
	st.nice = (int)v[19];
	st.threads = (int)v[20];
	st.start_ticks = v[22];
	st.vsize_bytes = v[23];
	st.rss_pages = v[24];
	st.start_code = v[26];
	st.end_code = v[27];
	st.start_stack = v[28];
	st.exit_signal = (int)v[38];
	st.rt_priority = (unsigned)v[40];
	st.policy = (unsigned)v[41];
	st.start_data = v[45];
	st.end_data = v[46];
	st.start_brk = v[47];
	st.arg_start = v[48];
	st.arg_end = v[49];
	st.env_start = v[50];
	st.env_end = v[51];
	st.exit_code = (int)v[52];
	*ret = st;
	return 0;
}
