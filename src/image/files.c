/* SPDX-License-Identifier: Apache-2.0 */
#include "image/files.h"

#include "image/apparmor.pb-c.h"
#include "image/autofs.pb-c.h"
#include "image/binfmt-misc.pb-c.h"
#include "image/bpfmap-data.pb-c.h"
#include "image/cgroup.pb-c.h"
#include "image/core.pb-c.h"
#include "image/cpuinfo.pb-c.h"
#include "image/fdinfo.pb-c.h"
#include "image/file-lock.pb-c.h"
#include "image/fs.pb-c.h"
#include "image/ghost-file.pb-c.h"
#include "image/inventory.pb-c.h"
#include "image/ipc-msg.pb-c.h"
#include "image/ipc-sem.pb-c.h"
#include "image/ipc-shm.pb-c.h"
#include "image/ipc-var.pb-c.h"
#include "image/mm.pb-c.h"
#include "image/mnt.pb-c.h"
#include "image/netdev.pb-c.h"
#include "image/pagemap.pb-c.h"
#include "image/pidns.pb-c.h"
#include "image/pipe-data.pb-c.h"
#include "image/pstree.pb-c.h"
#include "image/remap-file-path.pb-c.h"
#include "image/seccomp.pb-c.h"
#include "image/sk-packet.pb-c.h"
#include "image/stats.pb-c.h"
#include "image/tcp-stream.pb-c.h"
#include "image/timens.pb-c.h"
#include "image/userns.pb-c.h"
#include "image/utsns.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMON(file, number, msg)                                                                  \
	{                                                                                          \
		file, IMAGE_HEAD_COMMON, number, &msg##__descriptor                                \
	}
#define SERVICE(file, number, msg)                                                                 \
	{                                                                                          \
		file, IMAGE_HEAD_SERVICE, number, &msg##__descriptor                               \
	}
#define RAW(file)                                                                                  \
	{                                                                                          \
		file, IMAGE_HEAD_NONE, 0, NULL                                                     \
	}

