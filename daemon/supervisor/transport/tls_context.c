/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/tls_context.h"

#include "daemon/supervisor/config/textfile.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FILE_MAX = 16 << 20,
	CHAIN_MAX = 32 << 10, /* bytes of a client's certificates: a stranger may send so many */
	READ_AHEAD = 64 << 10 /* bytes that one system call may read; held only while they are taken apart */
};

struct tls_context {
	SSL_CTX *ssl;
	int64_t expires;
};

/* ---- what goes wrong ---- */

struct loader {
	const struct config *config;
	SSL_CTX *ssl;
	bool takes_outdated;
	char *reason;
	size_t reason_size;
};

/* A file that the configuration names. */
struct source {
	const char *key;
	char *const *path; /* in the configuration */
};

__attribute__((format(printf, 3, 4))) static int fail(const struct loader *loader, const struct source *source,
						      const char *format, ...)
{
	char cause[320];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(cause, sizeof cause, format, list);
	va_end(list);
	snprintf(loader->reason, loader->reason_size, "%s: %s = %s: %s", config_place(loader->config, source->path), source->key,
		 *source->path, cause);
	return -1;
}

/* What fail says is only a warning if what is out of date is taken. */
static int outdated(const struct loader *loader, int failed)
{
	return loader->takes_outdated ? 0 : failed;
}

/* OpenSSL's words for the last thing that went wrong. */
static const char *last_error(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_last_error());
	return words ? words : "out of memory";
}

/* ---- reading PEM ---- */

struct pem {
	BIO *bio;
	char *text;
	size_t size;
};

static void pem_close(struct pem *pem)
{
	BIO_free(pem->bio);
	if (pem->text)
		OPENSSL_cleanse(pem->text, pem->size);
	free(pem->text);
}

static int pem_open(const struct loader *loader, const struct source *source, struct pem *pem)
{
	char cause[128];

	*pem = (struct pem){0};
	if (textfile_read(*source->path, FILE_MAX, &pem->text, &pem->size, cause, sizeof cause) < 0)
		return fail(loader, source, "%s", cause);
	pem->bio = BIO_new_mem_buf(pem->text, (int)pem->size);
	if (pem->bio)
		return 0;
	pem_close(pem);
	return fail(loader, source, "out of memory");
}

/* After a PEM_read that gave nothing: was it the end of the file? */
static bool is_at_end(void)
{
	const unsigned long error = ERR_peek_last_error();
	const bool end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

	if (end)
		ERR_clear_error();
	return end;
}

/* Gives each certificate of the file to `take`, with its place from 0. */
static int each_certificate(const struct loader *loader, const struct source *source,
			    int (*take)(const struct loader *loader, const struct source *source, X509 *certificate, int i))
{
	X509 *certificate;
	struct pem pem;
	int r = pem_open(loader, source, &pem), n = 0;

	if (r < 0)
		return r;
	ERR_clear_error();
	while (r == 0 && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL))) {
		r = take(loader, source, certificate, n++);
		X509_free(certificate);
	}
	if (r == 0 && !is_at_end())
		r = fail(loader, source, "certificate %d in it is malformed: %s", n + 1, last_error());
	else if (r == 0 && n == 0)
		r = fail(loader, source, "there is no certificate in it (PEM)");
	pem_close(&pem);
	return r;
}

static void say_time(const ASN1_TIME *at, char *text, size_t size)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(at, &tm) || strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(text, size, "?");
}

/* ---- the daemon's own certificate ---- */

static int check_dates(const struct loader *loader, const struct source *source, const X509 *certificate, int i)
{
	char at[40];

	if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
		say_time(X509_get0_notAfter(certificate), at, sizeof at);
		return outdated(loader,
				fail(loader, source, "certificate %d in it has expired: it was valid until %s", i + 1, at));
	}
	if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
		say_time(X509_get0_notBefore(certificate), at, sizeof at);
		return outdated(loader,
				fail(loader, source, "certificate %d in it is not valid yet: it will be from %s", i + 1, at));
	}
	return 0;
}

/* The first certificate is the daemon's, the others lead to a CA. */
static int take_own(const struct loader *loader, const struct source *source, X509 *certificate, int i)
{
	if (check_dates(loader, source, certificate, i) < 0)
		return -1;
	if (i == 0 ? SSL_CTX_use_certificate(loader->ssl, certificate) : (int)SSL_CTX_add1_chain_cert(loader->ssl, certificate))
		return 0;
	return fail(loader, source, "certificate %d in it can't be used: %s", i + 1, last_error());
}

