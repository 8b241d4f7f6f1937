/* SPDX-License-Identifier: Apache-2.0 */
/* Class "*", which stands for any `module:Class`: the functions of the plugin interface. */
#include "plugins/python/python.h"

enum { ARGS_FEW = 16 };

static PyObject *factory;            /* makes instances; loaded in the template */
static PyObject *methods;            /* of the class: [(name, signature, doc)] */
static PyObject *constructor_reader; /* of the constructor's arguments; NULL: they stay as they come */

enum { RECORDS = 256 /* that a class describes, at most */ };
uint64_t max_result;

/* The method that was called last: it has been checked, and its name is a Python string. The host gives the same pointer for the
 * same name. */
static struct {
	PyObject *name;
	PyObject *reader; /* of its arguments; NULL: they stay as they come */
	char text[256];
} last;

/* ---- in the template ---- */

/* A list of the strings in a setting. */
static PyObject *list_setting(const struct objpool_call *call, const char *name)
{
	const msgpack_object *setting = objpool_setting(call, name);
	return setting ? read_object(setting, false) : PyList_New(0);
}

static PyObject *text_setting(const struct objpool_call *call, const char *name)
{
	const msgpack_object *setting = objpool_setting(call, name);
	return setting ? read_object(setting, false) : PyUnicode_FromString("");
}

static void read_settings(const struct objpool_call *call)
{
	const msgpack_object *unpickle = objpool_setting(call, "unpickle"), *max = objpool_setting(call, "max_message");

	may_pickle = unpickle && unpickle->type == MSGPACK_OBJECT_BOOLEAN && unpickle->via.boolean;
	max_result = max && max->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? max->via.u64 : UINT64_MAX;
}

static PyObject *positional(const struct objpool_args *args)
{
	PyObject *list = PyList_New(0);

	for (uint32_t i = 0; list && i < args->count; i++) {
		PyObject *value = read_object(&args->values[i], may_pickle);
		if (!value || PyList_Append(list, value) < 0)
			Py_CLEAR(list);
		Py_XDECREF(value);
	}
	return list;
}

/* Reads the constructor's arguments here only because the class may be among them. */
static PyObject *load_class(struct objpool_call *call, const struct objpool_args *args, PyObject *modules)
{
	const char *name = objpool_class_name(call);
	PyObject *values = name && strcmp(name, "objpool:Pickled") == 0 && may_pickle ? positional(args) : PyList_New(0);

	if (!values) {
		PyErr_Clear(); /* each worker will report it as the error of the constructor */
		values = PyList_New(0);
	}
	return host_call("load", "(sNON)", name, modules, may_pickle ? Py_True : Py_False, values);
}

static uint32_t hooks_of(PyObject *names)
{
	static const struct {
		const char *name;
		uint32_t hook;
	} known[] = {{"session_end", OBJPOOL_HOOK_SESSION_END},
		     {"leased", OBJPOOL_HOOK_LEASED},
		     {"released", OBJPOOL_HOOK_LEASED},
		     {"snapshot", OBJPOOL_HOOK_SNAPSHOT}};
	uint32_t hooks = 0;

	for (size_t k = 0; k < sizeof known / sizeof *known; k++)
		for (Py_ssize_t i = 0; i < PyList_Size(names); i++)
			if (PyUnicode_CompareWithASCIIString(PyList_GET_ITEM(names, i), known[k].name) == 0)
				hooks |= known[k].hook;
	return hooks;
}

/* The texts of a list; they are its strings'. Ends with NULL. */
static void texts_of(PyObject *list, const char *texts[RECORDS])
{
	Py_ssize_t n = 0;

	for (; n < PyList_GET_SIZE(list) && n < RECORDS - 1 && (texts[n] = PyUnicode_AsUTF8(PyList_GET_ITEM(list, n))); n++)
		;
	PyErr_Clear();
	texts[n] = NULL;
}

