/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/treedelta.h"

#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SETTLED_US 150000 /* what is older is not fresh any more: treedelta.c */

static char top[] = "/tmp/treedelta-XXXXXX";
static int dir;

static void put(const char *name, const char *text)
{
	assert_int_equal(file_write_at(dir, name, text, strlen(text), 0600), 0);
}

/* "+changed ... -gone ..." */
static char *pass(struct treedelta *d, bool frozen)
{
	g_autoptr(GPtrArray) changed = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
	GString *s = g_string_new(NULL);

	assert_int_equal(treedelta_pass(d, NULL, frozen, changed, gone), 0);
	for (unsigned i = 0; i < changed->len; i++)
		g_string_append_printf(s, "+%s ", (char *)changed->pdata[i]);
	for (unsigned i = 0; i < gone->len; i++)
		g_string_append_printf(s, "-%s ", (char *)gone->pdata[i]);
	return g_string_free(s, FALSE);
}

static void is(struct treedelta *d, const char *want)
{
	g_autofree char *got = pass(d, true);

	assert_string_equal(got, want);
}

static void test_changes(void **state)
{
	CLEANUP(treedelta_free) struct treedelta *d = treedelta_new(dir);
	g_autofree char *first = NULL;
	char *page;
	int fd;

	put("a", "1");
	put("b", "1");
	mkdirat(dir, "d", 0700);
	put("d/c", "1");
	fd = openat(dir, "m", O_RDWR | O_CREAT, 0600);
	assert_int_equal(ftruncate(fd, 4096), 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	page[0] = 'x';
	g_usleep(SETTLED_US);
	first = pass(d, false);
	assert_string_equal(first, "+ +a +b +d +d/c +m ");
	is(d, "");
	/* a mapped page that was dirty before */
	page[0] = 'y';
	is(d, "+m ");
	g_usleep(SETTLED_US);
	first = (g_free(first), pass(d, true));
	is(d, "");
	put("b", "2");
	unlinkat(dir, "a", 0);
	assert_int_equal(file_remove_tree_at(dir, "d"), 0);
	put("d", "now a file");
	is(d, "+ +b +d -a -d/c ");
	munmap(page, 4096);
	close(fd);
}

static int set_up(void **state)
{
	dir = mkdtemp(top) ? open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return dir < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	close(dir);
	return file_remove_tree_at(AT_FDCWD, top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
