/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cryo swrk FD: serves one connection that it was started with, as runtimes do; cryo service: a
 * socket for everybody who may connect, a process for each connection.
 */
#include "cryo/rpc.h"

#include "base/fd.h"
#include "base/log.h"
#include "kernel/feature.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct request {
	const CriuReq *req;
	CriuResp *resp;
	int sock;
	pid_t peer;
	pid_t pid;   /* of what was restored */
	int port_to; /* who is told where a page server listens; -1 */
	int log;     /* of exec_cmd; -1 */
	bool public; /* the socket is for everybody who may connect */
};

#define LOG_NAME "criu.log" /* as callers know it, when they name none */

/* As CRIU says it of whatever is wrong with a request. */
static int bad_request(int r)
{
	g_autofree char *story = g_strdup(err_message());

	return r < 0 ? err_adopt(-EBADRQC, story) : r;
}

/* A service's own descriptors and parent are nobody's business. */
static int check_public(const struct request *q)
{
	const CriuOpts *o = q->req->opts;
	const char *what = o->n_inherit_fd	    ? "inherit_fd"
			   : o->has_rst_sibling	    ? "rst_sibling"
			   : o->ps && o->ps->has_fd ? "ps.fd"
						    : NULL;

	return q->public && what
		       ? err_set(EBADRQC, "option %s is not allowed in standalone service", what)
		       : 0;
}

/* The number is the caller's. */
static int open_status(const struct request *q, struct options *o)
{
	g_autofree char *path = NULL;

	if (!q->req->opts->has_status_fd)
		return 0;
	path = g_strdup_printf("/proc/%d/fd/%d", q->peer, q->req->opts->status_fd);
	o->status_fd = open(path, O_WRONLY | O_CLOEXEC);
	return o->status_fd < 0 ? err_errno("option status_fd %d", q->req->opts->status_fd) : 0;
}

static int check_dirs(const struct request *q, const struct options *o)
{
	if (o->images_dir)
		return 0;
	if (q->req->type != CRIU_REQ_TYPE__CHECK)
		return err_set(EBADRQC, "RPC: neither images_dir_fd nor images_dir was given");
	return o->work_dir || !o->log_file
		       ? 0
		       : err_set(EBADRQC, "RPC: in which directory is log_file to be?");
}

static int options_of(struct request *q, GPtrArray *words, struct options *o)
{
	const CriuOpts *opts = q->req->opts;
	int r = check_public(q);

	if (r == 0)
		r = rpc_words(opts, q->req->type, q->peer, words);

	g_ptr_array_add(words, NULL);
	if (r == 0)
		r = options_parse((int)words->len - 1, (char **)words->pdata, o);
	if (r == 0 && opts->config_file)
		r = options_config(opts->config_file, o);
	if (r == 0)
		r = check_dirs(q, o);
	if (r == 0)
		r = open_status(q, o);
	return bad_request(r);
}

static int with_session(struct request *q, const struct action *a, const char *const *more)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	struct session s = SESSION_NONE;
	int r;

	if (!q->req->opts)
		return err_set(EBADRQC, "RPC: a request without options");
	g_ptr_array_add(words, g_strdup("cryo"));
	g_ptr_array_add(words, g_strdup(a->name));
	for (; more && *more; more++)
		g_ptr_array_add(words, g_strdup(*more));
	r = options_of(q, words, &s.o);
	if (q->req->opts->has_notify_scripts && q->req->opts->notify_scripts)
		s.notify = q->sock;
	s.rpc_sock = q->sock;
	s.port_to = q->port_to;
	s.log_name = LOG_NAME;
	s.log_stderr =
		q->req->opts->has_log_to_stderr && q->req->opts->log_to_stderr && !s.o.log_file;
	if (r == 0)
		r = session_open(&s, a);
	if (r == 0)
		r = a->run(&s);
	q->pid = s.restored;
	if (q->req->opts->n_exec_cmd && s.log >= 0)
		q->log = fd_dup_above(s.log, 3);
	if (r < 0)
		session_report_error(&s);
	session_close(&s);
	return r;
}

static int run_dump(struct request *q)
{
	static CriuDumpResp resp = CRIU_DUMP_RESP__INIT;
	int r;

	/*
	 * A caller that asks for its own dump has forked us: when it has ended nothing is left of
	 * its session, so that it can be restored at once.  (Who leads a group stays.)
	 */
	if (q->req->opts && !(q->req->opts->has_pid && q->req->opts->pid))
		setsid();
	r = with_session(q, &action_dump, NULL);
	resp.has_restored = true;
	q->resp->dump = &resp;
	return r;
}

static int run_pre_dump(struct request *q)
{
	return with_session(q, &action_pre_dump, NULL);
}

static int run_restore(struct request *q)
{
	static CriuRestoreResp resp = CRIU_RESTORE_RESP__INIT;
	int r = with_session(q, &action_restore, NULL);

	if (r == 0) {
		resp.pid = q->pid;
		q->resp->restore = &resp;
	}
	return r;
}

