/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes plain values itself. `encode` of host/ gets the values that are not plain, or nested too deeply. Only exact types are
 * plain: a subclass has more than msgpack can tell. Python code that runs meanwhile may change a container that is being
 * written: this is noticed, and is an error.
 */
#include "plugins/python/python.h"

static int write_value(PyObject *value, msgpack_packer *packer, bool pickle, int depth);

void write_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

static int changed(void)
{
	PyErr_SetString(PyExc_RuntimeError, "a list or dict was changed while it was sent");
	return -1;
}

/* ---- what isn't plain ---- */

static int write_ext(msgpack_packer *packer, int type, PyObject *head, PyObject *rest)
{
	Py_buffer memory;

	if (PyObject_GetBuffer(rest, &memory, PyBUF_ANY_CONTIGUOUS) < 0)
		return -1;
	const size_t size = (size_t)PyBytes_GET_SIZE(head) + (size_t)memory.len;
	if (size <= UINT32_MAX) {
		msgpack_pack_ext(packer, size, (int8_t)type);
		msgpack_pack_ext_body(packer, PyBytes_AS_STRING(head), (size_t)PyBytes_GET_SIZE(head));
		msgpack_pack_ext_body(packer, memory.buf, (size_t)memory.len);
	} else {
		PyErr_SetString(PyExc_OverflowError, "a value of more than 4 GiB");
	}
	PyBuffer_Release(&memory);
	return PyErr_Occurred() ? -1 : 0;
}

static int write_encoded(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	PyObject *head, *rest = NULL, *type;
	int r;

	if (Py_EnterRecursiveCall(" while a value is sent"))
		return -1;
	PyObject *encoded = host_call("encode", "(OO)", value, pickle ? Py_True : Py_False);
	if (!encoded || !PyArg_ParseTuple(encoded, "OO|O", &type, &head, &rest))
		r = -1;
	else if (rest)
		r = write_ext(packer, (int)PyLong_AsLong(type), head, rest);
	else
		r = write_value(head, packer, pickle, depth);
	Py_XDECREF(encoded);
	Py_LeaveRecursiveCall();
	return r;
}

/* Writes the rest of containers that are nested too deeply for msgpack as one object. */
static int write_deep(PyObject *value, msgpack_packer *packer, bool pickle)
{
	if (pickle)
		return write_encoded(value, packer, pickle, DEEPEST);
	PyErr_Format(PyExc_ValueError, "a value nested deeper than %d levels", DEEPEST);
	return -1;
}

/* ---- plain ones ---- */

static int write_int(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	int overflow;
	const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

	if (!overflow) {
		msgpack_pack_int64(packer, number);
		return 0;
	}
	const unsigned long long large = overflow > 0 ? PyLong_AsUnsignedLongLong(value) : 0;
	if (overflow > 0 && !PyErr_Occurred()) {
		msgpack_pack_uint64(packer, large);
		return 0;
	}
	PyErr_Clear();
	if (pickle)
		return write_encoded(value, packer, pickle, depth);
	PyErr_SetString(PyExc_OverflowError,
			"an int of more than 64 bits would have to be pickled, and this pool has unpickle = no");
	return -1;
}

static int write_str(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	Py_ssize_t size;
	const char *text = PyUnicode_AsUTF8AndSize(value, &size);

	if (!text) { /* lone surrogates */
		if (!pickle)
			return -1;
		PyErr_Clear();
		return write_encoded(value, packer, pickle, depth);
	}
	msgpack_pack_str(packer, (size_t)size);
	msgpack_pack_str_body(packer, text, (size_t)size);
	return 0;
}

static int write_bin(PyObject *value, msgpack_packer *packer)
{
	Py_buffer memory;

	if (PyObject_GetBuffer(value, &memory, PyBUF_SIMPLE) < 0)
		return -1;
	if ((size_t)memory.len > UINT32_MAX) {
		PyErr_SetString(PyExc_OverflowError, "a value of more than 4 GiB");
	} else {
		msgpack_pack_bin(packer, (size_t)memory.len);
		msgpack_pack_bin_body(packer, memory.buf, (size_t)memory.len);
	}
	PyBuffer_Release(&memory);
	return PyErr_Occurred() ? -1 : 0;
}

static int write_list(PyObject *list, msgpack_packer *packer, bool pickle, int depth)
{
	const Py_ssize_t n = PyList_GET_SIZE(list);

	msgpack_pack_array(packer, (size_t)n);
	for (Py_ssize_t i = 0; i < n; i++) {
		if (i >= PyList_GET_SIZE(list))
			return changed();
		PyObject *item = PyList_GET_ITEM(list, i);
		Py_INCREF(item);
		const int r = write_value(item, packer, pickle, depth + 1);
		Py_DECREF(item);
		if (r < 0)
			return -1;
	}
	return PyList_GET_SIZE(list) == n ? 0 : changed();
}

