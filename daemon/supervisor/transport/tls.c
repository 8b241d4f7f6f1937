/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/tls.h"

#include "daemon/supervisor/transport/socket.h"
#include "daemon/supervisor/transport/tls_peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	RECORD = 16 << 10,    /* bytes that one record holds at most */
	MEMORY = 32 << 10,    /* bytes that OpenSSL holds for a connection, about: 16 KiB when it is new, 40 KiB while it works */
	READ_MAX = 256 << 10, /* bytes that are read at once: then others have their turn */
	RECORDS_MAX = 128,    /* likewise records */
	IDLE_MAX = 32,        /* records before one that has data */
	HANDSHAKE_BYTE = 0x16, /* the first byte of a record of a handshake */
};

struct tls {
	SSL *ssl;
	struct tls_notes notes;
	struct account *account; /* is charged with MEMORY */
	bool ended;  /* nothing more comes; `end` is what `read` returns */
	bool broken; /* the connection has failed: nothing more can be sent */
	ssize_t end;
};

/* ---- the beginning ---- */

int tls_begins(int fd)
{
	uint8_t first;
	const ssize_t n = recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return n == 0 ? -ECONNRESET : first == HANDSHAKE_BYTE;
}

static void become_tls(struct transport *transport, struct tls *tls, struct account *account)
{
	tls->account = account;
	account_charge(account, MEMORY);
	transport->tls = tls;
	transport->ops = &tls_transport;
}

int tls_open(struct transport *transport, const struct tls_context *context, struct account *account)
{
	struct tls *tls = calloc(1, sizeof *tls);

	if (!tls || !(tls->ssl = tls_context_connection(context, &tls->notes)) || !SSL_set_fd(tls->ssl, transport->fd)) {
		if (tls)
			SSL_free(tls->ssl);
		free(tls);
		return -ENOMEM;
	}
	become_tls(transport, tls, account);
	return 0;
}

int tls_join(struct transport *transport, SSL *ssl, struct account *account)
{
	struct tls *tls = calloc(1, sizeof *tls);

	if (!tls || !SSL_up_ref(ssl)) {
		free(tls);
		return -ENOMEM;
	}
	tls->ssl = ssl;
	become_tls(transport, tls, account);
	return 0;
}

void tls_charge_to(struct transport *transport, struct account *account)
{
	account_credit(transport->tls->account, MEMORY);
	account_charge(account, MEMORY);
	transport->tls->account = account;
}

void tls_leave(struct transport *transport)
{
	SSL_free(transport->tls->ssl);
	account_credit(transport->tls->account, MEMORY);
	free(transport->tls);
	transport->tls = NULL;
	transport->ops = &socket_transport;
	transport->read_awaits = TRANSPORT_READABLE;
	transport->send_awaits = TRANSPORT_WRITABLE;
}

/* What an operation of OpenSSL that did not succeed means: -EAGAIN, with what it awaits; 0: the peer has said that it sends no
 * more; another negative errno. */
static ssize_t result_of(struct tls *tls, int returned, enum transport_event *awaits)
{
	const int error = errno;

	switch (SSL_get_error(tls->ssl, returned)) {
	case SSL_ERROR_WANT_READ:
		*awaits = TRANSPORT_READABLE;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*awaits = TRANSPORT_WRITABLE;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		tls->broken = true;
		return error ? -error : -ECONNRESET;
	default:
		tls->broken = true;
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? -ECONNRESET : -EBADMSG;
	}
}

/* ---- the handshake ---- */

