/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/version.h"

#include "cli/cmd/common.h"
#include "cli/report.h"
#include "cli/types.h"

#include <sys/utsname.h>

struct version_opts {
	const char *format;
};

static const struct opt options[] = {OPT(struct version_opts, format, "format", 'f',
					 "Change the output format to JSON or a Go template"),
				     {}};

/* OCI's words for what uname(2) says. */
const char *version_arch(void)
{
	static const char *const names[][2] = {
		{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"riscv64", "riscv64"}};
	struct utsname u;

	uname(&u);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(u.machine, names[i][0]))
			return names[i][1];
	return "unknown";
}

json_t *version_document(void)
{
	g_autofree char *os_arch = g_strdup_printf("linux/%s", version_arch());

	/* Podman's keys; scripts read some of them. */
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "APIVersion", CRYOPOD_VERSION,
			 "Version", CRYOPOD_VERSION, "GoVersion", "", "GitCommit", "", "BuiltTime",
			 "", "Built", 0, "OsArch", os_arch, "Os", "linux");
}

static int run(struct cli *cli)
{
	const struct version_opts *o = cli->opts;
	json_t *rows;
	int r = 0;

	if (cli->nargs)
		return err_set(EINVAL, "`%s version` takes no arguments", cli_name(cli));
	if (!o->format) {
		printf("Client:       Cryopod Engine\nVersion:      %s\nAPI Version:  %s\n"
		       "OS/Arch:      linux/%s\n",
		       CRYOPOD_VERSION, CRYOPOD_VERSION, version_arch());
		return 0;
	}
	rows = json_pack("[{s:o}]", "Client", version_document());
	if (report_wants_json(o->format))
		report_json(json_array_get(rows, 0), 2);
	else
		r = report_template("version", o->format, &type_version, rows);
	json_decref(rows);
	return r;
}

const struct command cmd_version = {
	.path = "version",
	.usage = "[options]",
	.brief = "Display the version information",
	.options = options,
	.size = sizeof(struct version_opts),
	.run = run,
};
