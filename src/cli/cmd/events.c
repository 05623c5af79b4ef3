/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/events.h"
#include "cli/cmd/common.h"
#include "cli/cmd/filter.h"
#include "cli/fields.h"
#include "cli/human.h"
#include "cli/report.h"

#include <poll.h>
#include <unistd.h>

struct events_opts {
	bool no_trunc, stream;
	const char *format, *since, *until;
	char **filter;
};

#define O(field, ...) OPT(struct events_opts, field, __VA_ARGS__)
static const struct opt options[] = {
	OPT_ARRAY(struct events_opts, filter, "filter", 'f', "Show only the events that match"),
	O(format, "format", 0, "Print the events as JSON or through a Go template"),
	O(no_trunc, "no-trunc", 0, "Do not truncate IDs", .def = "true"),
	O(since, "since", 0, "Show what was created since a time"),
	O(stream, "stream", 0, "Go on with what happens from now on", .def = "true"),
	O(until, "until", 0, "Show what was created up to a time"),
	{}};

static void set_defaults(void *opts)
{
	struct events_opts *o = opts;

	o->stream = o->no_trunc = true;
}

static bool names(const char *value, const struct event *ev)
{
	return !g_strcmp0(ev->name, value) ||
	       (ev->object_id && *value && g_str_has_prefix(ev->object_id, value));
}

static bool is_type(const struct event *ev, const char *value)
{
	return !g_strcmp0(ev->type, value);
}

/* What has another name in Docker: docs.docker.com/reference/cli/docker/system/events */
static const struct {
	const char *docker, *type, *ours;
} dockers[] = {
	{"die", "container", "died"},	  {"destroy", "container", "remove"},
	{"destroy", "network", "remove"}, {"destroy", "volume", "remove"},
	{"delete", "image", "remove"},
};

static bool is_status(const struct event *ev, const char *value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(dockers); i++)
		if (!strcmp(value, dockers[i].docker) && is_type(ev, dockers[i].type) &&
		    !g_strcmp0(ev->status, dockers[i].ours))
			return true;
	return !g_strcmp0(ev->status, value);
}

static bool is_container(const struct event *ev, const char *value)
{
	return is_type(ev, "container") && names(value, ev);
}

static bool is_volume(const struct event *ev, const char *value)
{
	return is_type(ev, "volume") && g_str_has_prefix(ev->name, value);
}

static bool is_network(const struct event *ev, const char *value)
{
	return is_type(ev, "network") && !g_strcmp0(ev->name, value);
}

/* An image by its ID, or by a name without what may stand before and behind it. */
static bool is_image(const struct event *ev, const char *value)
{
	const char *image = is_type(ev, "image") ? ev->name : ev->image, *found;

	if (is_type(ev, "image") && ev->object_id && *value &&
	    g_str_has_prefix(ev->object_id, value))
		return true;
	found = image ? strstr(image, value) : NULL;
	return found && (found == image || found[-1] == '/') &&
	       strchr(":@", found[strlen(value)]); /* the end, too */
}

static bool has_label(const struct event *ev, const char *value)
{
	return filter_label(value, ev->attributes);
}

static bool no_pods(const struct event *ev, const char *value)
{
	return false;
}

static const struct {
	const char *name;
	bool (*match)(const struct event *ev, const char *value);
} keys[] = {
	{"container", is_container}, {"event", is_status},    {"image", is_image},
	{"label", has_label},	     {"network", is_network}, {"pod", no_pods},
	{"status", is_status},	     {"type", is_type},	      {"volume", is_volume},
};

static int key_of(const char *text)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcspn(text, "=") == strlen(keys[i].name) &&
		    g_ascii_strncasecmp(text, keys[i].name, strlen(keys[i].name)) == 0)
			return (int)i;
	return -1;
}

static int check_filters(char *const *filter)
{
	for (; filter && *filter; filter++) {
		if (!strchr(*filter, '='))
			return err_set(EINVAL,
				       "failed to parse event filters: %s is an invalid filter",
				       *filter);
		if (key_of(*filter) < 0)
			return err_set(EINVAL,
				       "failed to parse event filters: %.*s is an invalid filter",
				       (int)strcspn(*filter, "="), *filter);
	}
	return 0;
}

/* Of one key one value is enough, of different keys each must match. */
static bool matches(char *const *filter, const struct event *ev)
{
	unsigned asked = 0, met = 0;

	for (; filter && *filter; filter++) {
		unsigned key = (unsigned)key_of(*filter);

		asked |= 1u << key;
		if (keys[key].match(ev, strchr(*filter, '=') + 1))
			met |= 1u << key;
	}
	return asked == met;
}

static const struct go_field fields[] = {{.name = "ContainerExitCode", .type = &go_int_pointer},
					 S("ID"),
					 S("Image"),
					 S("Name"),
					 {.name = "Network", .key = "network", .type = &go_string},
					 S("Status"),
					 {.name = "Time", .key = "time", .type = &go_int},
					 {.name = "TimeNano", .key = "timeNano", .type = &go_int},
					 S("Type"),
					 {.name = "Attributes", .type = &go_string_map},
					 {}};
static const struct go_type type = {"*system.Event", GO_STRUCT, NULL, fields};

static void put(json_t *to, const char *key, const char *value)
{
	if (value && *value)
		json_object_set_new(to, key, json_string(value));
}

