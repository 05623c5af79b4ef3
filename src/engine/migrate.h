/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a running container to another host.
 *
 *	here						there (`container migrate-receive`)
 *	hello: name, image, options		->	may it come? is the image there?
 *	the image, if it is missing		->
 *	memory, in rounds, while it runs	->	kept aside
 *	frozen: the rest, files, registers	->	made, thawed, and held
 *	its processes are killed		<-	ready
 *	go					->	it runs
 *	it is removed				<-	running
 *
 * Whatever fails before the kill leaves the container running here and nothing there; after it, the
 * checkpoint stays here.
 */
#pragma once

#include "engine/container.h"

struct migrate_round {
	unsigned number; /* from 1; 0: the last part */
	uint64_t bytes;
	int64_t took_us;
	uint64_t dirty_rate; /* bytes a second, from the round before; 0: not known */
	int64_t expected_us; /* downtime, were it frozen now */
};

struct migrate_options {
	const char *host;
	const char *ssh;     /* a command, split like a shell's words; NULL: "ssh" */
	const char *command; /* there, before "container migrate-receive"; NULL: "cryopod" */
	int rounds;	     /* of pre-copy; -1: as many as it takes */
	int64_t downtime_us; /* what is aimed at */
	bool keep;	     /* the container stays here, with its checkpoint */
	bool tcp_established;
	const char *name; /* there, or NULL */
	void (*progress)(void *arg, const struct migrate_round *r);
	void *progress_arg;
};

struct migrate_report {
	unsigned rounds;
	uint64_t image_bytes, memory_bytes, last_bytes; /* sent */
	int64_t downtime_us, total_us;
	char id[ENGINE_ID_LEN + 1]; /* there */
};

/* Blocking.  Takes C's lock for each step. */
int container_migrate(struct engine *e, struct container *c, const struct migrate_options *o,
		      struct migrate_report *ret) MUST_CHECK;

/* The other side, on a pair of descriptors.  *RET_NAME: the container that runs now. */
int container_migrate_receive(struct engine *e, int in, int out, char **ret_name) MUST_CHECK;
