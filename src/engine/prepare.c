/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container needs around it before it runs (root file system, /dev/shm, network, files that
 * are bound into it), and taking that away again.
 *
 * Nothing of it has to be written down first: each part lives at a place that follows from the ID,
 * and taking it down is harmless when it is not there.
 */
#include "base/file.h"
#include "base/log.h"
#include "engine/image.h"
#include "engine/lifecycle_internal.h"
#include "engine/network.h"
#include "engine/orphans.h"
#include "engine/rootfs.h"
#include "engine/runtime.h"
#include "engine/spec.h"
#include "engine/timezone.h"
#include "kernel/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define SHM_DEFAULT 65536000
#define CGROUP_MS   2000

int life_improper(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	g_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(EINVAL, "%s: container state improper", text);
}

static bool own_ipc(const struct container_options *o)
{
	return !o->ipc || !strcmp(o->ipc, "private") || !strcmp(o->ipc, "shareable");
}

/* A mount point is a directory on another device than its parent. */
static bool is_mount(const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path);
	struct stat a, b;

	return stat(path, &a) == 0 && stat(parent, &b) == 0 && a.st_dev != b.st_dev;
}

static int mount_shm(struct engine *e, struct container *c, const struct container_options *o)
{
	g_autofree char *dir = container_static_dir(e, c);
	g_autofree char *shm = g_build_filename(dir, "shm", NULL);
	g_autofree char *data = g_strdup_printf("mode=1777,size=%" PRId64,
						o->shm_size > 0 ? o->shm_size : SHM_DEFAULT);
	int r;

	if (!own_ipc(o))
		return 0;
	r = file_mkdirs(shm, 0700);
	if (r < 0)
		return r;
	if (is_mount(shm))
		return 0;
	if (mount("shm", shm, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV, data) < 0)
		return err_errno("mount %s", shm);
	return 0;
}

