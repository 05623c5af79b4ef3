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
SAME_AS(mount_api, "mount-api")
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
	NEEDED("process_vm", feature_process_vm, "memory of processes that are held",
	       "nothing can be saved or restored"),
	NEEDED("robust_list", feature_robust_list, "processes that go on when we are killed",
	       "nothing can be saved or restored"),
	NEEDED("kcmp", kcmp_, "finding out what processes share", "nothing can be saved"),
	NEEDED("children", children, "walking the process tree", "nothing can be saved"),
	NEEDED("get_rseq_conf", rseq, "restartable sequences (glibc 2.35 and later)",
	       "nothing can be saved"),
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
	       "pre-dumps are refused, a dump saves all memory"),
	USEFUL("populate_write", feature_populate_write,
	       "memory of a virtual machine that is there before a freeze",
	       "processes with much memory, or many threads, are frozen for longer"),
	USEFUL("pagemap_scan", pagemap_scan, "finding the pages to save",
	       "pagemap is read entry by entry, slower"),
	USEFUL("pagemap_scan_guard_pages", feature_scan_guards, "guard regions in memory",
	       "guard regions are lost"),
	USEFUL("uffd", feature_uffd, "memory that is fetched when it is touched",
	       "--lazy-pages is not possible"),
	USEFUL("uffd-noncoop", feature_uffd_noncoop, "the same for processes that fork",
	       "--lazy-pages is not possible"),
	USEFUL("dev_userfaultfd", feature_dev_uffd, "the same in a user namespace",
	       "memory of such trees is read before they run"),
	USEFUL("seccomp_suspend", suspend_seccomp, "processes with seccomp filters",
	       "such processes are refused"),
	USEFUL("seccomp_filters", feature_seccomp_filters, "processes with seccomp filters",
	       "such processes are refused"),
	USEFUL("user_dispatch", feature_dispatch,
	       "system calls that are dispatched to the program itself",
	       "they are not recognized, and may end"),
	USEFUL("pidfd_thread", feature_pidfd_thread,
	       "descriptors of processes whose first thread has ended",
	       "such processes are refused"),
	USEFUL("pidfd_exit", feature_pidfd_exit,
	       "exit status that a pidfd of a process that is gone tells", "it is lost"),
	USEFUL("ns_last_pid", feature_last_pid,
	       "numbers of processes in user namespaces inside, and of exec sessions",
	       "such trees and containers are not restored"),
	USEFUL("posix-timers", posix_timers, "timers of timer_create(2)",
	       "processes with such timers are refused"),
	USEFUL("timer_cr_ids", feature_timer_ids, "timers with their old numbers at once",
	       "timers are made until the number comes up"),
	USEFUL("timerfd", feature_timerfd, "expirations of a timerfd that nobody has read",
	       "such timerfds are not restored"),
	USEFUL("timens", timens, "clocks that go on after a reboot or on another host",
	       "clocks since boot jump"),
	USEFUL("proc_sched", feature_proc_sched, "relative waits that end on time",
	       "poll(2), futex(2) and the like start their time again"),
	USEFUL("kcmp_epoll", feature_kcmp_epoll, "which files an epoll descriptor watches",
	       "epolls with members are refused"),
	USEFUL("fdinfo_lock", feature_fdinfo_lock, "knowing the locks of a file",
	       "file locks are not seen"),
	USEFUL("aio_remap", feature_aio_remap, "asynchronous I/O rings at their old address",
	       "processes with such rings cannot be restored"),
	USEFUL("memfd_hugetlb", feature_memfd_hugetlb, "memfds of huge pages",
	       "such memfds cannot be restored"),
	USEFUL("overlayfs_maps", feature_overlay_maps, "mapped files of an overlay",
	       "they are found by their names"),
	USEFUL("kernel_peek", feature_peek,
	       "reading what the kernel has and shows nobody (BTF, BPF_PROG_TYPE_SYSCALL)",
	       "clients of unix sockets are accepted to read what they have sent; unread events of "
	       "inotify and errors of UDP are lost; Landlock is not seen; io_uring, userfaultfd, "
	       "triggers of pressure, queues with messages (mq_overview(7), netlink(7)), urgent "
	       "data and datagrams in the making are refused"),
	USEFUL("tcp_unaccepted", feature_unaccepted,
	       "giving a listening socket TCP connections that nobody has accepted yet",
	       "such connections are waited for, then refused"),
	USEFUL("sock-diag", sock_diag, "sockets", "processes with sockets are refused"),
	USEFUL("sk_ns", feature_sk_ns, "knowing the network namespace of a socket",
	       "processes with sockets are refused"),
	USEFUL("sk_unix_file", feature_sk_unix_file, "files of bound unix sockets",
	       "such sockets are refused"),
	USEFUL("peek_off", feature_peek_off, "reading queues of sockets without taking",
	       "unix and UDP sockets with something unread are refused"),
	USEFUL("scm_fds", feature_scm_fds, "seeing that descriptors are on their way",
	       "peers that are on their way are refused"),
	USEFUL("net_diag_raw", feature_net_diag_raw, "whether raw sockets were shut down",
	       "they are open again"),
	USEFUL("raw_inject", feature_raw_inject, "unread datagrams, and ends of TCP connections",
	       "datagrams are lost, such connections are not restored"),
	USEFUL("sockopt_buf_lock", feature_buf_lock, "sizes of socket buffers set by the program",
	       "sizes are restored, but may be adjusted later"),
	USEFUL("ipv6_freebind", feature_ipv6_freebind, "sockets bound to addresses not yet there",
	       "addresses must be there before a restore"),
	USEFUL("tcp_half_closed", feature_tcp_half_closed, "TCP connections (TCP_REPAIR)",
	       "--tcp-established fails"),
	USEFUL("tcp_repair_window", feature_tcp_window, "windows of TCP connections",
	       "--tcp-established fails"),
	USEFUL("tcp_peek_off", feature_tcp_peek_off, "reading TCP's queue beyond urgent data",
	       "connections with urgent data in the middle are refused"),
	USEFUL("sock_destroy", feature_sock_destroy, "ports that ended connections hold",
	       "a restore fails until they end (a minute)"),
	USEFUL("nftables", feature_nftables, "holding the network while TCP connections are saved",
	       "--tcp-established fails, but with --network-lock skip"),
	USEFUL("network_lock_nftables", feature_nftables,
	       "holding the network while TCP connections are saved",
	       "--tcp-established fails, but with --network-lock skip"),
	USEFUL("tun", feature_tun, "tun and tap devices",
	       "processes with such devices are refused"),
	USEFUL("tun_ns", feature_tun_ns, "knowing the network namespace of a tun device",
	       "processes with such devices are refused"),
	USEFUL("mount_api", mount_api, "mounts", "trees with mounts of their own are not restored"),
	USEFUL("move_mount_set_group", feature_move_mount_set_group,
	       "mounts that share what is mounted below them",
	       "trees with such mounts are not restored"),
	USEFUL("userns", feature_userns, "user namespaces", "trees with their own are refused"),
	USEFUL("cgroupns", feature_cgroupns, "cgroup namespaces",
	       "trees with their own are refused"),
	USEFUL("external_net_ns", feature_external_net_ns, "whose a namespace is (NS_GET_USERNS)",
	       "trees with several namespaces of a kind are refused"),
	USEFUL("newifindex", feature_newifindex, "network devices with their old numbers",
	       "network namespaces are not restored"),
	USEFUL("move_ifindex", feature_move_ifindex,
	       "devices of ours for the tree (--external netdev[IN]:OUT) with its numbers",
	       "addresses of such a device are not restored"),
	USEFUL("nsid", feature_nsid, "numbers of network namespaces in each other",
	       "trees with several network namespaces are refused"),
	USEFUL("link_nsid", feature_nsid, "devices whose peer is in another network namespace",
	       "trees with several network namespaces are refused"),
	USEFUL("loginuid", feature_loginuid, "the audit login id of processes", "it is lost"),
	USEFUL("freezer", freezer, "stopping a whole control group at one instant",
	       "processes are stopped one by one, until no new one appears"),
	USEFUL("dma_latency", feature_latency, "processors that answer at once while they are idle",
	       "a freeze takes up to three times as long"),
	USEFUL("sys-resource", sys_resource, "raising limits (CAP_SYS_RESOURCE)",
	       "limits are restored only as far as ours allow"),

	UNUSED("can_map_vdso", feature_map_vdso, "a vdso in processes made anew",
	       "nothing: that of the first process is moved"),
	UNUSED("autofs", feature_autofs, "autofs mounts", "trees with such mounts are refused"),
	UNUSED("compat_cr", feature_compat, "32-bit processes", "32-bit processes are refused"),
	UNUSED("has_ipt_legacy", feature_ipt_legacy, "rules of iptables' old kernel interface",
	       "there are none"),
	UNUSED("apparmor_stacking", feature_apparmor_stacking, "AppArmor namespaces",
	       "profiles of the host are used"),
	UNUSED("breakpoints", feature_breakpoints, "stopping at an address by the processor",
	       "nothing: it is not needed here"),
};
const size_t feature_count = ARRAY_SIZE(features);

int feature_answer(long r, const char *what)
{
	if (r >= 0)
		return 1;
	err_errno("%s", what);
	return 0;
}

const struct feature *feature_find(const char *name)
{
	for (size_t i = 0; i < feature_count; i++)
		if (strcmp(features[i].probe.name, name) == 0)
			return &features[i];
	return NULL;
}
