/* SPDX-License-Identifier: Apache-2.0 */
/* error_form: how a client wants errors: option `errors` of objpool.hello. The supervisor tells workers with ATTACH. */
#ifndef PROTO_ERROR_FORM_H
#define PROTO_ERROR_FORM_H

enum error_form {
	ERRORS_AS_STRING, /* "CODE: text" */
	ERRORS_AS_MAP,
	ERRORS_AS_PAIR,   /* [0, "CODE: text"], as clients of Neovim expect it */
	ERROR_FORMS
};

#endif
