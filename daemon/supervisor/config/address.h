/* SPDX-License-Identifier: Apache-2.0 */
/* address: where the daemon listens: `unix:PATH`, `tcp:HOST:PORT`, `tcp:[::1]:7117`, `tls:HOST:PORT`. HOST is a number, or
 * localhost. */
#ifndef SUPERVISOR_ADDRESS_H
#define SUPERVISOR_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
	struct sockaddr_storage sa;
	socklen_t size;
	bool tls; /* connections to it begin with a handshake of TLS */
};

/* 0, or -1 with a sentence in `reason`. */
int address_parse(struct address *address, const char *text, char *reason, size_t reason_size);

bool address_is_loopback(const struct address *address); /* Unix sockets are */
bool address_equal(const struct address *a, const struct address *b);

/* Are they the same socket, whether or not TLS is spoken there? */
bool address_same_socket(const struct address *a, const struct address *b);

/* Can only one of the two be listened on? They are equal, or have the same port, and one is all addresses (0.0.0.0, [::]) of the
 * family. Port 0 stands for any that is free. */
bool address_overlaps(const struct address *a, const struct address *b);

/* `reason` without the address in front: for sentences that have named the address, as `text`, already. */
const char *address_cause(const char *text, const char *reason);

/* As it is written in the configuration. */
void address_format(const struct address *address, char *text, size_t size);

static inline bool address_is_unix(const struct address *address)
{
	return address->sa.ss_family == AF_UNIX;
}
static inline const char *address_path(const struct address *address)
{
	return ((const struct sockaddr_un *)&address->sa)->sun_path;
}

enum { ADDRESS_TEXT = 128 };

/* "tcp:localhost:PORT", and the same with tls, stands for two addresses: address_parse gives the IPv4 one, this function the IPv6
 * one. False: the text stands for one address only, or this machine has no IPv6 on its loopback device. */
bool address_second(const char *text, struct address *address);

/* The port of an address that is no Unix socket's. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

#endif
