/* SPDX-License-Identifier: Apache-2.0 */
/* `load`: archives written by `save`, and directories of the same kinds. */
#include "base/file.h"
#include "engine/events.h"
#include "engine/image_name.h"
#include "engine/image_store.h"
#include "engine/transport.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ARCHIVE	     "in" /* in the scratch directory, where skopeo runs */
#define DOCUMENT_MAX ((size_t)64 << 20)

/* One image: where skopeo finds it, and the names that the archive gives it. */
struct found {
	char *source;
	GPtrArray *names;
};

static void found_free(void *p)
{
	struct found *f = p;

	g_free(f->source);
	g_ptr_array_unref(f->names);
	g_free(f);
}

static struct found *found_add(GPtrArray *to, char *source)
{
	struct found *f = g_new0(struct found, 1);

	f->source = source;
	f->names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(to, f);
	return f;
}

/* Names without a registry are Docker's in its own archives, and ours in others. */
static void add_name(struct found *f, const char *text, const char *domain)
{
	CLEANUP(image_name_clear) struct image_name n = {0};

	if (!text)
		return;
	if (image_name_parse(text, &n) < 0 || n.digest) {
		err_clear(); /* skopeo's layouts may have any text there */
		return;
	}
	g_ptr_array_add(f->names, image_name_full(&n, n.domain ? NULL : domain));
}

static int find_docker(const json_t *manifest, GPtrArray *to)
{
	size_t n = json_array_size(manifest);

	for (size_t i = 0; i < n; i++) {
		const json_t *tags = json_object_get(json_array_get(manifest, i), "RepoTags");
		struct found *f =
			found_add(to, g_strdup_printf("docker-archive:" ARCHIVE ":@%zu", i));

		for (size_t k = 0; k < json_array_size(tags); k++)
			add_name(f, json_string_value(json_array_get(tags, k)), "docker.io");
	}
	return n ? 0 : err_set(EBADMSG, "the archive's manifest.json has no images");
}

static int find_oci(const json_t *index, const char *transport, GPtrArray *to)
{
	const json_t *manifests = json_object_get(index, "manifests");
	size_t n = json_array_size(manifests);

	for (size_t i = 0; i < n; i++) {
		const json_t *notes = json_object_get(json_array_get(manifests, i), "annotations");
		const char *name = json_string_value(
			json_object_get(notes, "org.opencontainers.image.ref.name"));
		const char *real =
			json_string_value(json_object_get(notes, "io.containerd.image.name"));
		struct found *f;

		if (n > 1 && !name)
			return err_set(EBADMSG, "the archive has several images without names");
		f = found_add(to, n > 1 ? g_strdup_printf("%s:" ARCHIVE ":%s", transport, name)
					: g_strdup_printf("%s:" ARCHIVE, transport));
		add_name(f, real ? real : name, "localhost");
	}
	return n ? 0 : err_set(EBADMSG, "the archive's index.json has no images");
}

static json_t *parse(const char *text, size_t len)
{
	json_t *j = text ? json_loadb(text, len, 0, NULL) : NULL;

	return j;
}

static char *read_member(struct archive *a, size_t *ret_len)
{
	g_autoptr(GByteArray) out = g_byte_array_new();
	char buf[65536];
	la_ssize_t n;

	while ((n = archive_read_data(a, buf, sizeof(buf))) > 0)
		if (out->len + (size_t)n > DOCUMENT_MAX)
			return NULL;
		else
			g_byte_array_append(out, (guint8 *)buf, (guint)n);
	*ret_len = out->len;
	return n < 0 ? NULL : (char *)g_byte_array_free(g_steal_pointer(&out), FALSE);
}

static void archive_freep(struct archive **a)
{
	archive_read_free(*a);
}