static json_t *document_of(const struct event *ev)
{
	json_t *j = json_object();

	if (!strcmp(ev->status, "died") || !strcmp(ev->status, "exec_died"))
		json_object_set_new(j, "ContainerExitCode", json_integer(ev->exit_code));
	put(j, "ID", ev->object_id);
	put(j, "Image", ev->image);
	put(j, "Name", ev->name);
	put(j, "Status", ev->status);
	json_object_set_new(j, "time", json_integer(ev->time_ns / 1000000000));
	json_object_set_new(j, "timeNano", json_integer(ev->time_ns));
	put(j, "Type", ev->type);
	if (json_object_size(ev->attributes))
		json_object_set(j, "Attributes", ev->attributes);
	return j;
}

static void print_line(const struct events_opts *o, const struct event *ev)
{
	g_autofree char *when = human_go_time_ns(ev->time_ns, true);
	int id = o->no_trunc ? ENGINE_ID_LEN : 12;
	const char *key;
	json_t *label;

	printf("%s %s %s", when, ev->type, ev->status);
	if (ev->object_id)
		printf(" %.*s", id, ev->object_id);
	if (strcmp(ev->type, "container")) {
		printf(" %s\n", ev->name ?: "");
		return;
	}
	printf(" (image=%s, name=%s", ev->image ?: "", ev->name ?: "");
	json_object_foreach(ev->attributes, key, label)
		printf(", %s=%s", key, json_string_value(label));
	puts(")");
}

struct reader {
	const struct events_opts *o;
	int64_t last; /* id of what was read last */
};

static int each(void *data, const struct event *ev)
{
	struct reader *rd = data;
	const struct events_opts *o = rd->o;
	json_t *rows;
	int r = 0;

	rd->last = ev->id;
	if (!matches(o->filter, ev))
		return 0;
	if (!o->format) {
		print_line(o, ev);
		return 0;
	}
	rows = json_pack("[o]", document_of(ev));
	if (report_wants_json(o->format))
		report_json(json_array_get(rows, 0), 0);
	else
		r = report_template("events", o->format, &type, rows);
	json_decref(rows);
	return r;
}

/* Until the time is over, or the reader of our output is gone. */
static int await(int watch, int64_t until_ns)
{
	struct pollfd p[2] = {{.fd = watch, .events = POLLIN}, {.fd = STDOUT_FILENO}};
	int64_t left_ms = until_ns ? (until_ns - engine_now_ns()) / 1000000 + 1 : -1;
	char events[4096];

	if (poll(p, 2, (int)CLAMP(left_ms, -1, 1 << 30)) < 0 && errno != EINTR)
		return err_errno("poll");
	if (p[1].revents & (POLLERR | POLLHUP))
		return 0;
	while (read(watch, events, sizeof(events)) > 0)
		;
	return !until_ns || engine_now_ns() < until_ns;
}

static int follow(struct engine *e, const struct events_opts *o, int64_t since_ns, int64_t until_ns)
{
	struct reader rd = {.o = o};
	autoclose int watch = -1;
	int r = o->stream ? events_watch(e, &watch) : 0;

	/* Without a time a stream begins now. */
	if (r == 0 && o->stream && !o->since && !o->until)
		r = events_last(e, &rd.last);
	for (bool more = true; r == 0 && more;) {
		more = o->stream && (!until_ns || engine_now_ns() < until_ns);
		r = events_read(e, rd.last, since_ns, until_ns, each, &rd);
		fflush(stdout);
		if (r == 0 && more) {
			r = await(watch, until_ns);
			more = r > 0 || (until_ns && engine_now_ns() >= until_ns);
			r = r < 0 ? r : events_settle(e);
		}
	}
	return r;
}

static int instant(const char *text, int64_t *ret)
{
	if (!text || human_parse_when(text, engine_now_ns(), ret))
		return 0;
	return err_set(EINVAL, "unable to interpret time value \"%s\"", text);
}

static int run(struct cli *cli)
{
	const struct events_opts *o = cli->opts;
	int64_t since_ns = 0, until_ns = 0;
	struct engine *e;
	int r = args_range(cli, 0, 0);

	if (r == 0)
		r = check_filters(o->filter);
	if (r == 0)
		r = instant(o->since, &since_ns);
	if (r == 0)
		r = instant(o->until, &until_ns);
	if (r == 0)
		r = cli_engine(cli, &e);
	return r < 0 ? r : follow(e, o, since_ns, until_ns);
}

const struct command cmd_events = {
	.path = "events",
	.usage = "[options]",
	.brief = "Show events of containers, images, networks and volumes",
	.text = "Prints what has happened, and then what happens, until it is interrupted. "
		"--stream=false ends after what has happened; --since and --until choose a part of "
		"it: a time, or a duration before now.\n\nFilters are container, event, image, "
		"label, network, type and volume. Of several values for one filter one must match, "
		"of several filters all. The newest 20,000 events are kept. Events may be asked "
		"for by Docker's names as well: die, destroy and delete.",
	.examples = "\n--filter event=checkpoint --filter event=restore\n"
		    "--since 1h --stream=false --format json",
	.options = options,
	.size = sizeof(struct events_opts),
	.init = set_defaults,
	.run = run,
};