static int describe(struct objpool_call *call)
{
	struct objpool_description description = {.size = sizeof description};
	PyObject *described = host_call("describe", "(O)", factory), *hooks, *records, *reader;
	const char *texts[RECORDS];

	if (!described || !PyArg_ParseTuple(described, "ssO!OO!O", &description.doc, &description.signature, &PyList_Type, &hooks,
					    &methods, &PyList_Type, &records, &reader)) {
		Py_XDECREF(described);
		return -1;
	}
	Py_INCREF(methods);
	constructor_reader = reader == Py_None ? NULL : Py_NewRef(reader);
	description.hooks = hooks_of(hooks);
	texts_of(records, texts);
	description.types = texts;
	objpool_describe(call, &description);
	Py_DECREF(described);
	return 0;
}

static int begin(struct objpool_call *call)
{
	PyObject *begun = host_call("begin", "(NN)", list_setting(call, "python_path"), text_setting(call, "virtualenv"));
	Py_XDECREF(begun);
	return begun ? 0 : -1;
}

/* Fails the call with the message of the exception. The traceback goes to the log. */
static int fail_to_load(struct objpool_call *call)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	Py_XINCREF(type);
	Py_XINCREF(value);
	Py_XINCREF(trace);
	PyErr_Display(type, value, trace);
	PyErr_Restore(type, value, trace);
	(void)fail_with_words(call, NULL, objpool_class_name(call) ? objpool_class_name(call) : "");
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
	return -1;
}

/* Imports the class's module and, with `all`, the modules of the key preload. */
static int load(struct objpool_call *call, const struct objpool_args *args, bool all)
{
	read_settings(call);
	if (interpreter_start(call) < 0)
		return -1;
	handle_set(call);
	const bool ready = begin(call) == 0 &&
			   (factory = load_class(call, args, all ? list_setting(call, "preload") : PyList_New(0))) &&
			   describe(call) == 0;
	handle_set(NULL);
	if (!ready)
		return fail_to_load(call);
	interpreter_forks();
	return 0;
}

static int python_preload(struct objpool_call *call, const struct objpool_args *args)
{
	return load(call, args, true);
}

static int python_list_methods(struct objpool_call *call, msgpack_packer *result)
{
	static const char *const keys[] = {"name", "signature", "doc"};
	const Py_ssize_t n = PySequence_Size(methods);

	(void)call;
	msgpack_pack_array(result, (size_t)n);
	for (Py_ssize_t i = 0; i < n; i++) {
		PyObject *method = PyList_GetItem(methods, i);
		msgpack_pack_map(result, 3);
		for (Py_ssize_t k = 0; k < 3; k++) {
			const char *text = PyUnicode_AsUTF8(PyTuple_GetItem(method, k));
			write_text(result, keys[k]);
			write_text(result, text ? text : "");
			PyErr_Clear();
		}
	}
	return 0;
}

/* ---- arguments ---- */

/* The arguments of a vectorcall: the instance, positional values, values of keywords; and a tuple of the names of keywords. It is
 * used for one item after the other of a run. */
struct arguments {
	PyObject *few[ARGS_FEW + 1];
	PyObject **values; /* [0] is the instance, or a place that the callee may use */
	uint32_t count;
	PyObject *reader;           /* changes the values as annotations say; NULL: none. Borrowed */
	PyObject *names;            /* NULL: no keywords. Kept for the next item, whose keywords are mostly the same */
	const char *keys[ARGS_FEW]; /* where the names lie */
};

static void arguments_begin(struct arguments *arguments, PyObject *reader)
{
	arguments->values = arguments->few;
	arguments->count = 0;
	arguments->reader = reader;
	arguments->names = NULL;
}

/* Drops the values. The names stay. */
static void arguments_drop(struct arguments *arguments)
{
	for (uint32_t i = 0; i < arguments->count; i++)
		Py_DECREF(arguments->values[1 + i]);
	if (arguments->values != arguments->few)
		PyMem_Free(arguments->values);
	arguments->values = arguments->few;
	arguments->count = 0;
}

static void arguments_free(struct arguments *arguments)
{
	arguments_drop(arguments);
	Py_CLEAR(arguments->names);
}

static int add_value(struct arguments *arguments, struct objpool_call *call, const msgpack_object *object)
{
	PyObject *value = read_argument(call, object, may_pickle);
	if (!value)
		return -1;
	arguments->values[1 + arguments->count++] = value;
	return 0;
}

