/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct push_opts {
	bool quiet, tls_verify, ignored_flag;
	const char *authfile, *cert_dir, *creds, *digestfile, *format, *ignored;
	uint64_t retry;
};

#define O(field, ...) OPT(struct push_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(authfile, "authfile", 0, "Path of the authentication file"),
	O(cert_dir, "cert-dir", 0, "Path to a directory containing TLS certificates and keys"),
	O(creds, "creds", 0,
	  "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry"),
	O(digestfile, "digestfile", 0,
	  "Write the digest of the pushed image to the specified "
	  "file"),
	O(ignored_flag, "disable-content-trust", 0,
	  "This is a Docker specific option and is a NOOP"),
	O(format, "format", 'f', "Manifest type (oci, v2s2) to use in the destination"),
	O(quiet, "quiet", 'q', "Suppress output information when pushing images"),
	O(ignored_flag, "remove-signatures", 0, "Discard any pre-existing signatures in the image"),
	O(retry, "retry", 0, "Number of times to retry in case of failure when performing push"),
	O(tls_verify, "tls-verify", 0,
	  "Require HTTPS and verify certificates when contacting registries", .def = "true"),
	{}};

static int run(struct cli *cli)
{
	const struct push_opts *o = cli->opts;
	CLEANUP(image_clear) struct image img = IMAGE_NONE;
	struct pull_options p = {.quiet = o->quiet,
				 .authfile = o->authfile,
				 .creds = o->creds,
				 .cert_dir = o->cert_dir,
				 .retries = (int)MIN(o->retry, 100)};
	struct engine *e;
	int r = args_range(cli, 1, 2);

	if (r < 0)
		return r;
	if (o->format && strcmp(o->format, "oci") != 0 && strcmp(o->format, "v2s2") != 0)
		return err_set(EINVAL,
			       "unknown format \"%s\". Choose one of the supported formats: 'oci' "
			       "or 'v2s2'",
			       o->format);
	if (cli_given(cli, "tls-verify"))
		p.tls_verify = o->tls_verify ? 1 : -1;
	r = cli_engine(cli, &e);
	if (r < 0 || (r = image_resolve(e, cli->args[0], &img)) < 0)
		return r;
	return image_push(e, &img, cli->nargs > 1 ? cli->args[1] : NULL, &p, o->format,
			  o->digestfile);
}

const struct command cmd_push = {
	.path = "push,image push",
	.usage = "[options] IMAGE [DESTINATION]",
	.brief = "Push an image to a specified destination",
	.text = "Pushes an image to a registry or to another place. Without DESTINATION it is "
		"where "
		"the\nimage's name says.",
	.examples = "imageID docker://registry.example.com/repository:tag\n"
		    "imageID oci-archive:/path/to/layout:image:tag",
	.options = options,
	.size = sizeof(struct push_opts),
	.complete = COMPLETE_IMAGES,
	.run = run,
};
