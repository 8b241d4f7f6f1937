/* SPDX-License-Identifier: Apache-2.0 */
/* clients: what objpool.clients tells of the sessions. */
#ifndef SUPERVISOR_CLIENTS_H
#define SUPERVISOR_CLIENTS_H

#include "daemon/supervisor/base/daemon.h"

#include <msgpack.h>

void clients_pack(const struct daemon *daemon, msgpack_packer *packer);

#endif
