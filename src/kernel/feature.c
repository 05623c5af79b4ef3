/* SPDX-License-Identifier: Apache-2.0 */
/* The table; what is also one of our probes asks that. */
#include "kernel/feature.h"

#include <string.h>

#define SAME_AS(function, probe_name)                                                              \
	static int function(void)                                                                  \
	{                                                                                          \
		return probe_has_name(probe_name);                                                 \
	}

SAME_AS(checkpoint_capability, "checkpoint-capability")
SAME_AS(ptrace_, "ptrace")
SAME_AS(pidfd, "pidfd")
SAME_AS(map_files, "map-files")
SAME_AS(kcmp_, "kcmp")
SAME_AS(children, "children")
SAME_AS(set_tid, "clone3-set-tid")
SAME_AS(mm_map, "prctl-mm-map")
SAME_AS(suspend_seccomp, "suspend-seccomp")
SAME_AS(rseq, "rseq-configuration")
SAME_AS(freezer, "freezer")
SAME_AS(timens, "time-namespace")
SAME_AS(pagemap_scan, "pagemap-scan")
SAME_AS(posix_timers, "posix-timers")
SAME_AS(sock_diag, "sock-diag")
SAME_AS(sys_resource, "sys-resource")

#define NEEDED(name_, check_, for_, without_)                                                      \
	{                                                                                          \
		.probe = {name_, for_, without_, true, check_}, .level = FEATURE_NORMAL            \
	}
#define USEFUL(name_, check_, for_, without_)                                                      \
	{                                                                                          \
		.probe = {name_, for_, without_, false, check_}, .level = FEATURE_EXTRA            \
	}
#define UNUSED(name_, check_, for_, without_)                                                      \
	{                                                                                          \
		.probe = {name_, for_, without_, false, check_}, .level = FEATURE_EXPERIMENTAL     \
	}

