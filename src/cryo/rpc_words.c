/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a request as words of a command line: what an option does is said in one place. */
#include "cryo/rpc.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct flag {
	size_t has, at;
	const char *word;
};
#define FLAG(field, word_)                                                                         \
	{                                                                                          \
		offsetof(CriuOpts, has_##field), offsetof(CriuOpts, field), word_                  \
	}

static const struct flag flags[] = {
	FLAG(leave_running, "--leave-running"),
	FLAG(leave_stopped, "--leave-stopped"),
	FLAG(ext_unix_sk, "--ext-unix-sk"),
	FLAG(tcp_established, "--tcp-established"),
	FLAG(tcp_close, "--tcp-close"),
	FLAG(tcp_skip_in_flight, "--skip-in-flight"),
	FLAG(evasive_devices, "--evasive-devices"),
	FLAG(shell_job, "--shell-job"),
	FLAG(file_locks, "--file-locks"),
	FLAG(track_mem, "--track-mem"),
	FLAG(auto_dedup, "--auto-dedup"),
	FLAG(link_remap, "--link-remap"),
	FLAG(force_irmap, "--force-irmap"),
	FLAG(rst_sibling, "--restore-sibling"),
	FLAG(auto_ext_mnt, "--external=mnt[]"),
	FLAG(ext_sharing, "--enable-external-sharing"),
	FLAG(ext_masters, "--enable-external-masters"),
	FLAG(weak_sysctls, "--weak-sysctls"),
	FLAG(lazy_pages, "--lazy-pages"),
	FLAG(orphan_pts_master, "--orphan-pts-master"),
	FLAG(tls, "--tls"),
	FLAG(tls_no_cn_verify, "--tls-no-cn-verify"),
	FLAG(mntns_compat_mode, "--mntns-compat-mode"),
	FLAG(skip_file_rwx_check, "--skip-file-rwx-check"),
	FLAG(unprivileged, "--unprivileged"),
	FLAG(display_stats, "--display-stats"),
};

struct text {
	size_t at;
	const char *word;
};
#define TEXT(field, word_)                                                                         \
	{                                                                                          \
		offsetof(CriuOpts, field), word_                                                   \
	}

static const struct text texts[] = {
	TEXT(log_file, "--log-file="),
	TEXT(root, "--root="),
	TEXT(parent_img, "--prev-images-dir="),
	TEXT(cgroup_props, "--cgroup-props="),
	TEXT(cgroup_props_file, "--cgroup-props-file="),
	TEXT(freeze_cgroup, "--freeze-cgroup="),
	TEXT(lsm_profile, "--lsm-profile="),
	TEXT(lsm_mount_context, "--lsm-mount-context="),
	TEXT(cgroup_yard, "--cgroup-yard="),
	TEXT(tls_cacert, "--tls-cacert="),
	TEXT(tls_cacrl, "--tls-cacrl="),
	TEXT(tls_cert, "--tls-cert="),
	TEXT(tls_key, "--tls-key="),
};

struct list {
	size_t n, at;
	const char *word;
};
#define LIST(field, word_)                                                                         \
	{                                                                                          \
		offsetof(CriuOpts, n_##field), offsetof(CriuOpts, field), word_                    \
	}

static const struct list lists[] = {
	LIST(skip_mnt, "--skip-mnt="),
	LIST(enable_fs, "--enable-fs="),
	LIST(irmap_scan_paths, "--irmap-scan-path="),
	LIST(external, "--external="),
	LIST(cgroup_dump_controller, "--cgroup-dump-controller="),
};

static PRINTF_LIKE(2, 3) void add(GPtrArray *to, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	g_ptr_array_add(to, g_strdup_vprintf(fmt, ap));
	va_end(ap);
}

static void add_tables(const CriuOpts *o, GPtrArray *to)
{
	const char *base = (const char *)o;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (*(const protobuf_c_boolean *)(base + flags[i].has) &&
		    *(const protobuf_c_boolean *)(base + flags[i].at))
			add(to, "%s", flags[i].word);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *text = *(char *const *)(const void *)(base + texts[i].at);

		if (text)
			add(to, "%s%s", texts[i].word, text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char **v = *(char **const *)(const void *)(base + lists[i].at);

		for (size_t k = 0; k < *(const size_t *)(const void *)(base + lists[i].n); k++)
			add(to, "%s%s", lists[i].word, v[k]);
	}
}

static void add_dirs(const CriuOpts *o, pid_t peer, GPtrArray *to)
{
	if (o->images_dir_fd >= 0)
		add(to, "--images-dir=/proc/%d/fd/%d", peer, o->images_dir_fd);
	else if (o->images_dir)
		add(to, "--images-dir=%s", o->images_dir);
	if (o->has_work_dir_fd)
		add(to, "--work-dir=/proc/%d/fd/%d", peer, o->work_dir_fd);
}

static void add_cgroups(const CriuOpts *o, GPtrArray *to)
{
	static const char *const modes[] = {"ignore", "none",	"props", "soft",
					    "full",   "strict", "soft"};

	if (o->has_manage_cgroups_mode && (size_t)o->manage_cgroups_mode < ARRAY_SIZE(modes))
		add(to, "--manage-cgroups=%s", modes[o->manage_cgroups_mode]);
	else if (o->has_manage_cgroups && o->manage_cgroups)
		add(to, "--manage-cgroups");
	for (size_t i = 0; i < o->n_cg_root; i++)
		add(to, "--cgroup-root=%s%s%s", o->cg_root[i]->ctrl ?: "",
		    o->cg_root[i]->ctrl ? ":" : "", o->cg_root[i]->path);
}

static void add_sockets(const CriuOpts *o, GPtrArray *to)
{
	g_autoptr(GString) all = g_string_new("--ext-unix-sk=");

	for (size_t i = 0; i < o->n_unix_sk_ino; i++)
		g_string_append_printf(all, "%s%u", i ? "," : "", o->unix_sk_ino[i]->inode);
	if (o->n_unix_sk_ino)
		add(to, "%s", all->str);
}

static void add_pairs(const CriuOpts *o, GPtrArray *to)
{
	for (size_t i = 0; i < o->n_ext_mnt; i++)
		add(to, "--external=mnt[%s]:%s", o->ext_mnt[i]->key, o->ext_mnt[i]->val);
	for (size_t i = 0; i < o->n_veths; i++)
		add(to, "--external=veth[%s]:%s", o->veths[i]->if_in, o->veths[i]->if_out);
	for (size_t i = 0; i < o->n_inherit_fd; i++)
		add(to, "--inherit-fd=fd[%d]:%s", o->inherit_fd[i]->fd, o->inherit_fd[i]->key);
	for (size_t i = 0; i < o->n_join_ns; i++)
		add(to, "--join-ns=%s:%s%s%s", o->join_ns[i]->ns, o->join_ns[i]->ns_file,
		    o->join_ns[i]->extra_opt ? "," : "", o->join_ns[i]->extra_opt ?: "");
	add_sockets(o, to);
}

static void add_numbers(const CriuOpts *o, GPtrArray *to)
{
	static const char *const locks[] = {NULL, "iptables", "nftables", "skip"};

	if (o->has_log_level)
		add(to, "--verbosity=%d", o->log_level);
	if (o->has_ghost_limit)
		add(to, "--ghost-limit=%u", o->ghost_limit);
	if (o->has_timeout)
		add(to, "--timeout=%u", o->timeout);
	if (o->has_pre_dump_mode)
		add(to, "--pre-dump-mode=%s",
		    o->pre_dump_mode == CRIU_PRE_DUMP_MODE__VM_READ ? "read" : "splice");
	if (o->has_network_lock && o->network_lock > 0 &&
	    (size_t)o->network_lock < ARRAY_SIZE(locks))
		add(to, "--network-lock=%s", locks[o->network_lock]);
}

/* Bits of enum criu_cpu_cap: fpu, cpu, ins; 0 is "none", all ones the default. */
static void add_cpu(const CriuOpts *o, GPtrArray *to)
{
	static const char *const names[] = {NULL, "fpu", "cpu", "ins"};

	for (unsigned i = 1; o->has_cpu_cap && o->cpu_cap != ~0u && i < ARRAY_SIZE(names); i++)
		if (o->cpu_cap & 1u << i)
			add(to, "--cpu-cap=%s", names[i]);
}

static bool is_dump(CriuReqType type)
{
	return type == CRIU_REQ_TYPE__DUMP || type == CRIU_REQ_TYPE__PRE_DUMP ||
	       type == CRIU_REQ_TYPE__SINGLE_PRE_DUMP;
}

/* Without a number it is whoever asks. */
static void add_tree(const CriuOpts *o, CriuReqType type, pid_t peer, GPtrArray *to)
{
	if (is_dump(type))
		add(to, "--tree=%d", o->has_pid && o->pid ? o->pid : peer);
}

/* A dump that keeps memory back is a page server itself, at that address. */
static void add_page_server(const CriuOpts *o, CriuReqType type, GPtrArray *to)
{
	if (!o->ps)
		return;
	if (is_dump(type) && !o->lazy_pages)
		add(to, "--page-server");
	if (o->ps->address)
		add(to, "--address=%s", o->ps->address);
	if (o->ps->has_port)
		add(to, "--port=%d", o->ps->port);
	if (o->ps->has_fd)
		add(to, "--ps-socket=%d", o->ps->fd);
}

#define EMPTY_NET 0x40000000 /* CLONE_NEWNET */

int rpc_words(const CriuOpts *o, CriuReqType type, pid_t peer, GPtrArray *to)
{
	if (o->has_empty_ns && o->empty_ns & ~EMPTY_NET)
		return err_set(EOPNOTSUPP, "option empty_ns %#x: only net is known", o->empty_ns);
	if (o->log_file && strchr(o->log_file, '/'))
		return err_set(EBADRQC, "option log_file %s: not a name", o->log_file);
	add_dirs(o, peer, to);
	add_tree(o, type, peer, to);
	add_numbers(o, to);
	add_tables(o, to);
	add_pairs(o, to);
	add_cgroups(o, to);
	add_cpu(o, to);
	add_page_server(o, type, to);
	if (o->has_empty_ns && o->empty_ns)
		add(to, "--empty-ns=net");
	if (type == CRIU_REQ_TYPE__RESTORE)
		add(to, "--restore-detached");
	return 0;
}
