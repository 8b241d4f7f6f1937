/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/python/python.h"

#include <unistd.h>

/* Takes the exception that is set, with its traceback. */
static PyObject *take_exception(void)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (value && trace)
		(void)PyException_SetTraceback(value, trace);
	Py_XDECREF(type);
	Py_XDECREF(trace);
	return value;
}

/* (type, message, traceback, data or None). NULL, without an exception: even that can't be made. */
static PyObject *take_words(void)
{
	PyObject *exception = take_exception();
	PyObject *words = exception ? host_call("failure", "(OO)", exception, may_pickle ? Py_True : Py_False) : NULL;

	PyErr_Clear();
	Py_XDECREF(exception);
	return words;
}

static const char *text_of(PyObject *words, Py_ssize_t i)
{
	const char *text = PyUnicode_AsUTF8(PyTuple_GET_ITEM(words, i));
	if (!text)
		PyErr_Clear();
	return text ? text : "";
}

void failure_print(void)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (type)
		PyErr_Display(type, value, trace);
	PyErr_Clear();
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

int fail_with_exception(struct objpool_call *call)
{
	PyObject *words = take_words();

	if (!words)
		return objpool_fail(call, "MemoryError", "an exception that could not be told, for want of memory or stack");
	PyObject *data = PyTuple_GET_ITEM(words, 3);
	const bool has_data = PyBytes_Check(data);
	const struct objpool_failure error = {.type = text_of(words, 0),
					      .message = text_of(words, 1),
					      .traceback = text_of(words, 2),
					      .data = has_data ? PyBytes_AS_STRING(data) : NULL,
					      .data_size = has_data ? (size_t)PyBytes_GET_SIZE(data) : 0};
	(void)objpool_fail_with(call, &error);
	Py_DECREF(words);
	return -1;
}

void end_if_forked(void)
{
	if (!handle_is_forked())
		return;
	PyObject *exception = PyErr_Occurred() ? take_exception() : NULL;
	(void)host_call("child_ends", "(O)", exception ? exception : Py_None);
	_exit(1);
}

int fail_with_words(struct objpool_call *call, const char *code, const char *context)
{
	PyObject *words = take_words();

	if (!words)
		return objpool_fail_code(call, code, "%s: an exception that could not be told, for want of memory or stack",
					 context);
	(void)objpool_fail_code(call, code, "%s: %s: %s", context, text_of(words, 0), text_of(words, 1));
	Py_DECREF(words);
	return -1;
}
