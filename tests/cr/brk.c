/* SPDX-License-Identifier: Apache-2.0 */
/* The program break, and what /proc tells about the program. */
#include "cr.h"

static void snapshot(char *buf, size_t len)
{
	char exe[256] = "", cmd[256] = "", comm[32] = "";
	int fd = open("/proc/self/cmdline", O_RDONLY);
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	check(n > 0 && fd >= 0 && read(fd, cmd, sizeof(cmd) - 1) > 0);
	close(fd);
	fd = open("/proc/self/comm", O_RDONLY);
	check(read(fd, comm, sizeof(comm) - 1) > 0);
	close(fd);
	snprintf(buf, len, "%s|%s|%s", exe, cmd, comm);
}

static void maps_names(char *buf, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	*buf = 0;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[heap]") || strstr(line, "[stack]") || strstr(line, "[vdso]") ||
		    strstr(line, "[vvar"))
			strncat(buf, line, len - strlen(buf) - 1);
	fclose(f);
}

int main(void)
{
	char before[600], after[600];
	static char maps1[8192], maps2[8192];
	char *was, *p;

	snapshot(before, sizeof(before));
	maps_names(maps1, sizeof(maps1)); /* the C library takes its share of the break */
	check(sbrk(123456) != (void *)-1);
	was = sbrk(0);
	memset(was - 1000, 'h', 1000);
	maps_names(maps1, sizeof(maps1));
	check(sbrk(0) == was);
	ready();
	check(sbrk(0) == was, "break %p was %p", sbrk(0), (void *)was);
	check(was[-1] == 'h' && was[-1000] == 'h');
	p = sbrk(65536);
	check(p == was);
	memset(p, 1, 65536);
	check(brk(was) == 0);
	snapshot(after, sizeof(after));
	check(!strcmp(before, after), "%s became %s", before, after);
	maps_names(maps2, sizeof(maps2));
	check(!strcmp(maps1, maps2), "maps differ");
	return ok();
}
