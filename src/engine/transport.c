/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/transport.h"
#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LAYOUT "layout" /* in the scratch directory: an index.json that points to our blobs */

int transport_open(struct engine *e, const struct pull_options *o, struct transport *ret)
{
	int r;

	*ret = (struct transport){.e = e, .options = o, .hold = -1, .interrupt = interrupt_begin()};
	r = blobs_hold(e, &ret->hold);
	return r < 0 ? r : blobs_scratch(e, "pull", &ret->scratch);
}

void transport_close(struct transport *t)
{
	blobs_scratch_drop(&t->scratch);
	if (t->hold >= 0)
		close(take_fd(&t->hold));
	interrupt_end(&t->interrupt);
	t->interrupt.begun = false;
}

int transport_give_up(struct transport *t, int r)
{
	ERR_KEEP;

	transport_close(t);
	if (r == -EINTR && image_collect_garbage(t->e) < 0)
		err_clear();
	return r;
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

static GPtrArray *skopeo_copy(const struct pull_options *o)
{
	GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
	const char *registries = getenv("CONTAINERS_REGISTRIES_CONF");

	g_ptr_array_add(argv, g_strdup("skopeo"));
	/* Podman's variable; skopeo has only this option for it. */
	add(argv, "--registries-conf", registries && *registries ? registries : NULL);
	add_platform(argv, o->platform);
	g_ptr_array_add(argv, g_strdup("copy"));
	if (o->quiet)
		g_ptr_array_add(argv, g_strdup("--quiet"));
	if (o->retries > 0)
		g_ptr_array_add(argv, g_strdup_printf("--retry-times=%d", o->retries));
	return argv;
}

/* How to talk to the registry at the SIDE ("src", "dest") that is PLACE, if it is one. */
static void add_registry(GPtrArray *argv, const struct pull_options *o, const char *side,
			 const char *place)
{
	const struct {
		const char *option, *value;
	} all[] = {{"authfile", o->authfile},
		   {"creds", o->creds},
		   {"cert-dir", o->cert_dir},
		   {"tls-verify", !o->tls_verify      ? NULL
				  : o->tls_verify > 0 ? "true"
						      : "false"}};

	for (unsigned i = 0; i < ARRAY_SIZE(all) && g_str_has_prefix(place, "docker://"); i++) {
		g_autofree char *option = g_strdup_printf("--%s-%s", side, all[i].option);

		add(argv, option, all[i].value);
	}
}

static GPtrArray *fetch_argv(const struct transport *t, const char *source)
{
	GPtrArray *argv = skopeo_copy(t->options);

	add_registry(argv, t->options, "src", source);
	/* Signatures were looked at by the policy; the layout has no place for them. */
	g_ptr_array_add(argv, g_strdup("--remove-signatures"));
	/* Docker's manifests stay Docker's: an image's ID is its configuration's digest. */
	g_ptr_array_add(argv, g_strdup("--preserve-digests"));
	g_ptr_array_add(argv, g_strdup_printf("--dest-shared-blob-dir=%s/blobs", t->e->root));
	g_ptr_array_add(argv, g_strdup(source));
	g_ptr_array_add(argv, g_strdup("oci:" LAYOUT));
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

static int run_skopeo(struct transport *t, const GPtrArray *argv)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	g_auto(GStrv) env = environment(t);
	g_autofree char *why = NULL, *line = g_strjoinv(" ", (char **)argv->pdata);
	int r;

	log_debug("%s", line);
	r = spawn_run(&(struct spawn){.argv = (const char *const *)argv->pdata,
				      .env = (const char *const *)env,
				      .in = SPAWN_NULL,
				      .out = t->options->quiet ? SPAWN_NULL : STDERR_FILENO,
				      .err = SPAWN_CAPTURE,
				      .fds = &t->hold,
				      .nfds = 1,
				      .dir = t->scratch,
				      .interruptible = true},
		      &res);
	if (r == 0)
		r = interrupt_check();
	if (r < 0)
		return r;
	if (res.status == 0)
		return 0;
	why = failure_message(res.err);
	if (!*why)
		return err_set(EIO, "skopeo: exit status %d", spawn_exit_code(res.status));
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

int transport_fetch(struct transport *t, const char *source, char ret[DIGEST_MAX])
{
	g_autofree char *layout = g_build_filename(t->scratch, LAYOUT, NULL);
	/* The next image of an archive starts with an empty index. */
	g_autoptr(GPtrArray) argv = fetch_argv(t, source);
	int r = file_remove_tree_at(AT_FDCWD, layout);

	if (r == 0)
		r = run_skopeo(t, argv);
	return r < 0 ? r : read_index(layout, ret);
}

/* An OCI layout of one image, whose blobs are in our store. */
static int make_layout(struct transport *t, const char *digest)
{
	g_autofree char *layout = g_build_filename(t->scratch, LAYOUT, NULL), *text = NULL;
	const char *type = "application/vnd.oci.image.manifest.v1+json";
	g_autofree char *blob = blob_path(t->e, digest);
	json_t *manifest = NULL, *index;
	autoclose int dir = -1;
	struct stat st = {0};
	int r = blob_read_json(t->e, digest, &manifest);

	if (r == 0 && stat(blob, &st) < 0)
		r = err_errno("manifest %s", blob);
	if (r == 0)
		r = file_mkdirs(layout, 0700);
	if (r < 0) {
		json_decref(manifest);
		return r;
	}
	if (json_is_string(json_object_get(manifest, "mediaType")))
		type = json_string_value(json_object_get(manifest, "mediaType"));
	index = json_pack("{si s[{ss ss sI}]}", "schemaVersion", 2, "manifests", "mediaType", type,
			  "digest", digest, "size", (json_int_t)st.st_size);
	text = json_dumps(index, 0);
	json_decref(index);
	json_decref(manifest);
	dir = open(layout, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_errno("open %s", layout);
	r = file_write_at(dir, "index.json", text, strlen(text), 0600);
	return r < 0 ? r
		     : file_write_at(dir, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30,
				     0600);
}

int transport_send(struct transport *t, const char *digest, const struct transport_target *to)
{
	g_autofree char *layout = g_build_filename(t->scratch, LAYOUT, NULL);
	g_autoptr(GPtrArray) argv = skopeo_copy(t->options);
	int r = file_remove_tree_at(AT_FDCWD, layout);

	add_registry(argv, t->options, "dest", to->destination);
	add(argv, "--format", to->format);
	add(argv, "--digestfile", to->digestfile);
	for (char *const *tag = to->tags; tag && *tag; tag++)
		add(argv, "--additional-tag", *tag);
	g_ptr_array_add(argv, g_strdup_printf("--src-shared-blob-dir=%s/blobs", t->e->root));
	g_ptr_array_add(argv, g_strdup("oci:" LAYOUT));
	g_ptr_array_add(argv, g_strdup(to->destination));
	g_ptr_array_add(argv, NULL);
	if (r == 0)
		r = make_layout(t, digest);
	return r < 0 ? r : run_skopeo(t, argv);
}
