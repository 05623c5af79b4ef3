/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/transport.h"
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MANIFEST_MAX ((size_t)16 << 20)

int transport_open(struct engine *e, const struct pull_options *o, struct transport *ret)
{
	int r;

	*ret = (struct transport){.e = e, .options = o, .hold = -1};
	r = blobs_hold(e, &ret->hold);
	return r < 0 ? r : blobs_scratch(e, "pull", &ret->scratch);
}

void transport_close(struct transport *t)
{
	blobs_scratch_drop(&t->scratch);
	if (t->hold >= 0)
		close(take_fd(&t->hold));
}

static void add(GPtrArray *argv, const char *option, const char *value)
{
	if (value)
		g_ptr_array_add(argv, g_strdup_printf("%s=%s", option, value));
}

/* "linux/arm64/v8" */
static void add_platform(GPtrArray *argv, const char *platform)
{
	static const char *const options[] = {"--override-os", "--override-arch",
					      "--override-variant"};
	g_auto(GStrv) parts = platform ? g_strsplit(platform, "/", 3) : NULL;

	for (unsigned i = 0; parts && parts[i]; i++)
		add(argv, options[i], parts[i]);
}

static GPtrArray *copy_argv(const struct transport *t, const char *source, bool oci)
{
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	const struct pull_options *o = t->options;

	g_ptr_array_add(argv, g_strdup("skopeo"));
	add_platform(argv, o->platform);
	g_ptr_array_add(argv, g_strdup("copy"));
	if (o->quiet)
		g_ptr_array_add(argv, g_strdup("--quiet"));
	if (o->retries > 0)
		g_ptr_array_add(argv, g_strdup_printf("--retry-times=%d", o->retries));
	if (g_str_has_prefix(source, "docker://")) {
		add(argv, "--src-authfile", o->authfile);
		add(argv, "--src-creds", o->creds);
		add(argv, "--src-cert-dir", o->cert_dir);
		if (o->tls_verify)
			add(argv, "--src-tls-verify", o->tls_verify > 0 ? "true" : "false");
	}
	/* Signatures were looked at by the policy; the layout has no place for them. */
	g_ptr_array_add(argv, g_strdup("--remove-signatures"));
	g_ptr_array_add(argv, g_strdup("--preserve-digests"));
	if (oci)
		g_ptr_array_add(argv,
				g_strdup_printf("--dest-shared-blob-dir=%s/blobs", t->e->root));
	g_ptr_array_add(argv, g_strdup(source));
	g_ptr_array_add(argv, g_strdup(oci ? "oci:oci" : "dir:dir"));
	g_ptr_array_add(argv, NULL);
	return argv;
}

/* The value of msg= in a line of logrus: a Go string, which GLib's escapes are close enough to. */
static char *log_message(const char *line)
{
	const char *msg = strstr(line, " msg=\"");
	g_autofree char *quoted = NULL;
	char *end;

	if (!msg)
		return g_strdup(line);
	quoted = g_strdup(msg + strlen(" msg=\""));
	for (end = quoted; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	*end = 0;
	return g_strcompress(quoted);
}

/* The fatal line, or the last one, without what would break it into several. */
static char *failure_message(const char *err)
{
	g_auto(GStrv) lines = g_strsplit(err, "\n", -1);
	const char *best = NULL;
	char *msg;

	for (char **l = lines; *l; l++)
		if (**l && (!best || strstr(*l, "level=fatal") || !strstr(best, "level=fatal")))
			best = *l;
	msg = log_message(best ? best : "");
	return g_strstrip(g_strdelimit(msg, "\r\n\t", ' '));
}

static char **environment(const struct transport *t)
{
	/* Whatever it unpacks on the way goes where a killed command's things are swept up. */
	return g_environ_setenv(g_get_environ(), "TMPDIR", t->scratch, TRUE);
}

static int run_skopeo(struct transport *t, const char *source, bool oci)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	g_autoptr(GPtrArray) argv = copy_argv(t, source, oci);
	g_auto(GStrv) env = environment(t);
	g_autofree char *why = NULL;
	int r;

	log_debug("skopeo copy %s", source);
	r = spawn_run(&(struct spawn){.argv = (const char *const *)argv->pdata,
				      .env = (const char *const *)env,
				      .in = SPAWN_NULL,
				      .out = t->options->quiet ? SPAWN_NULL : STDERR_FILENO,
				      .err = SPAWN_CAPTURE,
				      .fds = &t->hold,
				      .nfds = 1,
				      .dir = t->scratch},
		      &res);
	if (r < 0)
		return r;
	if (res.status == 0)
		return 0;
	why = failure_message(res.err);
	if (!*why)
		return err_set(EIO, "skopeo: exit status %d", spawn_exit_code(res.status));
	/* Docker's manifests do not fit into an OCI layout as they are. */
	if (oci && strstr(why, "digest"))
		return err_set(EMEDIUMTYPE, "%s", why);
	return err_set(strstr(why, "no space left on device") ? ENOSPC : EIO, "%s", why);
}

