/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks for real: netavark in a host network namespace, mount namespace and /run of our own, so
 * that the machine's are not touched.
 */
#include "base/file.h"
#include "engine/container.h"
#include "engine/network_private.h"
#include "engine/options.h"
#include "engine/store.h"
#include "kernel/mount.h"
#include "kernel/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
/* cmocka wants the above first */
#include <cmocka.h>

#define assert_ok(expr)                                                                            \
	do {                                                                                       \
		int ok_r_ = (expr);                                                                \
		if (ok_r_ < 0)                                                                     \
			fail_msg("%s: %s", #expr, err_message());                                  \
	} while (0)

#define ID(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define A     ID("aa")
#define B     ID("bb")

static struct engine *e;
static char *root, *run;
static bool privileged;
static const struct network_choice bridge = {.mode = NETWORK_BRIDGE, .arg = (char *)"cryopod"};
static const struct network_choice none = {.mode = NETWORK_NONE};

static void unref_json(json_t **j)
{
	json_decref(*j);
}

static int lo_up(void)
{
	autoclose int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	return ioctl(s, SIOCSIFFLAGS, &ifr);
}

static int setup(void **state)
{
	char name[] = "/tmp/network_test.XXXXXX";
	autoclose int fd = -1;

	privileged = geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET) == 0;
	root = g_strdup(mkdtemp(name));
	if (privileged &&
	    (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || lo_up() < 0 ||
	     mount_make("tmpfs", NULL, 0, &fd) < 0 || mount_attach(fd, AT_FDCWD, root) < 0 ||
	     mount_bind(root, "/run", false) < 0)) /* /run/xtables.lock */
		return -1;
	run = g_strdup_printf("%s/run", root);

	struct engine_options o = {.root = root, .runroot = run};

	return engine_open(&o, &e);
}

static int teardown(void **state)
{
	engine_close(e);
	if (privileged && (mount_detach("/run") < 0 || mount_detach(root) < 0))
		return -1;
	return file_remove_tree_at(AT_FDCWD, root);
}

static void need_netavark(void)
{
	if (!privileged || (access("/usr/lib/podman/netavark", X_OK) < 0 &&
			    access("/usr/libexec/podman/netavark", X_OK) < 0))
		skip();
}

static int port_error(const char *text)
{
	CLEANUP(unref_json) json_t *to = json_array();

	return network_port_parse(text, to);
}

static void assert_ports(const char *text, const char *json)
{
	CLEANUP(unref_json) json_t *to = json_array(), *want = json_loads(json, 0, NULL);

	assert_ok(network_port_parse(text, to));
	if (!json_equal(to, want)) {
		g_autofree char *got = json_dumps(to, 0);

		fail_msg("%s: %s", text, got);
	}
}

static void ports(void **state)
{
	CLEANUP(unref_json) json_t *to = json_array();

	assert_ports("8080:80", "[{\"host_ip\":\"\",\"container_port\":80,\"host_port\":8080,"
				"\"range\":1,\"protocol\":\"tcp\"}]");
	assert_ports("127.0.0.1:8000-8002:80-82/udp",
		     "[{\"host_ip\":\"127.0.0.1\",\"container_port\":80,\"host_port\":8000,"
		     "\"range\":3,\"protocol\":\"udp\"}]");
	assert_ports("[::1]:53:53/UDP", "[{\"host_ip\":\"::1\",\"container_port\":53,"
					"\"host_port\":53,\"range\":1,\"protocol\":\"udp\"}]");
	assert_ok(network_port_parse("80-81", to));
	assert_ok(network_port_parse("127.0.0.1::90", to));
	assert_int_equal(json_array_size(to), 3);
	assert_true(json_integer_value(json_object_get(json_array_get(to, 1), "host_port")) > 0);
	assert_string_equal(json_string_value(json_object_get(json_array_get(to, 2), "host_ip")),
			    "127.0.0.1");
	assert_int_equal(port_error(""), -EINVAL);
	assert_int_equal(port_error("80:"), -EINVAL);
	assert_int_equal(port_error(":80:80"), -EINVAL);
	assert_int_equal(port_error("1.2.3:80:80"), -EINVAL);
	assert_int_equal(port_error("1:2:3:4"), -EINVAL);
	assert_int_equal(port_error("[::1:80:80"), -EINVAL);
	assert_int_equal(port_error("80/tcp/udp"), -EINVAL);
	assert_int_equal(port_error("80/icmp"), -EINVAL);
	assert_int_equal(port_error("82-80"), -EINVAL);
	assert_int_equal(port_error("80-81:80"), -EINVAL);
	assert_int_equal(port_error("x:80"), -EINVAL);
	assert_int_equal(port_error("70000:80"), -EINVAL);
	assert_string_equal(err_message(), "parsing host port: port numbers must be between 1 and "
					   "65535 (inclusive), got 70000");
}

