/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRIU's RPC: messages of rpc.proto over a SOCK_SEQPACKET socket, one answer to each request.
 * While a dump or restore runs, notifications go the other way and are each answered.
 */
#pragma once

#include "cryo/rpc.pb-c.h"
#include "cryo/session.h"

#define RPC_MAX (1u << 20) /* bytes of one message */

/* 1: the other end has closed.  *RET is the caller's. */
int rpc_receive(int sock, CriuReq **ret) MUST_CHECK;
int rpc_send(int sock, const CriuResp *resp, int fd) MUST_CHECK; /* FD goes along; -1: none */

/* Tells of a stage and waits for "go on". */
int rpc_notify(int sock, const char *stage, pid_t pid, int fd) MUST_CHECK;

/* What of the tree's files stays outside besides: keys as those of --external, the caller's. */
int rpc_query_files(int sock, char ***ret) MUST_CHECK;

/*
 * The words of a command line that says the same as O.  PEER: whose descriptors are meant by
 * numbers.  What has no word is refused by name.
 */
int rpc_words(const CriuOpts *o, CriuReqType type, pid_t peer, GPtrArray *ret) MUST_CHECK;
