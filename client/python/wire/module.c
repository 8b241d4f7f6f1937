/* SPDX-License-Identifier: Apache-2.0 */
/* objpool_wire, the extension module: wire.h says what it is. */
#include "client/python/wire/wire.h"

PyMODINIT_FUNC PyInit_objpool_wire(void);

static PyObject *pack(PyObject *module, PyObject *message)
{
	(void)module;
	return wire_pack_plain(message);
}

static int fill(PyObject *module)
{
	if (line_init() < 0 || PyModule_AddStringConstant(module, "__version__", OBJPOOL_VERSION) < 0)
		return -1;
	PyObject *line = Py_NewRef((PyObject *)&line_type);
	if (PyModule_AddObject(module, "Line", line) == 0)
		return 0;
	Py_DECREF(line);
	return -1;
}

PyMODINIT_FUNC PyInit_objpool_wire(void)
{
	static PyMethodDef methods[] = {
		{"pack", pack, METH_O, "pack(message): its bytes; None if not all of its values are plain."},
		{NULL, NULL, 0, NULL},
	};
	static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "objpool_wire", .m_size = -1,
						.m_methods = methods};

	PyObject *module = PyModule_Create(&definition);
	if (module && fill(module) < 0)
		Py_CLEAR(module);
	return module;
}
