/* SPDX-License-Identifier: Apache-2.0 */
/* mounts: the kernel's file systems, the engine's files, the user's mounts. */
#include "engine/spec_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define SHM_BYTES (64 << 20)

struct fixed_mount {
	const char *destination, *type, *source, *options;
};

static const struct fixed_mount kernel_mounts[] = {
	{"/proc", "proc", "proc", "nosuid,noexec,nodev"},
	{"/dev", "tmpfs", "tmpfs", "nosuid,noexec,strictatime,mode=755,size=65536k"},
	{"/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"},
	{"/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"},
	{"/sys/fs/cgroup", "cgroup", "cgroup", "rprivate,nosuid,noexec,nodev,relatime,ro"},
};

/* What --read-only leaves writable: containers.conf(5), read_only_tmpfs */
static const struct fixed_mount writable_mounts[] = {
	{"/tmp", "tmpfs", "tmpfs", "rw,rprivate,nosuid,nodev,tmpcopyup"},
	{"/var/tmp", "tmpfs", "tmpfs", "rw,rprivate,nosuid,nodev,tmpcopyup"},
	{"/run", "tmpfs", "tmpfs", "rw,rprivate,nosuid,nodev,tmpcopyup"},
};

/* Files of the run directory. */
static const struct {
	const char *name, *destination;
} run_files[] = {
	{"resolv.conf", "/etc/resolv.conf"},	 {"hosts", "/etc/hosts"},
	{"hostname", "/etc/hostname"},		 {"localtime", "/etc/localtime"}, /* with --tz */
	{".containerenv", "/run/.containerenv"},
};

struct mounting {
	struct spec_context *c;
	struct user_mounts user;
	json_t *list;
};

static bool user_has(const struct mounting *m, const char *destination)
{
	for (unsigned i = 0; i < m->user.n; i++)
		if (!strcmp(m->user.v[i].destination, destination))
			return true;
	return false;
}

static void add(struct mounting *m, const char *destination, const char *type, const char *source,
		json_t *options)
{
	json_array_append_new(m->list,
			      json_pack("{s:s,s:s,s:s,s:o}", "destination", destination, "type",
					type, "source", source, "options", options));
}

/* A host's "ro" is "rw" for the privileged. */
static json_t *split_options(const char *text, bool writable)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (char **s = words; *s && writable; s++)
		if (!strcmp(*s, "ro"))
			strcpy(*s, "rw");
	return spec_strings(words);
}

static void add_fixed(struct mounting *m, const struct fixed_mount *f)
{
	if (!user_has(m, f->destination))
		add(m, f->destination, f->type, f->source,
		    split_options(f->options, m->c->o->privileged));
}

static void add_shm(struct mounting *m)
{
	g_autofree char *dir =
		m->c->in->userdata ? g_build_filename(m->c->in->userdata, "shm", NULL) : NULL;
	int64_t bytes = m->c->o->shm_size ? m->c->o->shm_size : SHM_BYTES;
	struct stat st;

	if (user_has(m, "/dev/shm"))
		return;
	if (m->c->o->ipc && !strcmp(m->c->o->ipc, "host")) {
		add(m, "/dev/shm", "bind", "/dev/shm",
		    json_pack("[s,s,s,s]", "bind", "nosuid", "noexec", "nodev"));
	} else if (dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
		add(m, "/dev/shm", "bind", dir,
		    json_pack("[s,s,s,s,s]", "bind", "rprivate", "nosuid", "noexec", "nodev"));
	} else {
		g_autofree char *size = g_strdup_printf("size=%" G_GINT64_FORMAT, bytes);

		add(m, "/dev/shm", "tmpfs", "shm",
		    json_pack("[s,s,s,s,s]", "nosuid", "noexec", "nodev", "mode=1777", size));
	}
}

static void add_run_files(struct mounting *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(run_files) && m->c->in->rundir; i++) {
		g_autofree char *path = g_build_filename(m->c->in->rundir, run_files[i].name, NULL);
		struct stat st;

		if (stat(path, &st) < 0 || user_has(m, run_files[i].destination))
			continue;
		add(m, run_files[i].destination, "bind", path,
		    json_pack("[s,s]", "bind", "rprivate"));
	}
}

