/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/address_form.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Are these `size` characters HOST:PORT or [IPV6]:PORT, without a scheme? */
static bool is_host_and_port(const char *text, size_t size)
{
	const char *const colon = memrchr(text, ':', size);

	if (!colon || colon == text)
		return false;
	const size_t host = (size_t)(colon - text), port = size - host - 1;
	if (port == 0 || port > 5 || strspn(colon + 1, "0123456789") < port)
		return false;
	if (text[0] == '[')
		return host > 2 && memchr(text, ']', host) == colon - 1;
	return strcspn(text, ":/[]@ \t,") == host;
}

static const char *made(const char *text, char room[ADDRESS_FORM_MAX], const char *scheme, const char *rest, size_t size)
{
	const int n = snprintf(room, ADDRESS_FORM_MAX, "%s%.*s", scheme, (int)size, rest);

	return n >= 0 && n < ADDRESS_FORM_MAX ? room : text;
}

const char *address_form(const char *text, char room[ADDRESS_FORM_MAX])
{
	const size_t size = strnlen(text, ADDRESS_FORM_MAX);

	if (size == ADDRESS_FORM_MAX)
		return text;
	if (begins(text, "unix://"))
		return made(text, room, "unix:", text + 5 + strspn(text + 5, "/") - 1, size);
	if (begins(text, "tcp://") || begins(text, "tls://")) {
		const size_t rest = size - strlen("tcp://");
		const bool slash = rest > 0 && text[size - 1] == '/';
		return made(text, room, begins(text, "tcp") ? "tcp:" : "tls:", text + strlen("tcp://"), rest - slash);
	}
	if (begins(text, "/") || begins(text, "./") || begins(text, "../"))
		return made(text, room, "unix:", text, size);
	if (!begins(text, "unix:") && !begins(text, "tcp:") && !begins(text, "tls:") && is_host_and_port(text, size))
		return made(text, room, "tcp:", text, size);
	return text;
}
