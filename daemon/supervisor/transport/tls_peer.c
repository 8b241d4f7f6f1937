/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/tls_peer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

/* Adds a copy of a name. One with a NUL byte in it is left out: it could be taken for another. 0 or -ENOMEM. */
static int add(struct certificate_names *names, const unsigned char *bytes, int size)
{
	if (size < 0 || memchr(bytes, 0, (size_t)size))
		return 0;
	char **list = realloc(names->names, (names->count + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	names->names = list;
	list[names->count] = strndup((const char *)bytes, (size_t)size);
	return list[names->count] ? (int)(names->count++, 0) : -ENOMEM;
}

static struct certificate_names *list_for(struct certificate *certificate, int type)
{
	switch (type) {
	case GEN_DNS:
		return &certificate->dns;
	case GEN_URI:
		return &certificate->uris;
	case GEN_EMAIL:
		return &certificate->emails;
	default:
		return NULL;
	}
}

static int add_alternatives(struct certificate *certificate, const X509 *x509)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	int r = 0;

	for (int i = 0; r == 0 && i < sk_GENERAL_NAME_num(all); i++) {
		int type;
		const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &type);
		struct certificate_names *names = list_for(certificate, type);
		if (names)
			r = add(names, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
	}
	GENERAL_NAMES_free(all);
	return r;
}

static int add_common_names(struct certificate *certificate, const X509 *x509)
{
	const X509_NAME *subject = X509_get_subject_name(x509);
	int r = 0;

	for (int i = -1; r == 0 && (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
		unsigned char *text = NULL;
		const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
		r = size >= 0 ? add(&certificate->cns, text, size) : 0;
		OPENSSL_free(text);
	}
	return r;
}

char *tls_peer_subject(const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	BIO *bio = X509_NAME_entry_count(subject) > 0 ? BIO_new(BIO_s_mem()) : NULL;
	char *text, *copy = NULL;

	if (bio && X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253) >= 0) {
		const long size = BIO_get_mem_data(bio, &text);
		copy = size > 0 ? strndup(text, (size_t)size) : NULL;
	}
	BIO_free(bio);
	return copy;
}

struct certificate *tls_peer_names(const X509 *x509)
{
	struct certificate *certificate = calloc(1, sizeof *certificate);
	unsigned int size = CERTIFICATE_HASH;

	if (!certificate)
		return NULL;
	certificate->subject = tls_peer_subject(x509);
	if (X509_digest(x509, EVP_sha256(), certificate->sha256, &size) && add_alternatives(certificate, x509) == 0 &&
	    add_common_names(certificate, x509) == 0)
		return certificate;
	certificate_free(certificate);
	return NULL;
}

int tls_peer_certificate(const SSL *ssl, struct certificate **certificate)
{
	X509 *shown = SSL_get1_peer_certificate(ssl);

	*certificate = shown ? tls_peer_names(shown) : NULL;
	const int r = shown && !*certificate ? -ENOMEM : 0;
	X509_free(shown);
	return r;
}
