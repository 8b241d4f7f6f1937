/* SPDX-License-Identifier: Apache-2.0 */
/* json_text: packed values of the daemon's own, which are small, as JSON in one go. */
#ifndef SUPERVISOR_JSON_TEXT_H
#define SUPERVISOR_JSON_TEXT_H

#include <event2/buffer.h>
#include <msgpack.h>

/* Adds the value to `out` as JSON. 0 or -ENOMEM: a part of it may be there. */
int json_text_put(const msgpack_sbuffer *packed, struct evbuffer *out);

/* JSON that is kept, and when it last changed. */
struct picture {
	char *text; /* NULL: none yet */
	size_t size;
	uint64_t changed; /* number of the drawing that made it as it is; 0: none has */
};

/* Makes the picture of that value in the drawing of that number. Without memory it stays as it is. */
void picture_draw(struct picture *picture, const msgpack_sbuffer *packed, uint64_t number);
void picture_free(struct picture *picture);

#endif
