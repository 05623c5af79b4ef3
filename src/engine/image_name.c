/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/image_name.h"
#include "engine/digest.h"

#include <errno.h>
#include <string.h>

#define LOWER	     G_CSET_a_2_z G_CSET_DIGITS
#define WORD	     G_CSET_A_2_Z LOWER
#define TAG_MAX	     128
#define NAME_MAX_LEN 255

void image_name_clear(struct image_name *n)
{
	g_free(n->domain);
	g_free(n->path);
	g_free(n->tag);
	g_free(n->digest);
	*n = (struct image_name){0};
}

/* Letters and digits with single '.', '_', a double '_' or any number of '-' in between. */
static bool is_component(const char *s)
{
	for (;;) {
		size_t n = strspn(s, LOWER);

		if (!n)
			return false;
		s += n;
		if (!*s)
			return true;
		if (*s == '-')
			s += strspn(s, "-");
		else if (*s == '_')
			s += s[1] == '_' ? 2 : 1;
		else if (*s == '.')
			s++;
		else
			return false;
	}
}

static bool is_path(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	for (char **p = parts; *p; p++)
		if (!is_component(*p))
			return false;
	return *parts != NULL;
}

static bool is_domain(const char *domain)
{
	g_autofree char *host = g_strndup(domain, strcspn(domain, ":"));
	const char *port = strchr(domain, ':');
	g_auto(GStrv) parts = g_strsplit(host, ".", -1);

	if (port && (!port[1] || port[1 + strspn(port + 1, G_CSET_DIGITS)]))
		return false;
	for (char **p = parts; *p; p++) {
		size_t n = strlen(*p);

		if (!n || (*p)[strspn(*p, WORD "-")] || **p == '-' || (*p)[n - 1] == '-')
			return false;
	}
	return *parts != NULL;
}

static bool is_tag(const char *tag)
{
	return *tag && *tag != '.' && *tag != '-' && strlen(tag) <= TAG_MAX &&
	       !tag[strspn(tag, WORD "_.-")];
}

/* "a/b" is a path of Docker's registry; "a.b/c", "a:1/c" and "localhost/c" have a domain. */
static bool starts_with_domain(const char *text, size_t *ret_len)
{
	size_t n = strcspn(text, "/");

	*ret_len = n;
	if (!text[n])
		return false;
	return memchr(text, '.', n) || memchr(text, ':', n) ||
	       (n == strlen("localhost") && !strncmp(text, "localhost", n));
}

static bool split(const char *text, struct image_name *n)
{
	g_autofree char *rest = g_strdup(text);
	char *at = strchr(rest, '@'), *colon, *slash;
	size_t len;

	if (at) {
		n->digest = g_strdup(at + 1);
		*at = 0;
	}
	slash = strrchr(rest, '/');
	colon = strrchr(slash ? slash : rest, ':');
	if (colon) {
		n->tag = g_strdup(colon + 1);
		*colon = 0;
	}
	if (starts_with_domain(rest, &len)) {
		n->domain = g_strndup(rest, len);
		n->path = g_strdup(rest + len + 1);
	} else {
		n->path = g_strdup(rest);
	}
	if (!g_strcmp0(n->domain, "index.docker.io")) {
		g_free(n->domain);
		n->domain = g_strdup("docker.io");
	}
	return is_path(n->path) && (!n->domain || is_domain(n->domain)) &&
	       (!n->tag || is_tag(n->tag)) &&
	       (!n->digest || (g_str_has_prefix(n->digest, DIGEST_PREFIX) &&
			       digest_is_hex(digest_hex(n->digest), DIGEST_HEX, DIGEST_HEX)));
}

int image_name_parse(const char *text, struct image_name *ret)
{
	CLEANUP(image_name_clear) struct image_name n = {0}, lower = {0};
	g_autofree char *low = g_ascii_strdown(text, -1);

	if (!*text)
		return err_set(EINVAL, "repository name must have at least one component");
	if (!split(text, &n)) {
		if (split(low, &lower))
			return err_set(EINVAL, "repository name must be lowercase");
		return err_set(EINVAL, "invalid reference format");
	}
	if (strlen(n.path) + (n.domain ? strlen(n.domain) + 1 : 0) > NAME_MAX_LEN)
		return err_set(EINVAL, "repository name must not be more than 255 characters");
	if (!n.domain && digest_is_hex(n.path, DIGEST_HEX, DIGEST_HEX))
		return err_set(EINVAL,
			       "invalid repository name (%s), cannot specify 64-byte hexadecimal "
			       "strings",
			       n.path);
	*ret = n;
	n = (struct image_name){0};
	return 0;
}

char *image_name_repository(const struct image_name *n, const char *domain)
{
	bool library;

	if (!domain)
		domain = n->domain ? n->domain : "localhost";
	library = !strcmp(domain, "docker.io") && !strchr(n->path, '/');
	return g_strdup_printf("%s/%s%s", domain, library ? "library/" : "", n->path);
}

char *image_name_full(const struct image_name *n, const char *domain)
{
	g_autofree char *repository = image_name_repository(n, domain);
	const char *tag = n->tag ? n->tag : n->digest ? NULL : "latest";

	return g_strconcat(repository, tag ? ":" : "", tag ? tag : "", n->digest ? "@" : "",
			   n->digest ? n->digest : "", NULL);
}

void image_name_split(const char *full, char **ret_repository, char **ret_tag)
{
	const char *slash = strrchr(full, '/'), *colon = strrchr(slash ? slash : full, ':');

	*ret_repository = colon ? g_strndup(full, (gsize)(colon - full)) : g_strdup(full);
	*ret_tag = g_strdup(colon ? colon + 1 : "");
}