static int umount_shm(struct engine *e, struct container *c)
{
	g_autofree char *dir = container_static_dir(e, c);
	g_autofree char *shm = g_build_filename(dir, "shm", NULL);

	/* EINVAL: not a mount point; ENOENT: never prepared. */
	while (umount2(shm, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		return err_errno("umount %s", shm);
	return 0;
}

static int mount_root(struct engine *e, struct container *c)
{
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autofree char *path = NULL;
	int r = image_resolve(e, c->image_id, &img);

	if (r < 0)
		return r;
	return rootfs_mount(e, c->id, img.layers, &path);
}

/* /proc/PID/ns/WHAT of the running container that container:X meant at create. */
static int partner_ns(struct engine *e, struct container *c, const char *what, const char *ns,
		      char **ret)
{
	CLEANUP(container_unref) struct container *other = NULL;
	const json_t *partners = json_object_get(c->config, "partners");
	const char *id = json_string_value(json_object_get(partners, what));
	int r;

	*ret = NULL;
	if (!id)
		return 0;
	r = container_find(e, id, &other);
	if (r < 0)
		return r;
	if (!container_is_running(other))
		return life_improper("container %s shares its %s namespace with %s, which is not "
				     "running: start that one first",
				     c->name, what, other->name);
	*ret = g_strdup_printf("/proc/%d/ns/%s", other->state.pid, ns);
	return 0;
}

static int network_choice(struct container *c, struct network_choice *ret)
{
	const struct container_options *o;
	int r = container_options(c, &o);

	return r < 0 ? r : network_choice_parse(o->network, ret);
}

static int set_up_network(struct engine *e, struct container *c, const struct container_options *o,
			  const struct network_choice *choice, const struct network_hook *made)
{
	CLEANUP(network_result_clear) struct network_result net = {0};
	const struct network_request request = {
		.id = c->id,
		.name = c->name,
		.choice = choice,
		.ip = o->ip,
		.mac = o->mac_address,
		.ports = json_object_get(c->config, "ports"),
		.aliases = o->network_aliases,
		.made = made,
	};
	int r;

	if (choice->mode == NETWORK_CONTAINER || choice->mode == NETWORK_PATH)
		return 0;
	r = network_setup(e, &request, &net);
	if (r < 0)
		return r;
	g_free(c->state.netns);
	json_decref(c->state.network);
	c->state.netns = g_steal_pointer(&net.netns);
	c->state.network = json_incref(net.status);
	return 0;
}

/* --tz: as the zone is on this host now; it is bound over the image's own. */
static int write_localtime(int dir, const char *zone)
{
	g_autofree char *data = NULL;
	size_t n;
	int r = zone ? timezone_read(zone, &data, &n) : 0;

	return r < 0 || !zone ? r : file_write_at(dir, "localtime", data, n, 0644);
}

static int write_files(struct engine *e, struct container *c, const struct container_options *o,
		       const struct network_choice *choice, const char *dir)
{
	g_autofree char *text = g_strdup_printf("engine=\"cryopod-" CRYOPOD_VERSION "\"\n"
						"name=\"%s\"\nid=\"%s\"\nimage=\"%s\"\n"
						"imageid=\"%s\"\nrootless=0\n",
						c->name, c->id, c->image_name, c->image_id);
	const char *partner = json_string_value(
		json_object_get(json_object_get(c->config, "partners"), "network"));
	g_autofree char *like =
		partner ? g_build_filename(e->runroot, "containers", partner, NULL) : NULL;
	const struct network_files files = {
		.dir = dir,
		.hostname = container_text(c, "hostname"),
		.name = c->name,
		.mode = choice->mode,
		.status = c->state.network,
		.add_host = o->add_host,
		.dns = o->dns,
		.dns_search = o->dns_search,
		.dns_option = o->dns_option,
		.no_hosts = o->no_hosts,
		.like = like,
	};
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno("open %s", dir);
	r = network_write_files(&files);
	if (r == 0)
		r = file_write_at(fd, ".containerenv", text, strlen(text), 0644);
	return r < 0 ? r : write_localtime(fd, o->timezone);
}

bool life_has_leftovers(struct engine *e, struct container *c)
{
	g_autofree char *run = container_run_dir(e, c);

	return runtime_knows(e, c) || access(run, F_OK) == 0;
}

/*
 * What a killed command left in the runtime would stand in the way.  Its network may be the one
 * that a checkpoint keeps.
 */
static int clear_leftovers(struct engine *e, struct container *c)
{
	if (!runtime_knows(e, c) && !orphans_marked(e, c))
		return 0;
	return container_release(e, c, RELEASE_KEEP_NETWORK);
}

int container_prepare(struct engine *e, struct container *c, const struct network_hook *made)
{
	CLEANUP(network_choice_clear) struct network_choice choice = {0};
	g_autofree char *run = container_run_dir(e, c);
	const struct container_options *o;
	int r;

	r = container_options(c, &o);
	if (r == 0)
		r = network_choice(c, &choice);
	if (r == 0)
		r = clear_leftovers(e, c);
	if (r == 0)
		r = file_mkdirs(run, 0700);
	if (r == 0)
		r = mount_root(e, c);
	if (r == 0)
		r = mount_shm(e, c, o);
	if (r == 0)
		r = set_up_network(e, c, o, &choice, made);
	if (r == 0)
		r = write_files(e, c, o, &choice, run);
	if (r == 0)
		r = container_save(e, c);
	return r;
}

static int namespaces(struct engine *e, struct container *c, const struct network_choice *choice,
		      char **net, char **pid, char **ipc, char **uts)
{
	int r;

	if (choice->mode == NETWORK_CONTAINER)
		r = partner_ns(e, c, "network", "net", net);
	else {
		*net = g_strdup(choice->mode == NETWORK_PATH ? choice->arg : c->state.netns);
		r = 0;
	}
	if (r == 0)
		r = partner_ns(e, c, "pid", "pid", pid);
	if (r == 0)
		r = partner_ns(e, c, "ipc", "ipc", ipc);
	if (r == 0)
		r = partner_ns(e, c, "uts", "uts", uts);
	return r;
}

/* Control groups belong to the host: a container that was moved between two roots has one in each.
 */
static char *cgroup_path(struct engine *e, const struct container *c,
			 const struct container_options *o)
{
	const char *parent = o->cgroup_parent ? o->cgroup_parent : "/cryopod";

	if (!strcmp(e->root, ENGINE_ROOT))
		return g_strdup_printf("%s/cryopod-%s", parent, c->id);
	return g_strdup_printf("%s/cryopod-%06x-%s", parent, g_str_hash(e->root) & 0xffffff, c->id);
}

int life_write_spec(struct engine *e, struct container *c)
{
	CLEANUP(network_choice_clear) struct network_choice choice = {0};
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	g_autofree char *net = NULL, *pid = NULL, *ipc = NULL, *uts = NULL;
	g_autofree char *dir = container_static_dir(e, c), *run = container_run_dir(e, c);
	g_autofree char *root = rootfs_path(e, c->id);
	g_autofree char *volumes = g_build_filename(e->root, "volumes", NULL);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spec_input in = {.id = c->id,
				.name = c->name,
				.rootfs = root,
				.userdata = dir,
				.rundir = run,
				.volume_dir = volumes};
	g_autofree char *cgroup = NULL;
	json_t *spec = NULL;
	int r;

	if (fd < 0)
		return err_errno("open %s", dir);
	r = container_options(c, &in.options);
	if (r == 0)
		in.cgroup_path = cgroup = cgroup_path(e, c, in.options);
	if (r == 0)
		r = network_choice(c, &choice);
	if (r == 0)
		r = namespaces(e, c, &choice, &net, &pid, &ipc, &uts);
	if (r == 0)
		r = image_resolve(e, c->image_id, &img);
	if (r < 0)
		return r;
	in.image_config = img.config;
	in.netns = net;
	in.pidns = pid;
	in.ipcns = ipc;
	in.utsns = uts;
	r = spec_build(&in, &spec);
	if (r == 0)
		r = spec_write(spec, fd, "config.json");
	json_decref(spec);
	return r;
}

int container_write_spec(struct engine *e, struct container *c)
{
	return life_write_spec(e, c);
}

/* Everything is tried; the first failure is the story. */
static void note(int *first, char **story, int r)
{
	if (r >= 0)
		return;
	if (*first < 0)
		log_warn("%s", err_message());
	else
		*story = g_strdup(err_message());
	*first = *first < 0 ? *first : r;
}

static int remove_run_dir(struct engine *e, struct container *c)
{
	g_autofree char *dir = g_build_filename(e->runroot, "containers", NULL);
	autoclose int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno("open %s", dir);
	return file_remove_tree_at(fd, c->id);
}

/*
 * The runtime removes them with its record; a runtime that was killed before it had one leaves
 * them, and in them its own child for a moment: that ends when it sees that nobody is there.
 */
static void cgroups_remove(struct engine *e, struct container *c)
{
	const struct container_options *o;
	g_autofree char *name = NULL;
	CLEANUP(cgroup_host_clear) struct cgroup_host host = {0};
	autoclose int self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t end_us = g_get_monotonic_time() + CGROUP_MS * INT64_C(1000);

	if (self < 0 || container_options(c, &o) < 0 || cgroup_host_read(self, &host) < 0) {
		err_clear();
		return;
	}
	name = cgroup_path(e, c, o);
	for (size_t i = 0; i < host.n; i++) {
		g_autofree char *path = g_build_filename(host.v[i].target, name, NULL);

		if (cgroup_remove(path, end_us) < 0) {
			log_debug("%s", err_message());
			err_clear();
		}
	}
}

int container_release(struct engine *e, struct container *c, unsigned flags)
{
	g_autofree char *story = NULL;
	int first = 0;

	if (orphans_marked(e, c))
		note(&first, &story, orphans_end(e, c));
	note(&first, &story, runtime_delete(e, c, true));
	cgroups_remove(e, c);
	if (!(flags & RELEASE_KEEP_NETWORK)) {
		note(&first, &story, network_teardown(e, c->id));
		g_clear_pointer(&c->state.netns, g_free);
		json_decref(c->state.network);
		c->state.network = NULL;
	}
	note(&first, &story, umount_shm(e, c));
	if (c->state.mounts == 0)
		note(&first, &story, rootfs_umount(e, c->id));
	note(&first, &story, remove_run_dir(e, c));
	c->state.thawed = false;
	return first < 0 ? err_set(first, "%s", story) : 0;
}
