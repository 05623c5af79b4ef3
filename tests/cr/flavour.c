/* SPDX-License-Identifier: Apache-2.0 */
#include "flavour.h"

#include "base/fd.h"
#include "base/file.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWIPC)

static const struct flavour flavours[] = {
	{"ns", ALL},
	{"uns", ALL | CLONE_NEWUSER},
	{"cgroupns", ALL | CLONE_NEWCGROUP},
};

const struct flavour *flavour_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flavours); i++)
		if (strcmp(flavours[i].name, name) == 0)
			return &flavours[i];
	return NULL;
}

static const char make_root[] =
	"set -e; chmod 711 \"${2%/*}\"; mkdir -p \"$2\"/proc \"$2\"/tmp \"$2\"/run \"$2\"/old "
	"\"$2\"/dev/pts \"$2\"/etc\n"
	"chmod 1777 \"$2\"/tmp; chmod 755 \"$2\" \"$2\"/dev\n"
	"for f in \"$1\" $(ldd \"$1\" | grep -o '/[^ ]*'); do cp -L --parents \"$f\" \"$2\"; done\n"
	"mknod -m 666 \"$2\"/dev/null c 1 3; mknod -m 666 \"$2\"/dev/zero c 1 5\n"
	"mknod -m 666 \"$2\"/dev/full c 1 7; mknod -m 666 \"$2\"/dev/random c 1 8\n"
	"mknod -m 666 \"$2\"/dev/urandom c 1 9\n"
	"mkdir \"$2\"/dev/net; mknod -m 666 \"$2\"/dev/net/tun c 10 200\n"
	"mknod -m 666 \"$2\"/dev/tty c 5 0; ln -s pts/ptmx \"$2\"/dev/ptmx\n"
	"mount --bind \"$2\" \"$2\"; mount --make-private \"$2\"\n";

int flavour_root(const char *dir, const char *exe, char **ret)
{
	g_autofree char *root = g_build_filename(dir, "root", NULL);
	const char *const argv[] = {"sh", "-c", make_root, "sh", exe, root, NULL};
	const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE};
	int r = spawn_check(&s, NULL, NULL);

	if (r == 0)
		*ret = g_steal_pointer(&root);
	return r;
}

void flavour_root_end(const char *root)
{
	umount2(root, MNT_DETACH);
}

static int loopback_up(void)
{
	struct ifreq i = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	i.ifr_flags = IFF_UP | IFF_RUNNING;
	r = ioctl(fd, SIOCSIFFLAGS, &i);
	close(fd);
	return r;
}

/* Ten days after boot, as a time namespace has it. */
static int later_clock(void)
{
	static const char offsets[] = "monotonic 864000 0\nboottime 864000 0\n";
	int fd, r;

	if (unshare(CLONE_NEWTIME) < 0)
		return -1;
	fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, offsets, sizeof(offsets) - 1) < 0)
		return -1;
	close(fd);
	fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
	r = setns(fd, CLONE_NEWTIME);
	close(fd);
	return r;
}

/* A small container, by hand. */
static int enter(const char *root)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return -1;
	if (mount(root, root, NULL, MS_SLAVE, NULL) < 0 ||
	    mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0 ||
	    syscall(SYS_pivot_root, ".", "old") < 0 ||
	    mount("old", "old", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -1;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, "size=1m") < 0 || umount2("old", MNT_DETACH) < 0 ||
	    mount("pts", "/dev/pts", "devpts", 0, "mode=666,ptmxmode=666,newinstance") < 0)
		return -1;
	if (prctl(PR_SET_DUMPABLE, 1) < 0 || later_clock() < 0) /* /proc/self is its own */
		return -1;
	return chdir("/") < 0 || sethostname("inside", 6) < 0 || setsid() < 0 ? -1 : loopback_up();
}

static int write_maps(pid_t pid)
{
	g_autofree char *dir = g_strdup_printf("/proc/%d", pid);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? err_errno("open %s", dir)
		       : file_poke_at(fd, "uid_map", "0 20000 20000\n100000 200000 50000\n");

	if (r == 0)
		r = file_poke_at(fd, "gid_map", "0 400000 50000\n50000 500000 100000\n");
	close(fd);
	return r;
}

int flavour_start(const struct flavour *f, const char *root, char **argv, int in, int out,
		  pid_t *ret)
{
	struct clone_args a = {.flags = f->namespaces, .exit_signal = SIGCHLD};
	int go[2], r = 0;
	long pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return err_errno("pipe");
	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return err_errno("clone3");
	if (pid == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) != 1 || enter(root) < 0) {
			perror("flavour");
			_exit(110);
		}
		dup2(in, 0);
		dup2(out, 1);
		dup2(out, 2);
		close_range(3, ~0u, 0);
		execv(argv[0], argv);
		_exit(111);
	}
	if (f->namespaces & CLONE_NEWUSER)
		r = write_maps((pid_t)pid);
	if (r == 0)
		r = fd_write_full(go[1], "g", 1);
	close(go[0]);
	close(go[1]);
	*ret = (pid_t)pid;
	return r;
}
