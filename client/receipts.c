/* SPDX-License-Identifier: Apache-2.0 */
#include "client/receipts.h"

#include "client/pack.h"
#include "proto/payload.h"
#include "proto/payload_ref.h"
#include "proto/read.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A whole file. */
struct mapping {
	atomic_uint refs; /* receipts', and `warm`'s one */
	unsigned age;     /* trims since it was used */
	dev_t device;
	ino_t inode;
	const unsigned char *bytes;
	size_t size;
};

struct receipt {
	struct holding holding;   /* first */
	atomic_uint refs;         /* the list's, and whoever looks at the bytes */
	atomic_bool returned;     /* nobody looks at them any more */
	struct receipt *next;
	uint32_t number;
	struct payload_ref ref;
	const unsigned char *at;  /* in the message */
	struct mapping *mapping;
};

/* ---- mappings ------------------------------------------------------------------------------------------------------- */

static void mapping_unref(struct mapping *mapping)
{
	if (atomic_fetch_sub_explicit(&mapping->refs, 1, memory_order_acq_rel) > 1)
		return;
	(void)munmap((void *)(uintptr_t)mapping->bytes, mapping->size);
	free(mapping);
}

static bool is_idle(const struct mapping *mapping)
{
	return atomic_load_explicit(&mapping->refs, memory_order_relaxed) == 1;
}

static void cool(struct receipts *receipts, unsigned i)
{
	mapping_unref(receipts->warm[i]);
	receipts->warm[i] = receipts->warm[--receipts->warm_count];
}

static void keep_warm(struct receipts *receipts, struct mapping *mapping)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < receipts->warm_count; i++)
		if (receipts->warm[i]->age > receipts->warm[oldest]->age)
			oldest = i;
	if (receipts->warm_count == RECEIPTS_WARM)
		cool(receipts, oldest);
	receipts->warm[receipts->warm_count++] = mapping;
	atomic_fetch_add_explicit(&mapping->refs, 1, memory_order_relaxed);
}

static struct mapping *find_warm(const struct receipts *receipts, const struct stat *st)
{
	for (unsigned i = 0; i < receipts->warm_count; i++)
		if (receipts->warm[i]->inode == st->st_ino && receipts->warm[i]->device == st->st_dev &&
		    receipts->warm[i]->size == (size_t)st->st_size)
			return receipts->warm[i];
	return NULL;
}

static struct mapping *map(struct receipts *receipts, int fd, const struct stat *st)
{
	struct mapping *mapping = malloc(sizeof *mapping);
	void *bytes = mapping ? mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (bytes == MAP_FAILED) {
		free(mapping);
		return NULL;
	}
	*mapping = (struct mapping){.device = st->st_dev, .inode = st->st_ino, .bytes = bytes, .size = (size_t)st->st_size};
	keep_warm(receipts, mapping);
	return mapping;
}

