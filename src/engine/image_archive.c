/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_archive.h"
#include "base/libarchive.h"
#include "engine/image_name.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#define DOCUMENT_MAX ((size_t)64 << 20)
#define NO_FORMAT    "payload does not match any of the supported image formats: "

/* Where it is, how skopeo finds it, how people call it. */
struct place {
	const char *file, *source, *shown;
};

static void found_free(void *p)
{
	struct archive_image *f = p;

	g_free(f->source);
	g_ptr_array_unref(f->names);
	g_free(f);
}

static struct archive_image *found_add(GPtrArray *to, char *source)
{
	struct archive_image *f = g_new0(struct archive_image, 1);

	f->source = source;
	f->names = g_ptr_array_new_with_free_func(g_free);
	g_ptr_array_add(to, f);
	return f;
}

/* Names without a registry are Docker's in its own archives, and ours in others. */
static void add_name(struct archive_image *f, const char *text, const char *domain)
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

static int find_docker(const struct place *p, const json_t *manifest, GPtrArray *to)
{
	size_t n = json_array_size(manifest);

	for (size_t i = 0; i < n; i++) {
		const json_t *tags = json_object_get(json_array_get(manifest, i), "RepoTags");
		struct archive_image *f =
			found_add(to, g_strdup_printf("docker-archive:%s:@%zu", p->source, i));

		for (size_t k = 0; k < json_array_size(tags); k++)
			add_name(f, json_string_value(json_array_get(tags, k)), "docker.io");
	}
	return n ? 0 : err_set(EBADMSG, "%s: manifest.json has no images", p->shown);
}

static int find_oci(const struct place *p, const json_t *index, const char *transport,
		    GPtrArray *to)
{
	const json_t *manifests = json_object_get(index, "manifests");
	size_t n = json_array_size(manifests);

	for (size_t i = 0; i < n; i++) {
		const json_t *notes = json_object_get(json_array_get(manifests, i), "annotations");
		const char *name = json_string_value(
			json_object_get(notes, "org.opencontainers.image.ref.name"));
		const char *real =
			json_string_value(json_object_get(notes, "io.containerd.image.name"));
		struct archive_image *f;

		if (n > 1 && !name)
			return err_set(EBADMSG, "%s has several images without names", p->shown);
		f = found_add(to, n > 1 ? g_strdup_printf("%s:%s:%s", transport, p->source, name)
					: g_strdup_printf("%s:%s", transport, p->source));
		add_name(f, real ? real : name, "localhost");
	}
	return n ? 0 : err_set(EBADMSG, "%s: index.json has no images", p->shown);
}

static json_t *read_document(struct archive *a)
{
	g_autoptr(GByteArray) text = g_byte_array_new();
	char buf[65536];
	la_ssize_t n;

	while ((n = archive_read_data(a, buf, sizeof(buf))) > 0) {
		if (text->len + (size_t)n > DOCUMENT_MAX)
			return NULL;
		g_byte_array_append(text, (guint8 *)buf, (guint)n);
	}
	return n < 0 ? NULL : json_loadb((char *)text->data, text->len, 0, NULL);
}

static void archive_freep(struct archive **a)
{
	archive_read_free(*a);
}

/* Looks through the whole file: the two documents may be its last members. */
static int scan(struct archive *a, json_t **docker, json_t **oci)
{
	struct archive_entry *entry;
	int code;

	while ((code = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		const char *name = archive_entry_pathname(entry);

		while (name && g_str_has_prefix(name, "./"))
			name += 2;
		if (!g_strcmp0(name, "manifest.json") && !*docker)
			*docker = read_document(a);
		else if (!g_strcmp0(name, "index.json") && !*oci)
			*oci = read_document(a);
	}
	return code;
}

static int find_in_file(const struct place *p, GPtrArray *to)
{
	CLEANUP(archive_freep) struct archive *a = archive_read_new();
	json_t *docker = NULL, *oci = NULL;
	int r;

	archive_read_support_format_tar(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_zstd(a);
	if (archive_read_open_filename(a, p->file, 1 << 20) != ARCHIVE_OK)
		return err_set(EINVAL, NO_FORMAT "%s is not a tar archive", p->shown);
	if (scan(a, &docker, &oci) != ARCHIVE_EOF)
		r = err_set(EBADMSG, "%s: damaged archive: %s", p->shown, archive_error_string(a));
	else if (docker)
		r = find_docker(p, docker, to);
	else if (oci)
		r = find_oci(p, oci, "oci-archive", to);
	else
		r = err_set(EINVAL,
			    NO_FORMAT "%s has neither manifest.json nor index.json (a root file "
				      "system is for \"import\")",
			    p->shown);
	json_decref(docker);
	json_decref(oci);
	return r;
}

static int find_in_directory(const struct place *p, GPtrArray *to)
{
	g_autofree char *index = g_build_filename(p->file, "index.json", NULL);
	g_autofree char *manifest = g_build_filename(p->file, "manifest.json", NULL);
	json_t *oci = json_load_file(index, 0, NULL);
	int r = 0;

	if (oci)
		r = find_oci(p, oci, "oci", to);
	else if (access(manifest, F_OK) == 0)
		found_add(to, g_strdup_printf("dir:%s", p->source));
	else
		r = err_set(EINVAL, NO_FORMAT "%s has neither index.json nor manifest.json",
			    p->shown);
	json_decref(oci);
	return r;
}

int image_archive_find(const char *file, const char *source, const char *shown, GPtrArray **ret)
{
	struct place p = {file, source, shown};
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(found_free);
	struct stat st;
	int r;

	if (stat(file, &st) < 0)
		return err_errno("stat %s", shown);
	r = S_ISDIR(st.st_mode) ? find_in_directory(&p, found) : find_in_file(&p, found);
	if (r < 0)
		return r;
	*ret = g_steal_pointer(&found);
	return 0;
}
