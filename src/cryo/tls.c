/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS between two cryos (or CRIUs) by GnuTLS, as CRIU has it: both sides have a certificate that
 * the other side's authority has signed, and the client looks for the server's name in its one.
 * The library is loaded when it is asked for.
 */
#include "cryo/tls.h"

#include "base/background.h"
#include "base/fd.h"
#include "base/lazy.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDSHAKE_MS 60000
#define RECORD	     16384 /* bytes, the most that one holds */

/* CRIU's places (criu(8)). */
#define CACERT "/etc/pki/CA/cacert.pem"
#define CACRL  "/etc/pki/CA/cacrl.pem"
#define CERT   "/etc/pki/criu/cert.pem"
#define KEY    "/etc/pki/criu/private/key.pem"

#define FUNCTIONS(F)                                                                               \
	F(certificate_allocate_credentials)                                                        \
	F(certificate_server_set_request)                                                          \
	F(certificate_set_x509_crl_file)                                                           \
	F(certificate_set_x509_key_file)                                                           \
	F(certificate_set_x509_system_trust)                                                       \
	F(certificate_set_x509_trust_file)                                                         \
	F(certificate_type_get)                                                                    \
	F(certificate_verification_status_print)                                                   \
	F(credentials_set)                                                                         \
	F(init)                                                                                    \
	F(server_name_set)                                                                         \
	F(session_get_verify_cert_status)                                                          \
	F(session_set_verify_cert)                                                                 \
	F(set_default_priority)                                                                    \
	F(transport_set_int2)                                                                      \
	F(transport_set_pull_function)                                                             \
	F(handshake)                                                                               \
	F(handshake_set_timeout)                                                                   \
	F(record_check_pending)                                                                    \
	F(record_recv)                                                                             \
	F(record_send)                                                                             \
	F(bye)                                                                                     \
	F(strerror)

#define POINTER(name) __typeof__(gnutls_##name) *name;
#define SYMBOL(name)  {"gnutls_" #name, &tls.name},

static struct {
	FUNCTIONS(POINTER)
} tls;

static const struct lazy_symbol symbols[] = {FUNCTIONS(SYMBOL)};

struct relay {
	gnutls_session_t session;
	char buf[RECORD];
};

static int fail(int r, const char *what, const char *file)
{
	return err_set(EINVAL, "--%s %s: %s", what, file, tls.strerror(r));
}

/* Files that are named must be there, those in CRIU's places need not. */
static int trust(const struct options *o, gnutls_certificate_credentials_t x)
{
	const char *ca = o->tls_cacert ?: CACERT, *crl = o->tls_cacrl ?: CACRL;
	int r;

	if (!o->tls_cacert && (r = tls.certificate_set_x509_system_trust(x)) < 0)
		return err_set(EINVAL, "the system's authorities: %s; give --tls-cacert",
			       tls.strerror(r));
	if (o->tls_cacert || access(ca, F_OK) == 0) {
		r = tls.certificate_set_x509_trust_file(x, ca, GNUTLS_X509_FMT_PEM);
		if (r <= 0)
			return r < 0 ? fail(r, "tls-cacert", ca)
				     : err_set(EINVAL, "--tls-cacert %s: no certificate in it", ca);
	}
	if (o->tls_cacrl || access(crl, F_OK) == 0) {
		r = tls.certificate_set_x509_crl_file(x, crl, GNUTLS_X509_FMT_PEM);
		if (r < 0)
			return fail(r, "tls-cacrl", crl);
	}
	return 0;
}

static int identify(const struct options *o, gnutls_certificate_credentials_t x)
{
	const char *cert = o->tls_cert ?: CERT, *key = o->tls_key ?: KEY;
	int r = tls.certificate_set_x509_key_file(x, cert, key, GNUTLS_X509_FMT_PEM);

	return r < 0 ? err_set(EINVAL, "--tls-cert %s, --tls-key %s: %s", cert, key,
			       tls.strerror(r))
		     : 0;
}

static bool is_number(const char *address)
{
	struct in6_addr any;

	return inet_pton(AF_INET, address, &any) == 1 || inet_pton(AF_INET6, address, &any) == 1;
}

static int prepare(const struct options *o, bool server, gnutls_session_t *ret)
{
	gnutls_certificate_credentials_t x;
	const char *name = o->tls_no_cn_verify ? NULL : o->address;
	int r = tls.certificate_allocate_credentials(&x);

	if (r < 0)
		return err_set(ENOMEM, "--tls: %s", tls.strerror(r));
	r = trust(o, x);
	if (r == 0)
		r = identify(o, x);
	if (r < 0)
		return r;
	/* both live as long as the relay, whose process has nothing else */
	r = tls.init(ret, server ? GNUTLS_SERVER : GNUTLS_CLIENT);
	if (r >= 0)
		r = tls.set_default_priority(*ret);
	if (r >= 0)
		r = tls.credentials_set(*ret, GNUTLS_CRD_CERTIFICATE, x);
	if (r >= 0 && !server && o->address && !is_number(o->address))
		r = tls.server_name_set(*ret, GNUTLS_NAME_DNS, o->address, strlen(o->address));
	if (r < 0)
		return err_set(EINVAL, "--tls: %s", tls.strerror(r));
	if (server)
		tls.certificate_server_set_request(*ret, GNUTLS_CERT_REQUIRE);
	tls.session_set_verify_cert(*ret, server ? NULL : name, 0);
	tls.handshake_set_timeout(*ret, HANDSHAKE_MS);
	return 0;
}

