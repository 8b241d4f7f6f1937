/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_list: the clients that the daemon has: sessions, calls by HTTP, and pages that are open (NULL: there
 * is no address for these).
 */
#ifndef SUPERVISOR_CLIENT_LIST_H
#define SUPERVISOR_CLIENT_LIST_H

#include "daemon/supervisor/http/viewer.h"

#include <msgpack.h>

uint32_t client_list_count(const struct daemon *daemon, const struct http_calls *calls, const struct viewers *viewers);

/* Packs them as an array, `most` of them at most, each as view/clients.h says. */
void client_list_pack(const struct daemon *daemon, const struct http_calls *calls, const struct viewers *viewers, uint32_t most,
		      msgpack_packer *packer);

#endif
