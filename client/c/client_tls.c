/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/client_tls.h"

#include "client/c/client_tls_setup.h"
#include "proto/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	TLS_READ = 32 << 10,  /* bytes of one read: what becomes of them, and of the record before, has room in CLIENT_TLS_ROOM */
	TLS_WRITE = 64 << 10, /* bytes that are encrypted at once */
	RECORD_ALERT = 0x15,  /* the first byte of a server's answer in a handshake is this, or the next */
	RECORD_HANDSHAKE = 0x16,
};

struct client_tls {
	struct openssl lib;
	SSL_CTX *context;
	SSL *ssl;
	BIO *come, *due; /* of `ssl` */
	bool asked;      /* the server has asked for a certificate, and there is none */
	bool heard;      /* something has come */
	int error;       /* it has failed: nothing more comes */
	struct reason reason;
	char name[256]; /* of the server */
	unsigned char room[TLS_READ];
};

/* ---- why it fails ---------------------------------------------------------------------------------------------------- */

/* The certificate of the server is refused. */
static int refuse(struct client_tls *tls, long verdict)
{
	switch (verdict) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return reason_give(&tls->reason, -EKEYREJECTED, "the server's certificate has expired");
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return reason_give(&tls->reason, -EKEYREJECTED, "the server's certificate is not valid yet");
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return reason_give(&tls->reason, -EKEYREJECTED, "the server's certificate is not for %s", tls->name);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return reason_give(&tls->reason, -EKEYREJECTED, "no CA that is known here has signed the server's certificate");
	default:
		return reason_give(&tls->reason, -EKEYREJECTED, "the server's certificate is refused: %s",
				   tls->lib.X509_verify_cert_error_string(verdict));
	}
}

/* The server has said that it refuses. A server of TLS 1.2 that misses a certificate says handshake_failure. */
static int refused(struct client_tls *tls, int alert)
{
	static const struct {
		int alert;
		const char *words;
	} known[] = {
		{SSL_AD_CERTIFICATE_EXPIRED, "the server refuses the client's certificate: it has expired"},
		{SSL_AD_CERTIFICATE_REVOKED, "the server refuses the client's certificate: it is revoked"},
		{SSL_AD_UNKNOWN_CA, "the server refuses the client's certificate: it does not know the CA"},
		{SSL_AD_BAD_CERTIFICATE, "the server refuses the client's certificate"},
		{SSL_AD_CERTIFICATE_UNKNOWN, "the server refuses the client's certificate"},
		{SSL_AD_UNSUPPORTED_CERTIFICATE, "the server refuses the client's certificate: it is not for clients"},
		{SSL_AD_NO_APPLICATION_PROTOCOL, "the server does not speak objpool/1"},
		{SSL_AD_UNRECOGNIZED_NAME, "the server does not know the name by which it was called"},
	};

	if (tls->asked && (alert == TLS13_AD_CERTIFICATE_REQUIRED || alert == SSL_AD_HANDSHAKE_FAILURE))
		return reason_give(&tls->reason, -EACCES, "the server asks for a client's certificate, and none was given");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].alert == alert)
			return reason_give(&tls->reason, -EACCES, "%s", known[i].words);
	return reason_give(&tls->reason, -EACCES, "the server refuses the connection: %s",
			   tls->lib.SSL_alert_desc_string_long(alert));
}

