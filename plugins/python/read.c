/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/python/python.h"

bool may_pickle;

static struct objpool_call *lender; /* the call whose bytes arrays may use; NULL: none */
static bool in_header;

static PyObject *read_array(const msgpack_object_array *array, bool unpickle)
{
	PyObject *list = PyList_New((Py_ssize_t)array->size);

	for (uint32_t i = 0; list && i < array->size; i++) {
		PyObject *item = read_object(&array->ptr[i], unpickle);
		if (!item)
			Py_CLEAR(list);
		else
			PyList_SET_ITEM(list, (Py_ssize_t)i, item);
	}
	return list;
}

static PyObject *read_map(const msgpack_object_map *map, bool unpickle)
{
	PyObject *dict = PyDict_New();

	for (uint32_t i = 0; dict && i < map->size; i++) {
		PyObject *key = read_object(&map->ptr[i].key, unpickle);
		PyObject *value = key ? read_object(&map->ptr[i].val, unpickle) : NULL;
		if (!value || PyDict_SetItem(dict, key, value) < 0)
			Py_CLEAR(dict);
		Py_XDECREF(key);
		Py_XDECREF(value);
	}
	return dict;
}

/* `codec \0 bytes` */
static PyObject *read_pickled(const msgpack_object_ext *ext, bool unpickle)
{
	if (!unpickle) {
		PyErr_SetString(PyExc_PermissionError, "it is a pickled object, and this pool has unpickle = no");
		return NULL;
	}
	PyObject *view = PyMemoryView_FromMemory((char *)(uintptr_t)ext->ptr, (Py_ssize_t)ext->size, PyBUF_READ);
	PyObject *object = view ? host_call("loads", "(O)", view) : NULL;
	Py_XDECREF(view); /* released by `loads` */
	return object;
}

/* Reads plain values only: arrays in the headers of arrays would use up the stack. */
static PyObject *read_header(const msgpack_object *header)
{
	in_header = true;
	PyObject *told = read_object(header, false);
	in_header = false;
	return told;
}

/* u16 length of the header, header: [dtype, shape, order], zeros, elements */
static PyObject *read_ndarray(const msgpack_object_ext *ext)
{
	const size_t size = ext->size >= 2 ? ((size_t)(uint8_t)ext->ptr[0] << 8 | (uint8_t)ext->ptr[1]) : 0;
	PyObject *array = NULL, *memory, *told;
	msgpack_unpacked header;
	msgpack_unpack_return r;

	if (size == 0 || size > (size_t)ext->size - 2) {
		PyErr_SetString(PyExc_ValueError, "an ARRAY without a whole header");
		return NULL;
	}
	msgpack_unpacked_init(&header);
	r = msgpack_unpack_next(&header, ext->ptr + 2, size, NULL);
	if (r == MSGPACK_UNPACK_NOMEM_ERROR)
		PyErr_SetString(PyExc_MemoryError, "out of memory in the worker, or an ARRAY's header is nested too deeply");
	else if (r != MSGPACK_UNPACK_SUCCESS || header.data.type != MSGPACK_OBJECT_ARRAY || header.data.via.array.size != 3)
		PyErr_SetString(PyExc_ValueError, "an ARRAY's header must be [dtype, shape, order]");
	else if ((told = read_header(&header.data)) && (memory = memory_of(lender, ext->ptr, ext->size)))
		array = host_call("array", "(NNn)", told, memory, (Py_ssize_t)(2 + size));
	else
		Py_XDECREF(told);
	msgpack_unpacked_destroy(&header);
	return array;
}

static uint64_t big_endian(const char *bytes, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | (uint8_t)bytes[i];
	return number;
}

/* u32 seconds; u30 nanoseconds, u34 seconds; or u32 nanoseconds, i64 seconds */
static PyObject *read_timestamp(const msgpack_object_ext *ext)
{
	uint64_t seconds, nanoseconds = 0;

	if (ext->size == 4) {
		seconds = big_endian(ext->ptr, 4);
	} else if (ext->size == 8) {
		seconds = big_endian(ext->ptr, 8) & ((UINT64_C(1) << 34) - 1);
		nanoseconds = big_endian(ext->ptr, 8) >> 34;
	} else if (ext->size == 12) {
		nanoseconds = big_endian(ext->ptr, 4);
		seconds = big_endian(ext->ptr + 4, 8);
	} else {
		return PyErr_Format(PyExc_ValueError, "a timestamp has 4, 8 or 12 bytes, not %u", ext->size);
	}
	if (nanoseconds > 999999999)
		return PyErr_Format(PyExc_ValueError, "a timestamp has less than 1,000,000,000 nanoseconds, not %llu",
				    (unsigned long long)nanoseconds);
	return host_call("instant", "(LK)", (long long)seconds, (unsigned long long)nanoseconds);
}

static PyObject *read_ext(const msgpack_object_ext *ext, bool unpickle)
{
	if (in_header)
		return PyErr_Format(PyExc_ValueError, "an ARRAY's header can't have ext type %d in it", (int)ext->type);
	if (ext->type == EXT_OBJECT)
		return read_pickled(ext, unpickle);
	if (ext->type == EXT_ARRAY)
		return read_ndarray(ext);
	if (ext->type == EXT_TIMESTAMP)
		return read_timestamp(ext);
	return PyErr_Format(PyExc_TypeError, "it is of ext type %d, which is not known here", (int)ext->type);
}

PyObject *read_object(const msgpack_object *object, bool unpickle)
{
	switch (object->type) {
	case MSGPACK_OBJECT_NIL:
		return Py_NewRef(Py_None);
	case MSGPACK_OBJECT_BOOLEAN:
		return PyBool_FromLong(object->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return PyLong_FromUnsignedLongLong(object->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return PyLong_FromLongLong(object->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return PyFloat_FromDouble(object->via.f64);
	case MSGPACK_OBJECT_STR:
		return PyUnicode_DecodeUTF8(object->via.str.ptr, (Py_ssize_t)object->via.str.size, "surrogateescape");
	case MSGPACK_OBJECT_BIN:
		return PyBytes_FromStringAndSize(object->via.bin.ptr, (Py_ssize_t)object->via.bin.size);
	case MSGPACK_OBJECT_ARRAY:
		return read_array(&object->via.array, unpickle);
	case MSGPACK_OBJECT_MAP:
		return read_map(&object->via.map, unpickle);
	case MSGPACK_OBJECT_EXT:
		return read_ext(&object->via.ext, unpickle);
	}
	return PyErr_Format(PyExc_TypeError, "it is of a type that is not known here");
}

PyObject *read_argument(struct objpool_call *call, const msgpack_object *object, bool unpickle)
{
	lender = call;
	PyObject *value = read_object(object, unpickle);
	lender = NULL;
	return value;
}
