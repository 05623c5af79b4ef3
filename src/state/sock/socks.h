/* SPDX-License-Identifier: Apache-2.0 */
/* What the stories of dump and restore call; what kinds of sockets share: state/sock/sock.h. */
#pragma once

#include "state/dump.h"
#include "state/restore.h"

/* Forgets what is known of the tree's sockets. */
void socks_dump_end(struct dump *d);
void socks_restore_end(struct restore *r);
