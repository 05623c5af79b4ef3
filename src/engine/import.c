/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/import.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "engine/archive_in.h"
#include "engine/archive_out.h"
#include "engine/archive_trust.h"
#include "engine/ckfiles.h"
#include "engine/container_store.h"
#include "engine/digest.h"
#include "engine/image_checkpoint.h"
#include "engine/import_image.h"
#include "engine/lifecycle.h"
#include "engine/mounts.h"
#include "engine/network.h"
#include "engine/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct importing {
	struct engine *e;
	const struct import_checkpoint *o;
	struct archive_in in;
	struct container_options options;
	struct user_mounts mounts;
	char *id, *name; /* it had; checked */
	json_t *anonymous;
	GPtrArray *made; /* names of volumes that were not there before */
	struct container *c;
	struct progress *progress;
	bool doubted; /* somebody else's word: engine/archive_trust.h */
};

static void importing_clear(struct importing *m)
{
	archive_in_clear(&m->in);
	container_options_clear(&m->options);
	user_mounts_clear(&m->mounts);
	g_free(m->id);
	g_free(m->name);
	json_decref(m->anonymous);
	if (m->made)
		g_ptr_array_unref(m->made);
	container_unref(&m->c);
	progress_end(&m->progress);
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s && *s ? s : NULL;
}

static int check_dependencies(const json_t *config)
{
	static const char *const shared[] = {"ipcNsCtr",  "mountNsCtr", "netNsCtr",   "pidNsCtr",
					     "userNsCtr", "utsNsCtr",	"cgroupNsCtr"};
	bool any = json_array_size(json_object_get(config, "Dependencies")) > 0;

	if (text(config, "pod"))
		return err_set(EINVAL, "cannot restore pod container without --pod");
	for (unsigned i = 0; i < ARRAY_SIZE(shared); i++)
		any |= text(config, shared[i]) != NULL;
	return any ? err_set(EINVAL, "cannot import checkpoints of containers with dependencies")
		   : 0;
}

static int read_identity(struct importing *m)
{
	const char *id = text(m->in.config, "id"), *name = text(m->in.config, "name");
	CLEANUP(container_unref) struct container *probe = container_new();
	CLEANUP(container_unref) struct container *other = NULL;
	int r;

	if (!id || !digest_is_hex(id, ENGINE_ID_LEN, ENGINE_ID_LEN))
		return err_set(EBADMSG, "%s: config.dump has no ID of a container", m->in.o.shown);
	name = m->o->name ? m->o->name : name ? name : id;
	r = container_check_name(name);
	if (r < 0)
		return r;
	m->id = g_strdup(id);
	m->name = g_strdup(name);
	if (!m->o->name)
		g_strlcpy(probe->id, id, sizeof(probe->id));
	probe->name = g_strdup(name);
	if (!m->o->name && container_find(m->e, id, &other) == 0)
		return err_set(EEXIST, "creating container storage: that ID is already in use");
	err_clear();
	return container_name_used(m->e, name) ? container_name_taken(m->e, probe) : 0;
}

static int check_volumes(struct importing *m)
{
	int r = user_mounts_parse(&m->options, &m->mounts);

	for (unsigned i = 0; r >= 0 && i < m->mounts.n && !m->o->ignore_volumes; i++) {
		const struct user_mount *u = &m->mounts.v[i];

		if (u->type != USER_MOUNT_VOLUME || !u->source)
			continue;
		r = volume_exists(m->e, u->source);
		if (r > 0)
			return err_set(EEXIST,
				       "volume with name %s already exists. Use --ignore-volumes "
				       "to not restore content of volumes",
				       u->source);
	}
	return r < 0 ? r : 0;
}

/* Names of volumes that go with the container: those with 64 digits that it mounts. */
static void find_anonymous(struct importing *m)
{
	const json_t *ours = json_object_get(m->in.config, ARCHIVE_OURS), *list;
	size_t k;
	json_t *v;

	m->anonymous = json_array();
	list = json_object_get(ours, "volumes");
	for (unsigned i = 0; i < m->mounts.n; i++) {
		const char *name = m->mounts.v[i].source;
		bool listed = !ours; /* Podman does not say */

		if (m->mounts.v[i].type != USER_MOUNT_VOLUME || !name ||
		    !digest_is_hex(name, ENGINE_ID_LEN, ENGINE_ID_LEN))
			continue;
		json_array_foreach(list, k, v) listed |= !g_strcmp0(json_string_value(v), name);
		if (listed)
			json_array_append_new(m->anonymous, json_string(name));
	}
}

