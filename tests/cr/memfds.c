/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memfd: content, name, mode, seals, positions, a second description, a child that has it too,
 * mappings shared and private, one that only a mapping holds, one that is sealed against writing.
 */
#include "cr.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define FAR (64 << 20)

static int fd;
static char *shared;

static int verify_child(void)
{
	char buf[8];

	if (pread(fd, buf, 5, FAR) != 5 || memcmp(buf, "child", 5) != 0)
		return 10;
	strcpy(shared + 4096, "from the child");
	return 0;
}

static char *map(int prot, int flags, int of)
{
	char *p = mmap(NULL, 8192, prot, flags, of, 0);

	check(p != MAP_FAILED, "errno %d", errno);
	return p;
}

/* Written to, mapped, and executed: nobody who has opened it writes to it. */
static int script(void)
{
	static const char text[] = "#!/proc/self/exe run\n";
	int program = memfd_create("script", 0);

	check(write(program, text, strlen(text)) == (ssize_t)strlen(text));
	check(fcntl(program, F_SETFL, O_APPEND) == 0);
	map(PROT_READ | PROT_WRITE, MAP_SHARED, program);
	return program;
}

static bool runs(int program)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		char name[] = "script", *const argv[] = {name, NULL};

		syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
		_exit(errno);
	}
	check(waitpid(pid, &status, 0) == pid);
	return status == 0;
}

int main(int argc, char **argv)
{
	char buf[32], path[64], link[64] = "";
	int ro, sealed, only_map, future, program;
	char *private, *lonely, *reads, *kept;
	struct stat st;
	struct child c;

	if (argc > 1 && strcmp(argv[1], "run") == 0)
		return 0;
	fd = memfd_create("named thing", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	check(fd >= 0 && write(fd, "hello memfd", 11) == 11 && fchmod(fd, 0640) == 0);
	check(fchown(fd, 12, 34) == 0 && ftruncate(fd, FAR + 4097) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	check(ro >= 0 && lseek(ro, 6, SEEK_SET) == 6);
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
	shared = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	private = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	strcpy(private, "private");
	sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
	check(write(sealed, "constant", 8) == 8 && ftruncate(sealed, 8192) == 0);
	check(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL) == 0);
	reads = map(PROT_READ, MAP_PRIVATE, sealed);
	only_map = memfd_create("", 0);
	check(ftruncate(only_map, 8192) == 0);
	lonely = map(PROT_READ | PROT_WRITE, MAP_SHARED, only_map);
	strcpy(lonely + 5000, "lonely");
	close(only_map);
	future = memfd_create("future", MFD_ALLOW_SEALING);
	check(ftruncate(future, 8192) == 0);
	kept = map(PROT_READ | PROT_WRITE, MAP_SHARED, future);
	check(fcntl(future, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
	program = script();
	check(runs(program));
	check(pwrite(fd, "child", 5, FAR) == 5);
	c = child_start(NULL, verify_child);

	ready();

	child_go(&c);
	check(strcmp(shared + 4096, "from the child") == 0, "%s", shared + 4096);
	check(readlink(path, link, sizeof(link) - 1) > 0);
	check(strcmp(link, "/memfd:named thing (deleted)") == 0, "%s", link);
	check(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_uid == 12 &&
		      st.st_gid == 34 && st.st_size == FAR + 4097,
	      "mode %o size %ld", st.st_mode, (long)st.st_size);
	check(st.st_blocks < 100, "%ld blocks", (long)st.st_blocks);
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC && lseek(fd, 0, SEEK_CUR) == 11);
	check(read(ro, buf, 5) == 5 && memcmp(buf, "memfd", 5) == 0);
	check((fcntl(ro, F_GETFL) & O_ACCMODE) == O_RDONLY);
	check(fcntl(fd, F_GET_SEALS) == F_SEAL_GROW, "%#x", fcntl(fd, F_GET_SEALS));
	check(strcmp(private, "private") == 0 && memcmp(shared, "hello memfd", 11) == 0);
	strcpy(shared, "shared");
	check(pread(fd, buf, 7, 0) == 7 && strcmp(buf, "shared") == 0);
	check(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL));
	check(write(sealed, "x", 1) < 0 && errno == EPERM);
	check(memcmp(reads, "constant", 8) == 0);
	check(strcmp(lonely + 5000, "lonely") == 0);
	strcpy(kept, "still writable");
	check(write(future, "x", 1) < 0 && errno == EPERM);
	check(runs(program));
	check(write(program, "s", 1) == 1 && (fcntl(program, F_GETFL) & O_APPEND));
	return ok();
}
