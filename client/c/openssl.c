/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/openssl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
#define LIBRARY_FILE    "libssl.so." TEXT(OPENSSL_VERSION_MAJOR)

static const struct {
	const char *name;
	size_t place; /* in struct openssl */
} functions[] = {
#define FUNCTION(name) {#name, offsetof(struct openssl, name)},
	OPENSSL_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/* It stays loaded: OpenSSL has handlers for the end of the process. */
int openssl_load(struct openssl *openssl, struct reason *reason)
{
	void *library = dlopen(LIBRARY_FILE, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	int rc = library ? 0 : -ELIBACC;

	for (size_t i = 0; rc == 0 && i < sizeof functions / sizeof *functions; i++) {
		void *function = dlsym(library, functions[i].name); /* libcrypto's, too: libssl needs it */
		memcpy((char *)openssl + functions[i].place, &function, sizeof function);
		rc = function ? 0 : -ELIBACC;
	}
	if (rc < 0)
		(void)reason_give(reason, rc, "TLS needs OpenSSL: %s", dlerror());
	if (library)
		(void)dlclose(library);
	return rc;
}