static void override_options(struct importing *m)
{
	struct container_options *o = &m->options;

	o->name = g_strdup(m->name);
	o->image = g_strdup(m->in.image.name);
	if (m->o->publish) {
		g_strfreev(o->publish);
		o->publish = g_strdupv((char **)m->o->publish);
		o->publish_all = false;
	}
	if (m->o->restore.ignore_static_ip)
		g_clear_pointer(&o->ip, g_free);
	if (m->o->restore.ignore_static_mac)
		g_clear_pointer(&o->mac_address, g_free);
}

/* The runtime's name is a wish that only known runtimes in PATH can grant. */
static void choose_runtime(struct importing *m)
{
	static const char *const known[] = {"runc", "crun"};
	const char *name = text(m->in.config, "runtime");

	for (unsigned i = 0; !m->e->runtime_wanted && name && i < ARRAY_SIZE(known); i++) {
		g_autofree char *path = g_find_program_in_path(known[i]);

		if (path && !strcmp(known[i], name))
			m->e->runtime_wanted = g_strdup(name);
	}
}

/* Bytes of the archive that were read; a moment to stop, too. */
static int watch(void *arg, uint64_t bytes)
{
	progress_at(((struct importing *)arg)->progress, bytes);
	return interrupt_check();
}

static void show_progress(struct importing *m)
{
	g_autofree char *what = g_strdup_printf("restore %s", m->in.o.shown);
	struct stat st;

	m->progress = progress_begin(what);
	if (fstat(m->in.fd >= 0 ? m->in.fd : m->in.o.fd, &st) == 0 && S_ISREG(st.st_mode))
		progress_total(m->progress, (uint64_t)st.st_size);
}

/* Both documents are read: whatever can be refused is, before the rest is unpacked. */
static int decide(void *arg, struct archive_in *in)
{
	struct importing *m = arg;
	int r = check_dependencies(in->config);

	if (r == 0)
		r = archive_parse(in, &m->options);
	if (r == 0)
		r = check_volumes(m);
	m->doubted = !m->o->trust && !archive_is_ours(m->e, in->fd >= 0 ? in->fd : in->o.fd);
	if (r == 0 && m->doubted)
		r = archive_check_trust(in, &m->options);
	if (r == 0)
		r = read_identity(m);
	if (r == 0)
		r = import_find_image(in);
	if (r < 0)
		return r;
	find_anonymous(m);
	override_options(m);
	choose_runtime(m);
	return container_options_check(&m->options);
}

/* The rounds before, from an archive of their own: into the scratch directory of this one. */
static int read_previous(struct importing *m)
{
	CLEANUP(archive_in_clear) struct archive_in in = ARCHIVE_IN_NONE;
	const struct archive_in_options o = {.path = m->o->previous,
					     .previous = true,
					     .watch = m->o->watch,
					     .watch_arg = m->o->watch_arg};
	int r;

	if (m->o->previous_dir && !m->in.has_previous) {
		if (renameat(AT_FDCWD, m->o->previous_dir, m->in.dir, ARCHIVE_PREVIOUS) < 0)
			return err_errno("move %s", m->o->previous_dir);
		m->in.has_previous = true;
	}
	if (!m->o->previous)
		return 0;
	r = archive_in_open(&in, m->e, &o);
	if (r == 0)
		r = archive_in_read(&in);
	if (r < 0)
		return r;
	if (!in.has_previous)
		return err_set(
			EBADMSG,
			"unpacking of pre-checkpoint archive %s failed: it has no " ARCHIVE_PREVIOUS
			"/",
			m->o->previous);
	if (m->in.has_previous)
		return 0;
	if (renameat(in.dir, ARCHIVE_PREVIOUS, m->in.dir, ARCHIVE_PREVIOUS) < 0)
		return err_errno("move " ARCHIVE_PREVIOUS);
	m->in.has_previous = true;
	return 0;
}

