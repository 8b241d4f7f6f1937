/* SPDX-License-Identifier: Apache-2.0 */
#include "client/python/wire/wire.h"

#include "proto/pack.h"

enum { FIRST_ROOM = 64 << 10, DEEPEST = 32 /* levels of a value */, AROUND = 2 /* levels around it: the message, params */ };

/* Where the next byte goes. */
struct room {
	uint8_t *at, *end;
	PyObject *bytes; /* that can grow; NULL: the room can't */
};

static bool put_value(struct room *room, PyObject *value, int levels);

/* ---- room ---- */

static bool set_bytes(struct room *room, size_t size, size_t used)
{
	if (room->bytes)
		(void)_PyBytes_Resize(&room->bytes, (Py_ssize_t)size);
	else
		room->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
	if (!room->bytes)
		return false;
	room->at = (uint8_t *)PyBytes_AS_STRING(room->bytes) + used;
	room->end = (uint8_t *)PyBytes_AS_STRING(room->bytes) + size;
	return true;
}

static bool grow(struct room *room, size_t needed)
{
	if (!room->bytes)
		return false;
	const size_t size = (size_t)PyBytes_GET_SIZE(room->bytes), used = size - (size_t)(room->end - room->at);
	return set_bytes(room, 2 * (used + needed), used);
}

/* Room for any head, and so many bytes behind it. */
static inline bool has_room(struct room *room, size_t size)
{
	return (size_t)(room->end - room->at) >= PACK_UINT + size || grow(room, PACK_UINT + size);
}

/* ---- numbers ---- */

static uint8_t *pack_negative(uint8_t *p, int64_t value)
{
	if (value >= -32 || value < INT32_MIN)
		return pack_int(p, value);
	if (value >= INT8_MIN) {
		*p++ = BYTE_INT8;
		*p = (uint8_t)value;
		return p + 1;
	}
	if (value >= INT16_MIN) {
		*p++ = BYTE_INT16;
		return pack_be16(p, (uint16_t)value);
	}
	*p++ = BYTE_INT32;
	return pack_be32(p, (uint32_t)value);
}

/* An int beyond 63 bits. */
static bool put_large_int(struct room *room, PyObject *value)
{
	const unsigned long long number = PyLong_AsUnsignedLongLong(value);

	if (number == (unsigned long long)-1 && PyErr_Occurred()) {
		PyErr_Clear();
		return false;
	}
	room->at = pack_uint(room->at, number);
	return true;
}

static bool put_int(struct room *room, PyObject *value)
{
	int overflow;
	const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

	if (overflow)
		return put_large_int(room, value);
	room->at = number < 0 ? pack_negative(room->at, number) : pack_uint(room->at, (uint64_t)number);
	return true;
}

static bool put_float(struct room *room, PyObject *value)
{
	const double number = PyFloat_AS_DOUBLE(value);
	uint64_t bits;

	memcpy(&bits, &number, sizeof bits);
	*room->at++ = BYTE_FLOAT64;
	room->at = pack_be64(room->at, bits);
	return true;
}

/* ---- text and bytes ---- */

static bool put_text(struct room *room, const char *text, Py_ssize_t size)
{
	if ((size_t)size > UINT32_MAX || !has_room(room, (size_t)size))
		return false;
	room->at = pack_str(room->at, text, (size_t)size);
	return true;
}

static bool put_str(struct room *room, PyObject *value)
{
	Py_ssize_t size;
	const char *text = PyUnicode_AsUTF8AndSize(value, &size);

	if (text)
		return put_text(room, text, size);
	PyErr_Clear(); /* it has lone surrogates */
	return false;
}

static uint8_t *pack_bin_head(uint8_t *p, uint32_t size)
{
	if (size <= UINT8_MAX) {
		*p++ = BYTE_BIN8;
		*p = (uint8_t)size;
		return p + 1;
	}
	if (size <= UINT16_MAX) {
		*p++ = BYTE_BIN16;
		return pack_be16(p, (uint16_t)size);
	}
	*p++ = BYTE_BIN32;
	return pack_be32(p, size);
}

static bool put_bytes(struct room *room, const char *bytes, Py_ssize_t size)
{
	if ((size_t)size > UINT32_MAX || !has_room(room, (size_t)size))
		return false;
	room->at = pack_bin_head(room->at, (uint32_t)size);
	memcpy(room->at, bytes, (size_t)size);
	room->at += size;
	return true;
}

/* ---- containers ---- */

static bool put_array_head(struct room *room, Py_ssize_t count)
{
	if ((size_t)count > UINT32_MAX || !has_room(room, (size_t)count))
		return false;
	room->at = pack_array(room->at, (uint32_t)count);
	return true;
}

static bool put_each(struct room *room, PyObject *const *items, Py_ssize_t count, int levels)
{
	for (Py_ssize_t i = 0; i < count; i++)
		if (!put_value(room, items[i], levels))
			return false;
	return true;
}

static bool put_items(struct room *room, PyObject *const *items, Py_ssize_t count, int levels)
{
	return levels > 0 && put_array_head(room, count) && put_each(room, items, count, levels - 1);
}

