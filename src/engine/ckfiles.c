/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ckfiles.h"
#include "base/discard.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "cr/cryo.h"
#include "engine/exit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL_FILE	((size_t)1 << 20)
#define EXIT_TIMEOUT_MS 10000

int ck_open_static(struct engine *e, const struct container *c, int *ret)
{
	g_autofree char *path = container_static_dir(e, c);

	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno("open %s", path) : 0;
}

char *ck_path(struct engine *e, const struct container *c, const char *name)
{
	g_autofree char *dir = container_static_dir(e, c);

	return g_strdup_printf("%s/%s", dir, name);
}

int ck_write_descriptors(int images, char *const descriptors[3])
{
	json_t *list = json_pack("[s?, s?, s?]", descriptors[0], descriptors[1], descriptors[2]);
	g_autofree char *text = json_dumps(list, JSON_COMPACT);

	json_decref(list);
	return file_write_at(images, CK_DESCRIPTORS, text, strlen(text), 0600);
}

void ck_read_descriptors(int images, char *ret[3])
{
	g_autofree char *text = NULL;
	json_t *list = NULL;

	if (file_read_at(images, CK_DESCRIPTORS, 1 << 16, &text, NULL) == 0)
		list = json_loads(text, 0, NULL);
	err_clear();
	for (unsigned i = 0; i < 3; i++)
		ret[i] = g_strdup(json_string_value(json_array_get(list, i)));
	json_decref(list);
}

int ck_write_network(int dir, const json_t *status)
{
	g_autofree char *text = status ? json_dumps(status, JSON_INDENT(2)) : g_strdup("null");

	return file_write_at(dir, CK_NETWORK, text, strlen(text), 0600);
}

int ck_read_network(int dir, json_t **ret)
{
	g_autofree char *text = NULL;
	json_error_t why;
	int r = file_read_at(dir, CK_NETWORK, 1 << 20, &text, NULL);

	*ret = NULL;
	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	if (r < 0)
		return r;
	*ret = json_loads(text, JSON_DECODE_ANY, &why);
	return *ret ? 0 : err_set(EINVAL, CK_NETWORK ": %s", why.text);
}

int ck_copy(int from, const char *name, int to)
{
	g_autofree char *text = NULL;
	size_t len;
	int r = file_read_at(from, name, SMALL_FILE, &text, &len);

	if (r == -ENOENT) {
		err_clear();
		return 0;
	}
	return r < 0 ? r : file_write_at(to, name, text, len, 0600);
}

void ck_remove(int dir, const char *name)
{
	bool large = !strcmp(name, CK_IMAGES) || !strcmp(name, CK_PRE_IMAGES);

	if ((large ? discard_at : file_remove_tree_at)(dir, name) < 0) {
		log_warn("%s", err_message());
		err_clear();
	}
}

void ck_drop_connections(struct engine *e, const struct container *c)
{
	ERR_KEEP;
	g_autofree char *path = ck_path(e, c, CK_IMAGES);
	g_autofree char *netns = g_strdup_printf("/proc/%d/ns/net", c->state.pid);
	autoclose int images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (cryo_images_unlock(images, netns) < 0)
		log_debug("network lock: %s", err_message());
}

int ck_wait_exit(struct engine *e, struct container *c)
{
	g_autofree char *file = container_exit_file(e, c);
	int r = exit_wait_file(e, c, EXIT_TIMEOUT_MS);

	if (r < 0)
		return r;
	if (unlink(file) < 0 && errno != ENOENT)
		return err_errno("remove %s", file);
	return 0;
}

uint64_t ck_pages_bytes(int images, bool on_disk)
{
	int copy = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	uint64_t sum = 0;
	struct dirent *e;
	struct stat st;

	while (d && (e = readdir(d)))
		if (g_str_has_prefix(e->d_name, "pages-") &&
		    fstatat(copy, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			sum += on_disk ? (uint64_t)st.st_blocks * 512 : (uint64_t)st.st_size;
	if (d)
		closedir(d);
	else if (copy >= 0)
		close(copy);
	return sum;
}

int cklog_open(struct cklog *l, int dir, const char *name)
{
	*l = CKLOG_NONE;
	l->fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return err_errno("create %s", name);
	l->threshold = (int)log_threshold;
	if (log_threshold > LOG_DEBUG) {
		log_threshold = LOG_DEBUG;
		log_to_fd(l->fd);
	}
	return 0;
}

void cklog_close(struct cklog *l)
{
	if (l->fd < 0)
		return;
	log_to_fd(-1);
	log_threshold = (enum log_level)l->threshold;
	close(take_fd(&l->fd));
}

uint64_t ck_images_size(int images)
{
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", images);
	g_autoptr(GDir) d = images < 0 ? NULL : g_dir_open(path, 0, NULL);
	uint64_t bytes = 0;
	const char *name;
	struct stat st;

	while (d && (name = g_dir_read_name(d)))
		if (fstatat(images, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_size;
	return bytes;
}
