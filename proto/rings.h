/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings: two byte streams, one each way, in memory that two processes share. While both are awake, no system call is needed. One
 * that wants to sleep says so in the memory, and waits for a pipe; the other then writes a byte into it.
 *
 *   memory file:  words of ring 0 | words of ring 1 | ... 4096 | bytes of ring 0 | bytes of ring 1
 *   ring 0: from the side that opened it (a client) to the side that made it (a worker). Ring 1: the other way.
 *
 *     reader: reader_sleeps = 1; looks at `written`; sleeps    writer: adds to `written`; looks at reader_sleeps; wakes
 *     writer: writer_waits = 1;  looks at `read`;    sleeps    reader: adds to `read`;    looks at writer_waits;  wakes
 *
 * Each first writes and then looks, in sequentially consistent order: at least one of them sees the other.
 *
 * Neither side trusts the other. Each keeps its own place, checks what the other says, and copies bytes before it reads them. The
 * file can't shrink. The pipes are two, since each side then has an end of its own: what the other does to its flags changes
 * nothing here.
 */
#ifndef PROTO_RINGS_H
#define PROTO_RINGS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	RINGS_BYTES = 64 << 10, /* of each ring; a power of two */
	RINGS_MEMORY = 4096 + 2 * RINGS_BYTES,
	RINGS_FILES = 3,        /* the memory file, the pipe that wakes the maker (its writing end), and the one that wakes the opener */
};

#define RING_SHUT (UINT64_C(1) << 63) /* in `written`: the reader takes nothing more */

struct ring_words {
	_Alignas(64) _Atomic uint64_t written; /* bytes, since the beginning; by the writer */
	_Atomic uint32_t reader_sleeps;
	_Alignas(64) _Atomic uint64_t read; /* bytes, since the beginning; by the reader */
	_Atomic uint32_t writer_waits;
};

struct rings {
	void *memory;
	struct ring_words *out, *in;
	uint8_t *out_bytes;
	const uint8_t *in_bytes;
	uint64_t written, read; /* this side's own */
	int wakes_us;           /* a pipe: readable when there may be something to do. Both don't block */
	int wakes_other;
};

/* Makes rings, and fills `files` for the other side: the caller sends and closes them. 0 or a negative errno. */
int rings_make(struct rings *rings, int files[RINGS_FILES]);

/* Opens rings that another process has made. Takes over the descriptors, also when it fails. 0; -EPROTO: the files are no rings; or
 * another negative errno. */
int rings_open(struct rings *rings, const int files[RINGS_FILES]);

void rings_close(struct rings *rings);

/* Writes bytes, and wakes the other side if it sleeps. How many; 0: the ring is full, and the other side wakes this one when
 * there is room; -EPIPE: the other side takes nothing more; -EPROTO: it has broken the rules. A signal handler may call it. */
ssize_t rings_put(struct rings *rings, const void *bytes, size_t size);

/* Reads bytes. How many; 0: there are none; -EPIPE: nor will there be, since this side has shut the ring; -EPROTO. */
ssize_t rings_take(struct rings *rings, void *bytes, size_t size);

/* Is there something to read? */
bool rings_have(const struct rings *rings);

/* Says that this side sleeps. False: it must not, there is something to read. */
bool rings_fall_asleep(struct rings *rings);

/* Says that this side waits for room. False: it must not, there is some. */
bool rings_await_room(struct rings *rings);

/* This side is awake again. `woken`: its pipe is readable. */
void rings_wake(struct rings *rings, bool woken);

/* Takes nothing more than what the other side has written by now. */
void rings_shut(struct rings *rings);

#endif
