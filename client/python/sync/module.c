/* SPDX-License-Identifier: Apache-2.0 */
/* objpool_sync, the extension module: sync.h says what it is. */
#include "client/python/sync/sync.h"

#include <limits.h>

PyMODINIT_FUNC PyInit_objpool_sync(void);

static int add_type(PyObject *module, PyTypeObject *type)
{
	const char *name = strrchr(type->tp_name, '.') + 1;

	if (PyType_Ready(type) < 0)
		return -1;
	PyObject *added = Py_NewRef((PyObject *)type);
	if (PyModule_AddObject(module, name, added) == 0)
		return 0;
	Py_DECREF(added);
	return -1;
}

static int fill(PyObject *module)
{
	PyTypeObject *const types[] = {&arena_type, &block_type, &lock_type, &semaphore_type, &event_type, &room_type, &log_type};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (add_type(module, types[i]) < 0)
			return -1;
	if (PyModule_AddIntConstant(module, "SEM_VALUE_MAX", INT_MAX) < 0)
		return -1;
	if (PyModule_AddStringConstant(module, "__version__", OBJPOOL_VERSION) < 0)
		return -1;
	return arena_init();
}

PyMODINIT_FUNC PyInit_objpool_sync(void)
{
	static PyMethodDef methods[] = {
		{NULL, NULL, 0, NULL},
	};
	static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "objpool_sync", .m_size = -1,
						.m_methods = methods};

	PyObject *module = PyModule_Create(&definition);
	if (module && fill(module) < 0)
		Py_CLEAR(module);
	return module;
}