/* Are the keywords those of the item before? They are if their names lie at the same places: while a run lasts nothing else is
 * put there. */
static bool has_names(const struct arguments *arguments, const struct objpool_args *args)
{
	const uint32_t n = args->kwcount;

	if (n > ARGS_FEW || (arguments->names ? (uint32_t)PyTuple_GET_SIZE(arguments->names) : 0) != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (arguments->keys[i] != args->kwargs[i].key.via.str.ptr)
			return false;
	return true;
}

static PyObject *name_of(const msgpack_object_str *key)
{
	PyObject *name = PyUnicode_DecodeUTF8(key->ptr, (Py_ssize_t)key->size, NULL);
	if (name)
		PyUnicode_InternInPlace(&name);
	return name;
}

static int read_names(struct arguments *arguments, const struct objpool_args *args)
{
	if (has_names(arguments, args))
		return 0;
	Py_XSETREF(arguments->names, args->kwcount > 0 ? PyTuple_New((Py_ssize_t)args->kwcount) : NULL);
	if (args->kwcount > 0 && !arguments->names)
		return -1;
	for (uint32_t i = 0; i < args->kwcount; i++) {
		PyObject *name = name_of(&args->kwargs[i].key.via.str);
		if (!name) {
			Py_CLEAR(arguments->names);
			return -1;
		}
		PyTuple_SET_ITEM(arguments->names, (Py_ssize_t)i, name);
		if (i < ARGS_FEW)
			arguments->keys[i] = args->kwargs[i].key.via.str.ptr;
	}
	return 0;
}

static int make_room(struct arguments *arguments, size_t n)
{
	PyObject **values = n <= ARGS_FEW ? arguments->few : PyMem_Malloc((n + 1) * sizeof *values);

	arguments->values = values ? values : arguments->few;
	if (values)
		return 0;
	PyErr_NoMemory();
	return -1;
}

/* Has the reader change the values. */
static int convert(struct arguments *arguments)
{
	const Py_ssize_t n = (Py_ssize_t)arguments->count;
	PyObject *list = PyList_New(n), *names = arguments->names ? Py_NewRef(arguments->names) : PyTuple_New(0);

	for (Py_ssize_t i = 0; list && i < n; i++)
		PyList_SET_ITEM(list, i, Py_NewRef(arguments->values[1 + i]));
	PyObject *done = list && names ? PyObject_CallFunctionObjArgs(arguments->reader, list, names, NULL) : NULL;
	for (Py_ssize_t i = 0; done && i < n; i++)
		Py_SETREF(arguments->values[1 + i], Py_NewRef(PyList_GET_ITEM(list, i)));
	Py_XDECREF(done);
	Py_XDECREF(names);
	Py_XDECREF(list);
	return done ? 0 : -1;
}

/* Reads the arguments of the next item: those of the one before have been dropped. */
static int arguments_read(struct arguments *arguments, struct objpool_call *call, const struct objpool_args *args)
{
	int r = make_room(arguments, (size_t)args->count + args->kwcount);

	if (r == 0)
		r = read_names(arguments, args);
	for (uint32_t i = 0; r == 0 && i < args->count; i++)
		r = add_value(arguments, call, &args->values[i]);
	for (uint32_t i = 0; r == 0 && i < args->kwcount; i++)
		r = add_value(arguments, call, &args->kwargs[i].val);
	if (r == 0 && arguments->reader)
		r = convert(arguments);
	if (r < 0)
		arguments_free(arguments);
	return r;
}

static int bad_arguments(struct objpool_call *call)
{
	if (PyErr_ExceptionMatches(PyExc_MemoryError))
		return fail_with_exception(call); /* the error is not about the argument */
	return fail_with_words(call, "BAD_ARGUMENT", "an argument can't be read");
}

/* ---- in the worker ---- */

/* Called before and after all that Python does for a call. */
static void enter(struct objpool_call *call)
{
	interpreter_enter();
	handle_set(call);
}

static void leave(struct objpool_call *call)
{
	memory_end(call);
	concurrent_watch(call, false);
	handle_set(NULL);
}

static int worker_begins(struct objpool_call *call)
{
	PyObject *begun = host_call("worker_begins", "(Ni)", list_setting(call, "slot_env"), (int)call->place->slot);
	Py_XDECREF(begun);
	return begun ? cancel_start(call) : -1;
}

static int python_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	struct arguments arguments;

	arguments_begin(&arguments, constructor_reader);
	enter(call);
	interpreter_is_worker();
	handle_is_worker();
	if (worker_begins(call) < 0)
		return fail_with_exception(call);
	if (arguments_read(&arguments, call, args) < 0)
		return bad_arguments(call);
	*self = PyObject_Vectorcall(factory, arguments.values + 1, args->count | PY_VECTORCALL_ARGUMENTS_OFFSET, arguments.names);
	end_if_forked();
	arguments_free(&arguments);
	const int r = *self ? 0 : fail_with_exception(call);
	leave(call);
	return r;
}

