/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/inspect_parts.h"

#include <string.h>

static json_t *environment(const struct inspected *in)
{
	json_t *env = json_object_get(json_object_get(in->spec, "process"), "env");

	return env ? env : json_object_get(in->c->config, "env");
}

/* Podman's main prints a list; without an entry point, null. */
static void put_list_or_null(json_t *o, const char *key, json_t *list)
{
	put_copy(o, key, json_array_size(list) ? list : NULL);
}

static json_t *annotations(const struct inspected *in)
{
	json_t *a = json_object_get(in->spec, "annotations");

	return a;
}

json_t *inspect_config(const struct inspected *in)
{
	const struct container *c = in->c;
	json_t *workdir = json_object_get(json_object_get(in->spec, "process"), "cwd");
	json_t *o = json_object();
	const char *dir = json_string_value(workdir);

	if (!dir)
		dir = *container_text(c, "workdir") ? container_text(c, "workdir") : "/";
	put_text(o, "Hostname", container_text(c, "hostname"));
	put_text(o, "Domainname", "");
	put_text(o, "User", container_text(c, "user"));
	put_bool(o, "AttachStdin", false);
	put_bool(o, "AttachStdout", false);
	put_bool(o, "AttachStderr", false);
	put_bool(o, "Tty", in->o->tty);
	put_bool(o, "OpenStdin", in->o->interactive);
	put_bool(o, "StdinOnce", false);
	put_copy(o, "Env", environment(in));
	put_list_or_null(o, "Cmd", json_object_get(c->config, "command"));
	put_text(o, "Image", c->image_name);
	put_copy(o, "Volumes", NULL);
	put_text(o, "WorkingDir", dir);
	put_list_or_null(o, "Entrypoint", json_object_get(c->config, "entrypoint"));
	put_copy(o, "OnBuild", NULL);
	put_copy(o, "Labels", json_object_get(c->config, "labels"));
	put_copy(o, "Annotations", annotations(in));
	put_copy(o, "StopSignal", json_object_get(c->config, "stopSignal"));
	put_text(o, "HealthcheckOnFailureAction", "none");
	put_copy(o, "CreateCommand", json_object_get(c->config, "createCommand"));
	put_text(o, "Umask", in->o->umask ? in->o->umask : "0022");
	if (in->o->timezone)
		put_text(o, "Timezone", in->o->timezone);
	put_int(o, "Timeout", in->o->timeout);
	put_int(o, "StopTimeout", in->o->stop_timeout);
	put_bool(o, "Passwd", true);
	put_text(o, "sdNotifyMode", "container");
	return o;
}
