/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/test_tar.h"
#include "base/libarchive.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static void add_member(struct archive *a, const struct test_member *m)
{
	struct archive_entry *e = archive_entry_new();
	const char *content = m->content ? m->content : "";

	archive_entry_set_pathname(e, m->name);
	archive_entry_set_mode(e, m->mode ? m->mode : S_IFREG | 0644);
	archive_entry_set_uid(e, m->owner);
	archive_entry_set_mtime(e, 1000, 500);
	if (m->link)
		archive_entry_set_symlink(e, m->link);
	if (m->hardlink)
		archive_entry_set_hardlink(e, m->hardlink);
	archive_entry_set_rdev(e, m->dev);
	archive_entry_set_size(e, m->hardlink ? 0 : (la_int64_t)strlen(content));
	if (m->xattr)
		archive_entry_xattr_add_entry(e, m->xattr, m->value, strlen(m->value));
	assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
	if (!m->hardlink)
		assert_int_equal(archive_write_data(a, content, strlen(content)), strlen(content));
	archive_entry_free(e);
}

int test_tar(const struct test_member *m, bool gzip)
{
	struct archive *a = archive_write_new();
	int fd = memfd_create("tar", MFD_CLOEXEC);
	locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	locale_t old = uselocale(utf8); /* or libarchive could not write the names */

	assert_true(fd >= 0);
	archive_write_set_format_pax(a);
	if (gzip)
		archive_write_add_filter_gzip(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (; m->name; m++)
		add_member(a, m);
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	uselocale(old);
	freelocale(utf8);
	lseek(fd, 0, SEEK_SET);
	return fd;
}
