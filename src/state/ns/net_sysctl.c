/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What else /proc/sys/net has of a network namespace, for which CRIU's records have no place, in
 * IMAGE_EXTRA: "net_sysctls": {"NUMBER": {"ipv4/tcp_syncookies": "1", ...}}.  Who restores writes
 * what differs; a kernel that has no such setting, or another range for it, goes without.
 */
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TOP	  "/proc/sys/net"
#define DEPTH_MAX 4
#define VALUE_MAX 4096

/* In the records, or another name of something that is. */
static const char *const elsewhere[] = {"conf", "ip_forward", "max_dgram_qlen", "ping_group_range"};

static bool is_elsewhere(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(elsewhere); i++)
		if (strcmp(name, elsewhere[i]) == 0)
			return true;
	return false;
}

static void read_one(int dir, const char *name, const char *path, json_t *all)
{
	g_autofree char *text = NULL;

	if (file_read_at(dir, name, VALUE_MAX, &text, NULL) < 0)
		err_clear();
	else
		json_object_set_new(all, path, json_string(g_strchomp(text)));
}

static void walk(int dir_take, const char *path, json_t *all, unsigned depth)
{
	DIR *d = fdopendir(dir_take);
	struct dirent *e;

	if (!d)
		close(dir_take);
	while (d && (e = readdir(d)) != NULL) {
		g_autofree char *at = g_strdup_printf("%s%s%s", path, *path ? "/" : "", e->d_name);
		struct stat st;
		int below;

		if (e->d_name[0] == '.' || is_elsewhere(e->d_name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode) && st.st_mode & S_IWUSR && st.st_mode & S_IRUSR)
			read_one(dirfd(d), e->d_name, at, all);
		below = S_ISDIR(st.st_mode) && depth < DEPTH_MAX
				? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
				: -1;
		if (below >= 0)
			walk(below, at, all, depth + 1);
	}
	if (d)
		closedir(d);
}

static json_t *read_all(void)
{
	int top = open(TOP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *all = json_object();

	if (top >= 0)
		walk(top, "", all, 0);
	return all;
}

void net_sysctls_dump(struct dump *d, uint32_t id)
{
	json_t *spaces = json_object_get(d->extra, "net_sysctls");
	char number[16];

	if (!spaces)
		json_object_set_new(d->extra, "net_sysctls", spaces = json_object());
	snprintf(number, sizeof(number), "%u", id);
	json_object_set_new(spaces, number, read_all());
}

/* Nobody else's file, whatever the images say. */
static bool is_sound(const char *path)
{
	return path[0] != '/' && !strstr(path, "..");
}

void net_sysctls_restore(const json_t *extra, uint32_t id)
{
	json_t *want, *v, *now = NULL;
	char number[16];
	const char *path;

	snprintf(number, sizeof(number), "%u", id);
	want = json_object_get(json_object_get(extra, "net_sysctls"), number);
	if (json_object_size(want))
		now = read_all();
	json_object_foreach(want, path, v)
	{
		g_autofree char *file = g_build_filename(TOP, path, NULL);

		if (!json_is_string(v) || !is_sound(path) ||
		    json_equal(v, json_object_get(now, path)))
			continue;
		if (file_poke_at(AT_FDCWD, file, json_string_value(v)) < 0) {
			log_debug("%s", err_message());
			err_clear();
		}
	}
	json_decref(now);
}
