/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts, resolv.conf and hostname of a container, from the host's, as Podman makes them
 * (containers/common: libnetwork/etchosts, libnetwork/resolvconf).
 *
 * An existing file is written over, not replaced: it may be mounted in the container already.
 */
#include "base/fd.h"
#include "base/file.h"
#include "engine/network_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define HOSTS	     "/etc/hosts"
#define RESOLV	     "/etc/resolv.conf"
#define RESOLVED_OWN "/run/systemd/resolve/resolv.conf"

static int write_over(int dir, const char *name, const GString *text)
{
	autoclose int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int r;

	if (fd < 0)
		return err_errno("create %s", name);
	r = fd_pwrite_full(fd, text->str, text->len, 0);
	if (r == 0 && ftruncate(fd, (off_t)text->len) < 0)
		r = err_errno("write");
	return r < 0 ? err_wrap(r, "%s", name) : 0;
}

/* A host without such a file has an empty one. */
static int read_host(const char *path, char **ret)
{
	int r = file_read_at(AT_FDCWD, path, 1 << 20, ret, NULL);

	if (r != -ENOENT)
		return r;
	*ret = g_strdup("");
	return 0;
}

/* The set of names has all words of the entry "IP NAME...": later entries with the same are left
 * out. */
static void remember(GHashTable *names, const char *line)
{
	g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
	bool first = true;

	for (char **w = words; *w && **w != '#'; w++) {
		if (!**w)
			continue;
		if (!first)
			g_hash_table_add(names, g_strdup(*w));
		first = false;
	}
}

static void add_entry(GString *out, GHashTable *names, const char *ip, const char *name)
{
	if (!ip || !*ip || !name || !*name || g_hash_table_contains(names, name))
		return;
	g_string_append_printf(out, "%s\t%s\n", ip, name);
	g_hash_table_add(names, g_strdup(name));
}

/* --add-host NAME[;NAME...]:IP; "host-gateway" is the host as the container sees it. */
static int add_extra(GString *out, GHashTable *names, const char *text, const char *gateway)
{
	const char *colon = strchr(text, ':'), *ip = colon ? colon + 1 : NULL;
	g_auto(GStrv) list = NULL;
	struct in6_addr a;

	if (!ip || colon == text)
		return err_set(EINVAL, "invalid host entry format: %s: must be NAME:IP", text);
	if (!strcmp(ip, "host-gateway")) {
		if (!gateway)
			return err_set(EINVAL, "host-gateway is not known in this network mode");
		ip = gateway;
	}
	if (inet_pton(strchr(ip, ':') ? AF_INET6 : AF_INET, ip, &a) != 1)
		return err_set(EINVAL, "invalid IP address \"%s\" in --add-host %s", ip, text);
	g_autofree char *part = g_strndup(text, (gsize)(colon - text));
	list = g_strsplit(part, ";", -1);
	for (char **n = list; *n; n++)
		add_entry(out, names, ip, *n);
	return 0;
}

static const char *gateway_of(const json_t *status)
{
	const char *name, *ifname, *gw;
	json_t *net, *itf;

	json_object_foreach((json_t *)status, name, net)
	{
		json_object_foreach(json_object_get(net, "interfaces"), ifname, itf)
		{
			gw = json_string_value(json_object_get(
				json_array_get(json_object_get(itf, "subnets"), 0), "gateway"));
			if (gw)
				return gw;
		}
	}
	return NULL;
}

static int write_hosts(int dir, const struct network_files *f)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GString) out = g_string_new(NULL);
	g_autofree char *base = NULL, *ip = network_first_ip(f->status);
	const char *gateway = f->mode == NETWORK_HOST ? "127.0.0.1" : gateway_of(f->status);
	g_auto(GStrv) lines = NULL;
	int r;

	for (char *const *h = f->add_host; h && *h; h++) {
		r = add_extra(out, names, *h, gateway);
		if (r < 0)
			return r;
	}
	r = read_host(HOSTS, &base);
	if (r < 0)
		return r;
	lines = g_strsplit(base, "\n", -1);
	for (char **l = lines; *l; l++) {
		if (**l)
			g_string_append_printf(out, "%s\n", *l);
		remember(names, *l);
	}
	add_entry(out, names, "127.0.0.1", "localhost");
	add_entry(out, names, gateway, "host.containers.internal");
	/* Last, and whatever the host says of these names. */
	if (ip && f->hostname)
		g_string_append_printf(out, "%s\t%s %s\n", ip, f->hostname, f->name ?: "");
	else if (f->mode == NETWORK_NONE && f->hostname)
		g_string_append_printf(out, "127.0.0.1\t%s %s\n", f->hostname, f->name ?: "");
	return write_over(dir, "hosts", out);
}