/* A process of its own; its number and port are told when it listens. */
static int run_page_server(struct request *q)
{
	static CriuPageServerInfo info = CRIU_PAGE_SERVER_INFO__INIT;
	autoclose int ours = -1, theirs = -1;
	int p[2], port;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_errno("pipe");
	ours = p[0];
	theirs = p[1];
	pid = fork();
	if (pid < 0)
		return err_errno("fork");
	if (pid == 0) {
		close(ours);
		q->port_to = theirs;
		_exit(with_session(q, &action_page_server, NULL) < 0);
	}
	close(take_fd(&theirs));
	if (read(ours, &port, sizeof(port)) != sizeof(port)) {
		waitpid(pid, NULL, 0);
		return err_set(ECANCELED, "the page server did not come up; see its log");
	}
	info.has_pid = info.has_port = true;
	info.pid = pid;
	info.port = port;
	q->resp->ps = &info;
	q->resp->type = CRIU_REQ_TYPE__PAGE_SERVER; /* also of PAGE_SERVER_CHLD */
	return 0;
}

/* As in CRIU only a log needs a directory. */
static int run_check(struct request *q)
{
	const CriuOpts *o = q->req->opts;
	const char *const argv[] = {"cryo", "check", NULL};
	struct session s = SESSION_NONE;
	int r;

	if (o && (o->log_file || o->log_to_stderr)) {
		r = with_session(q, &action_check, NULL);
	} else {
		r = options_parse(2, (char **)argv, &s.o);
		if (r == 0)
			r = action_check.run(&s);
		options_clear(&s.o);
	}
	return r > 0 ? err_set(EOPNOTSUPP, "the kernel lacks what is needed") : r;
}

static int run_cpuinfo_dump(struct request *q)
{
	return with_session(q, &action_cpuinfo, (const char *const[]){"dump", NULL});
}

static int run_cpuinfo_check(struct request *q)
{
	return with_session(q, &action_cpuinfo, (const char *const[]){"check", NULL});
}

static bool has(const char *name)
{
	const struct feature *f = feature_find(name);
	bool yes = f && f->probe.check() == 1;

	err_clear();
	return yes;
}

static int run_features(struct request *q)
{
	static CriuFeatures f = CRIU_FEATURES__INIT;
	const CriuFeatures *wanted = q->req->features;

	if (!wanted)
		return err_set(EBADRQC, "RPC: a feature check without features");
	f.has_mem_track = wanted->has_mem_track;
	f.mem_track = wanted->has_mem_track && wanted->mem_track && has("mem_dirty_track");
	f.has_lazy_pages = wanted->has_lazy_pages;
	f.lazy_pages = wanted->has_lazy_pages && wanted->lazy_pages && has("uffd-noncoop");
	f.has_pidfd_store = wanted->has_pidfd_store;
	f.pidfd_store = wanted->has_pidfd_store && wanted->pidfd_store && has("pidfd_store");
	q->resp->features = &f;
	return 0;
}

/* Without gitid: callers take a version that has one for the next (go-criu, libcriu). */
static int run_version(struct request *q)
{
	static CriuVersion v = CRIU_VERSION__INIT;

	v.major_number = CRYO_INTERFACE_MAJOR;
	v.minor_number = CRYO_INTERFACE_MINOR;
	q->resp->version = &v;
	return 0;
}

static int run_wait(struct request *q)
{
	int status;

	if (!q->req->has_pid)
		return err_set(EINVAL, "RPC: wait for whom?");
	if (waitpid((pid_t)q->req->pid, &status, 0) < 0)
		return err_errno("wait for process %u", q->req->pid);
	q->resp->has_status = true;
	q->resp->status = status;
	return 0;
}

static const struct {
	CriuReqType type;
	int (*run)(struct request *q);
} services[] = {
	{CRIU_REQ_TYPE__DUMP, run_dump},
	{CRIU_REQ_TYPE__PRE_DUMP, run_pre_dump},
	{CRIU_REQ_TYPE__SINGLE_PRE_DUMP, run_pre_dump},
	{CRIU_REQ_TYPE__RESTORE, run_restore},
	{CRIU_REQ_TYPE__PAGE_SERVER, run_page_server},
	{CRIU_REQ_TYPE__PAGE_SERVER_CHLD, run_page_server},
	{CRIU_REQ_TYPE__CHECK, run_check},
	{CRIU_REQ_TYPE__CPUINFO_DUMP, run_cpuinfo_dump},
	{CRIU_REQ_TYPE__CPUINFO_CHECK, run_cpuinfo_check},
	{CRIU_REQ_TYPE__FEATURE_CHECK, run_features},
	{CRIU_REQ_TYPE__VERSION, run_version},
	{CRIU_REQ_TYPE__WAIT_PID, run_wait},
};

static int serve(struct request *q)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (services[i].type == q->req->type)
			return services[i].run(q);
	q->resp->type = CRIU_REQ_TYPE__EMPTY; /* as CRIU answers what it does not know */
	return err_set(EBADRQC, "RPC: requests of type %d are not supported", q->req->type);
}

