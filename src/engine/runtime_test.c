/* SPDX-License-Identifier: Apache-2.0 */
/* What runtimes say, and what Podman makes of it; and the keys that leave an attached terminal. */
#include "engine/attach.h"
#include "engine/life_fixture.h"
#include "engine/runtime.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NOT_FOUND "OCI runtime attempted to invoke a command that was not found"

static const struct {
	const char *name, *output, *message;
	int hint;
} cases[] = {
	{"runc",
	 "{\"level\":\"warning\",\"msg\":\"lstat: no such file or directory\"}\n"
	 "{\"level\":\"error\",\"msg\":\"runc create failed: unable to start container process: "
	 "exec: \\\"nosuch\\\": executable file not found in $PATH\",\"time\":\"x\"}\n",
	 "runc: runc create failed: unable to start container process: exec: \"nosuch\": "
	 "executable "
	 "file not found in $PATH: " NOT_FOUND,
	 127},
	{"runc",
	 "time=\"2026\" level=error msg=\"exec failed: exec: \\\"/etc/passwd\\\": permission "
	 "denied\"\n",
	 "runc: exec failed: exec: \"/etc/passwd\": permission denied: OCI permission denied", 126},
	{"crun", "executable file `nosuch` not found in $PATH: No such file or directory\n",
	 "crun: executable file `nosuch` not found in $PATH: No such file or directory: " NOT_FOUND,
	 127},
	{"runc", "first\nsomething is wrong\n\n", "OCI runtime error: runc: something is wrong",
	 126},
	{"runc", "", "OCI runtime error: runc: failed without a message", 126},
};

static void test_errors(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct engine e = {0};

		assert_true(runtime_error(&e, cases[i].name, cases[i].output) < 0);
		assert_string_equal(err_message(), cases[i].message);
		assert_int_equal(e.exit_hint, cases[i].hint);
	}
}

static void test_keys(void **state)
{
	unsigned char k[ATTACH_KEYS_MAX];

	assert_int_equal(attach_parse_keys("ctrl-p,ctrl-q", k, sizeof(k)), 2);
	assert_int_equal(k[0], 16);
	assert_int_equal(k[1], 17);
	assert_int_equal(attach_parse_keys("a,ctrl-@,ctrl-_", k, sizeof(k)), 3);
	assert_int_equal(k[0], 'a');
	assert_int_equal(k[1], 0);
	assert_int_equal(k[2], 31);
	assert_int_equal(attach_parse_keys("ctrl-1", k, sizeof(k)), -EINVAL);
	assert_int_equal(attach_parse_keys("ab", k, sizeof(k)), -EINVAL);
	assert_int_equal(attach_parse_keys("a,b,c", k, 2), -EINVAL);
}

/* conmon's side of the socket. */
static int listen_in(const char *dir)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	g_snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/attach", dir);
	assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s, 1), 0);
	return s;
}

struct ends {
	struct attach *attach;
	int listener, peer, in[2], out[2];
};

static void ends_open(struct ends *t, const struct fixture *f, bool tty)
{
	struct attach_options o = {.err = -1, .tty = tty};

	t->listener = listen_in(f->dir);
	assert_int_equal(pipe(t->in), 0);
	assert_int_equal(pipe(t->out), 0);
	o.in = t->in[0];
	o.out = t->out[1];
	assert_int_equal(attach_open(f->dir, &o, &t->attach), 0);
	t->peer = accept(t->listener, NULL, NULL);
	assert_true(t->peer >= 0);
}

static void ends_close(struct ends *t, const struct fixture *f)
{
	const int all[] = {t->listener, t->peer, t->in[0], t->in[1], t->out[0], t->out[1]};
	g_autofree char *path = g_build_filename(f->dir, "attach", NULL);

	attach_close(&t->attach);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i] >= 0)
			close(all[i]);
	unlink(path);
}

static void test_detach(void **state)
{
	char got[64];
	struct ends t;

	ends_open(&t, *state, true);
	/* The first ctrl-p is followed by something else, so it was meant for the container. */
	assert_int_equal(write(t.in[1],
			       "ab\x10"
			       "c\x10\x11rest",
			       10),
			 10);
	assert_int_equal(attach_run(t.attach, NULL, NULL), 1);
	ends_close(&t, *state);

	ends_open(&t, *state, true);
	assert_int_equal(write(t.in[1], "ab\x10", 3), 3);
	close(t.in[1]);
	t.in[1] = -1;
	if (fork() == 0) {
		/* What was held back is sent when the next byte comes; the end closes stdin. */
		ssize_t n = recv(t.peer, got, sizeof(got), 0);
		bool good = n == 2 && recv(t.peer, got, sizeof(got), 0) == 0;

		send(t.peer, "\2out", 4, 0);
		shutdown(t.peer, SHUT_RDWR);
		_exit(good ? 0 : 1);
	}
	close(t.peer);
	t.peer = -1;
	assert_int_equal(attach_run(t.attach, NULL, NULL), 0);
	assert_int_equal(read(t.out[0], got, sizeof(got)), 3);
	assert_memory_equal(got, "out", 3);
	{
		int status;

		wait(&status);
		assert_int_equal(status, 0);
	}
	ends_close(&t, *state);
}

/* Without a terminal every byte is the container's: binary data may contain the keys. */
static void test_binary(void **state)
{
	char got[64];
	struct ends t;

	ends_open(&t, *state, false);
	assert_int_equal(write(t.in[1], "\x10\x11", 2), 2);
	close(t.in[1]);
	t.in[1] = -1;
	if (fork() == 0) {
		bool good = recv(t.peer, got, sizeof(got), 0) == 2 && !memcmp(got, "\x10\x11", 2) &&
			    recv(t.peer, got, sizeof(got), 0) == 0;

		_exit(good ? 0 : 1);
	}
	close(t.peer);
	t.peer = -1;
	assert_int_equal(attach_run(t.attach, NULL, NULL), 0);
	{
		int status;

		wait(&status);
		assert_int_equal(status, 0);
	}
	ends_close(&t, *state);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_keys),
		T(test_detach),
		T(test_binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
