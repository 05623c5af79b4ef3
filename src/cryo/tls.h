/* SPDX-License-Identifier: Apache-2.0 */
/* --tls: pages on their way are encrypted, and both ends show a certificate. */
#pragma once

#include "cryo/options.h"

/*
 * A connection becomes one through TLS, if that is asked for: *FD is replaced by one that is used
 * like it, of type unix, whose other end a process in the background has.  It goes on until both
 * directions have ended.  Blocks for the handshake, one minute at most; -EPROTO: the other side is
 * not who it should be, or speaks no TLS.
 */
int tls_client(const struct options *o, int *fd) MUST_CHECK;
int tls_server(const struct options *o, int *fd) MUST_CHECK;
