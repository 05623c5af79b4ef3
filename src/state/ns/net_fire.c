/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firewall of a network namespace: nftables' own text, which libnftables writes and reads, and
 * for the older tables that of iptables-save, whose programs are run where they are needed.
 */
#include "state/ns/net.h"

#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"
#include "state/nft.h"
#include "state/ns/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define TEXT_MAX (64u << 20)

static int begin(struct nft_ctx **ret)
{
	nft_load();
	*ret = nft_library.new(0);
	if (!*ret)
		return err_set(EIO, "nftables cannot be used");
	nft_library.buffer_output(*ret);
	nft_library.buffer_error(*ret);
	return 0;
}

/* 1: there are some. */
static int dump_nft(struct dump *d, uint32_t id)
{
	struct nft_ctx *nft;
	const char *text;
	int r = begin(&nft);

	if (r < 0)
		return r;
	r = nft_run(nft, "list ruleset");
	text = r == 0 ? nft_library.get_output(nft) : "";
	if (r == 0 && *text) {
		r = image_write_raw(&d->w, IMG_NFTABLES, id, text, strlen(text));
		r = r == 0 ? 1 : r;
	}
	nft_library.free(nft);
	return r;
}

/* Programs for the tables of xtables: what the kernel calls "legacy". */
static const struct {
	enum image_kind image;
	const char *names, *save[2], *restore[2];
} old[] = {
	{IMG_IPTABLES,
	 "/proc/net/ip_tables_names",
	 {"iptables-legacy-save", "iptables-save"},
	 {"iptables-legacy-restore", "iptables-restore"}},
	{IMG_IP6TABLES,
	 "/proc/net/ip6_tables_names",
	 {"ip6tables-legacy-save", "ip6tables-save"},
	 {"ip6tables-legacy-restore", "ip6tables-restore"}},
};

/* Which tables are there: reading makes none. */
static bool has_old(const char *names)
{
	g_autofree char *text = NULL;

	/* /proc/net is that of the process, /proc/thread-self/net ours */
	g_autofree char *mine =
		g_strconcat("/proc/thread-self/net/", strrchr(names, '/') + 1, NULL);

	if (file_read_at(AT_FDCWD, mine, 4096, &text, NULL) < 0) {
		err_clear();
		return false;
	}
	return *text != 0;
}

static int run_first(const char *const names[2], const char *input, char **ret)
{
	int r = 0;

	for (int i = 0; i < 2; i++) {
		const char *const argv[] = {names[i], "-c", NULL}; /* with counters */
		const struct spawn s = {.argv = argv,
					.in = SPAWN_NULL,
					.err = SPAWN_CAPTURE,
					.input = input,
					.input_len = input ? strlen(input) : 0};

		r = spawn_check(&s, ret, NULL);
		if (r != -ENOENT)
			return r;
	}
	return r;
}

static int dump_old(struct dump *d, uint32_t id, size_t i)
{
	g_autofree char *text = NULL;
	int r;

	if (!has_old(old[i].names))
		return 0;
	r = run_first(old[i].save, NULL, &text);
	if (r == 0 && *text)
		r = image_write_raw(&d->w, old[i].image, id, text, strlen(text));
	return r;
}

/*
 * Tables of nftables that iptables has made: as nftables' own text they would do the same, but
 * iptables would not know them any more (its extensions are not what is read from that text).
 */
static const struct {
	const char *family, *save[2], *restore[2];
} new[] = {
	{"ip",
	 {"iptables-nft-save", "iptables-save"},
	 {"iptables-nft-restore", "iptables-restore"}},
	{"ip6",
	 {"ip6tables-nft-save", "ip6tables-save"},
	 {"ip6tables-nft-restore", "ip6tables-restore"}},
};

static bool is_new(const char *const names[2])
{
	for (int i = 0; i < 2; i++) {
		const char *const argv[] = {names[i], "-V", NULL};
		const struct spawn s = {.argv = argv, .in = SPAWN_NULL, .err = SPAWN_CAPTURE};
		g_autofree char *text = NULL;

		if (spawn_check(&s, &text, NULL) == 0)
			return strstr(text, "(nf_tables)") != NULL;
		err_clear();
	}
	return false;
}

static char *new_key(uint32_t id)
{
	return g_strdup_printf("xtables-%u", id);
}

