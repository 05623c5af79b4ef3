/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, in the order of suggestions and completion. */
#include "cli/command.h"

/* clang-format off */
#define COMMANDS(X)							\
	X(attach) X(commit) X(cp) X(create) X(diff) X(events) X(exec) X(export) X(history) X(images)	\
	X(import) X(info) X(init) X(inspect) X(kill) X(load)		\
	X(logs) X(mount) X(pause) X(port) X(ps) X(pull) X(push) X(rename)	\
	X(restart) X(rm) X(rmi) X(run) X(save) X(start) X(stats) X(stop) X(tag) X(top)	\
	X(umount) X(unpause) X(untag) X(update) X(version) X(wait)		\
	X(checkpoint) X(migrate) X(migrate_receive) X(restore) X(container_exists)			\
	X(container_inspect) X(container_prune) X(container_cleanup)	\
	X(image_exists) X(image_inspect) X(image_prune)			\
	X(checkpoint_create) X(checkpoint_diff) X(checkpoint_inspect) X(checkpoint_ls)		\
	X(checkpoint_prune) X(checkpoint_rm)				\
	X(network_create) X(network_exists) X(network_inspect)		\
	X(network_ls) X(network_prune) X(network_rm)			\
	X(volume_create) X(volume_exists) X(volume_inspect)		\
	X(volume_ls) X(volume_prune) X(volume_rm)			\
	X(system_df) X(system_prune)	\
	X(complete) X(man)
/* clang-format on */

#define DECLARE(name) extern const struct command cmd_##name;
COMMANDS(DECLARE)

#define LIST(name) &cmd_##name,
const struct command *const commands[] = {COMMANDS(LIST) NULL};

const struct command_group command_groups[] = {
	{"checkpoint", "Manage the checkpoints of containers"},
	{"container", "Manage containers"},
	{"image", "Manage images"},
	{"network", "Manage networks"},
	{"system", "Manage the store"},
	{"volume", "Manage volumes"},
	{},
};
