/* SPDX-License-Identifier: Apache-2.0 */
/* Working directory, umask, root directory; those of a child, and shared ones (CLONE_FS). */
#include "cr.h"

static char dir[] = "/tmp/fs.XXXXXX";

static int child_make(void)
{
	umask(0117);
	return chdir("/") || chroot(dir) || chdir("/sub");
}

static int child_verify(void)
{
	char buf[64];

	return getcwd(buf, sizeof(buf)) && !strcmp(buf, "/sub") && umask(0) == 0117 &&
			       access("/sub", F_OK) == 0 && access("/tmp", F_OK) == -1
		       ? 0
		       : 10;
}

int main(void)
{
	char buf[64];
	struct child c;

	check(mkdtemp(dir) && chdir(dir) == 0 && mkdir("sub", 0755) == 0);
	umask(027);
	c = child_start(child_make, child_verify);
	ready();
	check(getcwd(buf, sizeof(buf)) && !strcmp(buf, dir), "cwd %s", buf);
	check(umask(0) == 027);
	child_go(&c);
	check(rmdir("sub") == 0 && rmdir(dir) == 0);
	return ok();
}