/* What the log says instead of OpenSSL's words. */
static const struct {
	int reason;
	const char *words;
} known[] = {
	{SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client has given no certificate, and tls_client = required"},
	{SSL_R_NO_APPLICATION_PROTOCOL, "the client offers application protocols (ALPN), and that of this address is not among them"},
	{SSL_R_UNSUPPORTED_PROTOCOL, "the client speaks no version of TLS from 1.2 on"},
	{SSL_R_NO_SHARED_CIPHER, "the client offers no cipher that the daemon accepts"},
	{SSL_R_UNEXPECTED_EOF_WHILE_READING, "the client has gone in the middle of it"},
	{SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the client does not trust the daemon's certificate: it does not know the CA"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client does not trust the daemon's certificate: it has expired"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the client does not trust the daemon's certificate: it is revoked"},
	{SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the client does not trust the daemon's certificate"},
	{SSL_R_SSLV3_ALERT_BAD_CERTIFICATE,
	 "the client does not trust the daemon's certificate: it expects another name, perhaps"},
};

static void say_refused(const struct tls *tls, char *reason, size_t size)
{
	const char *words = X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
	const struct tls_notes *notes = SSL_get_app_data(tls->ssl);

	snprintf(reason, size, "the client's certificate is refused: %s%s%s%s", words, notes->refused[0] ? " (" : "",
		 notes->refused, notes->refused[0] ? ")" : "");
}

static void say_why(const struct tls *tls, ssize_t result, char *reason, size_t size)
{
	const unsigned long error = ERR_peek_error();
	const char *words = ERR_reason_error_string(error);

	if (error && ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		say_refused(tls, reason, size);
		return;
	}
	for (size_t i = 0; error && i < sizeof known / sizeof *known; i++)
		if (ERR_GET_REASON(error) == known[i].reason)
			words = known[i].words;
	if (!error)
		words = result == 0 || result == -ECONNRESET || result == -EPIPE ? "the client has gone in the middle of it"
										 : strerror((int)-result);
	snprintf(reason, size, "%s", words ? words : "OpenSSL does not say why");
}

/* Many clients send their first request only when the end of their handshake is confirmed (Nagle's algorithm). Nothing is sent to
 * them meanwhile, so the kernel would confirm it 40 ms later. */
static void confirm_at_once(int fd)
{
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

int tls_accept(struct transport *transport, char *reason, size_t reason_size)
{
	struct tls *tls = transport->tls;

	ERR_clear_error();
	errno = 0;
	const int r = SSL_do_handshake(tls->ssl);
	if (r == 1) {
		confirm_at_once(transport->fd);
		transport->read_awaits = TRANSPORT_READABLE;
		transport->pending = SSL_has_pending(tls->ssl);
		return 0;
	}
	const ssize_t result = result_of(tls, r, &transport->read_awaits);
	if (result == -EAGAIN)
		return -EAGAIN;
	say_why(tls, result, reason, reason_size);
	ERR_clear_error();
	return -EPROTO;
}

/* ---- reading ---- */

/* The peer has sent more records without data than it may. */
static ssize_t too_many(struct tls *tls)
{
	tls->broken = true;
	return -ECONNABORTED;
}

static ssize_t read_record(struct tls *tls, struct transport *transport, uint8_t *bytes, size_t size)
{
	size_t n;

	ERR_clear_error();
	errno = 0;
	tls->notes.records = IDLE_MAX;
	const int r = SSL_read_ex(tls->ssl, bytes, size, &n);
	if (r > 0)
		return (ssize_t)n;
	const ssize_t result = tls->notes.records > 0 ? result_of(tls, r, &transport->read_awaits) : too_many(tls);
	tls->ended = result != -EAGAIN;
	tls->end = result;
	return result;
}

/* Takes as many records apart as have been read from the socket. No event tells of what is left of them, nor of an end that
 * OpenSSL has seen behind them. */
static ssize_t tls_read(struct transport *transport, void *bytes, size_t size, struct arrivals *arrivals)
{
	struct tls *tls = transport->tls;
	const size_t most = size < READ_MAX ? size : READ_MAX;
	ssize_t n = tls->end;
	unsigned records = 0;
	size_t got = 0;

	(void)arrivals;
	transport->pending = false;
	if (tls->ended)
		return tls->end;
	transport->read_awaits = TRANSPORT_READABLE;
	do {
		n = read_record(tls, transport, (uint8_t *)bytes + got, most - got);
		got += n > 0 ? (size_t)n : 0;
		records += IDLE_MAX - tls->notes.records;
	} while (n > 0 && got < most && records < RECORDS_MAX && SSL_has_pending(tls->ssl));
	transport->pending = tls->ended || (n > 0 && SSL_has_pending(tls->ssl));
	return got > 0 ? (ssize_t)got : n;
}

/* ---- sending ---- */

/* The bytes of the next record: the first piece, if it fills a record or is the only one; or what lies in several, brought
 * together. The bytes that are offered again after -EAGAIN are never fewer. */
static struct iovec next_record(const struct msghdr *message)
{
	static uint8_t together[RECORD]; /* of the loop's turn: OpenSSL encrypts it at once */
	size_t have = 0;

	if (message->msg_iovlen == 1 || message->msg_iov->iov_len >= RECORD)
		return *message->msg_iov;
	for (size_t i = 0; i < message->msg_iovlen && have < RECORD; i++) {
		const struct iovec *piece = &message->msg_iov[i];
		const size_t n = piece->iov_len < RECORD - have ? piece->iov_len : RECORD - have;
		memcpy(together + have, piece->iov_base, n);
		have += n;
	}
	return (struct iovec){.iov_base = together, .iov_len = have};
}

static ssize_t tls_send(struct transport *transport, const struct msghdr *message)
{
	struct tls *tls = transport->tls;
	const struct iovec record = next_record(message);
	size_t n;

	if (tls->broken)
		return -EPIPE;
	ERR_clear_error();
	errno = 0;
	transport->send_awaits = TRANSPORT_WRITABLE;
	const int r = SSL_write_ex(tls->ssl, record.iov_base, record.iov_len, &n);
	if (r > 0)
		return (ssize_t)n;
	const ssize_t result = result_of(tls, r, &transport->send_awaits);
	return result == 0 ? -EPIPE : result;
}

/* ---- the end ---- */

/* Tells the peer that no more is sent, unless the socket is full. */
static void say_end(struct tls *tls)
{
	ERR_clear_error();
	if (!tls->broken && SSL_is_init_finished(tls->ssl))
		(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

static void tls_shutdown(struct transport *transport, int how)
{
	if (how != SHUT_RD)
		say_end(transport->tls);
	(void)shutdown(transport->fd, how);
}

static void tls_close(struct transport *transport, struct account *account)
{
	(void)account;
	say_end(transport->tls);
	tls_leave(transport);
	(void)close(transport->fd);
}

const struct transport_ops tls_transport = {
	.read = tls_read,
	.send = tls_send,
	.shutdown = tls_shutdown,
	.encrypted = true,
	.close = tls_close,
};

/* ---- the peer ---- */

void tls_describe(const struct transport *transport, char *text, size_t size)
{
	const SSL *ssl = transport->tls->ssl;
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	char *subject = certificate ? tls_peer_subject(certificate) : NULL;

	snprintf(text, size, "%s, %s%s%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl), subject ? ", certificate of " : "",
		 subject ? subject : "");
	free(subject);
	X509_free(certificate);
}

int tls_certificate(const struct transport *transport, struct certificate **certificate)
{
	return tls_peer_certificate(transport->tls->ssl, certificate);
}
