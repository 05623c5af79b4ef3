/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.ImageData and what it holds. */
#include "cli/fields.h"
#include "cli/types.h"

static const struct go_field driver_fields[] = {S("Name"), K("Data", NULL, &go_string_map), {}};
static const struct go_type driver = {"*inspect.DriverData", GO_STRUCT, NULL, driver_fields};

static const struct go_field rootfs_fields[] = {S("Type"), K("Layers", NULL, &go_strings), {}};
static const struct go_type rootfs = {"*inspect.RootFS", GO_STRUCT, NULL, rootfs_fields};

static const struct go_field history_fields[] = {
	K("Created", "created", &go_time),	  K("CreatedBy", "created_by", &go_string),
	K("Author", "author", &go_string),	  K("Comment", "comment", &go_string),
	K("EmptyLayer", "empty_layer", &go_bool), {}};
static const struct go_type history = {"v1.History", GO_STRUCT, NULL, history_fields};
static const struct go_type histories = {"[]v1.History", GO_SLICE, &history};

static const struct go_field config_fields[] = {S("User"),
						K("ExposedPorts", NULL, &go_map),
						K("Env", NULL, &go_strings),
						K("Entrypoint", NULL, &go_strings),
						K("Cmd", NULL, &go_strings),
						K("Volumes", NULL, &go_map),
						S("WorkingDir"),
						K("Labels", NULL, &go_string_map),
						S("StopSignal"),
						K("ArgsEscaped", NULL, &go_bool),
						{}};
static const struct go_type config = {"*v1.ImageConfig", GO_STRUCT, NULL, config_fields};

static const struct go_field image_fields[] = {K("ID", "Id", &go_string),
					       {.name = "Id", .type = &go_string, .alias = true},
					       S("Digest"),
					       K("RepoTags", NULL, &go_strings),
					       K("RepoDigests", NULL, &go_strings),
					       S("Parent"),
					       S("Comment"),
					       K("Created", NULL, &go_time),
					       K("Config", NULL, &config),
					       S("Version"),
					       S("Author"),
					       S("Architecture"),
					       S("Os"),
					       K("Size", NULL, &go_int),
					       K("VirtualSize", NULL, &go_int),
					       K("GraphDriver", NULL, &driver),
					       K("RootFS", NULL, &rootfs),
					       K("Labels", NULL, &go_string_map),
					       K("Annotations", NULL, &go_string_map),
					       S("ManifestType"),
					       S("User"),
					       K("History", NULL, &histories),
					       K("NamesHistory", NULL, &go_strings),
					       K("HealthCheck", "Healthcheck", NULL),
					       {}};

const struct go_type type_image = {"interface {}", GO_STRUCT, NULL, image_fields};