static int dump_new(struct dump *d, uint32_t id, size_t i)
{
	g_autofree char *text = NULL, *key = new_key(id);
	json_t *all = json_object_get(d->extra, key);
	int r = is_new(new[i].save) ? run_first(new[i].save, NULL, &text) : 0;

	if (r < 0) /* nobody here could use them either */
		err_clear();
	if (!text || (text[0] != '*' && !strstr(text, "\n*")))
		return 0;
	if (!all)
		json_object_set_new(d->extra, key, all = json_object());
	json_object_set_new(all, new[i].family, json_string(text));
	return 0;
}

/* "*nat" */
static int drop_tables(const char *family, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autoptr(GString) commands = g_string_new(NULL);
	struct nft_ctx *nft;
	int r;

	for (char **l = lines; *l; l++)
		if (**l == '*' && strspn(*l + 1, "abcdefghijklmnopqrstuvwxyz") == strlen(*l + 1))
			g_string_append_printf(commands, "delete table %s %s\n", family, *l + 1);
	r = begin(&nft);
	if (r < 0)
		return r;
	r = nft_run(nft, commands->str);
	nft_library.free(nft);
	return r;
}

static int restore_new(const json_t *extra, uint32_t id, size_t i)
{
	g_autofree char *key = new_key(id);
	const char *text =
		json_string_value(json_object_get(json_object_get(extra, key), new[i].family));
	int r;

	if (!text)
		return 0;
	if (!is_new(new[i].restore)) {
		log_info("no iptables for nftables here: its rules are nftables' own");
		return 0;
	}
	r = drop_tables(new[i].family, text);
	return r < 0 ? r : run_first(new[i].restore, text, NULL);
}

int net_firewall_dump(struct dump *d, uint32_t id)
{
	int r = dump_nft(d, id);

	for (size_t i = 0; r == 1 && i < ARRAY_SIZE(new); i++) {
		int e = dump_new(d, id, i);

		r = e < 0 ? e : r;
	}
	r = MIN(r, 0);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(old); i++)
		r = dump_old(d, id, i);
	return r;
}

/* 1: there is none. */
static int read_text(int images, uint32_t id, enum image_kind kind, char **ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	int r = image_open(images, kind, id, &img);
	uint64_t len;

	if (r != 0)
		return r;
	len = image_rest(img);
	if (len > TEXT_MAX)
		return err_set(EBADMSG, "%s: %" PRIu64 " bytes", img->name, len);
	*ret = g_malloc0(len + 1);
	return image_read_raw(img, *ret, len);
}

static int restore_nft(int images, uint32_t id)
{
	g_autofree char *text = NULL;
	struct nft_ctx *nft;
	int r = read_text(images, id, IMG_NFTABLES, &text);

	if (r == 0)
		r = begin(&nft);
	if (r != 0)
		return r < 0 ? r : 0;
	r = nft_run(nft, text);
	nft_library.free(nft);
	return r;
}

struct fire {
	int images;
	uint32_t id;
	const json_t *extra;
};

static int restore_all(void *arg, int *ret_fd)
{
	const struct fire *f = arg;
	int r = restore_nft(f->images, f->id);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(new); i++)
		r = restore_new(f->extra, f->id, i);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(old); i++) {
		g_autofree char *text = NULL;

		r = read_text(f->images, f->id, old[i].image, &text);
		if (r == 0)
			r = run_first(old[i].restore, text, NULL);
		r = r > 0 ? 0 : r;
	}
	return r;
}

/* 1: they hold one. */
static int has_any(int images, uint32_t id)
{
	const enum image_kind kinds[] = {IMG_NFTABLES, IMG_IPTABLES, IMG_IP6TABLES};
	int r = 1;

	for (size_t i = 0; r == 1 && i < ARRAY_SIZE(kinds); i++) {
		CLEANUP(image_close) struct image *img = NULL;

		r = image_open(images, kinds[i], id, &img);
	}
	return r < 0 ? r : !r;
}

int net_firewall_restore(int images, uint32_t id, int ns, const json_t *extra)
{
	struct fire f = {images, id, extra};
	int r = has_any(images, id);

	if (r == 0)
		err_clear();
	if (r == 1)
		r = ns_run(&ns, 1, restore_all, &f, NULL);
	return r < 0 ? err_wrap(r, "firewall") : 0;
}
