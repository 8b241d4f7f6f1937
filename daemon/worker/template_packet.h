/* SPDX-License-Identifier: Apache-2.0 */
/* template_packet: what a template process keeps, and its packets from and to the supervisor (proto/channel.h draws them). */
#ifndef WORKER_TEMPLATE_PACKET_H
#define WORKER_TEMPLATE_PACKET_H

#include "daemon/worker/cage/cage.h"
#include "daemon/worker/plugin_load.h"
#include "daemon/worker/program_worker.h"
#include "proto/channel.h"
#include "proto/read.h"

enum { TEMPLATE_PACKET = 256 << 10 /* bytes of one at most */, TEMPLATE_REASON = 4096 /* bytes of a reason at most */ };

struct template {
	int channel;
	const struct objpool_plugin *linked; /* NULL: this process is objpool-worker, and loads its plugin */
	bool offered;                        /* by a program: this process is the parent of its workers */
	const struct cage_ops *cage;         /* NULL: this process can have no cage */
	char *pool;                          /* its name, for the life of the process; NULL: nothing has been loaded */
	struct plugin plugin;
	msgpack_zone settings;               /* what plugin.settings lies in */
	bool threads;                        /* instances are threads of this process, not processes */
	uint8_t *room;                       /* where packets are read to */
	struct program_workers program;      /* used if this process is a program's fork */
};

struct template_packet {
	struct span bytes; /* valid until the next is received */
	int fds[FORK_FILES], count; /* -1: it has not come */
};

/* Waits for a packet. False: the supervisor has gone. */
bool template_receive(const struct template *template, struct template_packet *packet);

/* A packer that writes to `packet`. The packet begins with its type and has `fields` fields, the type included. */
msgpack_packer template_begin_packet(struct objpool_buffer *packet, size_t fields, enum from_template type);

/* Sends the packet. Ends the process if there was no memory for the packet, or if the supervisor has gone. */
void template_send(struct template *template, const struct objpool_buffer *packet);

void template_pack_text(msgpack_packer *packer, const char *text); /* NULL is "" */

/* Ends the process, and with it its workers if it is a program's fork. */
_Noreturn void template_end(struct template *template, int status);

/* Answers LOAD or CHECK: the class can't be used, for this reason. Ends the process. */
_Noreturn void template_refuse(struct template *template, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void template_refuse_memory(struct template *template);

#endif