/* Its texts are sentences. */
static int is_not(const char *what, const char *text, const char *cure)
{
	size_t len = strlen(text);

	while (len && strchr(". ", text[len - 1]))
		len--;
	return err_set(EPROTO, "--tls: %s%.*s%s", what, (int)len, text, cure);
}

/* gnutls/gnutls.h: the reason is in the status when a certificate was not believed. */
static int refused(gnutls_session_t s, int r)
{
	gnutls_datum_t text = {0};
	unsigned status = tls.session_get_verify_cert_status(s);

	if (r != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR ||
	    tls.certificate_verification_status_print(status, tls.certificate_type_get(s), &text,
						      0) < 0)
		return is_not("", tls.strerror(r),
			      "; does the other side have --tls, and each side a certificate of "
			      "the other one's authority?");
	r = is_not("the other side's certificate: ", (char *)text.data, "");
	free(text.data);
	return r;
}

static int shake(gnutls_session_t s, int fd)
{
	int r;

	tls.transport_set_int2(s, fd, fd);
	do
		r = tls.handshake(s);
	while (r == GNUTLS_E_INTERRUPTED || r == GNUTLS_E_AGAIN ||
	       r == GNUTLS_E_WARNING_ALERT_RECEIVED);
	return r < 0 ? refused(s, r) : 0;
}

/* background_run(): the connection is descriptor 3, who uses it 4. */
enum { AWAY = 3, HERE = 4 };

/* Never waits: what has come may be half a record, or one of TLS's own. */
static ssize_t pull(gnutls_transport_ptr_t unused, void *buf, size_t len)
{
	return recv(AWAY, buf, len, MSG_DONTWAIT);
}

static bool passes(ssize_t n)
{
	return n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN;
}

static bool from_away(struct relay *x, bool *away)
{
	ssize_t n = tls.record_recv(x->session, x->buf, sizeof(x->buf));

	if (passes(n))
		return true;
	*away = n > 0;
	if (n == 0)
		shutdown(HERE, SHUT_WR);
	return n >= 0 && fd_write_full(HERE, x->buf, (size_t)n) == 0;
}

static bool to_away(struct relay *x, bool *here)
{
	ssize_t n = read(HERE, x->buf, sizeof(x->buf)), sent;

	if (n < 0)
		return errno == EINTR;
	*here = n > 0;
	for (ssize_t done = 0; done < n; done += MAX(sent, 0)) {
		sent = tls.record_send(x->session, x->buf + done, (size_t)(n - done));
		if (sent < 0 && !passes(sent))
			return false;
	}
	return n > 0 || tls.bye(x->session, GNUTLS_SHUT_WR) == 0;
}

/*
 * Sending waits, for one direction at a time: in the protocol of pages nobody sends while he has
 * not read what he has asked for.  When this ends, whoever is HERE sees an end, too.
 */
static void relay(void *arg)
{
	struct relay *x = arg;
	bool here = true, away = true, good = true;

	signal(SIGPIPE, SIG_IGN);
	tls.transport_set_int2(x->session, AWAY, AWAY);
	tls.transport_set_pull_function(x->session, pull);
	while (good && (here || away)) {
		struct pollfd p[2] = {{away ? AWAY : -1, POLLIN, 0}, {here ? HERE : -1, POLLIN, 0}};
		bool more = away && tls.record_check_pending(x->session) > 0;

		if (poll(p, 2, more ? 0 : -1) < 0) {
			good = errno == EINTR;
			continue;
		}
		if (more || p[0].revents)
			good = from_away(x, &away);
		if (good && p[1].revents)
			good = to_away(x, &here);
	}
}

static int begin(const struct options *o, bool server, int *fd)
{
	struct relay x;
	autoclose int here = -1, other = -1;
	int ends[2], r;

	if (!o->tls)
		return 0;
	if (!tls.init)
		lazy_load("libgnutls.so.30", symbols, ARRAY_SIZE(symbols));
	r = prepare(o, server, &x.session);
	if (r == 0)
		r = shake(x.session, *fd);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno("--tls: a pair of sockets");
	here = ends[0];
	other = ends[1];
	r = background_run((int[]){*fd, other}, 2, relay, &x);
	if (r < 0)
		return err_code(-r, "--tls: a process for the connection");
	cleanup_close(fd);
	*fd = take_fd(&here);
	return 0;
}

int tls_client(const struct options *o, int *fd)
{
	return begin(o, false, fd);
}

int tls_server(const struct options *o, int *fd)
{
	return begin(o, true, fd);
}
