/* SPDX-License-Identifier: Apache-2.0 */
/* define.InspectVolumeData. */
#include "cli/types.h"

#define F(name_, type_)                                                                            \
	{                                                                                          \
		.name = name_, .type = type_                                                       \
	}

static const struct go_field fields[] = {F("Name", &go_string),
					 F("Driver", &go_string),
					 F("Mountpoint", &go_string),
					 F("CreatedAt", &go_time),
					 F("Status", &go_map),
					 F("Labels", &go_string_map),
					 F("Scope", &go_string),
					 F("Options", &go_string_map),
					 F("UID", &go_int),
					 F("GID", &go_int),
					 F("Anonymous", &go_bool),
					 F("MountCount", &go_int),
					 F("NeedsCopyUp", &go_bool),
					 F("NeedsChown", &go_bool),
					 F("Timeout", &go_int),
					 F("StorageID", &go_string),
					 {}};

const struct go_type type_volume = {"*define.InspectVolumeData", GO_STRUCT, NULL, fields};
