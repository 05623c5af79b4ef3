/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-images DIR [ROUNDS [SEED]]: reads the images of DIR (nothing of it is changed) after one of
 * them has been damaged, as a restore and `checkpoint inspect` would, ROUNDS times.  Any answer is
 * fine but a crash, a hang, or memory that no image needs.  The same SEED does the same; where it
 * ends, stderr has the round and the file, which is in the directory that is printed.
 */
#include "base/file.h"
#include "cr/cryo.h"
#include "engine/describe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX   (1u << 20) /* pages are only numbers */
#define FILES_MAX  256
#define MEMORY_MAX (2ull << 30)
#define HANG_S	   60

struct file {
	char name[NAME_MAX + 1];
	char *data;
	size_t len;
};

static struct file files[FILES_MAX];
static unsigned nfiles;
static char doing[2 * NAME_MAX];
static uint64_t state;

/* xorshift64 */
static uint64_t any(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? state % below : 0;
}

static void died(int sig)
{
	if (write(2, doing, strlen(doing)) < 0)
		_exit(3);
	signal(sig, SIG_DFL);
	raise(sig);
}

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(2);
}

static void put(int dir, const struct file *f, const char *data, size_t len)
{
	if (file_write_at(dir, f->name, data, len, 0600) < 0) {
		fprintf(stderr, "%s\n", err_message());
		exit(2);
	}
}

static void read_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	struct stat st;

	if (!d)
		fail(path);
	while ((e = readdir(d)) && nfiles < FILES_MAX) {
		struct file *f = &files[nfiles];

		if (fstatat(dirfd(d), e->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		    st.st_size > FILE_MAX)
			continue;
		if (file_read_at(dirfd(d), e->d_name, FILE_MAX, &f->data, &f->len) < 0)
			fail(e->d_name);
		strcpy(f->name, e->d_name);
		nfiles++;
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* One of the things that damage, a program or somebody do to a file. */
static size_t damage(char *data, size_t len)
{
	static const unsigned char ends[] = {0, 1, 0x7f, 0x80, 0xff};
	size_t at = any(len), n = any(64) + 1;

	n = MIN(n, len - at);
	switch (any(6)) {
	case 0:
		return at; /* cut off */
	case 1:		   /* a piece is there twice */
		memmove(data + at + n, data + at, len - at);
		return len + n;
	case 2: /* a piece is missing */
		memmove(data + at, data + at + n, len - at - n);
		return len - n;
	case 3: /* a large number */
		memset(data + at, 0xff, MIN(n, 10));
		return len;
	case 4:
		for (n = any(8) + 1; n; n--)
			data[any(len)] = (char)ends[any(ARRAY_SIZE(ends))];
		return len;
	default:
		for (n = any(4) + 1; n; n--)
			data[any(len)] ^= (char)(1 << any(8));
		return len;
	}
}

static unsigned look(int dir)
{
	g_autofree char *filter = NULL;
	json_t *j = NULL;
	size_t len;
	unsigned good = 0;

	alarm(HANG_S);
	good += describe_images(dir, &j) == 0;
	json_decref(j);
	err_clear();
	good += cryo_images_check(dir) == 0;
	err_clear();
	if (cryo_images_first_filter(dir, &filter, &len) < 0)
		err_clear();
	return good;
}

int main(int argc, char **argv)
{
	struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1000, good = 0;
	char place[] = "/tmp/fuzz-images-XXXXXX";
	static char buf[2 * FILE_MAX];
	int dir;

	if (argc < 2 || !mkdtemp(place))
		fail("usage: fuzz-images DIR [ROUNDS [SEED]]");
	state = argc > 3 ? strtoull(argv[3], NULL, 0) | 1 : 1;
	read_all(argv[1]);
	qsort(files, nfiles, sizeof(*files), by_name);
	dir = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		fail(place);
	for (unsigned i = 0; i < nfiles; i++)
		put(dir, &files[i], files[i].data, files[i].len);
	printf("%u files, in %s\n", nfiles, place);
	fflush(stdout);
	if (look(dir) != 2) {
		fprintf(stderr, "they are not good as they are: %s\n", err_message());
		return 1;
	}
	if (!getenv("ASAN_OPTIONS")) /* its shadow is larger */
		setrlimit(RLIMIT_AS, &memory);
	for (int sig = SIGILL; sig <= SIGALRM; sig++)
		if (sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT || sig == SIGFPE ||
		    sig == SIGALRM || sig == SIGILL)
			signal(sig, died);
	for (unsigned i = 0; i < rounds; i++) {
		const struct file *f = &files[any(nfiles)];
		size_t len = f->len;

		if (!len)
			continue;
		memcpy(buf, f->data, len);
		for (unsigned k = any(2) + 1; k && len; k--)
			len = damage(buf, len);
		snprintf(doing, sizeof(doing), "round %u: %.*s\n", i, NAME_MAX, f->name);
		put(dir, f, buf, len);
		good += look(dir);
		put(dir, f, f->data, f->len);
	}
	printf("%u rounds, %u of %u were read\n", rounds, good, 2 * rounds);
	for (unsigned i = 0; i < nfiles; i++)
		unlinkat(dir, files[i].name, 0);
	return rmdir(place) < 0;
}
