/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client over TLS sends. The first byte says which:
 *   0x30  a certificate (DER), whose names are read
 *   odd   bytes instead of a handshake
 *   even  bytes behind a handshake: what they are read as must be an error, or the end
 * The second byte says where the bytes part, so that they come in two pieces.
 */
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/transport/socket.h"
#include "daemon/supervisor/transport/tls.h"
#include "daemon/supervisor/transport/tls_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { STEPS = 50, SOCKET = 64 << 10 /* bytes that a socket takes without anybody who reads */ };

static struct tls_context *server;
static SSL_CTX *client;

static void finish(void)
{
	server = tls_context_free(server);
	SSL_CTX_free(client);
}

/* A certificate that signs itself. */
static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *x509 = X509_new();

	if (!x509 || !X509_gmtime_adj(X509_getm_notBefore(x509), -3600) || !X509_gmtime_adj(X509_getm_notAfter(x509), 86400) ||
	    !X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)"fuzz", -1, -1,
					0) ||
	    !X509_set_issuer_name(x509, X509_get_subject_name(x509)) || !X509_set_pubkey(x509, key) ||
	    !X509_sign(x509, key, EVP_sha256()))
		abort();
	return x509;
}

/* A file in memory with what `put` writes; the text to name it by. */
static char *file_of(FILE **file)
{
	const int fd = memfd_create("pem", MFD_CLOEXEC);
	char *path;

	*file = fdopen(fd, "w+");
	if (!*file || asprintf(&path, "/proc/self/fd/%d", fd) < 0)
		abort();
	return path;
}

static void begin(void)
{
	struct config config = {.tls_client = TLS_CLIENT_OPTIONAL};
	FILE *cert_file, *key_file;
	char reason[512];

	if (server)
		return;
	(void)signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = make_certificate(key);
	config.tls_cert = config.tls_client_ca = file_of(&cert_file);
	config.tls_key = file_of(&key_file);
	if (!PEM_write_X509(cert_file, certificate) || fflush(cert_file) != 0 ||
	    !PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL) || fflush(key_file) != 0 ||
	    tls_context_load(&server, &config, false, reason, sizeof reason) < 0 || !(client = SSL_CTX_new(TLS_client_method())))
		abort();
	X509_free(certificate);
	EVP_PKEY_free(key);
	free(config.tls_cert);
	free(config.tls_key);
	(void)fclose(cert_file);
	(void)fclose(key_file);
	atexit(finish);
}

/* ---- certificates ---- */

static void read_certificate(const uint8_t *bytes, size_t size)
{
	X509 *x509 = d2i_X509(NULL, &bytes, (long)size);
	struct certificate *names = x509 ? tls_peer_names(x509) : NULL;

	if (x509 && !names)
		abort(); /* there is memory */
	certificate_free(names);
	X509_free(x509);
}

/* ---- connections ---- */

/* A connection whose handshake has not begun; *peer is its other end. */
static struct transport open_connection(int *peer)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0 ||
	    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int){SOCKET}, sizeof(int)) < 0)
		abort();
	*peer = fds[1];
	struct transport transport = transport_of(&socket_transport, fds[0]);
	if (tls_open(&transport, server, NULL) < 0)
		abort();
	return transport;
}

static void shake_hands(struct transport *transport, SSL *ssl)
{
	char reason[384];
	int done = -EAGAIN, got = 0;

	for (int i = 0; i < STEPS && (done != 0 || got != 1); i++) {
		got = got == 1 ? 1 : SSL_connect(ssl);
		done = done == 0 ? 0 : tls_accept(transport, reason, sizeof reason);
	}
	if (done != 0 || got != 1)
		abort();
}

/* Reads until it can't go on. */
static void read_all(struct transport *transport, bool expects_nothing)
{
	static uint8_t room[64 << 10];
	ssize_t n;

	do {
		n = transport_read(transport, room, sizeof room, NULL);
		if (n > 0 && expects_nothing)
			abort(); /* nobody has encrypted that */
	} while (n > 0 || (n == -EAGAIN && transport->pending));
}

static void accept_and_read(struct transport *transport)
{
	char reason[384] = "";
	const int r = tls_accept(transport, reason, sizeof reason);

	if (r == 0)
		read_all(transport, false);
	else if (r != -EAGAIN && !reason[0])
		abort();
}

static void send_in_pieces(struct transport *transport, int peer, const uint8_t *bytes, size_t size, bool shaken)
{
	const size_t first = size > 1 ? (size_t)bytes[0] * (size - 1) / 255 : 0,
		     pieces[] = {first, size > 1 ? size - 1 - first : 0};

	for (size_t i = 0, at = 1; i < 2; at += pieces[i++]) {
		(void)!send(peer, bytes + at, pieces[i], MSG_NOSIGNAL);
		if (shaken)
			read_all(transport, true);
		else
			accept_and_read(transport);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	int peer;

	if (size < 2 || size > SOCKET / 2)
		return 0;
	if (bytes[0] == 0x30) {
		read_certificate(bytes, size);
		return 0;
	}
	begin();
	const bool shaken = bytes[0] % 2 == 0;
	struct transport transport = open_connection(&peer);
	SSL *ssl = SSL_new(client);
	if (!ssl || !SSL_set_fd(ssl, peer))
		abort();
	if (shaken)
		shake_hands(&transport, ssl);
	send_in_pieces(&transport, peer, bytes + 1, size - 1, shaken);
	SSL_free(ssl);
	(void)close(peer);
	if (shaken)
		read_all(&transport, true);
	else
		accept_and_read(&transport);
	transport_close(&transport, NULL);
	return 0;
}
