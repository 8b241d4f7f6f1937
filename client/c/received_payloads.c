/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/received_payloads.h"

#include "client/c/packer.h"
#include "proto/payload_ref.h"
#include "proto/read.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct received_payload {
	struct result_memory memory;   /* must be first: a result's memory may be this */
	atomic_uint refs;              /* one of the list `held`, one of the message or of the result that has taken it */
	atomic_bool unused;            /* no message and no result uses it any more: it can be given back */
	struct received_payload *next; /* in `held` */
	uint32_t number;               /* for objpool.give_back */
	struct payload_ref ref;
	const unsigned char *at; /* the reference in the message */
	struct mapped_file *file;
};

/* ---- one payload ----------------------------------------------------------------------------------------------------- */

static void payload_unref(struct received_payload *payload)
{
	if (atomic_fetch_sub_explicit(&payload->refs, 1, memory_order_acq_rel) > 1)
		return;
	mapped_file_unref(payload->file);
	free(payload);
}

/* Is called by result_memory_drop, on any thread. */
static void payload_on_drop(struct result_memory *memory)
{
	struct received_payload *payload = (struct received_payload *)memory;

	atomic_store_explicit(&payload->unused, true, memory_order_release);
	payload_unref(payload);
}

/* Maps the file and closes the descriptor. */
static int add(struct received_payloads *received, int fd, const struct payload_ref *ref, const unsigned char *at)
{
	struct received_payload *payload = calloc(1, sizeof *payload);
	const int rc = payload ? mapped_files_get(&received->files, fd, ref, &payload->file) : -ENOMEM;

	(void)close(fd);
	if (rc < 0) {
		free(payload);
		return rc;
	}
	payload->memory.drop = payload_on_drop;
	atomic_init(&payload->refs, 2);
	payload->number = received->next_number++;
	payload->ref = *ref;
	payload->at = at;
	payload->next = received->held;
	received->held = payload;
	received->message[received->count++] = payload;
	return 0;
}

int received_payloads_open(struct received_payloads *received, struct arrivals *arrivals, struct objpool_bytes message)
{
	struct reader reader = reader_of((struct span){message.data, message.size});
	struct payload_ref ref;
	int rc = 0;

	while (rc == 0 && read_find_ref(&reader, &ref)) {
		if (ref.file != received->mark)
			continue;
		const int fd = arrivals_take(arrivals);
		if (fd < 0 || received->count == PAYLOAD_FILES) {
			if (fd >= 0)
				(void)close(fd);
			return -EBADMSG;
		}
		rc = add(received, fd, &ref, reader.p - PAYLOAD_REF);
	}
	return rc;
}

void received_payloads_close(struct received_payloads *received)
{
	for (unsigned i = 0; i < received->count; i++)
		if (received->message[i])
			(void)result_memory_drop(&received->message[i]->memory);
	received->count = 0;
	received->memory = result_memory_drop(received->memory);
	received->shown = (struct objpool_bytes){NULL, 0};
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

static unsigned find_at(const struct received_payloads *received, const unsigned char *at)
{
	unsigned i = 0;

	while (i < received->count && (!received->message[i] || received->message[i]->at != at))
		i++;
	return i;
}

/*
 * The value as it lies in the file. The daemon often writes the header of the bin or ext in front of its bytes, as in a
 * message. None: there is no such header.
 */
static struct objpool_bytes in_place(const struct received_payload *payload)
{
	const unsigned char *bytes = mapped_file_bytes(payload->file) + payload->ref.offset;

	for (size_t head = 2; head <= 6 && head <= payload->ref.offset; head++) {
		const struct objpool_bytes value = {bytes - head, head + (size_t)payload->ref.length};
		struct objpool_reader reader = objpool_reader(value);
		const void *found = NULL;
		int8_t type = 0;
		size_t size;
		const int rc = payload->ref.kind ? objpool_read_ext(&reader, &type, &found, &size)
						 : objpool_read_bin(&reader, &found, &size);
		if (rc == 0 && found == bytes && size == payload->ref.length && (uint8_t)type == (payload->ref.kind & 0xff))
			return value;
	}
	return (struct objpool_bytes){NULL, 0};
}

static void pack_payload(struct objpool_packer *packer, const struct received_payload *payload)
{
	const unsigned char *bytes = mapped_file_bytes(payload->file) + payload->ref.offset;

	if (payload->ref.kind)
		objpool_pack_ext(packer, (int8_t)(uint8_t)payload->ref.kind, bytes, (size_t)payload->ref.length);
	else
		objpool_pack_bin(packer, bytes, (size_t)payload->ref.length);
}

/* The most bytes that the value can have when bytes replace its references; 0: it has no references. */
static size_t expanded_size(const struct received_payloads *received, struct objpool_bytes value)
{
	const unsigned char *begin = value.data, *end = begin + value.size;
	size_t size = 0;

	for (unsigned i = 0; i < received->count; i++)
		if (received->message[i] && received->message[i]->at >= begin && received->message[i]->at < end)
			size += (size ? 0 : value.size) + (size_t)received->message[i]->ref.length;
	return size;
}

/* Packs the value with bytes in place of references. `message` has them in the order of the message. */
static void expand(const struct received_payloads *received, struct objpool_bytes value, struct objpool_packer *packer)
{
	const unsigned char *from = value.data, *end = from + value.size;

	for (unsigned i = 0; i < received->count; i++) {
		const struct received_payload *payload = received->message[i];
		if (!payload || payload->at < from || payload->at >= end)
			continue;
		objpool_pack_raw(packer, (struct objpool_bytes){from, (size_t)(payload->at - from)});
		pack_payload(packer, payload);
		from = payload->at + PAYLOAD_REF;
	}
	objpool_pack_raw(packer, (struct objpool_bytes){from, (size_t)(end - from)});
}

/* Copies the value and all its bytes into one piece of memory. */
static int show_expanded(struct received_payloads *received, struct objpool_bytes *value)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	unsigned char *none;
	struct result_memory *memory = result_memory_new(0, &none);

	if (packer_room(&packer, expanded_size(received, *value)))
		expand(received, *value, &packer);
	if (packer.error || !memory) {
		objpool_packer_free(&packer);
		(void)result_memory_drop(memory);
		return -ENOMEM;
	}
	result_memory_attach(memory, packer.data);
	(void)result_memory_drop(received->memory);
	received->memory = memory;
	received->shown_by = PAYLOAD_FILES;
	*value = received->shown = objpool_packed(&packer);
	return 0;
}