static void exposed_ports(void **state)
{
	char *publish[] = {(char *)"8080:80", NULL};
	struct container_options o = {.publish = publish, .publish_all = true};
	CLEANUP(unref_json)
	json_t *config = json_pack("{s{s{}s{}}}", "ExposedPorts", "80/tcp", "443"), *all = NULL;

	assert_ok(network_ports(&o, config, &all));
	assert_int_equal(json_array_size(all), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(all, 1), "container_port")), 443);
}

static void choices(void **state)
{
	static const struct {
		const char *text;
		enum network_mode mode;
		const char *arg;
	} good[] = {
		{NULL, NETWORK_BRIDGE, "cryopod"},
		{"bridge", NETWORK_BRIDGE, "cryopod"},
		{"none", NETWORK_NONE, NULL},
		{"host", NETWORK_HOST, NULL},
		{"container:x", NETWORK_CONTAINER, "x"},
		{"ns:/a", NETWORK_PATH, "/a"},
		{"mine", NETWORK_BRIDGE, "mine"},
	};
	struct network_choice c;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_ok(network_choice_parse(good[i].text, &c));
		assert_int_equal(c.mode, good[i].mode);
		assert_int_equal(g_strcmp0(c.arg, good[i].arg), 0);
		network_choice_clear(&c);
	}
	assert_int_equal(network_choice_parse("container:", &c), -EINVAL);
	assert_int_equal(network_choice_parse("slirp4netns:x", &c), -EINVAL);
}

static void addresses(void **state)
{
	g_autofree char *mac = NULL;

	assert_ok(network_check_ip("10.88.0.7"));
	assert_int_equal(network_check_ip("10.88.0"), -EINVAL);
	assert_ok(network_check_mac("92:D0:C6:0a:29:33", &mac));
	assert_string_equal(mac, "92:d0:c6:0a:29:33");
	assert_int_equal(network_check_mac("93:d0:c6:0a:29:33", NULL), -EINVAL);
	assert_int_equal(network_check_mac("92:d0:c6:0a:29", NULL), -EINVAL);
	assert_int_equal(network_check_mac("92:d0:c6:0a:29:zz", NULL), -EINVAL);
}

static void leases(void **state)
{
	CLEANUP(unref_json) json_t *def = NULL, *unknown = NULL, *status = NULL;
	g_autofree char *other_ip = NULL;
	struct lease a, b, again;

	assert_ok(network_definition(e, "cryopod", &def));
	assert_int_equal(network_definition(e, "nosuch", &unknown), -ENOENT);
	assert_ok(lease_take(e, "a", def, NULL, NULL, &a));
	assert_ok(lease_take(e, "b", def, NULL, NULL, &b));
	assert_string_not_equal(a.ip, b.ip);
	assert_string_not_equal(a.mac, b.mac);
	assert_ok(lease_take(e, "a", def, NULL, NULL, &again));
	assert_string_equal(a.ip, again.ip);
	assert_string_equal(a.mac, again.mac);
	assert_int_equal(lease_take(e, "c", def, a.ip, NULL, &again), -EADDRINUSE);
	assert_int_equal(lease_take(e, "c", def, "192.168.1.1", NULL, &again), -EINVAL);
	assert_ok(lease_take(e, "a", def, NULL, "02:00:00:00:00:01", &again));
	assert_string_equal(again.ip, a.ip);
	assert_string_equal(again.mac, "02:00:00:00:00:01");
	assert_ok(network_release_ip(e, "a"));
	assert_ok(lease_take(e, "a", def, NULL, NULL, &again));
	assert_string_not_equal(again.ip, a.ip); /* not given again at once */
	assert_string_equal(again.mac, "02:00:00:00:00:01");
	assert_ok(lease_drop(e, "a"));
	/* An imported checkpoint brings its addresses along, if they are free. */
	other_ip = g_strdup_printf("%s/24", b.ip);
	status = json_pack("{s{s{s{s[{ss}] ss}}}}", "podman", "interfaces", "eth0", "subnets",
			   "ipnet", other_ip, "mac_address", "02:00:00:00:00:02");
	assert_string_equal(network_first_mac(status), "02:00:00:00:00:02");
	assert_int_equal(network_adopt(e, "d", NETWORK_DEFAULT, b.ip, "02:00:00:00:00:02"),
			 -EADDRINUSE);
	assert_int_equal(network_adopt(e, "x", NETWORK_DEFAULT, "192.168.1.1", NULL), 1);
	assert_ok(lease_drop(e, "x"));
	assert_ok(lease_drop(e, "b"));
	assert_ok(network_adopt(e, "d", NETWORK_DEFAULT, b.ip, "02:00:00:00:00:02"));
	assert_ok(lease_take(e, "d", def, NULL, NULL, &again));
	assert_string_equal(again.ip, b.ip);
	assert_string_equal(again.mac, "02:00:00:00:00:02");
	assert_ok(lease_drop(e, "d"));
}

