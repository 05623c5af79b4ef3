/* SPDX-License-Identifier: Apache-2.0 */
/* What the stories of dump and restore call; what kinds of sockets share: state/sock/sock.h. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

/* Forgets what is known of the tree's sockets. */
void socks_dump_end(struct dump *d);
void socks_restore_end(struct restore *r);

/*
 * Just before the freeze of a tree whose connections are kept and that will be killed: whoever
 * connects from now on waits, and those who are about to be accepted get that long, so that the
 * freeze meets none that could not be saved.
 */
int socks_hold_newcomers(struct dump *d) MUST_CHECK;

/* TCP connections that are kept: conns.c.  Frozen, before any is read. */
int socks_lock(struct dump *d) MUST_CHECK;

/* Before those who have them are killed: their peers shall not notice. */
int socks_silence(struct dump *d) MUST_CHECK;

/* They are dead, or go on. */
void socks_unlock(struct dump *d);

/* Before any is made. */
int socks_lock_restore(struct restore *r) MUST_CHECK;
/* Likewise, in the network namespaces inside, when they are there. */
int socks_lock_inside(struct restore *r) MUST_CHECK;

/* All is done: connections go on. */
void socks_go(struct restore *r);
void socks_tcp_end(struct restore *r);

/* Nothing of the images with this IMAGE_EXTRA will go on in network namespace NS. */
void socks_forget(const json_t *extra, int ns);

/* All of TCP waits in network namespace NS, until these images are restored in it. */
int socks_hold(const json_t *extra, int ns) MUST_CHECK;

/* Socket INO is mapped (packet(7), PACKET_RX_RING): has the tree got it?  Its file, once dumped. */
int socks_map_check(struct dump *d, uint64_t ino) MUST_CHECK;
uint32_t socks_map_id(const struct dump *d, uint64_t ino); /* 0: not dumped */

/* Socket INO is the tree's, though on its way (SCM_RIGHTS). */
void socks_add(struct dump *d, uint32_t ino);

/* All files are dumped: are the peers of all unix sockets the tree's? */
int socks_check_peers(struct dump *d) MUST_CHECK;

/* What has been sent on connections that nobody has accepted yet, of a tree that ends. */
int unix_waiting_dump(struct dump *d) MUST_CHECK;
