/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netavark(1): `netavark setup|teardown NETNS` with JSON on stdin; the answer, or {"error": "..."},
 * on stdout.
 *
 * It looks before it makes (bridges, chains), so two at once trip over each other.  The lock is a
 * flock(2) of the network namespace itself: exactly as wide as what is locked, and no file that
 * somebody could remove.  netavark inherits it, so that it holds as long as netavark runs, even
 * when we are killed.
 */
#include "base/log.h"
#include "base/spawn.h"
#include "engine/network_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

/* helper_binaries_dir of containers.conf(5), then PATH. */
static const char *const places[] = {
	"/usr/local/libexec/podman/netavark",
	"/usr/local/lib/podman/netavark",
	"/usr/libexec/podman/netavark",
	"/usr/lib/podman/netavark",
};

static int find(char **ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0) {
			*ret = g_strdup(places[i]);
			return 0;
		}
	*ret = g_find_program_in_path("netavark");
	if (!*ret)
		return err_set(ENOENT,
			       "netavark is not installed: install package netavark, or use "
			       "--network none or --network host");
	return 0;
}

static int lock_host(int *ret_fd)
{
	autoclose int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno("open /proc/self/ns/net");
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno("lock the host's network");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* {"error": "..."} on stdout, or whatever stderr has. */
static int failure(const char *verb, const struct spawn_result *res)
{
	json_t *answer = json_loads(res->out, 0, NULL);
	const char *why = json_string_value(json_object_get(answer, "error"));
	int r;

	if (!why && *res->err)
		why = g_strchomp(res->err);
	if (why)
		r = err_set(EIO, "netavark %s: %s", verb, why);
	else
		r = err_set(EIO, "netavark %s: exit status %d", verb, spawn_exit_code(res->status));
	json_decref(answer);
	return r;
}

int netavark_run(const char *verb, const char *netns, const json_t *request, json_t **ret)
{
	CLEANUP(spawn_result_clear) struct spawn_result res = {0};
	g_autofree char *path = NULL, *text = json_dumps(request, JSON_COMPACT);
	autoclose int lock = -1;
	int r;

	r = find(&path);
	if (r == 0)
		r = lock_host(&lock);
	if (r < 0)
		return r;

	const char *argv[] = {path, verb, netns, NULL};
	struct spawn s = {.argv = argv,
			  .out = SPAWN_CAPTURE,
			  .err = SPAWN_CAPTURE,
			  .fds = &lock,
			  .nfds = 1,
			  .input = text,
			  .input_len = strlen(text)};

	log_debug("netavark %s %s: %s", verb, netns, text);
	r = spawn_run(&s, &res);
	if (r < 0)
		return r;
	if (res.status)
		return failure(verb, &res);
	log_debug("netavark: %s", res.out);
	if (!ret)
		return 0;
	*ret = json_loads(res.out, 0, NULL);
	if (!json_is_object(*ret)) {
		json_decref(*ret);
		return err_set(EBADMSG, "netavark %s: the answer is not JSON: %.80s", verb,
			       res.out);
	}
	return 0;
}
