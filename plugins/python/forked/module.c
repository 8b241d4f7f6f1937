/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool_forked: an extension module with which a process of a Python program becomes the template of a pool: a fork of the
 * program, or a Python that it has started. It has the plugin and the workers' host in it, and takes the interpreter that it
 * finds itself in.
 *
 *   program                          its child                        daemon
 *   listens at an abstract name
 *   forks, or spawns ------------->  serve(listener)
 *   objpool.create {template: name} --------------------------------> connects
 *                                    LOAD, FORK, ...  <-------------> (proto/channel.h)
 *
 * Or the daemon itself has started the Python (plugins/python/template.py): serve_daemon(channel).
 */
#include "plugins/python/python.h"

#include "daemon/worker/template_main.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_EVERY = 500 }; /* milliseconds: is the program still there? */

extern const struct objpool_plugin objpool_plugin;

static bool is_own(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* The daemon's connection; -1: there will be none. Others can find the name: they are turned away. */
static int await_daemon(int listener, pid_t program)
{
	struct pollfd input = {.fd = listener, .events = POLLIN};
	int fd;

	while (getppid() == program) {
		const int n = poll(&input, 1, LOOK_EVERY);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n <= 0)
			continue;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && is_own(fd))
			return fd;
		if (fd >= 0)
			(void)close(fd);
	}
	return -1;
}

static PyObject *prepare(PyObject *module, PyObject *unused)
{
	(void)module, (void)unused;
	return interpreter_adopt(true) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *serve(PyObject *module, PyObject *args)
{
	int listener, program;

	(void)module;
	if (!PyArg_ParseTuple(args, "ii:serve", &listener, &program))
		return NULL;
	const int channel = await_daemon(listener, program);
	(void)close(listener);
	if (channel < 0)
		_exit(0);
	template_offered(channel, &objpool_plugin);
}

static PyObject *serve_daemon(PyObject *module, PyObject *args)
{
	int channel;

	(void)module;
	if (!PyArg_ParseTuple(args, "i:serve_daemon", &channel))
		return NULL;
	template_main(channel, &objpool_plugin, NULL);
}

PyMODINIT_FUNC PyInit_objpool_forked(void);

PyMODINIT_FUNC PyInit_objpool_forked(void)
{
	static PyMethodDef methods[] = {
		{"prepare", prepare, METH_NOARGS,
		 "prepare(): in a program that is going to fork, what needn't be done in each fork."},
		{"serve", serve, METH_VARARGS,
		 "serve(listener, program): becomes the template of the pool whose daemon connects; does not return. `listener` "
		 "is a\n"
		 "descriptor, `program` the pid of the parent, with which this process ends if nobody connects."},
		{"serve_daemon", serve_daemon, METH_VARARGS,
		 "serve_daemon(channel): is the template of a pool whose daemon has started this process; does not return."},
		{NULL, NULL, 0, NULL},
	};
	static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "objpool_forked", .m_size = -1,
						.m_methods = methods};

	PyObject *module = PyModule_Create(&definition);
	if (module && PyModule_AddStringConstant(module, "__version__", OBJPOOL_VERSION) < 0)
		Py_CLEAR(module);
	return module;
}
