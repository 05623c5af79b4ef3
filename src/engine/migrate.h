/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving a running container to another host.
 *
 *	here						there (`container migrate-receive`)
 *	hello: name, image, options		->	may it come? is the image there?
 *	the image, if it is missing		->
 *	configuration, files, volumes, log	->	the container is made: a box with the stub
 *in it memory and files, in rounds, while	->	memory waits in the stub
 *(state/mem/stage.h), it runs						files are changed frozen:
 *the rest, descriptors,		->	thawed, and held registers it is frozen by its
 *control group, too	<-	ready and recorded as paused
 *	go					->	it runs
 *	its processes are killed, it is removed	<-	running
 *
 * Whatever fails before "go" leaves the container running here and nothing there, also the sudden
 * death of either side.  After it, until there is an answer, nobody here can know whether it runs
 * there: it stays paused here, with all that it has in memory, and the message says so.
 */
#pragma once

#include "engine/container.h"

struct migrate_round {
	unsigned number; /* from 1; 0: the last part */
	uint64_t bytes;
	int64_t took_us;
	uint64_t dirty_rate; /* bytes a second, from the round before; 0: not known */
	int64_t expected_us; /* downtime, were it frozen now */
	uint64_t aside;	     /* bytes that have to be read there while it is down */
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

#define MIGRATE_ROUNDS_MAX 64
struct migrate_report {
	unsigned rounds;
	struct migrate_round round[MIGRATE_ROUNDS_MAX];
	uint64_t image_bytes, files_bytes, memory_bytes, last_bytes; /* sent */
	/*
	 * From just before the first process is stopped to the arrival of "running", which is sent
	 * when the last one has been let go: both on our clock, so that no two clocks have to
	 * agree, and longer than it was down by one way through the network.
	 */
	int64_t downtime_us, total_us;
	int64_t expected_us; /* before it was frozen */
	/* Parts of it: dumping and sending; making, until it was held there; the agreement. */
	int64_t dump_us, thaw_us, agree_us;
	char id[ENGINE_ID_LEN + 1]; /* there */
};

/* Blocking.  Takes C's lock for each step. */
int container_migrate(struct engine *e, struct container *c, const struct migrate_options *o,
		      struct migrate_report *ret) MUST_CHECK;

/* The other side, on a pair of descriptors.  *RET_NAME: the container that runs now. */
int container_migrate_receive(struct engine *e, int in, int out, char **ret_name) MUST_CHECK;
/* There is not even an engine: the story of R is told to who waits at OUT. */
void container_migrate_decline(int out, int r);