static bool is_propagation(const char *s)
{
	return g_str_has_suffix(s, "private") || g_str_has_suffix(s, "shared") ||
	       g_str_has_suffix(s, "slave") || g_str_has_suffix(s, "unbindable");
}

static bool has_word(char *const *options, const char *word)
{
	return g_strv_contains((const char *const *)options, word);
}

static bool has_propagation(char *const *options)
{
	for (; *options; options++)
		if (is_propagation(*options))
			return true;
	return false;
}

static void add_user_bind(struct mounting *m, const struct user_mount *u, const char *source)
{
	/* z, Z: SELinux labels; copy, nocopy: done, or not, when the volume is made */
	static const char *const ours[] = {"z", "Z", "U", "copy", "nocopy", NULL};
	json_t *options = json_array();

	if (!has_word(u->options, "bind"))
		json_array_append_new(options, json_string("rbind"));
	if (!has_propagation(u->options))
		json_array_append_new(options, json_string("rprivate"));
	for (char **s = u->options; *s; s++)
		if (**s && strcmp(*s, "rbind") && !g_strv_contains(ours, *s))
			json_array_append_new(options, json_string(*s));
	add(m, u->destination, "bind", source, options);
}

static void add_user_tmpfs(struct mounting *m, const struct user_mount *u)
{
	static const struct {
		const char *option, *off;
	} defaults[] = {{"nosuid", "suid"}, {"nodev", "dev"}, {"tmpcopyup", "notmpcopyup"}};
	json_t *options = json_array();

	if (!u->read_only && !has_word(u->options, "rw"))
		json_array_append_new(options, json_string("rw"));
	if (!has_propagation(u->options))
		json_array_append_new(options, json_string("rprivate"));
	for (unsigned i = 0; i < ARRAY_SIZE(defaults); i++)
		if (!has_word(u->options, defaults[i].off) &&
		    !has_word(u->options, defaults[i].option))
			json_array_append_new(options, json_string(defaults[i].option));
	for (char **s = u->options; *s; s++)
		if (**s && strcmp(*s, "notmpcopyup"))
			json_array_append_new(options, json_string(*s));
	add(m, u->destination, "tmpfs", "tmpfs", options);
}

static int add_user_volume(struct mounting *m, const struct user_mount *u)
{
	g_autofree char *path = NULL;
	int r = spec_volume_make(m->c, u, &path);

	if (r == 0)
		add_user_bind(m, u, path);
	return r;
}

static int add_user_mounts(struct mounting *m)
{
	for (unsigned i = 0; i < m->user.n; i++) {
		const struct user_mount *u = &m->user.v[i];
		struct stat st;
		int r = 0;

		if (u->type == USER_MOUNT_TMPFS)
			add_user_tmpfs(m, u);
		else if (u->type == USER_MOUNT_VOLUME)
			r = add_user_volume(m, u);
		else if (stat(u->source, &st) < 0)
			r = err_errno("statfs %s", u->source);
		else
			add_user_bind(m, u, u->source);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Mounts that propagate need a root that does (runtime spec, linux.rootfsPropagation). */
static const char *root_propagation(const struct user_mounts *user)
{
	const char *p = NULL;

	for (unsigned i = 0; i < user->n; i++) {
		char **options = user->v[i].options;

		if (has_word(options, "shared") || has_word(options, "rshared"))
			return "shared";
		if (has_word(options, "slave") || has_word(options, "rslave"))
			p = "rslave";
	}
	return p;
}

int spec_put_mounts(struct spec_context *c)
{
	struct mounting m = {.c = c, .list = json_array()};
	const char *propagation;
	int r;

	json_object_set_new(c->spec, "mounts", m.list);
	r = user_mounts_parse(c->o, &m.user);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ARRAY_SIZE(kernel_mounts); i++)
		add_fixed(&m, &kernel_mounts[i]);
	add_shm(&m);
	for (unsigned i = 0; i < ARRAY_SIZE(writable_mounts); i++)
		if (c->o->read_only && c->o->read_only_tmpfs)
			add_fixed(&m, &writable_mounts[i]);
	add_run_files(&m);
	r = add_user_mounts(&m);
	propagation = root_propagation(&m.user);
	if (propagation)
		json_object_set_new(c->os, "rootfsPropagation", json_string(propagation));
	user_mounts_clear(&m.user);
	return r;
}