/* Looks through the whole file: the two documents may be its last members. */
static int find_in_file(const char *path, GPtrArray *to)
{
	CLEANUP(archive_freep) struct archive *a = archive_read_new();
	json_t *docker = NULL, *oci = NULL;
	struct archive_entry *entry;
	int r, code;

	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	if (archive_read_open_filename(a, path, 1 << 20) != ARCHIVE_OK)
		return err_set(EINVAL,
			       "payload does not match any of the supported image formats: "
			       "%s is not a tar archive",
			       path);
	while ((code = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		const char *name = archive_entry_pathname(entry);
		json_t **want = NULL;

		while (name && g_str_has_prefix(name, "./"))
			name += 2;
		if (!g_strcmp0(name, "manifest.json"))
			want = &docker;
		else if (!g_strcmp0(name, "index.json"))
			want = &oci;
		if (want && !*want) {
			size_t len = 0;
			g_autofree char *text = read_member(a, &len);

			*want = parse(text, len);
		}
	}
	if (code != ARCHIVE_EOF)
		r = err_set(EBADMSG, "%s: damaged archive: %s", path, archive_error_string(a));
	else if (docker)
		r = find_docker(docker, to);
	else if (oci)
		r = find_oci(oci, "oci-archive", to);
	else
		r = err_set(EINVAL,
			    "payload does not match any of the supported image formats: %s "
			    "has neither manifest.json nor index.json (a root file system "
			    "is taken by \"import\")",
			    path);
	json_decref(docker);
	json_decref(oci);
	return r;
}

static int find_in_directory(const char *path, GPtrArray *to)
{
	g_autofree char *index = g_build_filename(path, "index.json", NULL);
	g_autofree char *manifest = g_build_filename(path, "manifest.json", NULL);
	json_t *oci = json_load_file(index, 0, NULL);
	int r = 0;

	if (oci)
		r = find_oci(oci, "oci", to);
	else if (access(manifest, F_OK) == 0)
		found_add(to, g_strdup("dir:" ARCHIVE));
	else
		r = err_set(EINVAL,
			    "payload does not match any of the supported image formats: %s "
			    "has neither index.json nor manifest.json",
			    path);
	json_decref(oci);
	return r;
}

static int copy_stdin(const char *path)
{
	autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return err_errno("create %s", path);
	do { /* both ends may be pipes or files: splice(2) is not for all of them */
		char buf[65536];

		n = read(STDIN_FILENO, buf, sizeof(buf));
		if (n > 0 && write(fd, buf, (size_t)n) != n)
			return err_errno("write %s", path);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? err_errno("read stdin") : 0;
}

/* Where the archive lies, under a path without the colons that skopeo takes for its own. */
static int settle(struct transport *t, const char *path, char **ret)
{
	g_autofree char *here = g_build_filename(t->scratch, ARCHIVE, NULL);
	g_autofree char *absolute = NULL;
	int r;

	if (!path || !strcmp(path, "-")) {
		r = copy_stdin(here);
		if (r < 0)
			return r;
	} else {
		absolute = g_canonicalize_filename(path, NULL);
		if (access(absolute, R_OK) < 0)
			return err_set(errno, "stat %s: %s", path,
				       errno == ENOENT ? "no such file or directory"
						       : g_strerror(errno));
		if (symlink(absolute, here) < 0)
			return err_errno("create %s", here);
	}
	*ret = g_steal_pointer(&here);
	return 0;
}

static int load_one(struct transport *t, struct found *f, GPtrArray *said)
{
	char digest[DIGEST_MAX], id[ENGINE_ID_LEN + 1];
	int r = transport_fetch(t, f->source, digest);

	if (r < 0)
		return r;
	g_ptr_array_add(f->names, NULL);
	r = image_adopt(t->e,
			&(struct image_source){.digest = digest, .names = (char **)f->names->pdata},
			id);
	if (r < 0)
		return r;
	for (unsigned i = 0; i + 1 < f->names->len; i++)
		g_ptr_array_add(said, g_strdup(f->names->pdata[i]));
	if (f->names->len == 1)
		g_ptr_array_add(said, g_strconcat(DIGEST_PREFIX, id, NULL));
	event_image(t->e, "loadfromarchive", id, said->pdata[said->len - 1]);
	return 0;
}

static void close_transport(struct transport *t)
{
	transport_close(t);
}

int image_load(struct engine *e, const char *path, bool quiet, char ***ret)
{
	struct pull_options options = {.quiet = quiet};
	CLEANUP(close_transport) struct transport t = {.hold = -1};
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(found_free);
	g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *file = NULL;
	struct stat st;
	int r = transport_open(e, &options, &t);

	if (r == 0)
		r = settle(&t, path, &file);
	if (r < 0)
		return r;
	if (stat(file, &st) < 0)
		return err_errno("stat %s", path);
	r = S_ISDIR(st.st_mode) ? find_in_directory(file, found) : find_in_file(file, found);
	for (unsigned i = 0; r == 0 && i < found->len; i++)
		r = load_one(&t, found->pdata[i], said);
	if (r < 0)
		return r;
	g_ptr_array_add(said, NULL);
	g_ptr_array_set_free_func(said, NULL);
	*ret = (char **)g_ptr_array_free(g_steal_pointer(&said), FALSE);
	return 0;
}