static int check_complete(struct importing *m)
{
	g_autofree char *missing = NULL;

	if (!m->in.has_images && !m->o->restore.await)
		return err_set(ENOENT,
			       "a complete checkpoint for this container cannot be found, cannot "
			       "restore: %s has no checkpoint/inventory.img",
			       m->in.o.shown);
	for (unsigned i = 0; !m->o->ignore_volumes && i < m->mounts.n; i++) {
		g_autofree char *name = NULL;

		if (m->mounts.v[i].type != USER_MOUNT_VOLUME)
			continue;
		name = volume_name_of(&m->mounts.v[i]);
		if (!g_ptr_array_find_with_equal_func(m->in.volumes, name, g_str_equal, NULL))
			return err_set(ENOENT,
				       "failed to open volume file: %s has no " ARCHIVE_VOLUMES
				       "/%s.tar: no such file or directory",
				       m->in.o.shown, name);
	}
	return 0;
}

/* From the scratch directory; FROM is there. */
static int move(struct importing *m, const char *from, const char *to)
{
	if (renameat(m->in.dir, from, AT_FDCWD, to) < 0)
		return err_errno("move %s to %s", from, to);
	return 0;
}

static int place_volume(struct importing *m, const struct user_mount *u)
{
	g_autofree char *name = volume_name_of(u), *base = volume_path(m->e, m->c, u, NULL);
	g_autofree char *to = volume_path(m->e, m->c, u, VOLUME_DATA);
	g_autofree char *mark = volume_path(m->e, m->c, u, VOLUME_FRESH);
	g_autofree char *from = g_build_filename(ARCHIVE_VOLUMES, name, NULL);
	int r;

	r = file_mkdirs(base, 0755);
	if (r < 0)
		return r;
	if (rmdir(to) < 0 && errno != ENOENT)
		return err_errno("replace volume %s", name);
	r = move(m, from, to);
	if (r == 0 && unlink(mark) < 0 && errno != ENOENT) /* it is not to be filled any more */
		r = err_errno("remove %s", mark);
	return r;
}

static int place_file(struct importing *m, bool there, const char *name)
{
	g_autofree char *userdata = NULL, *to = NULL;

	if (!there)
		return 0;
	userdata = container_static_dir(m->e, m->c);
	to = g_build_filename(userdata, name, NULL);
	return move(m, name, to);
}

static int place_all(struct importing *m)
{
	g_autofree char *overlay = g_build_filename(m->e->root, "overlay", m->c->id, NULL);
	int r = m->in.has_images ? archive_in_join_shm(&m->in) : 0;

	if (r == 0)
		r = place_file(m, m->in.has_images, CK_IMAGES);
	if (r == 0)
		r = place_file(m, m->in.has_previous, CK_PRE_IMAGES);
	if (r == 0)
		r = place_file(m, m->in.has_log && !m->o->image, ARCHIVE_LOG);
	if (r == 0 && m->in.has_rootfs)
		r = move(m, "rootfs", overlay);
	for (unsigned i = 0; r == 0 && i < m->mounts.n && !m->o->ignore_volumes; i++)
		if (m->mounts.v[i].type == USER_MOUNT_VOLUME)
			r = place_volume(m, &m->mounts.v[i]);
	return r;
}

/* The addresses that it had; with a new name it is another container. */
static int adopt_addresses(struct importing *m)
{
	CLEANUP(network_choice_clear) struct network_choice choice = {0};
	const struct restore_options *o = &m->o->restore;
	g_autofree char *ip = NULL;
	const char *mac;
	int r = network_choice_parse(m->options.network, &choice);

	if (r < 0 || choice.mode != NETWORK_BRIDGE || m->o->name || m->o->image || !m->in.network)
		return r;
	ip = o->ignore_static_ip || m->options.ip ? NULL : network_first_ip(m->in.network);
	mac = o->ignore_static_mac || m->options.mac_address ? NULL
							     : network_first_mac(m->in.network);
	if (!ip && !mac)
		return 0;
	r = network_adopt(m->e, m->c->id, choice.arg ?: NETWORK_DEFAULT, ip, mac);
	if (r == 1)
		log_info("%s: address %s does not fit network %s: it gets another", m->name, ip,
			 choice.arg ?: NETWORK_DEFAULT);
	return r < 0 ? r : 0;
}

