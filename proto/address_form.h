/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address_form: people write addresses in several forms. The rest of the program knows unix:PATH, tcp:HOST:PORT and
 * tls:HOST:PORT.
 */
#ifndef PROTO_ADDRESS_FORM_H
#define PROTO_ADDRESS_FORM_H

#include <stddef.h>

enum { ADDRESS_FORM_MAX = 512 };

/*
 * unix:///PATH, tcp://HOST:PORT and tls://HOST:PORT (a / may stand at the end), a path that begins with /, ./ or ../, and
 * HOST:PORT become what they mean, in `room`. Anything else, and what has no room, is returned as it is.
 */
const char *address_form(const char *text, char room[ADDRESS_FORM_MAX]);

#endif