struct resolver {
	GPtrArray *servers, *options;
	char *search;
};

static void resolver_clear(struct resolver *r)
{
	g_ptr_array_free(r->servers, TRUE);
	g_ptr_array_free(r->options, TRUE);
	g_free(r->search);
}

static bool is_loopback(const char *ip)
{
	return g_str_has_prefix(ip, "127.") || !strcmp(ip, "::1");
}

/* resolv.conf(5): the last search or domain line counts, servers and options add up. */
static void take_line(struct resolver *v, const char *line)
{
	g_auto(GStrv) w = g_strsplit_set(g_strstrip((char *)line), " \t", 2);
	char *rest = w[0] && w[1] ? g_strstrip(w[1]) : NULL;

	if (!rest || !*rest)
		return;
	if (!strcmp(w[0], "nameserver"))
		g_ptr_array_add(v->servers, g_strndup(rest, strcspn(rest, " \t#;")));
	else if (!strcmp(w[0], "options"))
		g_ptr_array_add(v->options, g_strdup(rest));
	else if (!strcmp(w[0], "search") || !strcmp(w[0], "domain"))
		g_free(v->search), v->search = g_strdup(rest);
}

static int read_resolver(struct resolver *v)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	int r = read_host(RESOLV, &text);

	if (r < 0)
		return r;
	/* systemd-resolved listens on the host's loopback only; its own file has the real servers.
	 */
	if (strstr(text, "nameserver 127.0.0.53") && access(RESOLVED_OWN, R_OK) == 0) {
		g_clear_pointer(&text, g_free);
		r = read_host(RESOLVED_OWN, &text);
		if (r < 0)
			return r;
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **l = lines; *l; l++)
		take_line(v, *l);
	return 0;
}

static void override(GPtrArray *list, char *const *given)
{
	if (!given || !*given)
		return;
	g_ptr_array_set_size(list, 0);
	for (; *given; given++)
		g_ptr_array_add(list, g_strdup(*given));
}

static int write_resolver(int dir, const struct network_files *f)
{
	CLEANUP(resolver_clear)
	struct resolver v = {.servers = g_ptr_array_new_with_free_func(g_free),
			     .options = g_ptr_array_new_with_free_func(g_free)};
	g_autoptr(GString) out = g_string_new(NULL);
	int r = read_resolver(&v);

	if (r < 0)
		return r;
	if (f->mode != NETWORK_HOST) {
		for (guint i = v.servers->len; i-- > 0;)
			if (is_loopback(v.servers->pdata[i]))
				g_ptr_array_remove_index(v.servers, i);
		if (!v.servers->len && f->mode == NETWORK_BRIDGE) {
			g_ptr_array_add(v.servers, g_strdup("8.8.8.8"));
			g_ptr_array_add(v.servers, g_strdup("8.8.4.4"));
		}
	}
	override(v.servers, f->dns);
	override(v.options, f->dns_option);
	if (f->dns_search && *f->dns_search) {
		g_free(v.search);
		/* --dns-search . is "none". */
		v.search = strcmp(*f->dns_search, ".") ? g_strjoinv(" ", (char **)f->dns_search)
						       : NULL;
	}
	if (v.search)
		g_string_append_printf(out, "search %s\n", v.search);
	for (guint i = 0; i < v.servers->len; i++)
		g_string_append_printf(out, "nameserver %s\n", (char *)v.servers->pdata[i]);
	for (guint i = 0; i < v.options->len; i++)
		g_string_append_printf(out, "%s%s%s", i ? " " : "options ",
				       (char *)v.options->pdata[i],
				       i + 1 == v.options->len ? "\n" : "");
	return write_over(dir, "resolv.conf", out);
}

/* The very files of the container whose network is shared; the host name is our own. */
static int link_from(int dir, const char *like)
{
	static const char *const names[] = {"hosts", "resolv.conf"};
	autoclose int from = open(like, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from < 0)
		return err_errno("open %s", like);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		unlinkat(dir, names[i], 0);
		if (linkat(from, names[i], dir, names[i], 0) < 0 && errno != ENOENT)
			return err_errno("link %s", names[i]);
	}
	return 0;
}

int network_write_files(const struct network_files *f)
{
	autoclose int dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autoptr(GString) hostname = g_string_new(f->hostname);
	int r = 0;

	if (dir < 0)
		return err_errno("open %s", f->dir);
	g_string_append_c(hostname, '\n');
	if (f->hostname)
		r = write_over(dir, "hostname", hostname);
	if (r == 0 && f->like)
		return link_from(dir, f->like);
	if (r == 0 && !f->no_hosts)
		r = write_hosts(dir, f);
	if (r == 0)
		r = write_resolver(dir, f);
	return r;
}