static int write_tuple(PyObject *tuple, msgpack_packer *packer, bool pickle, int depth)
{
	const Py_ssize_t n = PyTuple_GET_SIZE(tuple);

	msgpack_pack_array(packer, (size_t)n);
	for (Py_ssize_t i = 0; i < n; i++)
		if (write_value(PyTuple_GET_ITEM(tuple, i), packer, pickle, depth + 1) < 0)
			return -1;
	return 0;
}

static bool is_key(PyObject *key)
{
	return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || PyBytes_CheckExact(key) || PyFloat_CheckExact(key) ||
	       PyBool_Check(key) || key == Py_None;
}

static bool has_plain_keys(PyObject *dict)
{
	PyObject *key, *value;
	Py_ssize_t at = 0;

	while (PyDict_Next(dict, &at, &key, &value))
		if (!is_key(key))
			return false;
	return true;
}

static int write_pairs(PyObject *dict, msgpack_packer *packer, bool pickle, int depth)
{
	const Py_ssize_t n = PyDict_GET_SIZE(dict);
	Py_ssize_t at = 0, written = 0;
	PyObject *key, *value;

	msgpack_pack_map(packer, (size_t)n);
	while (written < n && PyDict_Next(dict, &at, &key, &value)) {
		Py_INCREF(key);
		Py_INCREF(value);
		const int r =
			write_value(key, packer, pickle, depth + 1) < 0 ? -1 : write_value(value, packer, pickle, depth + 1);
		Py_DECREF(key);
		Py_DECREF(value);
		if (r < 0)
			return -1;
		written++;
	}
	return written == n && PyDict_GET_SIZE(dict) == n ? 0 : changed();
}

static int write_dict(PyObject *dict, msgpack_packer *packer, bool pickle, int depth)
{
	return has_plain_keys(dict) ? write_pairs(dict, packer, pickle, depth) : write_encoded(dict, packer, pickle, depth);
}

static int write_container(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	if (depth >= DEEPEST)
		return write_deep(value, packer, pickle);
	if (PyList_CheckExact(value))
		return write_list(value, packer, pickle, depth);
	if (PyTuple_CheckExact(value))
		return write_tuple(value, packer, pickle, depth);
	return write_dict(value, packer, pickle, depth);
}

static bool is_container(PyObject *value)
{
	return PyList_CheckExact(value) || PyTuple_CheckExact(value) || PyDict_CheckExact(value);
}

static int write_value(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	if (value == Py_None)
		msgpack_pack_nil(packer);
	else if (value == Py_True)
		msgpack_pack_true(packer);
	else if (value == Py_False)
		msgpack_pack_false(packer);
	else if (PyFloat_CheckExact(value))
		msgpack_pack_double(packer, PyFloat_AS_DOUBLE(value));
	else if (PyLong_CheckExact(value))
		return write_int(value, packer, pickle, depth);
	else if (PyUnicode_CheckExact(value))
		return write_str(value, packer, pickle, depth);
	else if (is_container(value))
		return write_container(value, packer, pickle, depth);
	else if (PyBytes_CheckExact(value) || PyByteArray_CheckExact(value))
		return write_bin(value, packer);
	else if (PyMemoryView_Check(value) && PyBuffer_IsContiguous(PyMemoryView_GET_BUFFER(value), 'C'))
		return write_bin(value, packer);
	else
		return write_encoded(value, packer, pickle, depth);
	return 0;
}

int write_item(PyObject *value, msgpack_packer *packer, bool pickle, int depth)
{
	return write_value(value, packer, pickle, depth);
}

int write_object(PyObject *value, msgpack_packer *packer, bool pickle)
{
	return write_value(value, packer, pickle, 0);
}

/* Sets an exception if writing has failed for want of memory. Returns whether it has. */
static bool raise_if_failed(const struct objpool_buffer *buffer)
{
	if (buffer->failed)
		PyErr_NoMemory();
	return buffer->failed;
}

/* `around`: how many outer levels of `value` do not count as levels of a value on the wire. */
static PyObject *write_within(PyObject *value, bool pickle, int around)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	PyObject *bytes = NULL;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	if (write_value(value, &packer, pickle, -around) == 0 && !raise_if_failed(&buffer))
		bytes = PyBytes_FromStringAndSize(buffer.data, (Py_ssize_t)buffer.size);
	objpool_buffer_free(&buffer);
	return bytes;
}

PyObject *write_bytes(PyObject *value, bool pickle)
{
	return write_within(value, pickle, 0);
}

PyObject *write_arguments(PyObject *list, bool pickle)
{
	return write_within(list, pickle, 1);
}

/* ---- results ---- */

