/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool_wire: what the Python client does most, in C. A small call, there and back, in one function (objpool/_line.py says when
 * it is used), and the bytes of long messages (objpool/_pack.py).
 *
 *   line.c    sends a request, waits, and reads the answer
 *   pack.c    the bytes of a request
 *   load.c    the value of an answer
 *
 * All of it is for what is usual: plain values, exactly of the types that msgpack has. For everything else the functions say so
 * and change nothing; the client's Python code then does it.
 */
#ifndef OBJPOOL_WIRE_H
#define OBJPOOL_WIRE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if PY_VERSION_HEX < 0x030a0000
static inline PyObject *Py_NewRef(PyObject *object)
{
	Py_INCREF(object);
	return object;
}
#endif

enum {
	WIRE_LEVELS = 8,    /* of nesting, in a value; a value with more is left to the client's Python code */
	WIRE_MAX = 8 << 10, /* bytes of a request, and of a result */
};

/* Packs [0, msgid, method, params] into `room` of WIRE_MAX bytes; returns the size. 0: it is longer, or its values are not
 * all plain. Without a target: for a
 * direct channel, where requests have none. No Python code runs. */
size_t wire_pack(uint8_t *room, uint32_t msgid, PyObject *method, bool without_target, PyObject *params);

/* The bytes of a message, of any size. None: not all of its values are plain, or one is nested too deeply. No Python code runs. */
PyObject *wire_pack_plain(PyObject *message);

/* The same for [2, method, params]. */
size_t wire_pack_notice(uint8_t *room, PyObject *method, bool without_target, PyObject *params);

/* If this is one whole response to that request, with a plain value that is small: sets *result to the bytes of the value, and
 * returns their number. Otherwise 0. */
size_t wire_result(const uint8_t *bytes, size_t size, uint32_t msgid, const uint8_t **result);

/* The value that wire_result has found: a new reference, or NULL with an exception set. */
PyObject *wire_load(const uint8_t *bytes, size_t size);

extern PyTypeObject line_type;

int line_init(void);

#endif