/* What OpenSSL has found wrong. */
static int fail(struct client_tls *tls)
{
	const unsigned long error = tls->lib.ERR_peek_last_error();
	const int number = ERR_GET_REASON(error);
	const long verdict = tls->lib.SSL_get_verify_result(tls->ssl);
	const char *words = tls->lib.ERR_reason_error_string(error);

	if (number == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
		tls->error = refuse(tls, verdict);
	else if (ERR_GET_LIB(error) == ERR_LIB_SSL && number > SSL_AD_REASON_OFFSET && number <= SSL_AD_REASON_OFFSET + UINT8_MAX)
		tls->error = refused(tls, number - SSL_AD_REASON_OFFSET);
	else if (number == SSL_R_UNSUPPORTED_PROTOCOL)
		tls->error = reason_give(&tls->reason, -EPROTO, "the server speaks no version of TLS from 1.2 on");
	else
		tls->error = reason_give(&tls->reason, -EPROTO, "TLS with the server has failed: %s",
					 words ? words : "OpenSSL does not say why");
	tls->lib.ERR_clear_error();
	return tls->error;
}

const struct reason *client_tls_reason(const struct client_tls *tls, int *error)
{
	*error = tls->error;
	return &tls->reason;
}

/* ---- the socket ------------------------------------------------------------------------------------------------------ */

size_t client_tls_unsent(const struct client_tls *tls)
{
	return (size_t)tls->lib.BIO_ctrl(tls->due, BIO_CTRL_PENDING, 0, NULL);
}

/* Removes bytes that have been sent. A BIO has no other way to do so in part. */
static void drop_sent(struct client_tls *tls, size_t size)
{
	while (size > 0) {
		const size_t part = size < sizeof tls->room ? size : sizeof tls->room;
		(void)tls->lib.BIO_read(tls->due, tls->room, (int)part);
		size -= part;
	}
}

/* Sends all that is due. 0, -EAGAIN, or another negative errno. */
static int flush(struct client_tls *tls, int fd)
{
	char *bytes;

	for (long left; (left = tls->lib.BIO_ctrl(tls->due, BIO_CTRL_INFO, 0, &bytes)) > 0;) {
		const ssize_t n = send(fd, bytes, (size_t)left, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR)
			return -errno;
		drop_sent(tls, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

/* Gives OpenSSL what has come. How many bytes; 0: the end; or a negative errno. */
static ssize_t receive(struct client_tls *tls, int fd)
{
	ssize_t n;

	do
		n = recv(fd, tls->room, sizeof tls->room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0 && tls->lib.BIO_write(tls->come, tls->room, (int)n) != (int)n)
		return -ENOMEM;
	return n < 0 ? -errno : n;
}

/* ---- the handshake --------------------------------------------------------------------------------------------------- */

static int await(struct client_tls *tls, int fd, int64_t deadline)
{
	struct pollfd pollfd = {.fd = fd, .events = client_tls_unsent(tls) > 0 ? POLLIN | POLLOUT : POLLIN};
	int n;

	do
		n = poll(&pollfd, 1, clock_ms_until(deadline));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n > 0 ? 0 : reason_give(&tls->reason, -ETIMEDOUT, "the server does not answer in the TLS handshake");
}

/* What has come may say why, also if the socket takes no more. */
static int hear(struct client_tls *tls, int fd)
{
	const ssize_t n = receive(tls, fd);

	if (n == 0 || n == -ECONNRESET)
		return reason_give(&tls->reason, n ? (int)n : -EPROTO,
				   "the server has ended the connection in the TLS handshake%s",
				   tls->heard ? "" : "; perhaps it does not speak TLS");
	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	if (!tls->heard && tls->room[0] != RECORD_HANDSHAKE && tls->room[0] != RECORD_ALERT)
		return reason_give(&tls->reason, -EPROTO, "the server does not speak TLS");
	tls->heard = true;
	return 0;
}

static int shake_hands(struct client_tls *tls, int fd, int64_t deadline)
{
	for (int rc = 0; rc == 0;) {
		tls->lib.ERR_clear_error();
		const int done = tls->lib.SSL_do_handshake(tls->ssl);
		const int failed = done == 1 || tls->lib.SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ ? 0 : fail(tls);
		const int sent = flush(tls, fd); /* an alert, too */
		if (failed || done == 1)
			return failed;
		rc = sent == -EAGAIN || sent == 0 || sent == -EPIPE || sent == -ECONNRESET ? await(tls, fd, deadline) : sent;
		if (rc == 0)
			rc = hear(tls, fd);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* The server asks for a certificate, and there is none: the handshake goes on without. */
static int note_asked(SSL *ssl, void *context)
{
	struct client_tls *tls = context;

	(void)ssl;
	tls->asked = true;
	return 1;
}

/* OpenSSL's ends: `ssl` owns them. */
static int join(struct client_tls *tls)
{
	const struct openssl *lib = &tls->lib;

	tls->come = lib->BIO_new(lib->BIO_s_mem());
	tls->due = lib->BIO_new(lib->BIO_s_mem());
	if (!tls->come || !tls->due) {
		(void)lib->BIO_free(tls->come);
		(void)lib->BIO_free(tls->due);
		return -ENOMEM;
	}
	lib->SSL_set0_rbio(tls->ssl, tls->come);
	lib->SSL_set0_wbio(tls->ssl, tls->due);
	return 0;
}

static int prepare(struct client_tls *tls, const char *host, const struct credentials *credentials)
{
	const char *name = credentials->name ? credentials->name : host;
	int rc = openssl_load(&tls->lib, &tls->reason);

	snprintf(tls->name, sizeof tls->name, "%s", name);
	if (rc == 0)
		rc = client_tls_setup(&tls->lib, credentials, &tls->context, &tls->reason);
	if (rc == 0)
		rc = client_tls_begin(&tls->lib, tls->context, name, &tls->ssl, &tls->reason);
	if (rc == 0)
		rc = join(tls);
	if (rc == 0 && !credentials->cert)
		tls->lib.SSL_set_cert_cb(tls->ssl, note_asked, tls);
	return rc;
}

static void destroy(struct client_tls *tls)
{
	if (tls->ssl)
		tls->lib.SSL_free(tls->ssl);
	if (tls->context)
		tls->lib.SSL_CTX_free(tls->context);
	free(tls);
}

struct client_tls *client_tls_open(int fd, const char *host, const struct credentials *credentials, int64_t deadline,
				   struct reason *reason, int *error)
{
	struct client_tls *tls = calloc(1, sizeof *tls);

	*error = tls ? prepare(tls, host, credentials) : -ENOMEM;
	if (*error == 0)
		*error = shake_hands(tls, fd, deadline);
	if (*error == 0)
		return tls;
	if (tls) {
		*reason = tls->reason;
		destroy(tls);
	}
	return NULL;
}

void client_tls_close(struct client_tls *tls, int fd)
{
	if (!tls)
		return;
	tls->lib.ERR_clear_error();
	if (!tls->error && client_tls_unsent(tls) == 0) {
		(void)tls->lib.SSL_shutdown(tls->ssl);
		(void)flush(tls, fd);
	}
	tls->lib.ERR_clear_error();
	destroy(tls);
}

/* ---- what goes through ----------------------------------------------------------------------------------------------- */

ssize_t client_tls_put(struct client_tls *tls, int fd, const void *bytes, size_t size)
{
	int rc = flush(tls, fd);

	if (rc < 0 || size == 0)
		return rc;
	tls->lib.ERR_clear_error();
	const int n = tls->lib.SSL_write(tls->ssl, bytes, size < TLS_WRITE ? (int)size : TLS_WRITE);
	if (n <= 0)
		return fail(tls);
	rc = flush(tls, fd);
	return rc == 0 || rc == -EAGAIN ? n : rc;
}

/* What OpenSSL can make of all that has come. Its error is looked at only when there are no bytes: it stays. */
static ssize_t decrypt(struct client_tls *tls, unsigned char *bytes, size_t size)
{
	size_t got = 0;
	int n;

	tls->lib.ERR_clear_error();
	while ((n = tls->lib.SSL_read(tls->ssl, bytes + got, (int)(size - got))) > 0)
		got += (size_t)n;
	switch (tls->lib.SSL_get_error(tls->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		return got ? (ssize_t)got : -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return (ssize_t)got;
	default:
		(void)fail(tls);
		return got ? (ssize_t)got : tls->error;
	}
}

ssize_t client_tls_take(struct client_tls *tls, int fd, void *bytes, size_t size, bool *more)
{
	const ssize_t n = tls->error ? tls->error : receive(tls, fd);

	if (n <= 0)
		return n;
	const ssize_t got = decrypt(tls, bytes, size < CLIENT_TLS_ROOM ? size : CLIENT_TLS_ROOM);
	*more = n == (ssize_t)sizeof tls->room || tls->error;
	(void)flush(tls, fd); /* what TLS itself answers; if it fails, the next one that sends hears of it */
	return got;
}