/* The packed items of an iterator. */
struct items {
	struct objpool_buffer buffer;
	msgpack_packer packer;
	bool pickle;
	uint32_t count;
	uint64_t limit; /* bytes */
};

/* An array head whose count comes later: dd and 4 bytes. */
static void put_count(msgpack_packer *packer, uint32_t n)
{
	const uint8_t head[5] = {0xdd, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
	(void)packer->callback(packer->data, (const char *)head, sizeof head);
}

/* Stops over the limit: the host will then fail the call, since its result is too large. */
static int take_items(PyObject *iterator, struct items *items)
{
	PyObject *item;

	for (items->count = 0; items->buffer.size <= items->limit && (item = PyIter_Next(iterator)); items->count++) {
		const int r = write_value(item, &items->packer, items->pickle, 1);
		Py_DECREF(item);
		if (r < 0 || raise_if_failed(&items->buffer))
			return -1;
	}
	return PyErr_Occurred() ? -1 : 0;
}

static int write_array(PyObject *iterator, struct items *items, msgpack_packer *packer)
{
	if (take_items(iterator, items) < 0)
		return -1;
	put_count(packer, items->count);
	if (items->buffer.size > 0)
		(void)packer->callback(packer->data, items->buffer.data, items->buffer.size);
	return 0;
}

/* Gives one item to a caller that streams. May wait for the caller. 1: it takes no more. */
static int give_item(struct objpool_call *call, PyObject *item, struct items *items)
{
	int r;

	objpool_buffer_clear(&items->buffer);
	const int written = write_value(item, &items->packer, items->pickle, 0);
	end_if_forked();
	if (written < 0 || raise_if_failed(&items->buffer))
		return -1;
	Py_BEGIN_ALLOW_THREADS
	r = objpool_yield(call, items->buffer.data, items->buffer.size);
	Py_END_ALLOW_THREADS
	if (r == 0 || r == -ECANCELED)
		return r < 0;
	if (r == -EINVAL)
		PyErr_Format(PyExc_ValueError, "an item is %zu bytes, over max_message = %llu bytes", items->buffer.size,
			     (unsigned long long)items->limit);
	else
		PyErr_Format(PyExc_ValueError, "an item of %zu bytes could not be sent: %s", items->buffer.size, strerror(-r));
	return -1;
}

static int give_items(struct objpool_call *call, PyObject *iterator, struct items *items)
{
	PyObject *item;
	int r = 0;

	while (r == 0 && (item = PyIter_Next(iterator))) {
		r = give_item(call, item, items);
		Py_DECREF(item);
	}
	return r < 0 || PyErr_Occurred() ? -1 : 0;
}

/* Gives the items one by one to a caller that streams, otherwise all of them as an array. */
static int write_iterator(struct objpool_call *call, PyObject *iterator, msgpack_packer *packer, bool pickle, uint64_t limit)
{
	struct items items = {.pickle = pickle, .limit = limit};

	msgpack_packer_init(&items.packer, &items.buffer, objpool_buffer_write);
	const bool streams = objpool_yield(call, NULL, 0) == 0;
	const int r = streams ? give_items(call, iterator, &items) : write_array(iterator, &items, packer);
	objpool_buffer_free(&items.buffer);
	return r;
}

static bool is_plain(PyObject *value)
{
	return value == Py_None || PyLong_Check(value) || PyFloat_CheckExact(value) || PyUnicode_CheckExact(value) ||
	       is_container(value) || PyBytes_CheckExact(value);
}

/* Runs a coroutine, or an asynchronous generator, to its end: its call can't be put off. */
static int write_finished(struct objpool_call *call, PyObject *value, msgpack_packer *packer, bool pickle, uint64_t limit)
{
	if (PyCoro_CheckExact(value)) {
		PyObject *finished = host_call("finish", "(O)", value);
		const int r = finished ? write_result(call, finished, packer, pickle, limit) : -1;
		Py_XDECREF(finished);
		return r;
	}
	PyObject *items = host_call("iterate", "(O)", value);
	const int r = items ? write_iterator(call, items, packer, pickle, limit) : -1;
	Py_XDECREF(items);
	return r;
}

int write_result(struct objpool_call *call, PyObject *value, msgpack_packer *packer, bool pickle, uint64_t limit)
{
	if (is_plain(value))
		return write_value(value, packer, pickle, 0);
	if (PyCoro_CheckExact(value) || PyAsyncGen_CheckExact(value)) {
		const int begun = concurrent_begin(call, value);
		return begun == 0 ? write_finished(call, value, packer, pickle, limit) : begun < 0 ? -1 : 0;
	}
	return PyIter_Check(value) ? write_iterator(call, value, packer, pickle, limit) : write_value(value, packer, pickle, 0);
}
