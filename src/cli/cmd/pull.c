/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/common.h"
#include "engine/image.h"

struct pull_opts {
	bool quiet, tls_verify, all_tags, ignored_flag;
	const char *authfile, *cert_dir, *creds, *arch, *os, *variant, *platform, *policy;
	uint64_t retry;
	const char *retry_delay;
};

#define O(field, ...) OPT(struct pull_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	O(all_tags, "all-tags", 'a', "All tagged images in the repository will be pulled",
	  .hidden = true),
	O(arch, "arch", 0,
	  "Use ARCH instead of the architecture of the machine for choosing images", .arg = "ARCH"),
	O(authfile, "authfile", 0, "Path of the authentication file"),
	O(cert_dir, "cert-dir", 0, "Pathname of a directory containing TLS certificates and keys",
	  .arg = "Pathname"),
	O(creds, "creds", 0,
	  "Credentials (USERNAME:PASSWORD) to use for authenticating to a registry",
	  .arg = "Credentials"),
	O(ignored_flag, "disable-content-trust", 0,
	  "This is a Docker specific option and is a NOOP"),
	O(os, "os", 0, "Use OS instead of the running OS for choosing images", .arg = "OS"),
	O(platform, "platform", 0,
	  "Specify the platform for selecting the image.  (Conflicts with arch and os)"),
	O(policy, "policy", 0, "Pull image policy", .def = "always"),
	O(quiet, "quiet", 'q', "Suppress output information when pulling images"),
	O(retry, "retry", 0, "Number of times to retry in case of failure when performing pull"),
	O(retry_delay, "retry-delay", 0, "Delay between retries in case of pull failures",
	  .hidden = true),
	O(tls_verify, "tls-verify", 0,
	  "Require HTTPS and verify certificates when contacting registries", .def = "true"),
	O(variant, "variant", 0,
	  "Use VARIANT instead of the running architecture variant for choosing images",
	  .arg = "VARIANT"),
	{}};

static int check(const struct pull_opts *o)
{
	if (o->all_tags)
		return err_set(ENOTSUP, "--all-tags is not supported: name the tags to pull");
	if (o->platform && (o->arch || o->os))
		return err_set(EINVAL,
			       "--platform option can not be specified with --arch or --os");
	return 0;
}

static int run(struct cli *cli)
{
	const struct pull_opts *o = cli->opts;
	g_autofree char *platform = g_strdup(o->platform);
	struct pull_options p = {.policy = PULL_ALWAYS,
				 .quiet = o->quiet,
				 .authfile = o->authfile,
				 .creds = o->creds,
				 .cert_dir = o->cert_dir,
				 .retries = (int)MIN(o->retry, 100)};
	struct engine *e;
	int status = 0, r = args_range(cli, 1, -1);

	if (r < 0 || (r = check(o)) < 0)
		return r;
	if (o->policy && (r = pull_policy_parse(o->policy, &p.policy)) < 0)
		return r;
	if (!platform && (o->arch || o->os || o->variant))
		platform = g_strdup_printf("%s/%s%s%s", o->os ? o->os : "linux",
					   o->arch ? o->arch : "amd64", o->variant ? "/" : "",
					   o->variant ? o->variant : "");
	p.platform = platform;
	if (cli_given(cli, "tls-verify"))
		p.tls_verify = o->tls_verify ? 1 : -1;
	r = cli_engine(cli, &e);
	if (r < 0)
		return r;
	for (char **name = cli->args; *name; name++) {
		CLEANUP(image_clear) struct image img = IMAGE_NONE;

		if (image_obtain(e, *name, &p, &img) < 0) {
			cli_print_error();
			status = 125;
			continue;
		}
		puts(img.id);
		fflush(stdout);
	}
	return status;
}

const struct command cmd_pull = {
	.path = "pull,image pull",
	.usage = "[options] IMAGE [IMAGE...]",
	.brief = "Pull an image from a registry",
	.text = "Pulls an image from a registry and stores it locally.\n\n"
		"An image can be pulled by tag or digest. If a tag is not specified, the image "
		"with "
		"the 'latest' tag is pulled.",
	.examples = "imageName\nfedora:latest\ndocker-archive:image.tar",
	.options = options,
	.size = sizeof(struct pull_opts),
	.run = run,
};