/* A whole subnet: .1 is the gateway, .0 and .255 are nobody's. */
static void network_is_full(void **state)
{
	CLEANUP(unref_json) json_t *def = NULL;
	CLEANUP(store_rollback) struct store_tx tx = {0};
	struct lease l;
	char id[16];

	assert_ok(network_definition(e, "cryopod", &def));
	for (int i = 0; i < 253; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		assert_ok(lease_take(e, id, def, NULL, NULL, &l));
	}
	assert_int_equal(lease_take(e, "more", def, NULL, NULL, &l), -EADDRNOTAVAIL);
	assert_ok(lease_drop(e, "n7"));
	assert_ok(lease_take(e, "more", def, NULL, NULL, &l));
	assert_ok(store_exec(e, "DELETE FROM leases", ""));
}

static unsigned host_links(void)
{
	struct if_nameindex *all = if_nameindex();
	unsigned n = 0;

	while (all && all[n].if_index)
		n++;
	if_freenameindex(all);
	return n;
}

/* Listens on port 80 in there; a child answers every connection with a byte. */
static pid_t serve(const char *netns)
{
	autoclose int ns = open(netns, O_RDONLY | O_CLOEXEC);
	int ready[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80)};
		int s, c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setns(ns, CLONE_NEWNET) < 0)
			_exit(1);
		s = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(s, (void *)&in, sizeof(in)) < 0 || listen(s, 5) < 0 ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		while ((c = accept(s, NULL, NULL)) >= 0) {
			if (write(c, "!", 1) != 1)
				_exit(1);
			close(c);
		}
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void assert_answers(const char *ip, int port)
{
	autoclose int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct timeval patience = {.tv_sec = 3};
	char byte;

	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	inet_pton(AF_INET, ip, &in.sin_addr);
	if (connect(s, (void *)&in, sizeof(in)) < 0)
		fail_msg("connect to %s:%d: %s", ip, port, strerror(errno));
	assert_int_equal(read(s, &byte, 1), 1);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void insert(const char *id, enum container_status status)
{
	struct container c = {.refs = 1,
			      .lock = -1,
			      .name = (char *)"a",
			      .image_name = (char *)"",
			      .config = json_object(),
			      .state = {.status = status}};

	g_strlcpy(c.id, id, sizeof(c.id));
	c.state.pid = getpid();
	c.state.pid_start = container_pid_start(getpid());
	assert_ok(container_insert(e, &c));
	json_decref(c.config);
}

static void set_status(const char *id, enum container_status status)
{
	CLEANUP(container_unref) struct container *c = NULL;

	assert_ok(container_find(e, id, &c));
	c->state.status = status;
	c->state.pid = 0;
	assert_ok(container_save(e, c));
}

static void up_and_down(void **state)
{
	CLEANUP(unref_json) json_t *published = json_array();
	CLEANUP(network_result_clear) struct network_result a = {0}, b = {0}, c = {0};
	struct network_request ra = {.id = A, .name = "a", .choice = &bridge, .ports = published};
	struct network_request rb = {.id = B, .name = "b", .choice = &bridge, .ports = published};
	g_autofree char *ip = NULL, *again = NULL;
	unsigned links = host_links();
	gint64 t0, t1, t2;
	pid_t server;

	need_netavark();
	assert_ok(network_port_parse("8080:80", published));
	t0 = g_get_monotonic_time();
	assert_ok(network_setup(e, &ra, &a));
	t1 = g_get_monotonic_time();
	assert_false(a.reused);
	assert_int_equal(network_is_up(e, A), 1);
	ip = network_first_ip(a.status);
	assert_non_null(ip);
	server = serve(a.netns);
	assert_answers(ip, 80);
	assert_non_null(json_object_get(a.status, "cryopod"));
	assert_answers("127.0.0.1", 8080); /* the published port, on this host */

	/* A checkpoint leaves it as it is, a restore takes it as it is. */
	assert_ok(network_setup(e, &ra, &b));
	t2 = g_get_monotonic_time();
	print_message("setup %ld us, reuse %ld us\n", (long)(t1 - t0), (long)(t2 - t1));
	assert_true(b.reused);
	assert_true(json_equal(a.status, b.status));
	assert_answers(ip, 80);

	/* Ports of a running container are not taken from it. */
	insert(A, CONTAINER_RUNNING);
	assert_int_equal(network_setup(e, &rb, &c), -EADDRINUSE);
	assert_int_equal(network_is_up(e, B), 0);
	end(server);

	assert_ok(network_teardown(e, A));
	assert_int_equal(network_is_up(e, A), 0);
	assert_int_equal(netns_exists(a.netns), 0);
	assert_int_equal(host_links(), links);
	assert_ok(network_teardown(e, A)); /* again: nothing to do */

	/* The same addresses the next time. */
	network_result_clear(&b);
	assert_ok(network_setup(e, &ra, &b));
	again = network_first_ip(b.status);
	assert_string_equal(ip, again);
	assert_true(json_equal(a.status, b.status));
	assert_ok(network_forget(e, A));
	assert_int_equal(host_links(), links);
}

/* A checkpointed container gives its ports up to one that is started, and gets them back later. */
static void ports_change_hands(void **state)
{
	CLEANUP(unref_json) json_t *published = json_array();
	CLEANUP(network_result_clear) struct network_result a = {0}, b = {0}, c = {0};
	struct network_request ra = {.id = A, .name = "a", .choice = &bridge, .ports = published};
	struct network_request rb = {.id = B, .name = "b", .choice = &bridge, .ports = published};
	unsigned links = host_links();

	need_netavark();
	assert_ok(network_port_parse("8083:80", published));
	set_status(A, CONTAINER_EXITED);
	assert_ok(network_setup(e, &ra, &a));
	assert_ok(network_setup(e, &rb, &b));
	assert_int_equal(network_is_up(e, A), 0);
	assert_ok(network_teardown(e, B));
	assert_ok(network_setup(e, &ra, &c));
	assert_true(json_equal(a.status, c.status));
	assert_ok(network_forget(e, A));
	assert_ok(network_forget(e, B));
	assert_int_equal(host_links(), links);
}

static unsigned rules_with(const char *text)
{
	g_autofree char *cmd = g_strdup_printf("iptables -t nat -S | grep -c -- '%s'", text);
	FILE *p = popen(cmd, "r");
	unsigned n = 99;

	assert_non_null(p);
	assert_int_equal(fscanf(p, "%u", &n), 1);
	pclose(p);
	return n;
}

static void run_root_gone(void **state)
{
	CLEANUP(unref_json) json_t *published = json_array();
	CLEANUP(network_result_clear) struct network_result a = {0}, b = {0};
	struct network_request ra = {.id = A,
				     .name = "a",
				     .choice = &bridge,
				     .ports = published,
				     .ip = NULL,
				     .mac = "02:00:00:00:00:07"};
	g_autofree char *dir = NULL;
	unsigned links = host_links();
	pid_t server;

	need_netavark();
	assert_ok(network_port_parse("8081:80", published));
	assert_ok(network_setup(e, &ra, &a));
	assert_true(rules_with("8081") > 0);
	assert_ok(mount_detach(a.netns));
	dir = g_path_get_dirname(a.netns);
	assert_ok(file_remove_tree_at(AT_FDCWD, dir));
	assert_int_equal(network_is_up(e, A), 0);
	assert_ok(network_setup(e, &ra, &b));
	assert_false(b.reused);
	assert_true(json_equal(a.status, b.status));
	assert_true(rules_with("8081") < 8); /* not twice */
	server = serve(b.netns);
	{
		g_autofree char *ip = network_first_ip(b.status);

		assert_answers(ip, 80);
	}
	end(server);

	/* And a teardown alone finds all of it. */
	assert_ok(mount_detach(b.netns));
	assert_int_equal(unlink(b.netns), 0);
	assert_ok(network_forget(e, A));
	assert_int_equal(rules_with("8081"), 0);
	assert_int_equal(netns_exists(b.netns), 0);
	assert_int_equal(host_links(), links);
}

/* What kill -9 between the first write and netavark's end leaves. */
static void half_a_setup(void **state)
{
	CLEANUP(network_result_clear) struct network_result a = {0}, b = {0};
	struct network_request ra = {.id = A, .name = "a", .choice = &bridge};
	unsigned links = host_links();

	need_netavark();
	assert_ok(network_setup(e, &ra, &a));
	assert_ok(store_exec(e, "UPDATE connections SET status=NULL WHERE container=?", "s", A));
	assert_int_equal(network_is_up(e, A), 0);
	assert_ok(network_setup(e, &ra, &b));
	assert_true(json_equal(a.status, b.status));
	assert_ok(store_exec(e, "UPDATE connections SET status=NULL WHERE container=?", "s", A));
	assert_ok(mount_detach(b.netns));
	assert_ok(network_forget(e, A));
	assert_int_equal(host_links(), links);
}

/* One of several commands at once, each with an engine of its own. */
static _Noreturn void one_of_many(char c, int go)
{
	struct engine_options o = {.root = root, .runroot = run};
	CLEANUP(network_result_clear) struct network_result a = {0};
	char id[ENGINE_ID_LEN + 1], byte;
	struct network_request ra = {.id = id, .name = id, .choice = &bridge};
	struct engine *own;
	int r;

	memset(id, c, ENGINE_ID_LEN);
	id[ENGINE_ID_LEN] = 0;
	while (read(go, &byte, 1) > 0)
		;
	r = engine_open(&o, &own);
	if (r == 0)
		r = network_setup(own, &ra, &a);
	if (r == 0)
		r = network_is_up(own, id) == 1 ? 0 : err_set(EIO, "not up");
	if (r == 0)
		r = network_forget(own, id);
	if (r < 0)
		fprintf(stderr, "%c: %s\n", c, err_message());
	_exit(r < 0);
}

static void several_at_once(void **state)
{
	unsigned links = host_links();
	int go[2], status;
	pid_t pids[3];

	need_netavark();
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			close(go[1]);
			one_of_many((char)('c' + i), go[0]);
		}
	}
	close(go[0]);
	close(go[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(host_links(), links);
}

static void another_boot(void **state)
{
	CLEANUP(network_result_clear) struct network_result a = {0};
	struct network_request ra = {.id = A, .name = "a", .choice = &none};

	if (!privileged)
		skip();
	assert_ok(network_setup(e, &ra, &a));
	assert_null(a.status);
	assert_int_equal(network_is_up(e, A), 1);
	assert_ok(store_exec(e, "UPDATE connections SET boot='other', request='{}'", ""));
	assert_int_equal(network_is_up(e, A), 0);
	assert_ok(network_forget(e, A));
	assert_int_equal(netns_exists(a.netns), 0);
}

static int count_links(void *arg, int *ret_fd)
{
	return (int)host_links();
}

static void without_a_network(void **state)
{
	CLEANUP(network_result_clear) struct network_result a = {0}, b = {0}, h = {0};
	struct network_choice host = {.mode = NETWORK_HOST};
	struct network_request ra = {.id = A, .name = "a", .choice = &none};
	autoclose int ns = -1;

	if (!privileged)
		skip();
	assert_ok(network_setup(e, &ra, &a));
	ns = open(a.netns, O_RDONLY | O_CLOEXEC);
	assert_int_equal(ns_run(&ns, 1, count_links, NULL, NULL), 1);
	assert_ok(network_setup(e, &ra, &b));
	assert_true(b.reused);
	assert_ok(network_forget(e, A));
	ra.choice = &host;
	assert_ok(network_setup(e, &ra, &h));
	assert_null(h.netns);
}

static void failure_leaves_nothing(void **state)
{
	CLEANUP(network_result_clear) struct network_result a = {0};
	struct network_choice nosuch = {.mode = NETWORK_BRIDGE, .arg = (char *)"nosuch"};
	struct network_request ra = {.id = A, .name = "a", .choice = &nosuch};
	unsigned links = host_links();
	CLEANUP(unref_json) json_t *published = json_array();
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(8082)};
	autoclose int s = -1;

	need_netavark();
	assert_int_equal(network_setup(e, &ra, &a), -ENOENT);
	assert_string_equal(err_message(),
			    "unable to find network with name or ID nosuch: network not found");
	ra.choice = &bridge;
	ra.ip = "192.168.77.1";
	assert_int_equal(network_setup(e, &ra, &a), -EINVAL);
	ra.ip = NULL;
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s, (void *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_ok(network_port_parse("8082:80", published));
	ra.ports = published;
	assert_int_equal(network_setup(e, &ra, &a), -EADDRINUSE);
	assert_ok(network_forget(e, A));
	assert_int_equal(host_links(), links);
}

static void assert_line(const char *dir, const char *file, const char *line)
{
	g_autofree char *path = g_strdup_printf("%s/%s", dir, file), *text = NULL;

	assert_ok(file_read_at(AT_FDCWD, path, 1 << 20, &text, NULL));
	if (!strstr(text, line))
		fail_msg("%s lacks '%s':\n%s", file, line, text);
}

/* --network container:X has X's very files, and its own name. */
static void sharing_is_linking(const char *like)
{
	g_autofree char *dir = g_strdup_printf("%s/sharing", root);
	struct network_files f = {
		.dir = dir, .hostname = "h1", .mode = NETWORK_CONTAINER, .like = like};

	assert_ok(file_mkdirs(dir, 0700));
	for (int twice = 0; twice < 2; twice++) {
		assert_ok(network_write_files(&f));
		assert_line(dir, "hosts", "10.88.0.5\th0 web\n");
		assert_line(dir, "resolv.conf", "nameserver 9.9.9.9\n");
		assert_line(dir, "hostname", "h1\n");
	}
}

static void files(void **state)
{
	g_autofree char *dir = g_strdup_printf("%s/files", root), *other = NULL;
	char *dns[] = {(char *)"9.9.9.9", NULL}, *search[] = {(char *)"a.b", (char *)"c", NULL};
	char *hosts[] = {(char *)"x;y:1.2.3.4", (char *)"z:host-gateway", NULL};
	char *bad[] = {(char *)"x", NULL};
	CLEANUP(unref_json)
	json_t *status = json_pack("{s{s{s{s[{ss ss}]}}}}", "cryopod", "interfaces", "eth0",
				   "subnets", "ipnet", "10.88.0.5/16", "gateway", "10.88.0.1");
	struct network_files f = {.dir = dir,
				  .hostname = "h0",
				  .name = "web",
				  .mode = NETWORK_BRIDGE,
				  .status = status,
				  .add_host = hosts,
				  .dns = dns,
				  .dns_search = search};
	struct stat a, b;

	assert_ok(file_mkdirs(dir, 0700));
	assert_ok(network_write_files(&f));
	assert_line(dir, "hosts", "1.2.3.4\tx\n1.2.3.4\ty\n10.88.0.1\tz\n");
	assert_line(dir, "hosts", "10.88.0.1\thost.containers.internal\n");
	assert_line(dir, "hosts", "10.88.0.5\th0 web\n");
	assert_line(dir, "hosts", "localhost");
	assert_line(dir, "resolv.conf", "search a.b c\nnameserver 9.9.9.9\n");
	assert_line(dir, "hostname", "h0\n");
	other = g_strdup_printf("%s/hosts", dir);
	assert_int_equal(stat(other, &a), 0);
	assert_ok(network_write_files(&f));
	assert_int_equal(stat(other, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino); /* a mounted file keeps up */
	sharing_is_linking(dir);
	f.add_host = bad;
	assert_int_equal(network_write_files(&f), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports),
		cmocka_unit_test(exposed_ports),
		cmocka_unit_test(choices),
		cmocka_unit_test(addresses),
		cmocka_unit_test(leases),
		cmocka_unit_test(network_is_full),
		cmocka_unit_test(without_a_network),
		cmocka_unit_test(another_boot),
		cmocka_unit_test(files),
		cmocka_unit_test(up_and_down),
		cmocka_unit_test(ports_change_hands),
		cmocka_unit_test(run_root_gone),
		cmocka_unit_test(half_a_setup),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(failure_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