static PyObject *keywords(const struct objpool_args *args)
{
	PyObject *values = PyDict_New();

	for (uint32_t i = 0; values && i < args->kwcount; i++) {
		const msgpack_object_str *key = &args->kwargs[i].key.via.str;
		PyObject *name = PyUnicode_DecodeUTF8(key->ptr, (Py_ssize_t)key->size, NULL);
		PyObject *value = name ? read_object(&args->kwargs[i].val, may_pickle) : NULL;
		if (!value || PyDict_SetItem(values, name, value) < 0)
			Py_CLEAR(values);
		Py_XDECREF(name);
		Py_XDECREF(value);
	}
	return values;
}

static int python_check(struct objpool_call *call, const struct objpool_args *args)
{
	if (!factory && load(call, args, false) < 0)
		return -1;
	enter(call);
	PyObject *values = positional(args), *named = values ? keywords(args) : NULL;
	PyObject *done = named ? host_call("check", "(OOO)", factory, values, named) : NULL;
	const int r = done ? 0 : named ? fail_with_exception(call) : bad_arguments(call);
	Py_XDECREF(values);
	Py_XDECREF(named);
	Py_XDECREF(done);
	leave(call);
	return r;
}

static void python_destroy(void *self)
{
	interpreter_enter();
	PyObject *loop = host_call("end_loop", "()");
	if (!loop)
		failure_print();
	Py_XDECREF(loop);
	Py_DECREF((PyObject *)self);
	PyObject *ended = host_call("worker_ends", "()");
	if (!ended)
		failure_print();
	Py_XDECREF(ended);
	interpreter_end();
}

static void python_idle(void *self)
{
	(void)self;
	interpreter_idle();
}

/* ---- methods ---- */

/* The plugin's names for classes that clients have sent tell clients nothing: the error has the name of the object's class
 * instead. */
static int no_such_method(PyObject *self, struct objpool_call *call)
{
	const char *class = objpool_class_name(call);
	if (!class || strncmp(class, "objpool:", strlen("objpool:")) == 0)
		class = Py_TYPE(self)->tp_name;
	return objpool_fail_code(call, "NO_SUCH_METHOD", "class %.200s has no method \"%.200s\"", class, call->method);
}

/* 1, 0, or -1 with an exception set. Sets *reader to a new reference, or to NULL: arguments stay as they come. */
static int has_method(PyObject *self, PyObject *name, PyObject **reader)
{
	PyObject *found = host_call("find_method", "(OO)", self, name);
	const int r = found ? found != Py_False : -1;

	*reader = found && !PyBool_Check(found) ? Py_NewRef(found) : NULL;
	Py_XDECREF(found);
	return r;
}

