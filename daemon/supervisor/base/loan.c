/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/loan.h"

#include "daemon/supervisor/base/closer.h"
#include "proto/payload.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST_HEAD = 6 }; /* bytes before those of a bin, str or ext */

struct loan {
	struct block block;     /* first; without references: idle */
	TAILQ_ENTRY(loan) link; /* in all */
	struct loan_list *all;
	struct loans *loans;    /* NULL: the worker has gone */
	unsigned place;
	unsigned age;           /* trims since it was used */
	dev_t device;
	ino_t inode;
	struct account *counted; /* the account that counts the descriptor */
	size_t frozen_at, frozen; /* the pages that are the supervisor's own: see freeze */
};

void loans_open(struct loans *loans, struct board *board, struct loan_list *all, struct account *account)
{
	*loans = (struct loans){.board = board, .all = all, .account = account};
	for (unsigned i = 0; i < LENT_PLACES; i++)
		atomic_store_explicit(&board->lent[i], LENT_FREE, memory_order_relaxed); /* the last process is gone */
}

static void loan_free(struct loan *loan)
{
	if (loan->loans)
		loan->loans->at[loan->place] = NULL;
	TAILQ_REMOVE(loan->all, loan, link);
	(void)munmap(loan->block.bytes, loan->block.capacity);
	if (loan->block.touched >= PAYLOAD_LARGE)
		closer_put(loan->counted, loan->block.fd);
	else
		(void)close(loan->block.fd);
	account_remove_file(loan->counted);
	free(loan);
}

/* block->drop */
static void on_dropped(struct block *block)
{
	struct loan *loan = (struct loan *)block;
	struct loans *loans = loan->loans;

	const enum lent_state state = block->spoilt ? LENT_LOST : block->shown_to ? LENT_SHOWN : LENT_FREE;

	if (loans)
		atomic_store_explicit(&loans->board->lent[loan->place], state, memory_order_release);
	loan->age = 0;
	if (!loans || block->spoilt)
		loan_free(loan);
}

void loans_close(struct loans *loans)
{
	for (unsigned i = 0; loans->board && i < LENT_PLACES; i++) {
		struct loan *loan = loans->at[i];
		if (loan && loan->block.refs == 0)
			loan_free(loan);
		else if (loan)
			loan->loans = NULL;
	}
	*loans = (struct loans){0};
}

void loans_trim(struct loan_list *all)
{
	struct loan *loan, *next;

	for (loan = TAILQ_FIRST(all); loan; loan = next) {
		next = TAILQ_NEXT(loan, link);
		if (loan->block.refs == 0 && ++loan->age > PAYLOAD_PATIENCE)
			loan_free(loan);
	}
}

/* ---- taking ---- */

/* However it is encoded: the core takes any of these messages for one whose loan has been looked at. */
static int read_type(struct reader *reader, uint64_t *type)
{
	uint32_t fields;

	return read_array(reader, &fields) < 0 || fields == 0 || read_uint(reader, type) < 0 ? -EBADMSG : 0;
}

bool loan_is_spoken_of(struct span message)
{
	struct reader reader = reader_of(message);
	uint64_t type;

	return read_type(&reader, &type) == 0 && type == FROM_PAYLOAD;
}

static int read_place(struct span message, uint64_t *place, uint64_t *offset, uint64_t *length, uint64_t *touched)
{
	struct reader reader = reader_of(message);
	uint64_t type, id;

	if (read_type(&reader, &type) < 0 || read_uint(&reader, &id) < 0 || read_uint(&reader, place) < 0 ||
	    read_uint(&reader, offset) < 0 || read_uint(&reader, length) < 0 || read_uint(&reader, touched) < 0)
		return -EBADMSG;
	return *place < LENT_PLACES ? 0 : -EBADMSG;
}