/* OpenSSL's, for a key that is encrypted: there is nobody who could be asked. */
static int no_passphrase(char *text, int size, int writing, void *asked)
{
	(void)text, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

static int load_key(const struct loader *loader)
{
	const struct source source = {.key = "tls_key", .path = &loader->config->tls_key};
	bool encrypted = false;
	struct pem pem;

	if (pem_open(loader, &source, &pem) < 0)
		return -1;
	ERR_clear_error();
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem.bio, NULL, no_passphrase, &encrypted);
	pem_close(&pem);
	if (!key)
		return encrypted
			       ? fail(loader, &source, "the key is encrypted, and nobody can be asked for its passphrase")
			       : fail(loader, &source, "there is no private key in it that can be read (PEM): %s", last_error());
	const bool matches = SSL_CTX_use_PrivateKey(loader->ssl, key) && SSL_CTX_check_private_key(loader->ssl);
	EVP_PKEY_free(key);
	return matches ? 0 : fail(loader, &source, "it is not the key of the certificate %s", loader->config->tls_cert);
}

static int load_own(const struct loader *loader)
{
	const struct source source = {.key = "tls_cert", .path = &loader->config->tls_cert};

	return each_certificate(loader, &source, take_own) < 0 ? -1 : load_key(loader);
}

/* ---- clients' certificates ---- */

static int take_ca(const struct loader *loader, const struct source *source, X509 *certificate, int i)
{
	if (X509_STORE_add_cert(SSL_CTX_get_cert_store(loader->ssl), certificate) &&
	    SSL_CTX_add_client_CA(loader->ssl, certificate))
		return 0;
	return fail(loader, source, "certificate %d in it can't be used: %s", i + 1, last_error());
}

/* An expired list would have every client refused. */
static int take_list(const struct loader *loader, const struct source *source, X509_CRL *list, int i)
{
	const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list);
	char at[40];

	if (until && X509_cmp_current_time(until) < 0) {
		say_time(until, at, sizeof at);
		if (outdated(loader, fail(loader, source, "list %d in it has expired: it was valid until %s", i + 1, at)) < 0)
			return -1;
	}
	if (X509_STORE_add_crl(SSL_CTX_get_cert_store(loader->ssl), list))
		return 0;
	return fail(loader, source, "list %d in it can't be used: %s", i + 1, last_error());
}

static int load_lists(const struct loader *loader)
{
	const struct source source = {.key = "tls_crl", .path = &loader->config->tls_crl};
	struct pem pem;
	X509_CRL *list;
	int r, n = 0;

	if (!loader->config->tls_crl)
		return 0;
	if ((r = pem_open(loader, &source, &pem)) < 0)
		return r;
	ERR_clear_error();
	while (r == 0 && (list = PEM_read_bio_X509_CRL(pem.bio, NULL, NULL, NULL))) {
		r = take_list(loader, &source, list, n++);
		X509_CRL_free(list);
	}
	if (r == 0 && !is_at_end())
		r = fail(loader, &source, "list %d in it is malformed: %s", n + 1, last_error());
	else if (r == 0 && n == 0)
		r = fail(loader, &source, "there is no revocation list in it (PEM, X509 CRL)");
	pem_close(&pem);
	(void)X509_STORE_set_flags(SSL_CTX_get_cert_store(loader->ssl), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return r;
}

/* OpenSSL's, for each certificate that a client gives: notes whose is refused. */
static int on_verified(int good, X509_STORE_CTX *store)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_notes *notes = ssl ? SSL_get_app_data(ssl) : NULL;
	const X509 *certificate = X509_STORE_CTX_get_current_cert(store);

	if (!good && notes && certificate)
		(void)X509_NAME_oneline(X509_get_subject_name(certificate), notes->refused, sizeof notes->refused);
	return good;
}