/* Sets `last` to the method that is called. 0; -1: it has failed the call. */
static int find_method(PyObject *self, struct objpool_call *call)
{
	if (last.name && strcmp(last.text, call->method) == 0)
		return 0;
	Py_CLEAR(last.name);
	Py_CLEAR(last.reader);
	PyObject *name = PyUnicode_DecodeUTF8(call->method, (Py_ssize_t)strlen(call->method), "surrogateescape");
	if (!name)
		return fail_with_exception(call);
	PyUnicode_InternInPlace(&name);
	const int r = has_method(self, name, &last.reader);
	if (r == 1 && strlen(call->method) < sizeof last.text) {
		strcpy(last.text, call->method);
		last.name = name;
		return 0;
	}
	Py_DECREF(name);
	return r < 0 ? fail_with_exception(call) : no_such_method(self, call);
}

/* Was the attribute error raised in looking for the method? Then no Python code has run, and it has no traceback. An error that
 * has one may be the method's own: it has run. */
static bool is_missing(PyObject *self, PyObject *trace)
{
	PyObject *reader = NULL;
	const bool missing = !trace && has_method(self, last.name, &reader) == 0;

	Py_XDECREF(reader);
	return missing;
}

static int fail_of_method(PyObject *self, struct objpool_call *call)
{
	PyObject *type, *value, *trace;

	if (!PyErr_ExceptionMatches(PyExc_AttributeError))
		return fail_with_exception(call);
	PyErr_Fetch(&type, &value, &trace);
	const bool missing = is_missing(self, trace);
	PyErr_Restore(type, value, trace);
	if (!missing)
		return fail_with_exception(call);
	PyErr_Clear();
	return no_such_method(self, call);
}

/* Takes the value that a method has returned. NULL: it has raised an exception. */
static int write_value(PyObject *self, struct objpool_call *call, PyObject *value, msgpack_packer *result)
{
	const bool put_off = later_was_made(!value);

	if (!value)
		return fail_of_method(self, call);
	if (put_off) {
		Py_DECREF(value);
		return 0;
	}
	const int r = write_result(call, value, result, may_pickle, max_result);
	end_if_forked();
	Py_DECREF(value);
	return r < 0 ? fail_with_exception(call) : 0;
}

static int run_method(PyObject *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct arguments arguments;

	if (find_method(self, call) < 0)
		return -1;
	arguments_begin(&arguments, last.reader);
	if (arguments_read(&arguments, call, args) < 0)
		return bad_arguments(call);
	arguments.values[0] = self;
	PyObject *value = PyObject_VectorcallMethod(last.name, arguments.values, (1 + args->count), arguments.names);
	end_if_forked();
	arguments_free(&arguments);
	return write_value(self, call, value, result);
}

static int python_dispatch(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	enter(call);
	cancel_begin();
	const int r = run_method(self, call, args, result);
	leave(call);
	return r;
}

/* Fails the call, or gives it a value. */
static int run_item(PyObject *self, PyObject *method, struct objpool_call *call, const struct objpool_args *args,
		    struct arguments *arguments, msgpack_packer *result)
{
	if (arguments_read(arguments, call, args) < 0)
		return bad_arguments(call);
	PyObject *value = PyObject_Vectorcall(method, arguments->values + 1, args->count | PY_VECTORCALL_ARGUMENTS_OFFSET,
					      arguments->names);
	end_if_forked();
	arguments_drop(arguments);
	return write_value(self, call, value, result);
}

/* Looks up the method once for all items. */
static int run_items(PyObject *self, struct objpool_call *call, msgpack_packer *result)
{
	const struct objpool_args *args;
	struct arguments arguments;

	if (find_method(self, call) < 0)
		return -1;
	PyObject *method = PyObject_GetAttr(self, last.name);
	if (!method)
		return fail_of_method(self, call);
	PyObject *reader = last.reader; /* the methods may call others */
	Py_XINCREF(reader);
	arguments_begin(&arguments, reader);
	while ((args = objpool_next_item(call))) {
		(void)run_item(self, method, call, args, &arguments, result);
		memory_end(call);
	}
	arguments_free(&arguments);
	Py_XDECREF(reader);
	Py_DECREF(method);
	return 0;
}

static int python_dispatch_many(void *self, struct objpool_call *call, msgpack_packer *result)
{
	enter(call);
	cancel_begin();
	const int r = run_items(self, call, result);
	leave(call);
	return r;
}

/* ---- hooks ---- */

