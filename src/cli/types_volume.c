/* SPDX-License-Identifier: Apache-2.0 */
/* define.InspectVolumeData. */
#include "cli/fields.h"
#include "cli/types.h"

static const struct go_field fields[] = {X("Name", &go_string),
					 X("Driver", &go_string),
					 X("Mountpoint", &go_string),
					 X("CreatedAt", &go_time),
					 X("Status", &go_map),
					 X("Labels", &go_string_map),
					 X("Scope", &go_string),
					 X("Options", &go_string_map),
					 X("UID", &go_int),
					 X("GID", &go_int),
					 X("Anonymous", &go_bool),
					 X("MountCount", &go_int),
					 X("NeedsCopyUp", &go_bool),
					 X("NeedsChown", &go_bool),
					 X("Timeout", &go_int),
					 X("StorageID", &go_string),
					 {}};

const struct go_type type_volume = {"*define.InspectVolumeData", GO_STRUCT, NULL, fields};
