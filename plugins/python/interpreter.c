/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/python/python.h"

#include "python-host.h" /* host_source, host_code, host_magic: host.py, made by the Makefile */

#include <dlfcn.h>
#include <marshal.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static PyObject *host;           /* host.py as a module */
static PyThreadState *released;  /* set while the lock is let go */
static bool forks_workers;       /* in a template, once it is prepared */

/* With AddressSanitizer: what the interpreter never frees is no leak of ours. */
extern void __lsan_disable(void) __attribute__((weak));

/* ---- starting ---- */

/* Extension modules of Debian don't name libpython as what they need, but expect to find its symbols. */
static void promote_library(void)
{
	Dl_info info;

	if (dladdr((void *)Py_InitializeFromConfig, &info) && info.dli_fname)
		(void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

static int fail_to_start(struct objpool_call *call, PyStatus status)
{
	return objpool_fail(call, NULL, "Python could not be started: %s",
			    status.err_msg          ? status.err_msg
			    : PyStatus_IsExit(status) ? "python_options has an option that it does not know, or that ends it"
						    : "it did not say why");
}

/* Takes one of the pool's `python_options`: an option of the interpreter's command line, or the hash seed. Returns NULL, or
 * what is wrong. */
static const char *take_option(PyConfig *config, const char *option, PyStatus *status)
{
	static const char seed[] = "PYTHONHASHSEED=";
	char *end;

	if (strncmp(option, seed, sizeof seed - 1) != 0) {
		const Py_ssize_t n = config->argv.length;
		const bool argument =
			wcscmp(config->argv.items[n - 1], L"-W") == 0 || wcscmp(config->argv.items[n - 1], L"-X") == 0;
		if ((option[0] != '-' || !option[1]) && !argument)
			return "is no option of the interpreter";
		if (strcmp(option, "-Xdev") == 0 || (argument && strcmp(option, "dev") == 0))
			config->dev_mode = 1; /* parsing the arguments does not set it */
		wchar_t *wide = Py_DecodeLocale(option, NULL);
		*status = wide ? PyWideStringList_Append(&config->argv, wide) : PyStatus_NoMemory();
		PyMem_RawFree(wide);
		return NULL;
	}
	option += sizeof seed - 1;
	if (strcmp(option, "random") == 0)
		return NULL;
	const unsigned long long number = strtoull(option, &end, 10);
	if (option[0] < '0' || option[0] > '9' || *end || number > UINT32_MAX)
		return "must have a number below 4294967296, or \"random\"";
	config->use_hash_seed = 1;
	config->hash_seed = (unsigned long)number;
	return NULL;
}

/* Takes all `python_options`. 0; -1: it has failed the call. */
static int take_options(struct objpool_call *call, PyConfig *config, PyStatus *status)
{
	const msgpack_object *options = objpool_setting(call, "python_options");
	char text[1024];

	if (!options || options->type != MSGPACK_OBJECT_ARRAY || options->via.array.size == 0)
		return 0;
	config->parse_argv = 1;
	*status = PyWideStringList_Append(&config->argv, L"python3");
	for (uint32_t i = 0; i < options->via.array.size && !PyStatus_Exception(*status); i++) {
		const msgpack_object_str *option = &options->via.array.ptr[i].via.str;
		snprintf(text, sizeof text, "%.*s", (int)(option->size < sizeof text ? option->size : sizeof text - 1),
			 option->ptr);
		const char *reason = option->size < sizeof text ? take_option(config, text, status) : "is too long";
		if (reason)
			return objpool_fail(call, "ValueError", "python_options: \"%.100s\" %s", text, reason);
	}
	return 0;
}

/* Starts the interpreter. 0; -1: it has failed the call. */
static int initialize(struct objpool_call *call)
{
	PyPreConfig before;
	PyConfig config;
	PyStatus status;

	PyPreConfig_InitIsolatedConfig(&before);
	before.utf8_mode = 1;
	status = Py_PreInitialize(&before);
	if (PyStatus_Exception(status))
		return fail_to_start(call, status);
	PyConfig_InitIsolatedConfig(&config);
	config.install_signal_handlers = 0;
	config.write_bytecode = 0;
	status = PyConfig_SetBytesString(&config, &config.program_name, PYTHON_PROGRAM);
	const int r = PyStatus_Exception(status) ? 0 : take_options(call, &config, &status);
	if (r == 0 && !PyStatus_Exception(status))
		status = Py_InitializeFromConfig(&config);
	PyConfig_Clear(&config);
	return r < 0 ? r : PyStatus_Exception(status) ? fail_to_start(call, status) : 0;
}

/* Compiled when the plugin was built; unless that was by another Python. */
static PyObject *host_bytecode(void)
{
	const long magic = host_magic[0] | host_magic[1] << 8 | host_magic[2] << 16 | (long)host_magic[3] << 24;

	return PyImport_GetMagicNumber() == magic ? PyMarshal_ReadObjectFromString((const char *)host_code, sizeof host_code)
						  : Py_CompileString((const char *)host_source, "<objpool>", Py_file_input);
}

static int load_host(void)
{
	PyObject *code = host_bytecode();
	host = code ? PyModule_New("_objpool_host") : NULL;
	if (!host || PyModule_AddStringConstant(host, "__file__", "<objpool>") < 0) {
		Py_XDECREF(code);
		return -1;
	}
	PyObject *names = PyModule_GetDict(host);
	PyObject *done = PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) < 0
				 ? NULL
				 : PyEval_EvalCode(code, names, names);
	Py_DECREF(code);
	Py_XDECREF(done);
	return done ? 0 : -1;
}

int interpreter_adopt(void)
{
	if (host)
		return 0;
	PyObject *module = handle_module();
	const int r = module ? PyDict_SetItemString(PyImport_GetModuleDict(), "_objpool", module) : -1;

	Py_XDECREF(module);
	return r < 0 || load_host() < 0 || PyModule_AddObjectRef(host, "in_program", Py_True) < 0 ? -1 : 0;
}

int interpreter_start(struct objpool_call *call)
{
	if (Py_IsInitialized())
		return interpreter_adopt() < 0 ? fail_with_exception(call) : 0;
	if (__lsan_disable)
		__lsan_disable();
	promote_library();
	if (PyImport_AppendInittab("_objpool", handle_module) < 0)
		return objpool_fail(call, "MemoryError", "out of memory");
	if (initialize(call) < 0)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN); /* as any Python program has it */
	return load_host() < 0 ? fail_with_exception(call) : 0;
}