int received_payloads_value(struct received_payloads *received, struct objpool_bytes *value)
{
	if (received->count == 0 || expanded_size(received, *value) == 0)
		return 0;
	const unsigned i = find_at(received, value->data);
	const struct objpool_bytes found = i < received->count ? in_place(received->message[i]) : (struct objpool_bytes){NULL, 0};
	if (!found.data)
		return show_expanded(received, value);
	received->shown_by = i;
	*value = received->shown = found;
	return 0;
}

struct result_memory *received_payloads_take(struct received_payloads *received, struct objpool_bytes value)
{
	struct result_memory *memory = received->memory;

	if (!value.data || value.data != received->shown.data)
		return NULL;
	received->shown = (struct objpool_bytes){NULL, 0};
	if (received->shown_by == PAYLOAD_FILES) {
		received->memory = NULL;
		return memory;
	}
	memory = &received->message[received->shown_by]->memory;
	received->message[received->shown_by] = NULL;
	return memory;
}

/* ---- giving back ----------------------------------------------------------------------------------------------------- */

static bool is_unused(const struct received_payload *payload)
{
	return atomic_load_explicit(&payload->unused, memory_order_acquire);
}

bool received_payloads_are_due(const struct received_payloads *received)
{
	for (const struct received_payload *payload = received->held; payload; payload = payload->next)
		if (is_unused(payload))
			return true;
	return false;
}

/* Removes those that are unused from `held`. */
static struct received_payload *collect(struct received_payloads *received, uint32_t *count)
{
	struct received_payload *found = NULL, *payload;

	*count = 0;
	for (struct received_payload **link = &received->held; (payload = *link);) {
		if (!is_unused(payload)) {
			link = &payload->next;
			continue;
		}
		*link = payload->next;
		payload->next = found;
		found = payload;
		++*count;
	}
	return found;
}

void received_payloads_give_back(struct received_payloads *received, struct objpool_packer *output)
{
	uint32_t count;
	struct received_payload *payload = collect(received, &count), *next;

	if (count == 0)
		return;
	objpool_pack_array(output, 3);
	objpool_pack_uint(output, 2);
	objpool_pack_cstr(output, "objpool.give_back");
	objpool_pack_array(output, count);
	for (; payload; payload = next) {
		next = payload->next;
		objpool_pack_uint(output, payload->number);
		payload_unref(payload);
	}
}

void received_payloads_free(struct received_payloads *received)
{
	struct received_payload *payload, *next;

	received_payloads_close(received);
	for (payload = received->held; payload; payload = next) {
		next = payload->next;
		payload_unref(payload);
	}
	mapped_files_clear(&received->files);
	*received = (struct received_payloads){0};
}
