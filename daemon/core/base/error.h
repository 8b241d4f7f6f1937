/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error: what a caller is told when a call fails: the codes, their names, and the two forms of an error on the wire. An error
 * is a string "CODE: text", or what else the session has asked for (proto/error_form.h).
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "proto/error_form.h"
#include "proto/read.h"
#include "proto/sendq.h"

#include <stdbool.h>
#include <stdint.h>

enum error_code {
	ERROR_BAD_REQUEST,
	ERROR_BAD_TARGET,
	ERROR_NO_SUCH_POOL,
	ERROR_NO_SUCH_SLOT,
	ERROR_NO_SUCH_METHOD,
	ERROR_BAD_ARGUMENT,
	ERROR_DENIED,
	ERROR_FAILED,
	ERROR_WORKER_LOST,
	ERROR_TIMEOUT,
	ERROR_CANCELLED,
	ERROR_OVERLOADED,
	ERROR_TOO_LARGE,
	ERROR_UNAVAILABLE,
	ERROR_HOST_LOST,
	ERROR_UNREACHABLE,
	ERROR_INTERNAL,
	ERROR_CODES
};

/* Whether the method ran. */
enum ran { RAN_NO, RAN_MAYBE, RAN_YES };

struct error {
	enum error_code code;
	enum ran ran;
	struct span message;   /* never empty on the wire */
	struct span type;      /* size 0: none; so below */
	struct span traceback;
	struct span data;      /* a whole msgpack value, bin or ext */
	const char *pool;      /* NULL: none */
	const char *host;      /* of calls to other machines; NULL: none. It is read when the error is packed */
	const char *user, *right; /* of DENIED: who may not do what; NULL: none. OVERLOADED by a limit of the user has `user`. They
				   * are read when the error is packed */
	int64_t slot;          /* -1: none */
	uint64_t generation;   /* 0: none */
	int64_t index;         /* -1: none */
	int signal;            /* 0: none */
	int exit_status;       /* -1: none */
	uint64_t retry_after;  /* milliseconds after which to try again; 0: not known */
	char text[320];        /* where error_say puts a message */
};

/* Makes an error with that message. error->message may point into the error itself: pass an error by pointer, copy it by
 * error_copy. */
__attribute__((format(printf, 4, 5)))
void error_say(struct error *error, enum error_code code, enum ran ran, const char *format, ...);

/* The reason of a failure for want of memory. error_no_memory makes the error that says so: OVERLOADED. */
#define NO_MEMORY "the daemon is out of memory"
void error_no_memory(struct error *error, enum ran ran);

/* Copies an error; where `from` refers to its own text, `to` refers to its own copy. */
void error_copy(struct error *to, const struct error *from);

/* Reads an error as a worker sends it: [code, message, type, traceback, data, ran]. The error points into `value`. 0 or
 * -EINVAL. */
int error_read(struct error *error, struct span value);

/* Writes the error as a value of that form. */
void error_pack(const struct error *error, enum error_form form, struct sendq *to);

/* The same, but a map's header counts `more` fields that the caller appends. True: it is a map. False: there is nothing to append
 * to. */
bool error_pack_open(const struct error *error, enum error_form form, uint32_t more, struct sendq *to);

/* A client's text as errors show it: short, on one line, and with "?" for a NUL: it must not look like another name. Returns
 * `room`. */
enum { ERROR_SHOWN = 80 };
const char *error_shown(struct span text, char room[ERROR_SHOWN]);

/* Makes each byte that is no part of a UTF-8 character a "?". Texts hold names that clients chose, and msgpack libraries
 * refuse strings that are no UTF-8. */
void error_make_utf8(char *text, size_t size);

const char *error_code_name(enum error_code code);

#endif
