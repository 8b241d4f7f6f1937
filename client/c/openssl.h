/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openssl: the functions of OpenSSL that the library uses. They are loaded when the first address with TLS is connected to:
 * programs without such an address need no OpenSSL, neither when they are linked nor when they start.
 */
#ifndef CLIENT_C_OPENSSL_H
#define CLIENT_C_OPENSSL_H

#include "client/c/reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define OPENSSL_FUNCTIONS(FUNCTION) \
	FUNCTION(BIO_ctrl) \
	FUNCTION(BIO_free) \
	FUNCTION(BIO_new) \
	FUNCTION(BIO_read) \
	FUNCTION(BIO_s_mem) \
	FUNCTION(BIO_write) \
	FUNCTION(ERR_clear_error) \
	FUNCTION(ERR_peek_last_error) \
	FUNCTION(ERR_reason_error_string) \
	FUNCTION(SSL_CTX_ctrl) \
	FUNCTION(SSL_CTX_free) \
	FUNCTION(SSL_CTX_load_verify_file) \
	FUNCTION(SSL_CTX_new) \
	FUNCTION(SSL_CTX_set_alpn_protos) \
	FUNCTION(SSL_CTX_set_default_passwd_cb) \
	FUNCTION(SSL_CTX_set_default_verify_paths) \
	FUNCTION(SSL_CTX_set_options) \
	FUNCTION(SSL_CTX_set_verify) \
	FUNCTION(SSL_CTX_use_PrivateKey_file) \
	FUNCTION(SSL_CTX_use_certificate_chain_file) \
	FUNCTION(SSL_alert_desc_string_long) \
	FUNCTION(SSL_ctrl) \
	FUNCTION(SSL_do_handshake) \
	FUNCTION(SSL_free) \
	FUNCTION(SSL_get0_param) \
	FUNCTION(SSL_get_error) \
	FUNCTION(SSL_get_verify_result) \
	FUNCTION(SSL_new) \
	FUNCTION(SSL_read) \
	FUNCTION(SSL_set0_rbio) \
	FUNCTION(SSL_set0_wbio) \
	FUNCTION(SSL_set_cert_cb) \
	FUNCTION(SSL_set_connect_state) \
	FUNCTION(SSL_set_hostflags) \
	FUNCTION(SSL_set1_host) \
	FUNCTION(SSL_shutdown) \
	FUNCTION(SSL_write) \
	FUNCTION(TLS_client_method) \
	FUNCTION(X509_VERIFY_PARAM_set1_ip_asc) \
	FUNCTION(X509_verify_cert_error_string)

#define OPENSSL_MEMBER(name) __typeof__(&name) name;
struct openssl {
	OPENSSL_FUNCTIONS(OPENSSL_MEMBER)
};
#undef OPENSSL_MEMBER

/* 0, or -ELIBACC with a reason: it is not installed. */
int openssl_load(struct openssl *openssl, struct reason *reason);

#endif
