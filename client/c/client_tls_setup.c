/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/client_tls_setup.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A key must have no passphrase: nobody is there who could be asked. */
static int no_passphrase(char *room, int size, int writes, void *context)
{
	(void)room;
	(void)size;
	(void)writes;
	(void)context;
	return 0;
}

static int check_file(const char *what, const char *path, struct reason *reason)
{
	if (access(path, R_OK) == 0)
		return 0;
	return reason_give(reason, -EINVAL, "the %s %s: %s", what, path, strerror(errno));
}

static int refuse_file(const struct openssl *lib, const char *what, const char *path, struct reason *reason)
{
	const char *words = lib->ERR_reason_error_string(lib->ERR_peek_last_error());

	return reason_give(reason, -EINVAL, "the %s %s can't be used: %s", what, path,
			   words ? words : "OpenSSL does not say why");
}

static int trust(const struct openssl *lib, SSL_CTX *context, const char *ca, struct reason *reason)
{
	if (!ca)
		return lib->SSL_CTX_set_default_verify_paths(context) ? 0 : -ENOMEM;
	if (check_file("file of CAs", ca, reason) < 0)
		return -EINVAL;
	return lib->SSL_CTX_load_verify_file(context, ca) ? 0 : refuse_file(lib, "file of CAs", ca, reason);
}

static int show(const struct openssl *lib, SSL_CTX *context, const struct credentials *credentials, struct reason *reason)
{
	const char *cert = credentials->cert, *key = credentials->key;

	if (!cert && key)
		return reason_give(reason, -EINVAL, "the key %s has no certificate: both are needed", key);
	if (!cert)
		return 0;
	if (check_file("certificate", cert, reason) < 0 || check_file("key", key, reason) < 0)
		return -EINVAL;
	if (lib->SSL_CTX_use_certificate_chain_file(context, cert) != 1)
		return refuse_file(lib, "certificate", cert, reason);
	lib->ERR_clear_error();
	if (lib->SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1)
		return 0;
	if (ERR_GET_REASON(lib->ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
		return reason_give(reason, -EINVAL, "the key %s is not that of the certificate %s", key, cert);
	return refuse_file(lib, "key", key, reason);
}

int client_tls_setup(const struct openssl *lib, const struct credentials *credentials, SSL_CTX **context, struct reason *reason)
{
	static const unsigned char protocols[] = "\x09objpool/1";

	lib->ERR_clear_error();
	*context = lib->SSL_CTX_new(lib->TLS_client_method());
	if (!*context || !lib->SSL_CTX_ctrl(*context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) ||
	    lib->SSL_CTX_set_alpn_protos(*context, protocols, sizeof protocols - 1) != 0)
		return -ENOMEM;
	(void)lib->SSL_CTX_set_options(*context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	(void)lib->SSL_CTX_ctrl(*context, SSL_CTRL_MODE, SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS, NULL);
	lib->SSL_CTX_set_verify(*context, SSL_VERIFY_PEER, NULL);
	lib->SSL_CTX_set_default_passwd_cb(*context, no_passphrase);
	const int rc = trust(lib, *context, credentials->ca, reason);
	return rc < 0 ? rc : show(lib, *context, credentials, reason);
}

int client_tls_begin(const struct openssl *lib, SSL_CTX *context, const char *name, SSL **ssl, struct reason *reason)
{
	*ssl = lib->SSL_new(context);
	if (!*ssl)
		return -ENOMEM;
	lib->SSL_set_connect_state(*ssl);
	if (lib->X509_VERIFY_PARAM_set1_ip_asc(lib->SSL_get0_param(*ssl), name))
		return 0; /* an address is not said to the server: SNI is for names */
	lib->SSL_set_hostflags(*ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (lib->SSL_set1_host(*ssl, name) &&
	    lib->SSL_ctrl(*ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name))
		return 0;
	return reason_give(reason, -EINVAL, "the name \"%s\" can't be that of a server", name);
}