const struct feature features[] = {
	NEEDED("checkpoint-capability", checkpoint_capability,
	       "opening what processes have mapped, choosing process numbers",
	       "nothing can be saved or restored"),
	NEEDED("ptrace", ptrace_, "holding processes still", "nothing can be saved or restored"),
	NEEDED("pidfd_store", pidfd, "holding on to a process, copies of its descriptors",
	       "nothing can be saved or restored"),
	NEEDED("map-files", map_files, "mapped files, shared memory",
	       "nothing can be saved or restored"),
	NEEDED("kcmp", kcmp_, "finding out what processes share", "nothing can be saved"),
	NEEDED("children", children, "walking the process tree", "nothing can be saved"),
	NEEDED("clone3_set_tid", set_tid, "giving processes their old numbers",
	       "nothing can be restored"),
	NEEDED("prctl-mm-map", mm_map, "giving processes their old memory layout",
	       "nothing can be restored"),
	NEEDED("mnt_id", feature_mnt_id, "knowing the mount of an open file",
	       "files cannot be saved"),
	NEEDED("ns_pid", feature_ns_pid, "numbers of processes inside pid namespaces",
	       "nothing can be saved"),
	NEEDED("openat2", feature_openat2, "names that lead nowhere else than in the tree",
	       "files cannot be restored"),

	USEFUL("mem_dirty_track", feature_mem_dirty_track, "saving only memory that has changed",
	       "every pre-dump saves all memory"),
	USEFUL("pagemap_scan", pagemap_scan, "finding the pages to save",
	       "pagemap is read entry by entry, slower"),
	USEFUL("pagemap_scan_guard_pages", feature_scan_guards, "guard regions in memory",
	       "processes with guard regions are refused"),
	USEFUL("get_rseq_conf", rseq, "restartable sequences (glibc 2.35 and later)",
	       "processes that use them are refused"),
	USEFUL("seccomp_suspend", suspend_seccomp, "processes with seccomp filters",
	       "such processes are refused"),
	USEFUL("seccomp_filters", feature_seccomp_filters, "processes with seccomp filters",
	       "such processes are refused"),
	USEFUL("posix-timers", posix_timers, "timers of timer_create(2)",
	       "processes with such timers are refused"),
	USEFUL("timer_cr_ids", feature_timer_ids, "timers with their old numbers at once",
	       "timers are made until the number comes up"),
	USEFUL("timerfd", feature_timerfd, "expirations of a timerfd that nobody has read",
	       "they are lost"),
	USEFUL("timens", timens, "clocks that go on after a reboot or on another host",
	       "clocks since boot jump"),
	USEFUL("kcmp_epoll", feature_kcmp_epoll, "which files an epoll descriptor watches",
	       "watched files are guessed from their numbers"),
	USEFUL("fdinfo_lock", feature_fdinfo_lock, "knowing the locks of a file",
	       "file locks are not seen"),
	USEFUL("can_map_vdso", feature_map_vdso, "a vdso in processes made anew",
	       "that of the first process is moved"),
	USEFUL("aio_remap", feature_aio_remap, "asynchronous I/O rings at their old address",
	       "processes with such rings cannot be restored"),
	USEFUL("memfd_hugetlb", feature_memfd_hugetlb, "memfds of huge pages",
	       "such memfds cannot be restored"),
	USEFUL("overlayfs_maps", feature_overlay_maps, "mapped files of an overlay",
	       "they are found by their names"),
	USEFUL("sock-diag", sock_diag, "sockets", "processes with sockets are refused"),
	USEFUL("sk_ns", feature_sk_ns, "sockets of other network namespaces",
	       "they are taken for those of the process"),
	USEFUL("sk_unix_file", feature_sk_unix_file, "bound unix sockets whose name has changed",
	       "they are found by their names"),
	USEFUL("net_diag_raw", feature_net_diag_raw, "raw sockets", "raw sockets are refused"),
	USEFUL("sockopt_buf_lock", feature_buf_lock, "sizes of socket buffers set by the program",
	       "sizes are restored, but may be adjusted later"),
	USEFUL("ipv6_freebind", feature_ipv6_freebind, "sockets bound to addresses not yet there",
	       "addresses must be there before a restore"),
	USEFUL("tcp_half_closed", feature_tcp_half_closed, "TCP connections closed on one side",
	       "such connections are refused"),
	USEFUL("nftables", feature_nftables, "holding the network while TCP connections are saved",
	       "established TCP connections are refused"),
	USEFUL("network_lock_nftables", feature_nftables,
	       "holding the network while TCP connections are saved",
	       "established TCP connections are refused"),
	USEFUL("kernel_peek", feature_peek,
	       "reading what the kernel has and shows nobody (BTF, BPF_PROG_TYPE_SYSCALL)",
	       "what clients have sent on unaccepted unix connections is read by accepting them"),
	USEFUL("tun", feature_tun, "tun and tap devices",
	       "processes with such devices are refused"),
	USEFUL("userns", feature_userns, "user namespaces", "trees with their own are refused"),
	USEFUL("cgroupns", feature_cgroupns, "cgroup namespaces",
	       "trees with their own are refused"),
	USEFUL("loginuid", feature_loginuid, "the audit login id of processes", "it is lost"),
	USEFUL("freezer", freezer, "stopping a whole control group at one instant",
	       "processes are stopped one by one, until no new one appears"),
	USEFUL("sys-resource", sys_resource, "raising limits (CAP_SYS_RESOURCE)",
	       "limits are restored only as far as ours allow"),

	UNUSED("uffd", feature_uffd, "memory that is fetched when it is touched",
	       "--lazy-pages is not possible"),
	UNUSED("uffd-noncoop", feature_uffd_noncoop, "the same for processes that fork",
	       "--lazy-pages is not possible"),
	UNUSED("tun_ns", feature_tun_ns, "tun devices of other network namespaces",
	       "they are taken for those of the process"),
	UNUSED("autofs", feature_autofs, "autofs mounts", "trees with such mounts are refused"),
	UNUSED("compat_cr", feature_compat, "32-bit processes", "32-bit processes are refused"),
	UNUSED("nsid", feature_nsid, "numbers of network namespaces in each other",
	       "trees with several network namespaces are refused"),
	UNUSED("link_nsid", feature_nsid, "devices whose peer is in another network namespace",
	       "trees with several network namespaces are refused"),
	UNUSED("external_net_ns", feature_external_net_ns,
	       "network namespaces that somebody else makes",
	       "trees with a network namespace are refused"),
	UNUSED("newifindex", feature_newifindex, "network devices with their old numbers",
	       "network devices get new numbers"),
	UNUSED("has_ipt_legacy", feature_ipt_legacy, "rules of iptables' old kernel interface",
	       "there are none"),
	UNUSED("apparmor_stacking", feature_apparmor_stacking, "AppArmor namespaces",
	       "profiles of the host are used"),
	UNUSED("move_mount_set_group", feature_move_mount_set_group,
	       "sharing groups of mounts in any order",
	       "trees with shared mounts of their own are refused"),
	UNUSED("breakpoints", feature_breakpoints, "stopping at an address by the processor",
	       "nothing: it is not needed here"),
};
const size_t feature_count = ARRAY_SIZE(features);

const struct feature *feature_find(const char *name)
{
	for (size_t i = 0; i < feature_count; i++)
		if (strcmp(features[i].probe.name, name) == 0)
			return &features[i];
	return NULL;
}
