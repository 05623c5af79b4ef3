/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "cli/cmd/common.h"
#include "engine/image_commit.h"

#include <fcntl.h>

struct commit_opts {
	const char *author, *format, *iidfile, *message;
	char **change;
	bool include_volumes, pause, quiet, squash;
};

#define O(field, ...) OPT(struct commit_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(author, "author", 'a', "Set the author for the image committed"),
	OPT_ARRAY(
		struct commit_opts, change, "change", 'c',
		"Apply the following possible instructions to the created image: CMD | ENTRYPOINT "
		"| ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR"),
	O(format, "format", 'f', "Format of the image manifest and metadata", .def = "oci"),
	O(iidfile, "iidfile", 0, "Write the image ID to the file"),
	O(include_volumes, "include-volumes", 0, "Include container volumes as image volumes"),
	O(message, "message", 'm', "Set commit message for imported image"),
	O(pause, "pause", 'p', "Pause container during commit"),
	O(quiet, "quiet", 'q', "Suppress output"),
	O(squash, "squash", 's', "Squash newly built layers into a single new layer"),
	{}};

static int check(const struct commit_opts *o)
{
	if (o->format && strcmp(o->format, "oci") && strcmp(o->format, "docker"))
		return err_set(EINVAL, "unrecognized image format \"%s\"", o->format);
	/* Podman's rule; OCI's own history has comments, too. */
	if (o->message && (!o->format || !strcmp(o->format, "oci")))
		return err_set(EINVAL,
			       "messages are only compatible with the docker image format (-f "
			       "docker)");
	return 0;
}

static int run(struct cli *cli)
{
	const struct commit_opts *o = cli->opts;
	const struct commit_options how = {
		.reference = cli->nargs == 2 ? cli->args[1] : NULL,
		.author = o->author,
		.message = o->message,
		.changes = o->change,
		.volumes = o->include_volumes,
		.squash = o->squash,
		.docker = o->format && !strcmp(o->format, "docker"),
		.pause = o->pause,
	};
	CLEANUP(container_unref) struct container *c = NULL;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	int r = args_range(cli, 1, 2);

	if (r == 0)
		r = check(o);
	if (r == 0)
		r = pick_one(cli, false, cli->args[0], &c);
	if (r == 0)
		r = container_commit(cli->engine, c, &how, &img);
	if (r == 0 && o->iidfile)
		r = file_replace_at(AT_FDCWD, o->iidfile, img.id, strlen(img.id), 0644);
	if (r < 0)
		return r;
	puts(img.id);
	return 0;
}

const struct command cmd_commit = {
	.path = "commit,container commit",
	.usage = "[options] CONTAINER [IMAGE]",
	.brief = "Create new image based on the changed container",
	.text = "Makes an image of a container: the layers of its image and one with what has "
		"changed since, its command, environment, user and labels.\n\nWhat is in volumes "
		"and other mounts is not part of it, nor is what runs: see `container checkpoint "
		"--create-image`.",
	.examples = "web localhost/web:2\n--change CMD=/bin/bash web\n--squash --pause web "
		    "localhost/web:flat",
	.options = options,
	.size = sizeof(struct commit_opts),
	.complete = COMPLETE_CONTAINERS,
	.run = run,
};
