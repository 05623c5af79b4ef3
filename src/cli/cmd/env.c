/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/env.h"

#include "base/file.h"
#include "engine/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)

extern char **environ;

static void append_host(char ***ret, const char *name, size_t len, bool prefix)
{
	for (char **v = environ; *v; v++)
		if (!strncmp(*v, name, len) && (prefix || (*v)[len] == '='))
			options_append(ret, *v);
}

void env_host(char ***ret)
{
	append_host(ret, "", 0, true);
}

void env_proxy(char ***ret)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "ftp_proxy", "no_proxy",
					    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		append_host(ret, names[i], strlen(names[i]), false);
}

static int append_var(char ***ret, const char *text)
{
	size_t len = strcspn(text, "=");

	if (!len)
		return err_set(EINVAL, "invalid environment variable: \"%s\"", text);
	if (text[len])
		options_append(ret, text);
	else if (text[len - 1] == '*')
		append_host(ret, text, len - 1, true);
	else
		append_host(ret, text, len, false);
	return 0;
}

static int append_label(char ***ret, const char *text)
{
	if (!*text || *text == '=')
		return err_set(EINVAL, "unable to process labels: invalid label format: \"%s\"",
			       text);
	options_append(ret, text);
	return 0;
}

/* Lines of a file but empty ones and comments. */
static int each_line(const char *path, const char *what, int (*each)(char ***, const char *),
		     char ***ret)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r = file_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL);

	if (r == -ENOENT)
		return err_set(ENOENT, "parsing %s file \"%s\": open %s: no such file or directory",
			       what, path, path);
	if (r < 0)
		return err_wrap(r, "parsing %s file \"%s\"", what, path);
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++) {
		char *line = g_strchug(*l);

		line[strcspn(line, "\r")] = '\0';
		if (!*line || *line == '#')
			continue;
		r = each(ret, line);
		if (r < 0)
			return err_wrap(r, "parsing %s file \"%s\"", what, path);
	}
	return 0;
}

static int collect(char *const *files, char *const *values, const char *what,
		   int (*each)(char ***, const char *), char ***ret)
{
	for (; files && *files; files++) {
		int r = each_line(*files, what, each, ret);

		if (r < 0)
			return r;
	}
	for (; values && *values; values++) {
		int r = each(ret, *values);

		if (r < 0)
			return r;
	}
	return 0;
}

int env_collect(char *const *files, char *const *vars, char ***ret)
{
	return collect(files, vars, "env", append_var, ret);
}

int env_labels(char *const *files, char *const *labels, char ***ret)
{
	return collect(files, labels, "label", append_label, ret);
}