static int load_clients(const struct loader *loader)
{
	static const int modes[] = {[TLS_CLIENT_NONE] = SSL_VERIFY_NONE,
				    [TLS_CLIENT_OPTIONAL] = SSL_VERIFY_PEER,
				    [TLS_CLIENT_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
	const struct source source = {.key = "tls_client_ca", .path = &loader->config->tls_client_ca};

	if (!loader->config->tls_client_ca)
		return 0;
	SSL_CTX_set_verify(loader->ssl, modes[loader->config->tls_client], on_verified);
	/* A CA that is listed is trusted, also if the one above it is not. */
	(void)X509_STORE_set_flags(SSL_CTX_get_cert_store(loader->ssl), X509_V_FLAG_PARTIAL_CHAIN);
	return each_certificate(loader, &source, take_ca) < 0 ? -1 : load_lists(loader);
}

/* ---- records ---- */

/*
 * OpenSSL's, for what it reads and writes. Of records without data, as for other keys or to renegotiate, it takes one after another
 * as long as some come. So who sends many together would keep the daemon from all else.
 */
static void on_record(int written, int version, int type, const void *bytes, size_t size, SSL *ssl, void *data)
{
	struct tls_notes *notes = SSL_get_app_data(ssl);

	(void)version, (void)bytes, (void)size, (void)data;
	if (written || type != SSL3_RT_HEADER || !SSL_is_init_finished(ssl) || !notes)
		return;
	if (notes->records > 0)
		notes->records--;
	else
		SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN); /* OpenSSL drops this record, and returns */
}

/* ---- what is offered ---- */

/* A list of one name each: a byte with its length, and the name. */
static const struct span protocols[] = {[TLS_OBJPOOL] = {.bytes = (const uint8_t *)"\11objpool/1", .size = 10},
					[TLS_HTTP] = {.bytes = (const uint8_t *)"\10http/1.1", .size = 9}};

/* OpenSSL's, for a client that offers application protocols: such a list, which OpenSSL has found well formed. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *size, const unsigned char *offered,
			   unsigned int offered_size, void *data)
{
	const struct tls_notes *notes = SSL_get_app_data(ssl);
	const struct span wanted = protocols[notes->protocol];
	unsigned char *name;

	(void)data;
	if (SSL_select_next_proto(&name, size, wanted.bytes, (unsigned int)wanted.size, offered, offered_size) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = name;
	return SSL_TLSEXT_ERR_OK;
}

/*
 * No session is resumed: each connection proves who it is by the certificates and lists of now. A record is sent as soon as it
 * is made, and may lie elsewhere when it is offered again (transport.h).
 */
static bool set_up(SSL_CTX *ssl)
{
	(void)SSL_CTX_set_options(ssl,
				  SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_PRIORITIZE_CHACHA);
	(void)SSL_CTX_set_mode(ssl,
			       SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_read_buffer_len(ssl, READ_AHEAD);
	(void)SSL_CTX_set_max_cert_list(ssl, CHAIN_MAX);
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
	SSL_CTX_set_msg_callback(ssl, on_record);
	return SSL_CTX_set_num_tickets(ssl, 0) && SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20");
}

/* ---- the whole ---- */

static int64_t seconds_of(const ASN1_TIME *at)
{
	struct tm tm;
	return ASN1_TIME_to_tm(at, &tm) ? (int64_t)timegm(&tm) : 0;
}

int tls_context_load(struct tls_context **context, const struct config *config, bool takes_outdated, char *reason,
		     size_t reason_size)
{
	struct tls_context *made = NULL;

	*context = NULL;
	reason[0] = '\0';
	if (!config->tls_cert)
		return 0;
	made = calloc(1, sizeof *made);
	if (!made || !(made->ssl = SSL_CTX_new(TLS_server_method())) || !set_up(made->ssl)) {
		snprintf(reason, reason_size, "%s: TLS can't be set up: %s", config_place(config, &config->tls_cert),
			 last_error());
		(void)tls_context_free(made);
		return -1;
	}
	const struct loader loader = {.config = config,
				      .ssl = made->ssl,
				      .takes_outdated = takes_outdated,
				      .reason = reason,
				      .reason_size = reason_size};
	if (load_own(&loader) < 0 || load_clients(&loader) < 0) {
		(void)tls_context_free(made);
		return -1;
	}
	made->expires = seconds_of(X509_get0_notAfter(SSL_CTX_get0_certificate(made->ssl)));
	*context = made;
	return 0;
}

struct tls_context *tls_context_free(struct tls_context *context)
{
	if (context)
		SSL_CTX_free(context->ssl);
	free(context);
	return NULL;
}

SSL *tls_context_connection(const struct tls_context *context, struct tls_notes *notes)
{
	SSL *ssl = SSL_new(context->ssl);

	if (ssl)
		SSL_set_accept_state(ssl);
	if (ssl && notes->protocol == TLS_HTTP)
		SSL_set_read_ahead(ssl, 0); /* libevent does not ask for bytes that OpenSSL has read ahead */
	if (ssl && !SSL_set_app_data(ssl, notes)) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

int64_t tls_context_expires(const struct tls_context *context)
{
	return context->expires;
}
