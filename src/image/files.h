/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an image directory: names, magics, first record.  The names and numbers are CRIU's.
 */
#pragma once

#include "base/base.h"

#include <protobuf-c/protobuf-c.h>

enum image_kind {
	IMG_INVENTORY,
	IMG_PSTREE,
	IMG_CORE,
	IMG_IDS,
	IMG_MM,
	IMG_FS,
	IMG_CREDS,
	IMG_FDINFO,
	IMG_FILES,
	IMG_PAGEMAP,
	IMG_SHMEM_PAGEMAP,
	IMG_PAGES, /* raw */
	IMG_SECCOMP,
	IMG_CGROUP,
	IMG_TTY_INFO,
	IMG_TTY_DATA,
	IMG_PIPES_DATA,
	IMG_FIFO_DATA,
	IMG_SK_QUEUES,
	IMG_TCP_STREAM,
	IMG_REMAP_FPATH,
	IMG_GHOST_FILE,
	IMG_MEMFD_INODE,
	IMG_FILE_LOCKS,
	IMG_MNTS,
	IMG_TMPFS,     /* raw, a tar.gz; the id is the mount's */
	IMG_TMPFS_DEV, /* raw, a tar.gz; the id is the device number */
	IMG_UTSNS,
	IMG_TIMENS,
	IMG_PIDNS,
	IMG_USERNS,
	IMG_IPC_VAR,
	IMG_IPCNS_SHM,
	IMG_IPCNS_MSG,
	IMG_IPCNS_SEM,
	IMG_NETNS,
	IMG_NETDEV,
	IMG_IFADDR,    /* raw */
	IMG_ROUTE,     /* raw */
	IMG_ROUTE6,    /* raw */
	IMG_RULE,      /* raw */
	IMG_IPTABLES,  /* raw */
	IMG_IP6TABLES, /* raw */
	IMG_NFTABLES,  /* raw */
	IMG_NETNF_CT,  /* raw */
	IMG_NETNF_EXP, /* raw */
	IMG_CPUINFO,
	IMG_APPARMOR,
	IMG_AUTOFS,
	IMG_BINFMT_MISC,
	IMG_BPFMAP_DATA,
	IMG_STATS_DUMP,
	IMG_STATS_RESTORE,
	IMG_IRMAP_CACHE,
	/* one file per kind of descriptor, as before files.img (CRIU 3.2) */
	IMG_REG_FILES,
	IMG_EXT_FILES,
	IMG_NS_FILES,
	IMG_EVENTFD_FILE,
	IMG_EVENTPOLL_FILE,
	IMG_EVENTPOLL_TFD,
	IMG_SIGNALFD,
	IMG_INOTIFY_FILE,
	IMG_INOTIFY_WD,
	IMG_FANOTIFY_FILE,
	IMG_FANOTIFY_MARK,
	IMG_PIPES,
	IMG_FIFO,
	IMG_UNIXSK,
	IMG_INETSK,
	IMG_PACKETSK,
	IMG_NETLINK_SK,
	IMG_TTY_FILES,
	IMG_TUNFILE,
	IMG_TIMERFD,
	/* what a task had in files of its own in older versions, and in core-%u.img now */
	IMG_VMAS,
	IMG_SIGACT,
	IMG_ITIMERS,
	IMG_POSIX_TIMERS,
	IMG_RLIMIT,
	/* ours: what CRIU's records have no place for */
	IMG_EXTRA,
	IMG_KINDS,
};

/*
 * The name of IMG_EXTRA, one JSON object: {"version": 1, "vdso": ..., "externals": {...}, "tasks":
 * {"PID": {...}}, "guests": {"PID": NAME}}.
 */
#define IMAGE_EXTRA "cryo.json"

/* How a file begins (CRIU, "images v1.1"): */
enum image_head {
	IMAGE_HEAD_NONE,   /* raw bytes */
	IMAGE_HEAD_SINGLE, /* the file's magic alone: inventory.img, so that versions can be told */
	IMAGE_HEAD_COMMON, /* IMAGE_MAGIC_COMMON, then the file's magic */
	IMAGE_HEAD_SERVICE, /* IMAGE_MAGIC_SERVICE, then the file's magic */
};
#define IMAGE_MAGIC_COMMON  0x54564319u
#define IMAGE_MAGIC_SERVICE 0x55105940u

struct image_file {
	const char *name; /* with at most one %u or %x, the id */
	enum image_head head;
	uint32_t magic;
	const ProtobufCMessageDescriptor *record; /* the first record's; NULL when raw */
};

const struct image_file *image_file(enum image_kind kind);

#define IMAGE_NAME_MAX 64

/* "core-12.img".  The id is not used by kinds that have only one file. */
void image_name(enum image_kind kind, uint64_t id, char ret[static IMAGE_NAME_MAX]);
