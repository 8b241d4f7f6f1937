/* SPDX-License-Identifier: Apache-2.0 */
/* client_list: the clients that the daemon has: sessions, and calls by HTTP (NULL: there is no address for these). */
#ifndef SUPERVISOR_CLIENT_LIST_H
#define SUPERVISOR_CLIENT_LIST_H

#include "daemon/supervisor/http/http_call.h"

#include <msgpack.h>

uint32_t client_list_count(const struct daemon *daemon, const struct http_calls *calls);

/* Packs them as an array, `most` of them at most, each as view/clients.h says. */
void client_list_pack(const struct daemon *daemon, const struct http_calls *calls, uint32_t most, msgpack_packer *packer);

#endif
