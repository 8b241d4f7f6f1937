/* SPDX-License-Identifier: Apache-2.0 */
/* An answer is looked at before objects are made of it: to make objects may run code of the program (of its finalizers), and by
 * then it must be clear who reads what has come. */
#include "client/python/wire/wire.h"

#include "proto/rpc.h"
#include "proto/scan.h"

/* ---- looking ---- */

static bool pass_plain(struct reader *in, int levels);

static bool pass_pairs(struct reader *in, uint32_t count, int levels)
{
	for (; count > 0; count--)
		if (!pass_plain(in, 0) || !pass_plain(in, levels))
			return false;
	return true;
}

static bool pass_items(struct reader *in, uint32_t count, int levels)
{
	for (; count > 0; count--)
		if (!pass_plain(in, levels))
			return false;
	return true;
}

static bool is_ext(uint8_t first)
{
	return (first >= BYTE_EXT8 && first <= BYTE_EXT32) || (first >= BYTE_FIXEXT1 && first <= BYTE_FIXEXT16);
}

/* Passes one value. False: it is not whole, not plain, or nested too deeply. */
static bool pass_plain(struct reader *in, int levels)
{
	uint32_t count;

	if (in->p >= in->end)
		return false;
	if (read_array(in, &count) == 0)
		return levels > 0 && pass_items(in, count, levels - 1);
	if (read_map(in, &count) == 0)
		return levels > 0 && pass_pairs(in, count, levels - 1);
	return !is_ext(*in->p) && scan_step(&in->p, in->end) == 0 && in->p <= in->end;
}

size_t wire_result(const uint8_t *bytes, size_t size, uint32_t msgid, const uint8_t **result)
{
	struct reader in = {.p = bytes, .end = bytes + size};
	uint64_t type, id;
	uint32_t count;

	if (read_array(&in, &count) < 0 || count != 4 || read_uint(&in, &type) < 0 || type != RPC_RESPONSE ||
	    read_uint(&in, &id) < 0 || id != msgid || read_nil(&in) < 0)
		return 0;
	*result = in.p;
	return pass_plain(&in, WIRE_LEVELS) && in.p == in.end && in.end - *result <= WIRE_MAX ? (size_t)(in.end - *result) : 0;
}

/* ---- making objects ---- */

static PyObject *load_value(struct reader *in);

static PyObject *load_list(struct reader *in, uint32_t count)
{
	PyObject *list = PyList_New((Py_ssize_t)count);

	for (uint32_t i = 0; list && i < count; i++) {
		PyObject *item = load_value(in);
		if (item)
			PyList_SET_ITEM(list, (Py_ssize_t)i, item);
		else
			Py_CLEAR(list);
	}
	return list;
}

static PyObject *load_dict(struct reader *in, uint32_t count)
{
	PyObject *dict = PyDict_New();

	for (uint32_t i = 0; dict && i < count; i++) {
		PyObject *key = load_value(in), *value = key ? load_value(in) : NULL;
		if (!value || PyDict_SetItem(dict, key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	return dict;
}

static PyObject *load_number(struct reader *in)
{
	const bool is_float = *in->p == BYTE_FLOAT32 || *in->p == BYTE_FLOAT64;
	uint64_t whole;
	int64_t number;
	double real;

	if (is_float && read_number(in, &real) == 0)
		return PyFloat_FromDouble(real);
	if (read_uint(in, &whole) == 0)
		return PyLong_FromUnsignedLongLong(whole);
	if (read_int(in, &number) == 0)
		return PyLong_FromLongLong(number);
	return PyErr_Format(PyExc_SystemError, "objpool_wire: a value begins with byte %d", *in->p);
}

static PyObject *load_value(struct reader *in)
{
	struct span text;
	uint32_t count;
	bool truth;

	if (read_nil(in) == 0)
		return Py_NewRef(Py_None);
	if (read_bool(in, &truth) == 0)
		return PyBool_FromLong(truth);
	if (read_str(in, &text) == 0)
		return PyUnicode_DecodeUTF8((const char *)text.bytes, (Py_ssize_t)text.size, "surrogateescape");
	if (read_bytes(in, &text) == 0)
		return PyBytes_FromStringAndSize((const char *)text.bytes, (Py_ssize_t)text.size);
	if (read_array(in, &count) == 0)
		return load_list(in, count);
	if (read_map(in, &count) == 0)
		return load_dict(in, count);
	return load_number(in);
}

PyObject *wire_load(const uint8_t *bytes, size_t size)
{
	struct reader in = {.p = bytes, .end = bytes + size};

	return load_value(&in);
}
