/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: tokens as values: a number, or a bin that begins with it, or an ext that stands for a bin in a file. Files are
 * played: a descriptor is a number of this world's, which any process that has it can look up.
 */
#ifndef SIM_VALUE_H
#define SIM_VALUE_H

#include "proto/payload_ref.h"
#include "tests/sim/world.h"

enum { VALUE_MIN = 64 /* payload_min of worlds with files */, VALUE_MAX = 17100 /* bytes of one */ };

/* A file's bytes are the world's for as long as it lasts; once nobody in the core holds it, they are spoilt. */
struct file {
	struct file *next;
	struct world *world;
	int fd;
	uint8_t *bytes;
	size_t size;
	struct block block;         /* as the core knows it */
	struct loan *loan;          /* it is a worker's; NULL: it isn't, or the worker has gone */
	bool held;                  /* the core holds the block */
	uint64_t first, rest;       /* of a loan: whose the first LOAN_HALF bytes are, and those behind them; 0: nobody's */
};

enum { LOAN_SIZE = 256, LOAN_HALF = 128 };

/* A place of a worker for results that it lends. */
struct loan {
	struct file *file;
	_Atomic uint64_t *state;    /* on the board */
};

/* Descriptors that came with a message. */
struct arrived {
	uint32_t count;
	uint64_t number[PAYLOAD_FILES + 1];
	int fd[PAYLOAD_FILES + 1];
};

/* A file of these bytes, whose block has one reference; `mapped`: the core sees them. */
struct file *file_new(struct world *world, const void *bytes, size_t size, bool mapped);
struct file *file_find(const struct world *world, int fd);
void files_free(struct world *world);

/* A worker's place gets its file, or is used again. */
struct file *loan_file(struct world *world, struct loan *loan);

/* The supervisor has been told of what lies there: a reference, as loan.c's. NULL: nothing does. */
struct block *loan_taken(struct loan *loan);

/* What is being written, and the files that its values stand for. */
struct writing {
	struct world *world;
	uint8_t *p;
	struct block_files *files;  /* NULL: large values are written as they are */
};

bool value_is_large(uint32_t token);
size_t value_size(uint32_t token); /* at most, packed */
uint8_t *value_bin(uint8_t *p, uint32_t token); /* as a bin, whatever it is */
void value_write(struct writing *writing, uint32_t token);

/* The token that comes next. `files`: what came with the message. False: it is none. */
bool value_read(const struct world *world, struct reader *reader, const struct arrived *files, uint32_t *token);

/* Packed values that come next, as they are or in a file. False: neither. */
bool values_read(const struct world *world, struct reader *reader, const struct arrived *files, struct reader *values);

/* What stands for a bin of the file. */
bool value_is_ref(const struct reader *reader, struct payload_ref *ref);

#endif
