/* SPDX-License-Identifier: Apache-2.0 */
/* packtext: C strings in what the daemon answers. */
#ifndef SUPERVISOR_PACKTEXT_H
#define SUPERVISOR_PACKTEXT_H

#include <msgpack.h>

/* Packs the text as a str; NULL as an empty one. Bytes that are no UTF-8 become "?" in texts of less than 1 KiB: plugins and
 * files may have put them there. */
void pack_text(msgpack_packer *packer, const char *text);

#endif
