/* SPDX-License-Identifier: Apache-2.0 */
/* --address, --port, --ps-socket: connections between two cryos (or CRIUs). */
#pragma once

#include "cryo/session.h"

/* To a page server. */
int net_connect(const struct options *o, int *ret_fd) MUST_CHECK;

/* Waits for one connection; ready is told (--status-fd, --daemon, --pidfile) once it listens. */
int net_accept(struct session *s, int *ret_fd) MUST_CHECK;

/* With --daemon we are a process of our own afterwards; the pidfile has its number. */
int net_daemonize(struct session *s) MUST_CHECK;
