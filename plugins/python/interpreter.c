/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/python/python.h"

#include "python-host.h" /* host_files, host_magic: the files of host/, made by scripts/embed-python.py */

#include <dlfcn.h>
#include <marshal.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define HOST_PACKAGE "_objpool_host"

enum { HOST_FILES = sizeof host_files / sizeof host_files[0] };

static PyObject *host;           /* the module of host/__init__.py */
static PyThreadState *released;  /* set while the lock is released */
static bool forks_workers;       /* in a template, once it is prepared */

/* With AddressSanitizer: memory that the interpreter never frees is no leak. */
extern void __lsan_disable(void) __attribute__((weak));

/* ---- starting ---- */

/* Makes libpython's symbols visible to extension modules: those of Debian need them, but don't name libpython. */
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
 * the reason. */
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

/* The code of a file of the host. It was compiled when the plugin was built, unless another Python built it. */
static PyObject *host_bytecode(size_t file)
{
	const long magic = host_magic[0] | host_magic[1] << 8 | host_magic[2] << 16 | (long)host_magic[3] << 24;

	return PyImport_GetMagicNumber() == magic
		       ? PyMarshal_ReadObjectFromString((const char *)host_files[file].code,
							 (Py_ssize_t)host_files[file].code_size)
		       : Py_CompileString((const char *)host_files[file].source, host_files[file].path, Py_file_input);
}

/* Runs a file of the host as the module of its name, which is in sys.modules from now on. */
static int load_file(size_t file)
{
	PyObject *module = PyImport_AddModule(host_files[file].name); /* borrowed */
	PyObject *code = module ? host_bytecode(file) : NULL;

	if (!code || PyModule_AddStringConstant(module, "__package__", HOST_PACKAGE) < 0) {
		Py_XDECREF(code);
		return -1;
	}
	PyObject *names = PyModule_GetDict(module);
	PyObject *done = PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) < 0
				 ? NULL
				 : PyEval_EvalCode(code, names, names);
	Py_DECREF(code);
	Py_XDECREF(done);
	return done ? 0 : -1;
}

/* Takes the host's modules out of sys.modules once they have found each other. A program then can't import them, and pickles
 * don't refer to them: no client has them. */
static int hide_host(void)
{
	for (size_t i = 0; i < HOST_FILES; i++)
		if (PyDict_DelItemString(PyImport_GetModuleDict(), host_files[i].name) < 0)
			return -1;
	return 0;
}

/* Loads the host. in_program: this process is a program, or is going to be a fork of it. */
static int load_host(bool in_program)
{
	PyObject *module = PyImport_ImportModule("_objpool");
	const int r = module ? PyModule_AddObjectRef(module, "in_program", in_program ? Py_True : Py_False) : -1;

	Py_XDECREF(module);
	if (r < 0)
		return -1;
	module = PyImport_AddModule(HOST_PACKAGE); /* borrowed */
	if (!module)
		return -1;
	host = Py_NewRef(module);
	for (size_t i = 0; i < HOST_FILES; i++)
		if (load_file(i) < 0)
			return -1;
	return hide_host();
}

int interpreter_adopt(bool in_program)
{
	if (host)
		return 0;
	PyObject *module = handle_module();
	const int r = module ? PyDict_SetItemString(PyImport_GetModuleDict(), "_objpool", module) : -1;

	Py_XDECREF(module);
	return r < 0 ? -1 : load_host(in_program);
}

int interpreter_start(struct objpool_call *call)
{
	if (Py_IsInitialized())
		return interpreter_adopt(false) < 0 ? fail_with_exception(call) : 0;
	if (__lsan_disable)
		__lsan_disable();
	promote_library();
	if (PyImport_AppendInittab("_objpool", handle_module) < 0)
		return objpool_fail(call, "MemoryError", "out of memory");
	if (initialize(call) < 0)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN); /* as in any Python program */
	return load_host(false) < 0 ? fail_with_exception(call) : 0;
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
		_exit(0); /* memory of Python's other threads is no leak either */
}

/* ---- its lock ---- */

void interpreter_enter(void)
{
	if (!released)
		return;
	PyEval_RestoreThread(released);
	released = NULL;
}

void interpreter_was_forked(void)
{
	released = NULL;
}

void interpreter_idle(void)
{
	if (!released)
		released = PyEval_SaveThread();
}
