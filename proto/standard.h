/* SPDX-License-Identifier: Apache-2.0 */
/* standard: descriptors 0, 1 and 2, which a program's own files must never get. */
#ifndef PROTO_STANDARD_H
#define PROTO_STANDARD_H

/*
 * A program calls this first: each of 0, 1 and 2 that is closed becomes /dev/null. Otherwise the next file or socket that the
 * program opens would get the number, and printed text would go there. 0 or a negative errno.
 */
int standard_open(void);

#endif
