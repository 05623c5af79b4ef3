/* SPDX-License-Identifier: Apache-2.0 */
/* Images on their way out: save, push. */
#include "engine/image.h"

#include "base/file.h"
#include "engine/events.h"
#include "engine/image_name.h"
#include "engine/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct save_format {
	const char *name, *transport, *type;
	bool archive;
} formats[] = {
	{"docker-archive", "docker-archive", NULL, true},
	{"oci-archive", "oci-archive", NULL, true},
	{"oci-dir", "oci", NULL, false},
	{"docker-dir", "dir", "v2s2", false},
};

static const struct save_format *format_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(name ? name : "docker-archive", formats[i].name))
			return &formats[i];
	return NULL;
}

/* ":NAME", as archives and layouts take it; an image without a name has none. */
static char *suffix(const struct image *img, const struct save_format *f)
{
	const char *name = img->names[0] && strchr(img->name, ':') ? img->name : img->names[0];

	return name && strcmp(f->transport, "dir") ? g_strdup_printf(":%s", name) : g_strdup("");
}

static int to_stdout(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buffer[1 << 16];
	ssize_t n;

	if (fd < 0)
		return err_errno("open %s", path);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t done = 0, k; done < n; done += k) {
			k = write(STDOUT_FILENO, buffer + done, (size_t)(n - done));
			if (k < 0)
				return err_errno("write to stdout");
		}
	return n < 0 ? err_errno("read %s", path) : 0;
}

static void drop_file(char **path)
{
	if (*path)
		unlink(*path);
	g_free(*path);
}

/* A file beside the one that is asked for, on the same file system; skopeo wants it not to exist.
 */
static int save_archive(struct transport *t, const struct image *img,
			const struct image_save_options *o, const struct save_format *f)
{
	g_autofree char *name = suffix(img, f), *absolute = NULL, *destination = NULL;
	CLEANUP(drop_file) char *aside = NULL;
	struct transport_target to = {.format = f->type, .tags = o->tags};
	char id[ENGINE_ID_LEN + 1];
	int r;

	engine_random_id(id);
	if (o->output) {
		absolute = g_canonicalize_filename(o->output, NULL);
		aside = g_strdup_printf("%s.partial-%.8s", absolute, id);
	} else {
		aside = g_build_filename(t->scratch, "archive", NULL);
	}
	if (strchr(aside, ':'))
		return err_set(EINVAL, "%s: a path with a colon in it cannot be saved to", aside);
	destination = g_strdup_printf("%s:%s%s", f->transport, aside, name);
	to.destination = destination;
	r = transport_send(t, img->digest, &to);
	if (r < 0 || !o->output)
		return r < 0 ? r : to_stdout(aside);
	if (rename(aside, absolute) < 0)
		return err_errno("create %s", absolute);
	g_clear_pointer(&aside, g_free);
	return 0;
}

static int save_dir(struct transport *t, const struct image *img,
		    const struct image_save_options *o, const struct save_format *f)
{
	g_autofree char *name = suffix(img, f);
	g_autofree char *absolute = o->output ? g_canonicalize_filename(o->output, NULL) : NULL;
	g_autofree char *destination = g_strdup_printf("%s:%s%s", f->transport, absolute, name);
	const struct transport_target to = {.destination = destination, .format = f->type};
	int r;

	if (!absolute)
		return err_set(EINVAL, "--format %s writes a directory: name it with --output",
			       f->name);
	r = file_mkdirs(absolute, 0755);
	return r < 0 ? r : transport_send(t, img->digest, &to);
}

int image_save(struct engine *e, const struct image *img, const struct image_save_options *o)
{
	const struct pull_options p = {.quiet = o->quiet};
	CLEANUP(transport_close) struct transport t = {.hold = -1};
	const struct save_format *f = format_of(o->format);
	int r;

	if (!f)
		return err_set(EINVAL,
			       "unknown format %s: use docker-archive, oci-archive, oci-dir or "
			       "docker-dir",
			       o->format);
	r = transport_open(e, &p, &t);
	if (r < 0)
		return r;
	r = f->archive ? save_archive(&t, img, o, f) : save_dir(&t, img, o, f);
	if (r == 0)
		event_image(e, "save", img->id, o->output ?: "-");
	return r;
}

/* A reference is a place in a registry. */
static int push_target(const struct image *img, const char *text, char **ret)
{
	static const char *const transports[] = {
		"docker://", "oci:", "oci-archive:", "docker-archive:", "dir:", "docker-daemon:"};
	CLEANUP(image_name_clear) struct image_name n = {0};
	int r;

	if (!text)
		text = img->names[0] ? img->name : NULL;
	if (!text)
		return err_set(EINVAL, "image %s has no name: say where to push it", img->id);
	for (unsigned i = 0; i < ARRAY_SIZE(transports); i++)
		if (g_str_has_prefix(text, transports[i])) {
			*ret = g_strdup(text);
			return 0;
		}
	r = image_name_parse(text, &n);
	if (r == 0) {
		g_autofree char *full = image_name_full(&n, n.domain ? NULL : "docker.io");

		*ret = g_strconcat("docker://", full, NULL);
	}
	return r;
}

int image_push(struct engine *e, const struct image *img, const char *destination,
	       const struct pull_options *o, const char *format, const char *digestfile)
{
	CLEANUP(transport_close) struct transport t = {.hold = -1};
	g_autofree char *place = NULL,
			*absolute = digestfile ? g_canonicalize_filename(digestfile, NULL) : NULL;
	struct transport_target to = {.format = format, .digestfile = absolute};
	int r = push_target(img, destination, &place);

	if (r == 0)
		r = transport_open(e, o, &t);
	to.destination = place;
	if (r == 0)
		r = transport_send(&t, img->digest, &to);
	if (r == 0)
		event_image(e, "push", img->id, place);
	return r;
}
