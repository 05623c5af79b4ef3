/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudoterminals whose master is in the tree: pty(7).  A pair is two records of tty-info.img, of
 * its master and of its slave; descriptions (tty_file_entry) say which side they are of.  An orphan
 * is a slave in the tree's own devpts whose master is outside, as a container's console is: it has
 * the second record alone, and whoever restores is given its new master.
 *
 * What CRIU's records have no place for: cryo.json, "ttys": {"INDEX": {"unopened": nobody has
 * opened the slave so far, "mode": of /dev/pts/INDEX, "eof": [offsets in the slave's queued data
 * where an end of file was typed], "stopped": who has stopped the output, "call" or "key"}}.
 */
#pragma once

#include "state/fd/kind.h"
#include "state/tty/tty.h"

#include "image/tty.pb-c.h"

/* As CRIU numbers them; a hung-up slave is something else than the living one of its number. */
#define PTY_INFO_MASTER(index) ((uint32_t)(index) << 1 | 1)
#define PTY_INFO_SLAVE(index)  ((uint32_t)(index) << 1)
#define PTY_INFO_HUNG(index)   ((uint32_t)(index) << 1 | 0x40000000u)
#define PTY_INFO_CTTY(file_id) ((uint32_t)(file_id) | 0x80000000u)
#define PTY_INDEX_MAX	       (1u << 20) /* NR_UNIX98_PTY_MAX */

/* The slave's number of a controlling terminal in /proc/PID/stat; -1: it is none. */
int64_t pty_index_of_tty_nr(uint32_t tty_nr);

/* Where a pair was seen in the tree. */
struct pty_seen {
	struct dtask *master, *slave; /* NULL: nowhere */
	int master_tfd, slave_tfd;
	bool orphan;
};
int pty_find(struct dump *d, unsigned index, struct pty_seen **ret) MUST_CHECK;

/* pty_queue.c: what was written to one side and not yet read from the other. */

/* What MASTER would read, after what RET has already; all of it is written again to SLAVE (-1:
 * opened for that). */
int pty_queue_of_master(int master, int slave, GByteArray *ret) MUST_CHECK;

/* What SLAVE (a description of ours) would read, with the offsets of ends of file. */
int pty_queue_of_slave(int master, int slave, GByteArray *ret, json_t *ret_eof) MUST_CHECK;

int pty_queue_to_master(int slave, const uint8_t *data, size_t len) MUST_CHECK;
int pty_queue_to_slave(int master, int slave, const uint8_t *data, size_t len, json_t *eof)
	MUST_CHECK;

/* What can be read from it now, without waiting, appended to RET. */
int pty_queue_take(int fd, GByteArray *ret) MUST_CHECK;

/* pty_queues_dump.c: both queues; PACKETS: MASTER is in packet mode */
int pty_queues_dump(struct dump *d, const struct pty_seen *s, unsigned index, int master,
		    bool packets, json_t *extra) MUST_CHECK;

/* pty_flow.c: output of the slave that was stopped */
enum pty_flow { PTY_FLOWS, PTY_STOPPED_BY_CALL, PTY_STOPPED_BY_KEY };

/*
 * Lets it go on, and says how it was stopped.  QUEUED gets what the master had to read, if that had
 * to be taken to tell.
 */
int pty_flow_start(int master, int slave, GByteArray *queued, enum pty_flow *ret) MUST_CHECK;
int pty_flow_stop(int master, int slave, enum pty_flow how) MUST_CHECK;
json_t *pty_flow_json(enum pty_flow how); /* not of PTY_FLOWS */
enum pty_flow pty_flow_load(const json_t *v);

/* pty_restore.c: hooks of the kind */
int pty_load(struct restore *r, struct file *f) MUST_CHECK;
int pty_open(struct restore *r, struct file *f) MUST_CHECK;
int pty_finish(struct restore *r, struct file *f) MUST_CHECK;

/* pty_make.c */

struct pty {
	uint32_t index;
	TtyInfoEntry *master, *slave, *hung; /* borrowed; may be NULL */
	int fd, peer;			     /* ours: the master, a slave; -1 */
	int early;			     /* the master, before it is made; -1 */
	bool made;
};

struct ttys {
	GPtrArray *infos;     /* TtyInfoEntry */
	GHashTable *by_id;    /* -> TtyInfoEntry */
	GHashTable *by_index; /* -> struct pty */
};

/* tty-info.img, loaded when it is first needed. */
int ttys_get(struct restore *r, struct ttys **ret) MUST_CHECK;
int pty_check(struct restore *r, const struct pty *p) MUST_CHECK; /* could it be made? */
int pty_make(struct restore *r, struct pty *p) MUST_CHECK;

/* The record that a description refers to: -EBADMSG when it is not there. */
int tty_info_of(struct restore *r, struct file *f, TtyInfoEntry **ret) MUST_CHECK;

/* The pair whose slave is the controlling terminal of session SID, or NULL. */
struct pty *pty_of_session(struct ttys *t, pid_t sid);

struct pty *pty_of_index(struct ttys *t, uint32_t index);

/* One more description of its slave, in our own process. */
int pty_open_slave(struct pty *p, unsigned flags, int *ret_fd) MUST_CHECK;

/* pty_modes.c: termios and size, of the pair FD belongs to */
void pty_modes_read(int fd, TtyInfoEntry *e);
void pty_modes_free(TtyInfoEntry *e);
int pty_modes_check(const TtyInfoEntry *e) MUST_CHECK;
int pty_modes_write(int fd, const TtyInfoEntry *e) MUST_CHECK;