/* The manifest that an OCI layout's index.json points to. */
static int read_index(const char *layout, char ret[DIGEST_MAX])
{
	g_autofree char *path = g_build_filename(layout, "index.json", NULL);
	json_error_t why;
	json_t *index = json_load_file(path, 0, &why);
	const char *digest = json_string_value(
		json_object_get(json_array_get(json_object_get(index, "manifests"), 0), "digest"));
	int r;

	r = digest ? digest_check(digest) : err_set(EBADMSG, "%s has no manifest", path);
	if (r == 0)
		g_strlcpy(ret, digest, DIGEST_MAX);
	json_decref(index);
	return r;
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A "dir:" directory: blobs under the digits of their digests, and manifest.json. */
static int adopt_files(struct engine *e, const char *path, char ret[DIGEST_MAX])
{
	CLEANUP(close_dir) DIR *d = opendir(path);
	g_autofree char *manifest = NULL;
	struct dirent *entry;
	autoclose int dir = -1;
	size_t len;
	int r;

	if (!d)
		return err_errno("open %s", path);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", path);
	while ((entry = readdir(d))) {
		g_autofree char *from = g_build_filename(path, entry->d_name, NULL);
		g_autofree char *digest = g_strconcat(DIGEST_PREFIX, entry->d_name, NULL);

		if (!digest_is_hex(entry->d_name, DIGEST_HEX, DIGEST_HEX))
			continue;
		r = blob_adopt(e, from, digest);
		if (r < 0)
			return r;
	}
	r = file_read_at(dir, "manifest.json", MANIFEST_MAX, &manifest, &len);
	return r < 0 ? r : blob_write(e, manifest, len, ret);
}

/* A second attempt, or the next image of an archive, starts with a clean directory. */
static int fetch_as(struct transport *t, const char *source, bool oci, char ret[DIGEST_MAX])
{
	g_autofree char *to = g_build_filename(t->scratch, oci ? "oci" : "dir", NULL);
	int r = file_remove_tree_at(AT_FDCWD, to);

	if (r == 0)
		r = run_skopeo(t, source, oci);
	if (r < 0)
		return r;
	return oci ? read_index(to, ret) : adopt_files(t->e, to, ret);
}

static bool may_be_oci(const char *source)
{
	return !g_str_has_prefix(source, "docker-archive:") &&
	       !g_str_has_prefix(source, "docker-daemon:") && !g_str_has_prefix(source, "dir:");
}

int transport_fetch(struct transport *t, const char *source, char ret[DIGEST_MAX])
{
	int r = -EMEDIUMTYPE;

	if (may_be_oci(source))
		r = fetch_as(t, source, true, ret);
	if (r == -EMEDIUMTYPE)
		r = fetch_as(t, source, false, ret);
	return r;
}