PyObject *host_call(const char *function, const char *format, ...)
{
	PyObject *callable = PyObject_GetAttrString(host, function);
	va_list list;

	if (!callable)
		return NULL;
	va_start(list, format);
	PyObject *args = Py_VaBuildValue(format, list);
	va_end(list);
	PyObject *result = args ? PyObject_CallObject(callable, args) : NULL;
	Py_XDECREF(args);
	Py_DECREF(callable);
	return result;
}

/* ---- through a fork ---- */

static void before_fork(void)
{
	if (forks_workers)
		PyOS_BeforeFork();
}

static void after_fork_here(void)
{
	if (forks_workers)
		PyOS_AfterFork_Parent();
}

static void after_fork_there(void)
{
	if (forks_workers)
		PyOS_AfterFork_Child();
}

void interpreter_forks(void)
{
	static bool registered;

	if (!registered)
		(void)pthread_atfork(before_fork, after_fork_here, after_fork_there);
	registered = true;
	forks_workers = true;
}

void interpreter_is_worker(void)
{
	forks_workers = false;
}

void interpreter_end(void)
{
	if (__lsan_disable)
		_exit(0); /* what Python's other threads have allocated is no leak either */
}

/* ---- its lock ---- */

void interpreter_enter(void)
{
	if (!released)
		return;
	PyEval_RestoreThread(released);
	released = NULL;
}

void interpreter_idle(void)
{
	if (!released)
		released = PyEval_SaveThread();
}