/* Calls a hook. The class may not have it (a class that came by value): then NULL, without an exception. */
static PyObject *call_hook(PyObject *self, const char *name, const char *format, ...)
{
	PyObject *has = host_call("has_hook", "(Os)", Py_TYPE(self), name), *args, *result = NULL;
	PyObject *hook = has == Py_True ? PyObject_GetAttrString(self, name) : NULL;
	va_list list;

	Py_XDECREF(has);
	if (!hook)
		return NULL;
	va_start(list, format);
	args = Py_VaBuildValue(format, list);
	va_end(list);
	if (args)
		result = PyObject_CallObject(hook, args);
	if (result && PyCoro_CheckExact(result)) {
		PyObject *coroutine = result;
		result = host_call("finish", "(O)", coroutine);
		Py_DECREF(coroutine);
	}
	end_if_forked();
	Py_XDECREF(args);
	Py_DECREF(hook);
	return result;
}

static void python_session_end(void *self, struct objpool_call *call, uint64_t session)
{
	enter(call);
	concurrent_tell_cancelled();
	Py_XDECREF(call_hook(self, "session_end", "(K)", (unsigned long long)session));
	if (PyErr_Occurred())
		failure_print();
	leave(call);
}

static int python_leased(void *self, struct objpool_call *call)
{
	enter(call);
	Py_XDECREF(call_hook(self, "leased", "(K)", (unsigned long long)call->session));
	const int r = PyErr_Occurred() ? fail_with_exception(call) : 0;
	leave(call);
	return r;
}

static void python_released(void *self, struct objpool_call *call)
{
	enter(call);
	Py_XDECREF(call_hook(self, "released", "(K)", (unsigned long long)call->session));
	if (PyErr_Occurred())
		failure_print();
	leave(call);
}

/* The state goes from one worker of the pool to the next and never to a client, so it may be pickled. */
static int python_snapshot(void *self, struct objpool_call *call, msgpack_packer *state)
{
	enter(call);
	PyObject *value = concurrent_settle() < 0 ? NULL : call_hook(self, "snapshot", "()");
	if (value)
		(void)write_object(value, state, true);
	else
		msgpack_pack_nil(state);
	Py_XDECREF(value);
	const int r = PyErr_Occurred() ? fail_with_exception(call) : 0;
	leave(call);
	return r;
}

static int python_restore(void *self, struct objpool_call *call, const msgpack_object *state)
{
	enter(call);
	PyObject *value = read_object(state, true);
	PyObject *done = value ? call_hook(self, "restore", "(O)", value) : NULL;
	const int r = PyErr_Occurred() ? fail_with_exception(call) : 0;
	Py_XDECREF(value);
	Py_XDECREF(done);
	leave(call);
	return r;
}

/* ---- calls that were put off ---- */

static void python_deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	(void)self;
	interpreter_enter();
	struct objpool_call *before = handle_set(NULL); /* the call may be answered and freed meanwhile */
	concurrent_watch(call, true);
	if (concurrent_is(call))
		concurrent_event(call, event);
	else
		later_happened(call, event);
	handle_set(before);
}

static void python_ready(void *self, struct objpool_call *call)
{
	(void)self;
	enter(call);
	cancel_begin_step();
	concurrent_step();
	cancel_end_step();
	leave(call);
}

/* ---- the plugin ---- */

static const struct objpool_class any_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_FORK_SAFE, /* numpy's OpenBLAS threads are safe; host/factory.py reports Python's own threads */
	.name = "*",
	.doc = "A class written in Python.",
	.signature = "(...)",
	.preload = python_preload,
	.create = python_create,
	.destroy = python_destroy,
	.dispatch = python_dispatch,
	.dispatch_many = python_dispatch_many,
	.list_methods = python_list_methods,
	.session_end = python_session_end,
	.snapshot = python_snapshot,
	.restore = python_restore,
	.leased = python_leased,
	.released = python_released,
	.idle = python_idle,
	.check = python_check,
	.deferred = python_deferred,
	.ready = python_ready,
};

static const struct objpool_class *const classes[] = {&any_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "python",
	.version = OBJPOOL_VERSION,
	.classes = classes,
};
