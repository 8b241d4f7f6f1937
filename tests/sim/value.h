/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value: a token as a value: a number, a bin that begins with it, or an ext that stands for a bin in a file. Files are played: a
 * descriptor is a number of this world, by which any process that has it finds the file.
 */
#ifndef SIM_VALUE_H
#define SIM_VALUE_H

#include "proto/payload_ref.h"
#include "tests/sim/world.h"

enum { VALUE_MIN = 64 /* payload_min of worlds with files */, VALUE_MAX = 17100 /* bytes of one */ };

/* A file lasts as long as the world. Once nobody in the core holds it, its bytes are overwritten. */
struct file {
	struct file *next;
	struct world *world;
	int fd;
	uint8_t *bytes;
	size_t size;
	struct block block;         /* as the core knows it */
	struct loan *loan;          /* the loan of a worker that it is; NULL: it is none, or the worker has gone */
	bool held;                  /* the core holds the block */
	uint64_t first, rest;       /* of a loan: the sessions of the first LOAN_HALF bytes, and of the rest; 0: none */
};

enum { LOAN_SIZE = 256, LOAN_HALF = 128 };

/* A place on a worker's board for results that the worker lends. */
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

/* Makes a file of these bytes, whose block has one reference. `mapped`: the core sees the bytes. */
struct file *file_new(struct world *world, const void *bytes, size_t size, bool mapped);
struct file *file_find(const struct world *world, int fd);
void files_free(struct world *world);

/* Gives a worker's place its file, or uses the file again. */
struct file *loan_file(struct world *world, struct loan *loan);

/* Plays loan.c: returns a reference to the block of the result that lies there. NULL: no result lies there. */
struct block *loan_taken(struct loan *loan);

/* Bytes that are being written, and the files that values in them stand for. */
struct writing {
	struct world *world;
	uint8_t *p;
	struct block_files *files;  /* NULL: large values are written as they are */
};

bool value_is_large(uint32_t token);
size_t value_size(uint32_t token); /* packed bytes, at most */
uint8_t *value_bin(uint8_t *p, uint32_t token); /* writes the token as a bin */
void value_write(struct writing *writing, uint32_t token);

/* Reads the next value as a token. `files` came with the message. False: the value is no token. */
bool value_read(const struct world *world, struct reader *reader, const struct arrived *files, uint32_t *token);

/* Reads packed values, which are there or in a file. False: they are neither. */
bool values_read(const struct world *world, struct reader *reader, const struct arrived *files, struct reader *values);

/* Writes an ext that stands for a bin in the file. */
bool value_is_ref(const struct reader *reader, struct payload_ref *ref);

#endif
