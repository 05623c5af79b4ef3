/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/mountflags.h"

#include <string.h>
#include <sys/mount.h>

struct word {
	const char *name;
	unsigned flag;
	uint64_t attr;
};

/* fs/proc_namespace.c: show_mnt_opts(). */
static const struct word of_mount[] = {
	{"ro", MS_RDONLY, MOUNT_ATTR_RDONLY},
	{"nosuid", MS_NOSUID, MOUNT_ATTR_NOSUID},
	{"nodev", MS_NODEV, MOUNT_ATTR_NODEV},
	{"noexec", MS_NOEXEC, MOUNT_ATTR_NOEXEC},
	{"noatime", MS_NOATIME, MOUNT_ATTR_NOATIME},
	{"nodiratime", MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
	{"relatime", MS_RELATIME, 0},
	{"nosymfollow", MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
};

/* show_sb_opts(). */
static const struct word of_fs[] = {
	{"ro", MS_RDONLY, 0},	     {"rw", 0, 0},
	{"sync", MS_SYNCHRONOUS, 0}, {"dirsync", MS_DIRSYNC, 0},
	{"mand", MS_MANDLOCK, 0},    {"lazytime", MS_LAZYTIME, 0},
};

static const struct word *find(const struct word *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	return NULL;
}

unsigned mountflags_of_mount(const char *options)
{
	g_auto(GStrv) words = g_strsplit(options, ",", -1);
	unsigned flags = 0;

	for (char **w = words; *w; w++) {
		const struct word *k = find(of_mount, ARRAY_SIZE(of_mount), *w);

		flags |= k ? k->flag : 0;
	}
	/* neither word: every access counts */
	return flags & (MS_NOATIME | MS_RELATIME) ? flags : flags | MS_STRICTATIME;
}

unsigned mountflags_of_fs(const char *options, char **ret_rest)
{
	g_auto(GStrv) words = g_strsplit(options, ",", -1);
	g_autoptr(GString) rest = g_string_new(NULL);
	unsigned flags = 0;

	for (char **w = words; *w; w++) {
		const struct word *k = find(of_fs, ARRAY_SIZE(of_fs), *w);

		if (k)
			flags |= k->flag;
		else
			g_string_append_printf(rest, "%s%s", rest->len ? "," : "", *w);
	}
	*ret_rest = g_strdup(rest->str);
	return flags;
}

uint64_t mountflags_attrs(unsigned flags)
{
	uint64_t attrs = flags & MS_STRICTATIME ? MOUNT_ATTR_STRICTATIME : 0;

	for (size_t i = 0; i < ARRAY_SIZE(of_mount); i++)
		if (flags & of_mount[i].flag)
			attrs |= of_mount[i].attr;
	return attrs;
}