/* The parent of the tree is that program from now on; what it says goes to the log. */
static int become(const struct request *q)
{
	const CriuOpts *o = q->req->opts;
	g_autofree char **argv = g_new0(char *, o->n_exec_cmd + 1);

	memcpy(argv, o->exec_cmd, o->n_exec_cmd * sizeof(*argv));
	close(q->sock);
	if (q->log >= 0 && (dup2(q->log, STDOUT_FILENO) < 0 || dup2(q->log, STDERR_FILENO) < 0))
		return err_errno("log");
	execvp(argv[0], argv);
	return err_errno("execute %s", argv[0]);
}

/* *RET_MORE: another request may follow. */
static int answer(int sock, pid_t peer, bool public, bool *ret_more)
{
	CriuResp resp = CRIU_RESP__INIT;
	CriuReq *req = NULL;
	struct request q = {.resp = &resp,
			    .sock = sock,
			    .peer = peer,
			    .port_to = -1,
			    .log = -1,
			    .public = public};
	g_autofree char *story = NULL;
	int r = rpc_receive(sock, &req), sent;

	*ret_more = false;
	if (r != 0)
		return r < 0 ? r : 0;
	q.req = req;
	resp.type = req->type;
	r = serve(&q);
	resp.success = r == 0;
	if (r < 0) {
		story = g_strdup(err_message());
		resp.has_cr_errno = true;
		resp.cr_errno = -r;
		resp.cr_errmsg = story;
	}
	/* as CRIU: further rounds, or the dump, come over the same connection */
	*ret_more = (req->has_keep_open && req->keep_open) ||
		    (r == 0 && req->type == CRIU_REQ_TYPE__PRE_DUMP);
	sent = rpc_send(sock, &resp, -1);
	if (sent == 0 && r == 0 && req->type == CRIU_REQ_TYPE__RESTORE && req->opts->n_exec_cmd)
		sent = become(&q);
	cleanup_close(&q.log);
	criu_req__free_unpacked(req, NULL);
	return sent < 0 ? sent : r < 0 ? err_adopt(r, story) : 0;
}

static int converse(int sock, bool public)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	bool more = true;
	int r = 0;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_errno("RPC: descriptor %d", sock);
	while (more)
		r = answer(sock, peer.pid, public, &more);
	return r;
}

static int swrk(struct session *s)
{
	char *end;
	long fd;

	if (s->o.words->len != 2)
		return err_set(EINVAL, "swrk needs the number of a descriptor");
	fd = strtol(g_ptr_array_index(s->o.words, 1), &end, 10);
	if (*end || fd < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_set(EBADF, "swrk: %s is no open descriptor",
			       (const char *)g_ptr_array_index(s->o.words, 1));
	return converse((int)fd, false) < 0;
}

const struct action action_swrk = {
	.name = "swrk",
	.log = NULL,
	.needs_images = false,
	.brief = "Serve requests (CRIU's RPC) over an open descriptor, as runtimes start it",
	.run = swrk,
};

#define DEFAULT_SOCKET "/var/run/criu_service.socket"

/* For whoever has started us, also if we are set-user-ID. */
static int listen_at(const char *path, int *ret)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (g_strlcpy(a.sun_path, path, sizeof(a.sun_path)) >= sizeof(a.sun_path))
		return err_set(ENAMETOOLONG, "--address %s", path);
	*ret = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (*ret < 0)
		return err_errno("socket");
	unlink(path);
	if (bind(*ret, (struct sockaddr *)&a, sizeof(a)) < 0 || chmod(path, 0600) < 0 ||
	    (getuid() != geteuid() && lchown(path, getuid(), getgid()) < 0) || listen(*ret, 16) < 0)
		return err_errno("listen at %s", path);
	return 0;
}

static int serve_all(int sock)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		autoclose int one = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid;

		if (one < 0 && errno == EINTR)
			continue;
		if (one < 0)
			return err_errno("accept");
		pid = fork();
		if (pid < 0)
			return err_errno("fork");
		if (pid == 0) {
			signal(SIGCHLD, SIG_DFL);
			close(sock);
			_exit(converse(one, true) < 0);
		}
	}
}

static int service(struct session *s)
{
	autoclose int sock = -1, pidfile = -1;
	int r;

	/* as CRIU has it: paths are those of the work directory */
	if (s->work >= 0 && fchdir(s->work) < 0)
		return err_errno("work directory");
	r = listen_at(s->o.address ?: DEFAULT_SOCKET, &sock);
	if (r < 0)
		return r;
	if ((s->o.daemon || s->o.detached) && daemon(1, 0) < 0)
		return err_errno("become a daemon");
	if (s->o.pidfile) {
		pidfile = open(s->o.pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (pidfile < 0 || dprintf(pidfile, "%d", getpid()) < 0)
			return err_errno("pidfile %s", s->o.pidfile);
	}
	session_ready(s);
	return serve_all(sock);
}

const struct action action_service = {
	.name = "service",
	.log = NULL,
	.needs_images = false,
	.brief = "Serve requests (CRIU's RPC) at a socket, --address; with --daemon in the "
		 "background",
	.run = service,
};
