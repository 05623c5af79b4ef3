/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets whose files were renamed after bind(2), as by a server that takes over from the one
 * before it, or that were linked to another name and unlinked, or that were bound in a directory
 * which is gone since (Qt's servers): both names are what they were, and so are other files of
 * these names.
 */
#include "unix.h"

static char dir[] = "/tmp/cr-unix-XXXXXX";

static void has_name(int fd, const char *name)
{
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);

	check(getsockname(fd, (struct sockaddr *)&a, &len) == 0 && !strcmp(a.sun_path, name),
	      "%s, not %s", a.sun_path, name);
}

static void reaches(int listener, const char *name)
{
	int c = unix_client(name, false, SOCK_STREAM), s = accept(listener, NULL, NULL);

	check(s >= 0, "%s: errno %d", name, errno);
	unix_talk(c, s);
	close(c);
	close(s);
}

int main(void)
{
	char now[64], before[64], old[64], data[64], moved[64], tmp[64], qt[64], buf[8];
	int first, second, cli, acc, waits, dg, dgc, rel, linked, server, fd;
	struct stat st;

	check(mkdtemp(dir) && chdir(dir) == 0 && mkdir("sub", 0700) == 0);
	snprintf(now, sizeof(now), "%s/sock", dir);
	snprintf(before, sizeof(before), "%s/sock.new", dir);
	snprintf(old, sizeof(old), "%s/sock.old", dir);
	snprintf(data, sizeof(data), "%s/data", dir);
	snprintf(moved, sizeof(moved), "%s/sub/data", dir);
	first = unix_bound(now, false, SOCK_STREAM);
	second = unix_bound(before, false, SOCK_STREAM);
	check(chmod(before, 0640) == 0);
	check(rename(now, old) == 0 && rename(before, now) == 0);
	cli = unix_client(now, false, SOCK_STREAM);
	acc = accept(second, NULL, NULL);
	waits = unix_client(now, false, SOCK_STREAM);
	fd = open(before, O_CREAT | O_WRONLY, 0600); /* somebody else's since */
	check(fd >= 0 && write(fd, "kept", 4) == 4 && close(fd) == 0);
	dg = unix_bound(data, false, SOCK_DGRAM);
	dgc = unix_client(data, false, SOCK_DGRAM);
	check(send(dgc, "hello", 5, 0) == 5 && rename(data, moved) == 0);
	rel = unix_bound("relative", false, SOCK_STREAM);
	check(rename("relative", "sub/rel") == 0);
	linked = unix_bound("linked.1", false, SOCK_STREAM);
	check(link("linked.1", "linked") == 0 && unlink("linked.1") == 0);
	snprintf(tmp, sizeof(tmp), "%s/.own/deeper/s", dir);
	snprintf(qt, sizeof(qt), "%s/server", dir);
	check(mkdir(".own", 0700) == 0 && mkdir(".own/deeper", 0700) == 0);
	server = unix_bound(tmp, false, SOCK_STREAM);
	check(rename(tmp, qt) == 0 && rmdir(".own/deeper") == 0 && rmdir(".own") == 0);
	ready();
	has_name(server, tmp);
	reaches(server, qt);
	check(access(".own", F_OK) < 0 && unlink(qt) == 0);
	has_name(first, now);
	has_name(second, before);
	has_name(acc, before);
	has_name(dg, data);
	has_name(rel, "relative");
	unix_talk(cli, acc);
	acc = accept(second, NULL, NULL);
	check(acc >= 0);
	unix_talk(waits, acc);
	reaches(first, old);
	reaches(second, now);
	reaches(rel, "sub/rel");
	reaches(linked, "linked");
	has_name(linked, "linked.1");
	check(access("linked.1", F_OK) < 0 && unlink("linked") == 0);
	check(recv(dg, buf, sizeof(buf), 0) == 5 && !memcmp(buf, "hello", 5));
	check(send(dgc, "again", 5, 0) == 5 && recv(dg, buf, sizeof(buf), 0) == 5);
	check(stat(now, &st) == 0 && (st.st_mode & 07777) == 0640);
	check(stat(before, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 4);
	check(unlink(now) == 0 && unlink(before) == 0 && unlink(old) == 0);
	check(unlink(moved) == 0 && unlink("sub/rel") == 0 && rmdir("sub") == 0);
	check(rmdir(dir) == 0, "nothing else is left there");
	return ok();
}
