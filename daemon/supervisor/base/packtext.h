/* SPDX-License-Identifier: Apache-2.0 */
/* packtext: C strings, and keys with their values, in what the daemon answers. */
#ifndef SUPERVISOR_PACKTEXT_H
#define SUPERVISOR_PACKTEXT_H

#include <msgpack.h>

/* Packs the text as a str; NULL as an empty one. Bytes that are no UTF-8 become "?" in texts of less than 1 KiB: plugins and
 * files may have put them there. */
void pack_text(msgpack_packer *packer, const char *text);

/* A key and its value. */
void pair_text(msgpack_packer *packer, const char *key, const char *text);
void pair_text_or_nil(msgpack_packer *packer, const char *key, const char *text); /* NULL: nil */
void pair_number(msgpack_packer *packer, const char *key, uint64_t number);
void pair_flag(msgpack_packer *packer, const char *key, bool flag);
void pair_seconds(msgpack_packer *packer, const char *key, uint64_t nanoseconds); /* as a float */

#endif