/* Maps the whole file, so that pages of it can be frozen. Takes the descriptor. */
static struct loan *make(struct loans *loans, unsigned place, int fd, const struct stat *st)
{
	struct loan *loan = calloc(1, sizeof *loan);
	void *bytes = loan ? mmap(NULL, (size_t)st->st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0)
			   : MAP_FAILED;

	if (bytes == MAP_FAILED) {
		(void)close(fd);
		free(loan);
		return NULL;
	}
	*loan = (struct loan){.all = loans->all, .loans = loans, .place = place, .device = st->st_dev, .inode = st->st_ino};
	loan->counted = loans->account;
	loan->block = (struct block){.mapped = 1, .capacity = (size_t)st->st_size, .bytes = bytes, .fd = fd, .drop = on_dropped};
	account_add_file(loan->counted);
	TAILQ_INSERT_TAIL(loans->all, loan, link);
	loans->at[place] = loan;
	return loan;
}

/* What is mapped at the place, if it is this file; else the file's new mapping. Takes the descriptor. */
static struct loan *at_place(struct loans *loans, unsigned place, int fd)
{
	struct loan *known = loans->at[place];
	struct stat st;

	if (fstat(fd, &st) < 0 || (known && known->block.refs > 0)) {
		(void)close(fd);
		return NULL;
	}
	if (known && known->inode == st.st_ino && known->device == st.st_dev) {
		(void)close(fd);
		return known;
	}
	if (known)
		loan_free(known);
	return make(loans, place, fd, &st);
}

/*
 * The worker can still write to its file. The bytes that say where values end must not change once they have been scanned. So
 * the pages in which they lie become private copies, which the supervisor's mapping shows from then on. Lets go of the pages
 * that were frozen before.
 */
static void freeze(struct loan *loan, size_t from, size_t size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = from / page * page;

	if (loan->frozen > 0)
		(void)madvise(loan->block.bytes + loan->frozen_at, loan->frozen, MADV_DONTNEED);
	for (size_t at = begin; at < from + size; at += page) {
		volatile uint8_t *byte = loan->block.bytes + at;
		*byte = *byte;
	}
	loan->frozen_at = begin;
	loan->frozen = from + size - begin;
}

/* Freezes the head of a bin, str or ext, and all of any other value. */
static void freeze_value(struct loan *loan, size_t offset, size_t length)
{
	const size_t head = length < LARGEST_HEAD ? length : LARGEST_HEAD;
	struct span body;
	int8_t type;

	freeze(loan, offset, head);
	const struct span value = {.bytes = loan->block.bytes + offset, .size = length};
	struct reader text = reader_of(value), ext = reader_of(value);
	if (read_text(&text, &body) < 0 && read_ext(&ext, &type, &body) < 0)
		freeze(loan, offset, length);
}

static bool is_one_value(const uint8_t *bytes, uint64_t length, uint64_t limit)
{
	struct scan scan;

	if (length == 0 || length > limit)
		return false;
	scan_begin(&scan, limit);
	return scan_run(&scan, bytes, (size_t)length) == 1 && scan.pos == length && !scan.deep;
}

struct block *loan_take(struct loans *loans, struct span message, struct arrivals *arrivals, uint64_t limit)
{
	uint64_t place, offset, length, touched;
	const int fd = arrivals_take(arrivals);

	if (fd < 0)
		return NULL;
	if (read_place(message, &place, &offset, &length, &touched) < 0 || payload_check(fd, offset, length) < 0) {
		(void)close(fd);
		return NULL;
	}
	struct loan *loan = at_place(loans, (unsigned)place, fd);
	if (!loan)
		return NULL;
	loan->block.refs = 1;
	loan->block.touched = (size_t)(touched < loan->block.capacity ? touched : loan->block.capacity);
	block_charge(&loan->block, loans->account, loan->block.touched);
	if (length > 0)
		freeze_value(loan, (size_t)offset, (size_t)length);
	if (!is_one_value(loan->block.bytes + offset, length, limit)) {
		block_unref(&loan->block);
		return NULL;
	}
	return &loan->block;
}
