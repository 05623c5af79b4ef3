/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel features under the names that CRIU's "check --feature" knows, and our own probes. */
#pragma once

#include "kernel/probe.h"

enum feature_level {
	FEATURE_NORMAL,
	FEATURE_EXTRA,	      /* only some trees need it */
	FEATURE_EXPERIMENTAL, /* nothing uses it here */
};

struct feature {
	struct probe probe;
	enum feature_level level;
};
extern const struct feature features[];
extern const size_t feature_count;

const struct feature *feature_find(const char *name);

/* The answer of a system call that was only tried. */
int feature_answer(long r, const char *what);
/* Does the file have WORD?  As above. */
int feature_in_text(const char *path, const char *word);

/* feature_task.c, feature_mem.c, feature_net.c: answers as struct probe's check */
int feature_mnt_id(void);
int feature_mem_dirty_track(void);
int feature_aio_remap(void);
int feature_timerfd(void);
int feature_userns(void);
int feature_cgroupns(void);
int feature_fdinfo_lock(void);
int feature_seccomp_filters(void);
int feature_breakpoints(void);
int feature_loginuid(void);
int feature_autofs(void);
int feature_compat(void);
int feature_uffd(void);
int feature_uffd_noncoop(void);
int feature_map_vdso(void);
int feature_kcmp_epoll(void);
int feature_ns_pid(void);
int feature_apparmor_stacking(void);
int feature_memfd_hugetlb(void);
int feature_move_mount_set_group(void);
int feature_openat2(void);
int feature_timer_ids(void);
int feature_overlay_maps(void);
int feature_scan_guards(void);
int feature_peek(void);
int feature_unaccepted(void);
int feature_pidfd_thread(void);
int feature_pidfd_exit(void);
int feature_last_pid(void);
int feature_proc_sched(void);
int feature_dispatch(void);
int feature_robust_list(void);
int feature_latency(void);
int feature_process_vm(void);
int feature_populate_write(void);
int feature_dev_uffd(void);

int feature_tun(void);
int feature_tun_ns(void);
int feature_tcp_half_closed(void);
int feature_sk_ns(void);
int feature_sk_unix_file(void);
int feature_net_diag_raw(void);
int feature_nsid(void);
int feature_external_net_ns(void);
int feature_newifindex(void);
int feature_move_ifindex(void);
int feature_nftables(void);
int feature_ipt_legacy(void);
int feature_buf_lock(void);
int feature_ipv6_freebind(void);
int feature_tcp_window(void);
int feature_peek_off(void);
int feature_tcp_peek_off(void);
int feature_sock_destroy(void);
int feature_raw_inject(void);
int feature_scm_fds(void);