static const struct image_file files[IMG_KINDS] = {
	[IMG_INVENTORY] = {"inventory.img", IMAGE_HEAD_SINGLE, 0x58313116,
			   &inventory_entry__descriptor},
	[IMG_PSTREE] = COMMON("pstree.img", 0x50273030, pstree_entry),
	[IMG_CORE] = COMMON("core-%u.img", 0x55053847, core_entry),
	[IMG_IDS] = COMMON("ids-%u.img", 0x54432030, task_kobj_ids_entry),
	[IMG_MM] = COMMON("mm-%u.img", 0x57492820, mm_entry),
	[IMG_FS] = COMMON("fs-%u.img", 0x51403912, fs_entry),
	[IMG_CREDS] = COMMON("creds-%u.img", 0x54023547, creds_entry),
	[IMG_FDINFO] = COMMON("fdinfo-%u.img", 0x56213732, fdinfo_entry),
	[IMG_FILES] = COMMON("files.img", 0x56303138, file_entry),
	[IMG_PAGEMAP] = COMMON("pagemap-%u.img", 0x56084025, pagemap_head),
	[IMG_SHMEM_PAGEMAP] = COMMON("pagemap-shmem-%u.img", 0x56084025, pagemap_head),
	[IMG_PAGES] = RAW("pages-%u.img"),
	[IMG_SECCOMP] = COMMON("seccomp.img", 0x64413049, seccomp_entry),
	[IMG_CGROUP] = COMMON("cgroup.img", 0x59383330, cgroup_entry),
	[IMG_TTY_INFO] = COMMON("tty-info.img", 0x59453036, tty_info_entry),
	[IMG_TTY_DATA] = COMMON("tty-data.img", 0x59413026, tty_data_entry),
	[IMG_PIPES_DATA] = COMMON("pipes-data.img", 0x56453709, pipe_data_entry),
	[IMG_FIFO_DATA] = COMMON("fifo-data.img", 0x59333054, pipe_data_entry),
	[IMG_SK_QUEUES] = COMMON("sk-queues.img", 0x56264026, sk_packet_entry),
	[IMG_TCP_STREAM] = COMMON("tcp-stream-%x.img", 0x51465506, tcp_stream_entry),
	[IMG_REMAP_FPATH] = COMMON("remap-fpath.img", 0x59133954, remap_file_path_entry),
	[IMG_GHOST_FILE] = COMMON("ghost-file-%x.img", 0x52583605, ghost_file_entry),
	[IMG_MEMFD_INODE] = COMMON("memfd.img", 0x48453499, memfd_inode_entry),
	[IMG_FILE_LOCKS] = COMMON("filelocks.img", 0x54323616, file_lock_entry),
	[IMG_MNTS] = COMMON("mountpoints-%u.img", 0x55563928, mnt_entry),
	[IMG_TMPFS] = RAW("tmpfs-%u.tar.gz.img"),
	[IMG_TMPFS_DEV] = RAW("tmpfs-dev-%u.tar.gz.img"),
	[IMG_UTSNS] = COMMON("utsns-%u.img", 0x54473203, utsns_entry),
	[IMG_TIMENS] = COMMON("timens-%u.img", 0x43114433, timens_entry),
	[IMG_PIDNS] = COMMON("pidns-%u.img", 0x61157326, pidns_entry),
	[IMG_USERNS] = COMMON("userns-%u.img", 0x55474906, userns_entry),
	[IMG_IPC_VAR] = COMMON("ipcns-var-%u.img", 0x53115007, ipc_var_entry),
	[IMG_IPCNS_SHM] = COMMON("ipcns-shm-%u.img", 0x46283044, ipc_shm_entry),
	[IMG_IPCNS_MSG] = COMMON("ipcns-msg-%u.img", 0x55453737, ipc_msg_entry),
	[IMG_IPCNS_SEM] = COMMON("ipcns-sem-%u.img", 0x59573019, ipc_sem_entry),
	[IMG_NETNS] = COMMON("netns-%u.img", 0x55933752, netns_entry),
	[IMG_NETDEV] = COMMON("netdev-%u.img", 0x57373951, net_device_entry),
	[IMG_IFADDR] = RAW("ifaddr-%u.img"),
	[IMG_ROUTE] = RAW("route-%u.img"),
	[IMG_ROUTE6] = RAW("route6-%u.img"),
	[IMG_RULE] = RAW("rule-%u.img"),
	[IMG_IPTABLES] = RAW("iptables-%u.img"),
	[IMG_IP6TABLES] = RAW("ip6tables-%u.img"),
	[IMG_NFTABLES] = RAW("nftables-%u.img"),
	[IMG_NETNF_CT] = RAW("netns-ct-%u.img"),
	[IMG_NETNF_EXP] = RAW("netns-exp-%u.img"),
	[IMG_CPUINFO] = COMMON("cpuinfo.img", 0x61404013, cpuinfo_entry),
	[IMG_APPARMOR] = COMMON("apparmor.img", 0x59423047, apparmor_entry),
	[IMG_AUTOFS] = COMMON("autofs-%u.img", 0x49353943, autofs_entry),
	[IMG_BINFMT_MISC] = COMMON("binfmt-misc.img", 0x67343323, binfmt_misc_entry),
	[IMG_BPFMAP_DATA] = COMMON("bpfmap-data.img", 0x64324033, bpfmap_data_entry),
	[IMG_STATS_DUMP] = SERVICE("stats-dump", 0x57093306, stats_entry),
	[IMG_STATS_RESTORE] = SERVICE("stats-restore", 0x57093306, stats_entry),
	[IMG_IRMAP_CACHE] = SERVICE("irmap-cache.img", 0x57004059, irmap_cache_entry),

	[IMG_REG_FILES] = COMMON("reg-files.img", 0x50363636, reg_file_entry),
	[IMG_EXT_FILES] = COMMON("ext-files.img", 0x59255641, ext_file_entry),
	[IMG_NS_FILES] = COMMON("ns-files.img", 0x61394011, ns_file_entry),
	[IMG_EVENTFD_FILE] = COMMON("eventfd.img", 0x44523722, eventfd_file_entry),
	[IMG_EVENTPOLL_FILE] = COMMON("eventpoll.img", 0x45023858, eventpoll_file_entry),
	[IMG_EVENTPOLL_TFD] = COMMON("eventpoll-tfd.img", 0x44433746, eventpoll_tfd_entry),
	[IMG_SIGNALFD] = COMMON("signalfd.img", 0x57323820, signalfd_entry),
	[IMG_INOTIFY_FILE] = COMMON("inotify.img", 0x48424431, inotify_file_entry),
	[IMG_INOTIFY_WD] = COMMON("inotify-wd.img", 0x54562009, inotify_wd_entry),
	[IMG_FANOTIFY_FILE] = COMMON("fanotify.img", 0x55096122, fanotify_file_entry),
	[IMG_FANOTIFY_MARK] = COMMON("fanotify-mark.img", 0x56506035, fanotify_mark_entry),
	[IMG_PIPES] = COMMON("pipes.img", 0x56513555, pipe_entry),
	[IMG_FIFO] = COMMON("fifo.img", 0x58364939, fifo_entry),
	[IMG_UNIXSK] = COMMON("unixsk.img", 0x54373943, unix_sk_entry),
	[IMG_INETSK] = COMMON("inetsk.img", 0x56443851, inet_sk_entry),
	[IMG_PACKETSK] = COMMON("packetsk.img", 0x60454618, packet_sock_entry),
	[IMG_NETLINK_SK] = COMMON("netlinksk.img", 0x58005614, netlink_sk_entry),
	[IMG_TTY_FILES] = COMMON("tty.img", 0x59433025, tty_file_entry),
	[IMG_TUNFILE] = COMMON("tunfile.img", 0x57143751, tunfile_entry),
	[IMG_TIMERFD] = COMMON("timerfd.img", 0x50493712, timerfd_entry),

	[IMG_VMAS] = COMMON("vmas-%u.img", 0x54123737, vma_entry),
	[IMG_SIGACT] = COMMON("sigacts-%u.img", 0x55344201, sa_entry),
	[IMG_ITIMERS] = COMMON("itimers-%u.img", 0x57464056, itimer_entry),
	[IMG_POSIX_TIMERS] = COMMON("posix-timers-%u.img", 0x52603957, posix_timer_entry),
	[IMG_RLIMIT] = COMMON("rlimit-%u.img", 0x57113925, rlimit_entry),

	[IMG_EXTRA] = RAW(IMAGE_EXTRA),
};

const struct image_file *image_file(enum image_kind kind)
{
	return &files[kind];
}

void image_name(enum image_kind kind, uint64_t id, char ret[static IMAGE_NAME_MAX])
{
	const char *name = files[kind].name;
	const char *mark = strchr(name, '%');

	if (!mark)
		g_strlcpy(ret, name, IMAGE_NAME_MAX);
	else if (mark[1] == 'x')
		snprintf(ret, IMAGE_NAME_MAX, "%.*s%" PRIx64 "%s", (int)(mark - name), name, id,
			 mark + 2);
	else
		snprintf(ret, IMAGE_NAME_MAX, "%.*s%" PRIu64 "%s", (int)(mark - name), name, id,
			 mark + 2);
}