/* Those that are not there are made by create. */
static int note_volumes(struct importing *m)
{
	int r = 0;

	m->made = g_ptr_array_new_with_free_func(g_free);
	for (unsigned i = 0; r >= 0 && i < m->mounts.n; i++) {
		const char *name = m->mounts.v[i].source;

		if (m->mounts.v[i].type != USER_MOUNT_VOLUME || !name)
			continue;
		r = volume_exists(m->e, name);
		if (r == 0)
			g_ptr_array_add(m->made, g_strdup(name));
	}
	return r < 0 ? r : 0;
}

static int create(struct importing *m)
{
	char fresh[ENGINE_ID_LEN + 1];
	const struct container_as as = {
		.id = m->o->name ? fresh : m->id, .image = &m->in.image, .volumes = m->anonymous};
	int r = note_volumes(m);

	engine_random_id(fresh);
	if (r == 0 && m->o->announce)
		r = m->o->announce(m->o->announce_arg, as.id, m->made);
	if (r == 0)
		r = container_create_as(m->e, &m->options, &as, &m->c);
	if (r == 0)
		r = place_all(m);
	if (r == 0)
		r = adopt_addresses(m);
	if (r < 0)
		return r;
	m->c->state.started_ns = engine_now_ns();
	m->c->state.checkpoint_path = ck_path(m->e, m->c, CK_IMAGES);
	return container_save(m->e, m->c);
}

static void take_back(struct importing *m)
{
	const struct remove_options how = {.force = true, .volumes = true, .timeout = 0};
	ERR_KEEP;

	if (m->c && container_remove(m->e, m->c, &how) < 0)
		log_warn("%s: %s", m->name, err_message());
	for (unsigned i = 0; m->made && i < m->made->len; i++)
		if (volume_exists(m->e, m->made->pdata[i]) > 0 &&
		    volume_remove(m->e, m->made->pdata[i]) < 0)
			log_warn("%s", err_message());
	err_clear();
}

static int restore(struct importing *m, struct restore_report *ret)
{
	g_autofree char *hostname_was = g_strndup(m->id, 12);
	struct restore_options o = m->o->restore;

	o.fresh = true;
	o.doubted = m->doubted;
	o.hostname_was = m->o->name ? hostname_was : NULL;
	o.ignore_static_ip = o.ignore_static_mac = false; /* there is no lease to be dropped */
	return container_restore(m->e, m->c, &o, ret);
}

int container_import(struct engine *e, const struct import_checkpoint *o, struct container **ret,
		     struct restore_report *ret_report)
{
	CLEANUP(interrupt_end)
	struct interrupt interrupt __attribute__((unused)) = interrupt_begin();
	CLEANUP(importing_clear) struct importing m = {.e = e, .o = o, .in = ARCHIVE_IN_NONE};
	autoclose int layer = -1;
	struct archive_in_options in = {
		.path = o->path,
		.fd = o->fd,
		.shown = o->image ? o->image->name : NULL,
		.ignore_rootfs = o->ignore_rootfs,
		.ignore_volumes = o->ignore_volumes,
		.documents = decide,
		.documents_arg = &m,
		.watch = o->watch ? o->watch : watch,
		.watch_arg = o->watch ? o->watch_arg : &m,
	};
	int r;

	container_options_init(&m.options);
	if (o->pod)
		return err_set(
			ENOENT,
			"pod \"%s\" cannot be retrieved: no pod with name or ID %s found: no "
			"such pod",
			o->pod, o->pod);
	if (o->image) {
		r = checkpoint_image_open(e, o->image, &layer);
		if (r < 0)
			return r;
		in.fd = layer;
	}
	r = archive_in_open(&m.in, e, &in);
	if (r == 0) {
		show_progress(&m);
		r = archive_in_read(&m.in);
	}
	if (r == 0)
		r = check_complete(&m);
	if (r == 0)
		r = read_previous(&m);
	if (r == 0)
		r = interrupt_check();
	if (r < 0)
		return r;
	progress_end(&m.progress);
	r = create(&m);
	if (r == 0)
		r = restore(&m, ret_report);
	if (r < 0) {
		take_back(&m);
		return r;
	}
	*ret = g_steal_pointer(&m.c);
	return 0;
}