static bool is_key(PyObject *key)
{
	return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyBytes_CheckExact(key) || PyFloat_CheckExact(key) ||
	       PyBool_Check(key) || key == Py_None;
}

static bool put_dict(struct room *room, PyObject *dict, int levels)
{
	PyObject *key, *value;
	Py_ssize_t at = 0;

	if (levels == 0 || (size_t)PyDict_GET_SIZE(dict) > UINT32_MAX || !has_room(room, (size_t)PyDict_GET_SIZE(dict)))
		return false;
	room->at = pack_map(room->at, (uint32_t)PyDict_GET_SIZE(dict));
	while (PyDict_Next(dict, &at, &key, &value))
		if (!is_key(key) || !put_value(room, key, 0) || !put_value(room, value, levels - 1))
			return false;
	return true;
}

static bool put_constant(struct room *room, uint8_t byte)
{
	*room->at++ = byte;
	return true;
}

static bool put_value(struct room *room, PyObject *value, int levels)
{
	if (!has_room(room, 0))
		return false;
	if (PyLong_CheckExact(value))
		return put_int(room, value);
	if (PyUnicode_CheckExact(value))
		return put_str(room, value);
	if (PyFloat_CheckExact(value))
		return put_float(room, value);
	if (value == Py_None)
		return put_constant(room, BYTE_NIL);
	if (PyBool_Check(value))
		return put_constant(room, value == Py_True ? BYTE_TRUE : BYTE_FALSE);
	if (PyBytes_CheckExact(value))
		return put_bytes(room, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
	if (PyByteArray_CheckExact(value))
		return put_bytes(room, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
	if (PyList_CheckExact(value))
		return put_items(room, PySequence_Fast_ITEMS(value), PyList_GET_SIZE(value), levels);
	if (PyTuple_CheckExact(value))
		return put_items(room, PySequence_Fast_ITEMS(value), PyTuple_GET_SIZE(value), levels);
	return PyDict_CheckExact(value) && put_dict(room, value, levels);
}

/* ---- messages ---- */

static bool put_params(struct room *room, PyObject *params)
{
	return put_items(room, PySequence_Fast_ITEMS(params), PyList_GET_SIZE(params), 1 + WIRE_LEVELS);
}

/* objpool.call on a channel: nil stands in the place of the target. */
static bool put_full_call(struct room *room, PyObject *method, PyObject *params)
{
	const Py_ssize_t count = PyList_GET_SIZE(params);

	if (count == 0 || !put_str(room, method) || !put_array_head(room, count))
		return false;
	room->at = pack_nil(room->at);
	return put_each(room, PySequence_Fast_ITEMS(params) + 1, count - 1, 1 + WIRE_LEVELS);
}

/* A call on a channel. The daemon's other methods are not for it. */
static bool put_direct_call(struct room *room, PyObject *method, PyObject *params)
{
	static const char own[] = "objpool.";
	Py_ssize_t size;
	const char *text = PyUnicode_AsUTF8AndSize(method, &size);
	const char *dot = text ? memchr(text, '.', (size_t)size) : NULL;

	PyErr_Clear();
	if (!dot)
		return false;
	if (strncmp(text, own, sizeof own - 1) == 0)
		return strcmp(text, "objpool.call") == 0 && put_full_call(room, method, params);
	return put_text(room, dot + 1, text + size - (dot + 1)) && put_params(room, params);
}

static bool put_call(struct room *room, PyObject *method, bool without_target, PyObject *params)
{
	if (!PyUnicode_CheckExact(method) || !PyList_CheckExact(params))
		return false;
	return without_target ? put_direct_call(room, method, params) : put_str(room, method) && put_params(room, params);
}

size_t wire_pack(uint8_t *bytes, uint32_t msgid, PyObject *method, bool without_target, PyObject *params)
{
	struct room room = {.at = bytes, .end = bytes + WIRE_MAX};

	room.at = pack_array(room.at, 4);
	room.at = pack_uint(room.at, 0);
	room.at = pack_uint(room.at, msgid);
	return put_call(&room, method, without_target, params) ? (size_t)(room.at - bytes) : 0;
}

size_t wire_pack_notice(uint8_t *bytes, PyObject *method, bool without_target, PyObject *params)
{
	struct room room = {.at = bytes, .end = bytes + WIRE_MAX};

	room.at = pack_array(room.at, 3);
	room.at = pack_uint(room.at, 2);
	return put_call(&room, method, without_target, params) ? (size_t)(room.at - bytes) : 0;
}

PyObject *wire_pack_plain(PyObject *message)
{
	struct room room = {0};

	if (set_bytes(&room, FIRST_ROOM, 0) && put_value(&room, message, AROUND + DEEPEST))
		(void)_PyBytes_Resize(&room.bytes, room.at - (uint8_t *)PyBytes_AS_STRING(room.bytes));
	else
		Py_CLEAR(room.bytes);
	PyErr_Clear();
	return room.bytes ? room.bytes : Py_NewRef(Py_None);
}