/* The file's mapping, with a reference for the caller. */
static int mapping_of(struct receipts *receipts, int fd, const struct payload_ref *ref, struct mapping **mapping)
{
	struct stat st;

	if (payload_check(fd, ref->offset, ref->length) < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		return -EBADMSG;
	*mapping = find_warm(receipts, &st);
	if (!*mapping)
		*mapping = map(receipts, fd, &st);
	if (!*mapping)
		return -ENOMEM;
	(*mapping)->age = 0;
	atomic_fetch_add_explicit(&(*mapping)->refs, 1, memory_order_relaxed);
	return 0;
}

void receipts_trim(struct receipts *receipts)
{
	for (unsigned i = receipts->warm_count; i-- > 0;)
		if (is_idle(receipts->warm[i]) && ++receipts->warm[i]->age > PAYLOAD_PATIENCE)
			cool(receipts, i);
}

/* ---- receipts ------------------------------------------------------------------------------------------------------- */

static struct receipt *receipt_unref(struct receipt *receipt)
{
	if (atomic_fetch_sub_explicit(&receipt->refs, 1, memory_order_acq_rel) > 1)
		return NULL;
	mapping_unref(receipt->mapping);
	free(receipt);
	return NULL;
}

static void drop_receipt(struct holding *holding)
{
	struct receipt *receipt = (struct receipt *)holding;

	atomic_store_explicit(&receipt->returned, true, memory_order_release);
	(void)receipt_unref(receipt);
}

/* Takes the descriptor. */
static int add(struct receipts *receipts, int fd, const struct payload_ref *ref, const unsigned char *at)
{
	struct receipt *receipt = calloc(1, sizeof *receipt);
	const int rc = receipt ? mapping_of(receipts, fd, ref, &receipt->mapping) : -ENOMEM;

	(void)close(fd);
	if (rc < 0) {
		free(receipt);
		return rc;
	}
	receipt->holding.drop = drop_receipt;
	atomic_init(&receipt->refs, 2);
	receipt->number = receipts->number++;
	receipt->ref = *ref;
	receipt->at = at;
	receipt->next = receipts->given;
	receipts->given = receipt;
	receipts->message[receipts->count++] = receipt;
	return 0;
}

int receipts_open(struct receipts *receipts, struct arrivals *arrivals, struct objpool_bytes message)
{
	struct reader reader = reader_of((struct span){message.data, message.size});
	struct payload_ref ref;
	int rc = 0;

	while (rc == 0 && read_find_ref(&reader, &ref)) {
		if (ref.file != receipts->mark)
			continue;
		const int fd = arrivals_take(arrivals);
		if (fd < 0 || receipts->count == RECEIPTS_MESSAGE) {
			if (fd >= 0)
				(void)close(fd);
			return -EBADMSG;
		}
		rc = add(receipts, fd, &ref, reader.p - PAYLOAD_REF);
	}
	return rc;
}

/* Whoever has a value has the last word on it; else nobody looked. */
void receipts_close(struct receipts *receipts)
{
	for (unsigned i = 0; i < receipts->count; i++)
		if (receipts->message[i])
			(void)holding_drop(&receipts->message[i]->holding);
	receipts->count = 0;
	receipts->holding = holding_drop(receipts->holding);
	receipts->shown = (struct objpool_bytes){NULL, 0};
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static unsigned find_at(const struct receipts *receipts, const unsigned char *at)
{
	unsigned i = 0;

	while (i < receipts->count && (!receipts->message[i] || receipts->message[i]->at != at))
		i++;
	return i;
}

/* Header and bytes, if the file has them one behind the other, as in a message: then they are the value as they lie. */
static struct objpool_bytes in_place(const struct receipt *receipt)
{
	const unsigned char *bytes = receipt->mapping->bytes + receipt->ref.offset;

	for (size_t head = 2; head <= 6 && head <= receipt->ref.offset; head++) {
		const struct objpool_bytes value = {bytes - head, head + receipt->ref.length};
		struct objpool_reader reader = objpool_reader(value);
		const void *found = NULL;
		int8_t type = 0;
		size_t size;
		const int rc = receipt->ref.kind ? objpool_read_ext(&reader, &type, &found, &size) : objpool_read_bin(&reader, &found, &size);
		if (rc == 0 && found == bytes && size == receipt->ref.length && (uint8_t)type == (receipt->ref.kind & 0xff))
			return value;
	}
	return (struct objpool_bytes){NULL, 0};
}

static void pack_receipt(struct objpool_packer *packer, const struct receipt *receipt)
{
	const unsigned char *bytes = receipt->mapping->bytes + receipt->ref.offset;

	if (receipt->ref.kind)
		objpool_pack_ext(packer, (int8_t)(uint8_t)receipt->ref.kind, bytes, receipt->ref.length);
	else
		objpool_pack_bin(packer, bytes, receipt->ref.length);
}

/* What the value takes with all its bytes in it, at most; 0: nothing in it stands for others. */
static size_t expanded_size(const struct receipts *receipts, struct objpool_bytes value)
{
	const unsigned char *begin = value.data, *end = begin + value.size;
	size_t size = 0;

	for (unsigned i = 0; i < receipts->count; i++)
		if (receipts->message[i] && receipts->message[i]->at >= begin && receipts->message[i]->at < end)
			size += (size ? 0 : value.size) + receipts->message[i]->ref.length;
	return size;
}

/* Receipts are in the message's order. */
static void expand(const struct receipts *receipts, struct objpool_bytes value, struct objpool_packer *packer)
{
	const unsigned char *from = value.data, *end = from + value.size;

	for (unsigned i = 0; i < receipts->count; i++) {
		const struct receipt *receipt = receipts->message[i];
		if (!receipt || receipt->at < from || receipt->at >= end)
			continue;
		objpool_pack_raw(packer, (struct objpool_bytes){from, (size_t)(receipt->at - from)});
		pack_receipt(packer, receipt);
		from = receipt->at + PAYLOAD_REF;
	}
	objpool_pack_raw(packer, (struct objpool_bytes){from, (size_t)(end - from)});
}

/* A value that has others in it must be in one piece. */
static int show_expanded(struct receipts *receipts, struct objpool_bytes *value)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	unsigned char *none;
	struct holding *holding = holding_new(0, &none);

	if (pack_room(&packer, expanded_size(receipts, *value)))
		expand(receipts, *value, &packer);
	if (packer.error || !holding) {
		objpool_packer_free(&packer);
		(void)holding_drop(holding);
		return -ENOMEM;
	}
	holding_keep(holding, packer.data);
	(void)holding_drop(receipts->holding);
	receipts->holding = holding;
	receipts->shown_by = RECEIPTS_MESSAGE;
	*value = receipts->shown = objpool_packed(&packer);
	return 0;
}

int receipts_value(struct receipts *receipts, struct objpool_bytes *value)
{
	if (receipts->count == 0 || expanded_size(receipts, *value) == 0)
		return 0;
	const unsigned i = find_at(receipts, value->data);
	const struct objpool_bytes found = i < receipts->count ? in_place(receipts->message[i]) : (struct objpool_bytes){NULL, 0};
	if (!found.data)
		return show_expanded(receipts, value);
	receipts->shown_by = i;
	*value = receipts->shown = found;
	return 0;
}

struct holding *receipts_take(struct receipts *receipts, struct objpool_bytes value)
{
	struct holding *holding = receipts->holding;

	if (!value.data || value.data != receipts->shown.data)
		return NULL;
	receipts->shown = (struct objpool_bytes){NULL, 0};
	if (receipts->shown_by == RECEIPTS_MESSAGE) {
		receipts->holding = NULL;
		return holding;
	}
	holding = &receipts->message[receipts->shown_by]->holding;
	receipts->message[receipts->shown_by] = NULL;
	return holding;
}

/* ---- giving back ------------------------------------------------------------------------------------------------------ */

static bool is_returned(const struct receipt *receipt)
{
	return atomic_load_explicit(&receipt->returned, memory_order_acquire);
}

bool receipts_due(const struct receipts *receipts)
{
	for (const struct receipt *receipt = receipts->given; receipt; receipt = receipt->next)
		if (is_returned(receipt))
			return true;
	return false;
}

/* Takes out those that are returned. */
static struct receipt *collect(struct receipts *receipts, uint32_t *count)
{
	struct receipt *found = NULL, *receipt;

	*count = 0;
	for (struct receipt **link = &receipts->given; (receipt = *link);) {
		if (!is_returned(receipt)) {
			link = &receipt->next;
			continue;
		}
		*link = receipt->next;
		receipt->next = found;
		found = receipt;
		++*count;
	}
	return found;
}

void receipts_return(struct receipts *receipts, struct objpool_packer *output)
{
	uint32_t count;
	struct receipt *receipt = collect(receipts, &count), *next;

	if (count == 0)
		return;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, "objpool.give_back");
	objpool_pack_array(output, count);
	for (; receipt; receipt = next) {
		next = receipt->next;
		objpool_pack_uint(output, receipt->number);
		(void)receipt_unref(receipt);
	}
}

void receipts_free(struct receipts *receipts)
{
	struct receipt *receipt, *next;

	receipts_close(receipts);
	for (receipt = receipts->given; receipt; receipt = next) {
		next = receipt->next;
		(void)receipt_unref(receipt);
	}
	while (receipts->warm_count > 0)
		cool(receipts, receipts->warm_count - 1);
	*receipts = (struct receipts){0};
}
