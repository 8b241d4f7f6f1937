/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <objpool/plugin.h>: write a class that objpool serves.
 *
 * A plugin is a shared object that exports one constant, `objpool_plugin`, which lists classes. objpool starts a pool of
 * worker processes, builds one instance of a class in each, and calls its methods for clients. This header needs nothing
 * but msgpack-c; a plugin links with nothing of objpool's:
 *
 *     cc -shared -fPIC -o counter.so counter.c -lmsgpackc
 *
 * Where code runs.  Each pool has one template process: it loads the plugin, checks this structure and calls `preload`.
 * It then forks the pool's workers; in each, `create` runs once, then methods, one at a time and always on the same
 * thread, then `destroy` at an orderly end. A crash, an exit() or an endless loop in a method hurts that worker only:
 * the caller gets an error and the slot is built again.
 *
 * Who owns what.  Every pointer that a function receives is borrowed: it is valid until that function returns. What must
 * last is copied. Strings and tables in the exported structures must stay valid for ever (string literals do).
 *
 * Versions.  OBJPOOL_ABI changes only when an old plugin could no longer run, and then the plugin is refused with a
 * sentence. Within one ABI the structures grow at their ends; `size` tells which fields a plugin was built with, and what
 * it lacks counts as zero. Fields that are not set must be zero (designated initialisers see to that). A structure may end early,
 * but not before `classes` (struct objpool_plugin), `create` (struct objpool_class) and `call` (struct objpool_method).
 *
 * Descriptors 0, 1 and 2 are the plugin's to use: what it prints reaches the daemon's log with pool and slot in front.
 */
#ifndef OBJPOOL_PLUGIN_H
#define OBJPOOL_PLUGIN_H

#include <msgpack.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OBJPOOL_ABI 1
#define OBJPOOL_ABI_MINOR 2 /* 2: signatures are parsed, and struct objpool_class has `types` */

struct objpool_host;
struct objpool_kept;

/* The place an instance lives in; the same for all of its life. */
struct objpool_place {
	const char *pool;    /* the pool's name */
	uint32_t slot;       /* 0 .. slots - 1 */
	uint32_t slots;      /* how many slots the pool had when this instance was built */
	uint64_t generation; /* how often this slot has been built, from 1 */
};

/*
 * One call, as the functions below see it. Made by the host; valid until the function returns (or, deferred, until it
 * has been answered). Use the objpool_... functions at the end of this header instead of the fields.
 */
struct objpool_call {
	const struct objpool_host *host;
	const struct objpool_place *place;
	const char *method;  /* its name, NUL-terminated; NULL in create and preload */
	uint64_t session;    /* the client connection that called; 0: none. Never used twice in a daemon's life */
	uint64_t caller;     /* what the client says of who calls within its session (a thread, say); 0: nothing */
	uint64_t deadline;   /* CLOCK_MONOTONIC, nanoseconds, when the caller stops waiting; 0: never */
	uint64_t index;      /* in a map or scatter, the item's number in the call, from 0; else 0 */
	void *own;           /* of a deferred call: the class's, to find again what it keeps of it. The host leaves it alone */
};

/* Arguments: positional and by keyword. Empty arrays are count 0, never NULL. Keys of kwargs are always strings. */
struct objpool_args {
	uint32_t count;
	const msgpack_object *values;
	uint32_t kwcount;
	const msgpack_object_kv *kwargs;
};

/*
 * A method.  Writes exactly one msgpack value to `result` and returns 0; or returns anything else, having said why with
 * objpool_fail (what it wrote to `result` is then dropped). Writing nothing means nil. More than one value, or half of
 * one, is an error of the call, not of the daemon. You need not check what msgpack_pack_... returns: when there is no memory
 * for the result, the host drops it and fails the call.
 */
typedef int objpool_method_fn(void *self, struct objpool_call *call, const struct objpool_args *args,
			      msgpack_packer *result);

/*
 * A method that gets a run of items of one map. It asks for the items one by one with objpool_next_item, and writes one value for
 * each to `result`. `call` is always the item that was asked for last: `call->index` is its number, and objpool_fail fails that
 * item and no other. Whatever a method may do with its call, it may do with each item: defer it, call others, ask whether it is
 * cancelled.
 *
 *     const struct objpool_args *args;
 *     while ((args = objpool_next_item(call)))
 *             msgpack_pack_double(result, sqrt(args->values[0].via.f64));
 *     return 0;
 *
 * What it returns is for the item that was asked for last. It may return before objpool_next_item has given NULL: it is then
 * called again for the items that are left. So `return objpool_fail(…)` fails one item here, too.
 */
typedef int objpool_many_fn(void *self, struct objpool_call *call, msgpack_packer *result);

#define OBJPOOL_METHOD_KWARGS   (1u << 0) /* takes keyword arguments; without it a call that has some gets BAD_ARGUMENT */
#define OBJPOOL_METHOD_READONLY (1u << 1) /* a promise: the instance is the same after the call as before it */

/*
 * Signatures.  They are parsed when the class is loaded, checked against min_args, max_args and flags, and given to clients taken
 * apart (objpool.describe). A class with a signature that is wrong is refused, with the place; one without a signature takes any
 * arguments. The language is Python's, of annotated parameters:
 *
 *     (x: float, names: list[str], *, scale: float = 1.0, tag: str | None = None) -> dict[str, list[float]]
 *
 * Types: None bool int float str bytes any list[T] dict[K, V] tuple[T, U] tuple[T, ...] T | U Iterator[T] (the method yields)
 * ndarray ndarray[uint8] ndarray[uint8, 2] timestamp int[0, 255], and the names of the class's `types`. What has no annotation is
 * any; (...) takes anything. Defaults are None, True, False, numbers, "text", b"bytes", [lists], {"maps": 1}, or ..., which does
 * not say the value.
 */

struct objpool_method {
	const char *name;      /* as clients say it; ends the table when NULL */
	const char *signature; /* its types, in the language below: "(x: float, *, scale: float = 1.0) -> float" */
	const char *doc;       /* one line, then more if it helps */
	uint32_t flags;        /* OBJPOOL_METHOD_... */
	objpool_method_fn *call;
	int32_t min_args;      /* positional arguments: fewer, or more, get BAD_ARGUMENT without a call of the method */
	int32_t max_args;      /* -1: any number */
	void *reserved[2];
	objpool_many_fn *many; /* takes runs of items. Optional. Without `call` it takes other calls, too, each as a run of one */
};

#define OBJPOOL_CLASS_THREAD_SAFE (1u << 0) /* instances of one process may run on different threads at once */
#define OBJPOOL_CLASS_FORK_SAFE   (1u << 1) /* threads left by loading and preload survive a fork, or workers do without them */

/* What happens to a deferred call. */
enum objpool_event {
	OBJPOOL_WAKE = 1, /* the time that objpool_defer was given has come: answer it now, or leave it for later */
	OBJPOOL_GONE = 2, /* nobody waits for it any more (cancelled, deadline, client gone); it is freed on return */
	OBJPOOL_ROOM = 3  /* objpool_yield has returned -EAGAIN for it: now it may yield again */
};

struct objpool_class {
	uint32_t size;         /* sizeof(struct objpool_class) */
	uint32_t flags;        /* OBJPOOL_CLASS_... */
	const char *name; /* as `class = ` names it. "*": this one takes any name with a colon in it; see objpool_class_name */
	const char *doc;
	const char *signature; /* of the constructor: "(language: str = \"en_US\")" */

	/* Is called once in the template, before any worker is forked, with the pool's constructor arguments: memory
	 * that it fills is shared, copy-on-write, by all workers. Must leave no threads running: workers would not have them, and
	 * the pool is refused (but see OBJPOOL_CLASS_FORK_SAFE). Optional. Returns 0, or
	 * non-zero having called objpool_fail: the pool then stays unavailable and says why. */
	int (*preload)(struct objpool_call *call, const struct objpool_args *args);

	/* Is called once in each worker. Sets *self to the new instance (NULL is a fine one for a class without state).
	 * Returns 0, or non-zero having called objpool_fail: the slot is then tried again, ever more slowly. Required. */
	int (*create)(struct objpool_call *call, const struct objpool_args *args, void **self);

	/* Is called once at an orderly end: daemon stops, pool shrinks, slot restarts. Not after a crash. Optional. */
	void (*destroy)(void *self);

	/* Ends with an entry whose name is NULL. May be NULL if `dispatch` is set. */
	const struct objpool_method *methods;

	/* The catch-all, for hosts of other languages: is called for every method that `methods` lacks, its name in
	 * call->method. objpool_fail_code(call, "NO_SUCH_METHOD", …) refuses. Optional. */
	objpool_method_fn *dispatch;

	/* Says what `dispatch` takes: writes an array of maps {name, signature, doc, readonly} to `result`. Is called in the
	 * template, after preload. A signature that is wrong counts as none, with a warning in the log. Optional. */
	int (*list_methods)(struct objpool_call *call, msgpack_packer *result);

	/* Is called between methods when a client connection that has called this pool has ended: what belongs to that
	 * session (a lock, say) can be freed. Its deferred calls have been told of before. Optional. */
	void (*session_end)(void *self, struct objpool_call *call, uint64_t session);

	/* Writes the instance's state as one msgpack value, and makes a fresh instance (after `create`) take it over, before its
	 * first call: when a worker is replaced in good order (restart, recycling, reload). When either fails, the new
	 * instance is as `create` and sticky calls make it. Both or none. Optional. */
	int (*snapshot)(void *self, struct objpool_call *call, msgpack_packer *state);
	int (*restore)(void *self, struct objpool_call *call, const msgpack_object *state);

	/* Something happened to a call that a method has deferred. Is called between methods. Required of classes whose
	 * methods defer. See objpool_defer. */
	void (*deferred)(void *self, struct objpool_call *call, enum objpool_event event);

	/* A client takes the instance for itself alone (objpool.lease), and gives it back, by release, time-out or by going
	 * away; call->session says who. `leased` may refuse: non-zero, having called objpool_fail. Optional. */
	int (*leased)(void *self, struct objpool_call *call);
	void (*released)(void *self, struct objpool_call *call);

	/* Is called in a worker that has nothing to do, before it waits: a lock of the language's runtime, say, that is held
	 * from call to call can be let go for other threads. Not after every method; before `create`, too. Optional. */
	void (*idle)(void *self);

	/* Checks the arguments that `create` would get. Called by `objpoold --check` in a template that makes no instances, once
	 * for each slot that has arguments of its own (call->place->slot); `preload` may have been called before. Must take no
	 * long time, and do nothing that others could notice. Optional. Returns 0; or calls objpool_fail or objpool_bad_argument,
	 * and returns another value. */
	int (*check)(struct objpool_call *call, const struct objpool_args *args);

	/* Does for `dispatch` what `many` does for the `call` of a method: takes runs of items. Optional; needs `dispatch`. */
	objpool_many_fn *dispatch_many;

	/* Is called between methods, when the descriptor that objpool_watch was given can be read, or its time has come: what the
	 * class has under way goes on. Must not wait: no method runs meanwhile. Required of classes that call objpool_watch. */
	void (*ready)(void *self, struct objpool_call *call);

	/* The records that signatures name: maps with these keys. Ends with NULL; each is written as a signature with a name:
	 * "Point(x: float, y: float, label: str = \"\")". A field with a default may be missing. Optional. */
	const char *const *types;
};

struct objpool_plugin {
	uint32_t abi;          /* OBJPOOL_ABI */
	uint32_t size;         /* sizeof(struct objpool_plugin) */
	uint32_t method_size;  /* sizeof(struct objpool_method) */
	uint32_t reserved;
	const char *name;
	const char *version;   /* the plugin's own, for people */
	const struct objpool_class *const *classes; /* ends with NULL */
};

/* Fills the first fields: `const struct objpool_plugin objpool_plugin = { OBJPOOL_PLUGIN_HEAD, .name = "counter", … };` */
#define OBJPOOL_PLUGIN_HEAD \
	.abi = OBJPOOL_ABI, .size = sizeof(struct objpool_plugin), .method_size = sizeof(struct objpool_method)
#define OBJPOOL_CLASS_HEAD .size = sizeof(struct objpool_class)

/* What every plugin exports. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const struct objpool_plugin objpool_plugin;

/* What the host does for a call. Use the functions below. */
struct objpool_failure {
	const char *code;      /* NULL: "FAILED"; "BAD_ARGUMENT" and "NO_SUCH_METHOD" are the others a plugin may give */
	const char *type;      /* the exception's class name in the object's language; NULL: none */
	const char *message;   /* required, UTF-8 */
	const char *traceback; /* NULL: none */
	const void *data;      /* bytes for the caller's program, given as bin; NULL: none */
	size_t data_size;
};

/* What came of a call that a method made. Valid until the method returns, or makes another. */
struct objpool_outcome {
	msgpack_object value;       /* nil when it failed */
	struct objpool_failure error; /* when it failed; error.code is any of the daemon's */
};

/* What a class is like, where that is known only when it is loaded. See objpool_describe. */
#define OBJPOOL_HOOK_SESSION_END (1u << 0) /* its session_end is to be called */
#define OBJPOOL_HOOK_LEASED      (1u << 1) /* leased and released */
#define OBJPOOL_HOOK_SNAPSHOT    (1u << 2) /* snapshot and restore */

struct objpool_description {
	uint32_t size;         /* sizeof(struct objpool_description) */
	uint32_t hooks;        /* OBJPOOL_HOOK_...: the others are as if the class lacked them */
	const char *doc, *signature; /* NULL: those of struct objpool_class */
	const char *const *types;    /* likewise. Since minor 2 */
};

struct objpool_host {
	uint32_t size; /* which of these functions the host has */
	uint32_t minor; /* OBJPOOL_ABI_MINOR of the host; 0: before minor 2 */
	void (*fail)(struct objpool_call *call, const struct objpool_failure *error);
	bool (*cancelled)(const struct objpool_call *call);
	int (*progress)(struct objpool_call *call, uint64_t done, uint64_t total, const char *text);
	struct objpool_call *(*defer)(struct objpool_call *call, uint64_t wake_at);
	int (*answer)(struct objpool_call *deferred, const void *msgpack, size_t size);
	int (*invoke)(struct objpool_call *call, const char *target, const void *args, size_t size,
		      struct objpool_outcome *result);
	struct objpool_kept *(*keep)(struct objpool_call *call, const void *bytes, size_t size);
	void (*let_go)(struct objpool_kept *kept);
	int (*yield)(struct objpool_call *call, const void *msgpack, size_t size);
	int (*commit)(struct objpool_call *call);
	const msgpack_object *(*setting)(const struct objpool_call *call, const char *name);
	const char *(*class_name)(const struct objpool_call *call);
	void (*describe)(struct objpool_call *call, const struct objpool_description *description);
	bool (*can_keep)(struct objpool_call *call, const void *bytes, size_t size);
	struct objpool_kept *(*private_view)(struct objpool_call *call, const void *bytes, size_t size, void **view);
	const struct objpool_args *(*next)(struct objpool_call *call);
	int (*watch)(struct objpool_call *call, int fd, uint64_t wake_at);
	int (*at_work)(struct objpool_call *deferred);
	const char *(*traceparent)(const struct objpool_call *call);
};

/* What the three below have in common; for functions that have a va_list. `code` and `type` may be NULL. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 0)))
#endif
static inline int objpool_vfail(struct objpool_call *call, const char *code, const char *type, const char *format,
				va_list list)
{
	char text[1024];
	(void)vsnprintf(text, sizeof text, format, list);
	struct objpool_failure failure;
	memset(&failure, 0, sizeof failure);
	failure.code = code;
	failure.type = type;
	failure.message = text;
	call->host->fail(call, &failure);
	return -1;
}

/*
 * Fails the call; copies what it is given; returns -1, so that a method can `return objpool_fail(…)`. The last of
 * several counts. `type` may be NULL.
 */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int objpool_fail(struct objpool_call *call, const char *type, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	const int r = objpool_vfail(call, NULL, type, format, list);
	va_end(list);
	return r;
}

/* The same for wrong arguments: the caller gets BAD_ARGUMENT. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static inline int objpool_bad_argument(struct objpool_call *call, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	const int r = objpool_vfail(call, "BAD_ARGUMENT", NULL, format, list);
	va_end(list);
	return r;
}

/* The same with a code: one of the codes listed at struct objpool_failure. Any other code becomes FAILED. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline int objpool_fail_code(struct objpool_call *call, const char *code, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	const int r = objpool_vfail(call, code, NULL, format, list);
	va_end(list);
	return r;
}

/* The same with everything that an error can carry. */
static inline int objpool_fail_with(struct objpool_call *call, const struct objpool_failure *error)
{
	call->host->fail(call, error);
	return -1;
}

/*
 * In an objpool_many_fn: ends the item before, and begins the next one. Returns its arguments, which are valid until the next
 * call. NULL: there are no more, nobody waits for the rest, or another instance has taken it over; return then. An item whose
 * arguments are wrong (max_args, say) is answered by the host, and never seen here. Ask for an item only when its turn has come:
 * one that was asked for counts as run, and no other instance can take it.
 */
static inline const struct objpool_args *objpool_next_item(struct objpool_call *call)
{
	return call->host->next(call); /* there is one: no host without it calls an objpool_many_fn */
}

/*
 * Has the caller gone, cancelled, or run out of time? Cheap (no system call): ask in every long loop, and give up when
 * it says yes; what is returned then is dropped.
 */
static inline bool objpool_cancelled(const struct objpool_call *call)
{
	return call->host->cancelled(call);
}

/*
 * Tells the caller how far the call is; total 0: unknown; text may be NULL. Does nothing when the caller did not ask, and
 * sends twenty a second at most: call it as often as you like. Returns 0, or -ENOSYS from a host that lacks it.
 */
static inline int objpool_progress(struct objpool_call *call, uint64_t done, uint64_t total, const char *text)
{
	const bool there = call->host->size > offsetof(struct objpool_host, progress) && call->host->progress;
	return there ? call->host->progress(call, done, total, text) : -ENOSYS;
}

/*
 * The trace to which the call belongs, if its caller has said so (option traceparent): text as W3C Trace Context has it,
 * "00-TRACE-SPAN-FLAGS". NULL: it belongs to none. Valid as long as the call. Calls that the method makes with objpool_invoke
 * belong to the same trace, unless they name another.
 */
static inline const char *objpool_traceparent(const struct objpool_call *call)
{
	const bool there = call->host->size > offsetof(struct objpool_host, traceparent) && call->host->traceparent;
	return there ? call->host->traceparent(call) : NULL;
}

/*
 * Calls a method of this or another pool, and waits for the answer. `target` as clients write it ("q.step", "q:2.step",
 * "q:all.step"), `args` one msgpack array; or "objpool.call" and [target, method, args, options]. The caller is the
 * instance: a session of its own, that ends with it. When nobody waits for this call any more, the one that it made fails with
 * CANCELLED. A call that would wait for itself (every instance that could do it waits, directly or not, for this one) is refused
 * at once with UNAVAILABLE. A deferred call may do so, too, in class->ready and class->deferred.
 *
 * Returns 0; -EREMOTEIO: it failed, and result->error says how (objpool_fail_with may pass it on); -EINVAL: wrong arguments, or
 * not called from a method on the method's own thread; -ENOMEM; -ENOSYS from a host that lacks it.
 */
static inline int objpool_invoke(struct objpool_call *call, const char *target, const void *args, size_t size,
				 struct objpool_outcome *result)
{
	const bool there = call->host->size > offsetof(struct objpool_host, invoke) && call->host->invoke;
	return there ? call->host->invoke(call, target, args, size, result) : -ENOSYS;
}

/*
 * Asks, last of all, before the method does what must not be done in vain: takes an item off a queue, say. 0: the caller still
 * waits, and gets what the method returns even if it cancels, or its time is over, from now on. -ECANCELED: it has given up;
 * return. A client that goes away can't be kept; nor does one that has called `all`, `map` or `scatter` wait for this.
 */
static inline int objpool_commit(struct objpool_call *call)
{
	const bool there = call->host->size > offsetof(struct objpool_host, commit) && call->host->commit;
	return there ? call->host->commit(call) : 0;
}

/*
 * Gives the caller one value (`size` bytes of msgpack) while the method goes on: as many as it likes, each a result of a call
 * with `stream`. What the method returns at its end is then dropped, but an error is told. When the caller is slow, this waits,
 * so that an endless series needs no memory. Returns 0; -ENOTSUP: the caller takes no values one by one (a plain call, `all`,
 * `map`, `scatter`): return them as one; -ECANCELED: nobody waits any more; -EINVAL: they are not one value; -ENOMEM. With NULL
 * and 0 it gives nothing, but says whether the caller takes values one by one: begin with that what may be an empty series.
 *
 * A deferred call may yield, too, until it is answered. Then this never waits: when the caller is slow, it returns -EAGAIN and
 * has given nothing; class->deferred gets OBJPOOL_ROOM once the value can be yielded again.
 */
static inline int objpool_yield(struct objpool_call *call, const void *msgpack, size_t size)
{
	const bool there = call->host->size > offsetof(struct objpool_host, yield) && call->host->yield;
	return there ? call->host->yield(call, msgpack, size) : -ENOTSUP;
}

/*
 * Deferred replies: a method keeps its call and returns 0 without a result; the instance is free for other calls
 * meanwhile, and a later one answers. A queue's get() is answered by somebody's put().
 *
 * objpool_defer returns the call to keep (not the one it was given), or NULL when no more can be kept, or when the method has
 * committed itself (objpool_commit): fail the call then.
 * It is the one that class->deferred gets; what the class has put into its `own` is there still.
 * wake_at: CLOCK_MONOTONIC nanoseconds at which class->deferred shall be called with OBJPOOL_WAKE; 0: never.
 *
 * objpool_answer answers it with `size` bytes that are one msgpack value, or with the error that objpool_fail has set on
 * it (then msgpack may be NULL), and frees it. Returns 0, or -ECANCELED: its caller had given up, nobody has been
 * given the value, and the call is freed all the same (OBJPOOL_GONE will not come for it any more).
 *
 * A deferred call waits: until it is answered, nothing has been done for it. When the worker ends in good order, the daemon
 * answers it with UNAVAILABLE, and tells its caller that it has not run: the caller asks the next instance. (If its caller
 * takes values one by one, it may have run.)
 *
 * Or it is at work: objpool_at_work says so, before the method returns. Then the instance ends in good order, and gives its
 * state, only once the call has been answered; class->ready and class->deferred are called meanwhile. The pool's max_concurrent
 * is for such calls. objpool_at_work returns 0; -EINVAL: it is too late; -ENOSYS from a host that lacks it.
 *
 * When the worker dies, what is deferred is answered with WORKER_LOST.
 */
static inline struct objpool_call *objpool_defer(struct objpool_call *call, uint64_t wake_at)
{
	const bool there = call->host->size > offsetof(struct objpool_host, defer) && call->host->defer;
	return there ? call->host->defer(call, wake_at) : NULL;
}

static inline int objpool_at_work(struct objpool_call *deferred)
{
	const bool there = deferred->host->size > offsetof(struct objpool_host, at_work) && deferred->host->at_work;
	return there ? deferred->host->at_work(deferred) : -ENOSYS;
}

static inline int objpool_answer(struct objpool_call *deferred, const void *msgpack, size_t size)
{
	return deferred->host->answer(deferred, msgpack, size);
}

/*
 * For classes that have something under way between methods: class->ready is called once `fd` can be read (-1: none) or it is
 * `wake_at` (CLOCK_MONOTONIC nanoseconds; 0: never). That holds until the next call of this function, which says both anew. For
 * several descriptors give an epoll descriptor. From any function of the class that gets a call, on its own thread. Returns 0;
 * -EINVAL: not from there; -ENOSYS from a host that lacks it.
 */
static inline int objpool_watch(struct objpool_call *call, int fd, uint64_t wake_at)
{
	const bool there = call->host->size > offsetof(struct objpool_host, watch) && call->host->watch;
	return there ? call->host->watch(call, fd, wake_at) : -ENOSYS;
}

/*
 * Large arguments (str, bin, ext) are not copied: they lie in memory that all workers of a call share, and that is filled
 * anew after it. objpool_keep makes these bytes stay what they are, where they are, when the call is over: it puts a
 * copy of them in their place, so that pointers into them stay good. For hosts of languages whose objects may look into
 * arguments and outlive the call; ask it only for those that do. During the call, on its thread.
 *
 * objpool_let_go ends that: at any time, on the instance's thread. NULL: they don't lie in such memory, or there is no memory:
 * copy what must last.
 */
static inline struct objpool_kept *objpool_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	const bool there = call->host->size > offsetof(struct objpool_host, keep) && call->host->keep;
	return there ? call->host->keep(call, bytes, size) : NULL;
}

/* Do they lie in such memory, so that they need not be copied at once? */
static inline bool objpool_can_keep(struct objpool_call *call, const void *bytes, size_t size)
{
	return call->host->size > offsetof(struct objpool_host, can_keep) && call->host->can_keep &&
	       call->host->can_keep(call, bytes, size);
}

/*
 * Makes *view the same bytes at another address, which may be written to: nobody else sees that, and only pages that are
 * written to are copied. A view that is looked at when the call is over must be kept then, by objpool_keep; objpool_let_go ends
 * each of the two. During the call, on its thread. NULL: as above.
 */
static inline struct objpool_kept *objpool_private(struct objpool_call *call, const void *bytes, size_t size, void **view)
{
	const bool there = call->host->size > offsetof(struct objpool_host, private_view) && call->host->private_view;
	return there ? call->host->private_view(call, bytes, size, view) : NULL;
}

static inline void objpool_let_go(const struct objpool_host *host, struct objpool_kept *kept)
{
	host->let_go(kept);
}

/*
 * The value of a key of the pool's section that plugins may ask for: python_path, python_options and preload (arrays of
 * strings), virtualenv (a string), unpickle (a boolean), cancel_grace (nanoseconds), max_message (bytes), max_concurrent. NULL:
 * not set, or not known to this host. Valid for ever.
 */
static inline const msgpack_object *objpool_setting(const struct objpool_call *call, const char *name)
{
	const bool there = call->host->size > offsetof(struct objpool_host, setting) && call->host->setting;
	return there ? call->host->setting(call, name) : NULL;
}

/* The class as the pool names it: what class "*" has to tell its classes apart by. NULL from a host that lacks it. */
static inline const char *objpool_class_name(const struct objpool_call *call)
{
	const bool there = call->host->size > offsetof(struct objpool_host, class_name) && call->host->class_name;
	return there ? call->host->class_name(call) : NULL;
}

/* In preload: what the class that the pool names is like. Copies what it is given. */
static inline void objpool_describe(struct objpool_call *call, const struct objpool_description *description)
{
	if (call->host->size > offsetof(struct objpool_host, describe) && call->host->describe)
		call->host->describe(call, description);
}

/*
 * A buffer to pack values into: for objpool_answer, objpool_yield and objpool_invoke, or to keep them. When there is no memory
 * for something, `failed` is set, and all that is packed later is dropped: it is enough to check `failed` at the end. (A
 * msgpack_sbuffer would go on with what is packed later, and hold another value.) Begin with OBJPOOL_BUFFER_INIT.
 *
 *     struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
 *     msgpack_packer packer;
 *     msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
 *     ...
 *     if (buffer.failed) ...
 *     objpool_buffer_free(&buffer);
 */
struct objpool_buffer {
	char *data;
	size_t size, room;
	bool failed;
};
#define OBJPOOL_BUFFER_INIT {NULL, 0, 0, false}

/* The callback for msgpack_packer_init. 0; -1: the buffer has failed. */
static inline int objpool_buffer_write(void *data, const char *bytes, size_t size)
{
	struct objpool_buffer *buffer = (struct objpool_buffer *)data;
	if (buffer->failed)
		return -1;
	if (buffer->room - buffer->size < size) {
		const size_t least = buffer->size + size, twice = 2 * buffer->room, room = least > twice ? least : twice;
		char *grown = (char *)realloc(buffer->data, room);
		buffer->failed = !grown;
		if (!grown)
			return -1;
		buffer->data = grown;
		buffer->room = room;
	}
	if (size > 0)
		memcpy(buffer->data + buffer->size, bytes, size);
	buffer->size += size;
	return 0;
}

/* Empties the buffer and forgets its failure. Keeps its memory. */
static inline void objpool_buffer_clear(struct objpool_buffer *buffer)
{
	buffer->size = 0;
	buffer->failed = false;
}

static inline void objpool_buffer_free(struct objpool_buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof *buffer);
}

/* The keyword argument `name`, or NULL. */
static inline const msgpack_object *objpool_kwarg(const struct objpool_args *args, const char *name)
{
	const size_t n = strlen(name);
	for (uint32_t i = 0; i < args->kwcount; i++) {
		const msgpack_object *key = &args->kwargs[i].key;
		if (key->via.str.size == n && memcmp(key->via.str.ptr, name, n) == 0)
			return &args->kwargs[i].val;
	}
	return NULL;
}

/*
 * Sorts arguments: values[i] becomes the one called names[i], by place or by keyword, or NULL when it is missing or nil.
 * `names` ends with NULL; the first `places` of them may come by place, the others by keyword only. Returns 0; or -1, the
 * call having failed with BAD_ARGUMENT, for too many, for a keyword that is not in `names`, and for one given twice.
 *
 *     static const char *const names[] = {"text", "limit", NULL};
 *     const msgpack_object *values[2];
 *     if (objpool_take(call, args, names, 1, values) < 0)
 *             return -1;
 */
static inline int objpool_take(struct objpool_call *call, const struct objpool_args *args, const char *const *names,
			       uint32_t places, const msgpack_object **values)
{
	for (uint32_t i = 0; names[i]; i++)
		values[i] = i < args->count ? &args->values[i] : NULL;
	if (args->count > places)
		return objpool_bad_argument(call, "at most %u positional arguments, not %u", places, args->count);
	for (uint32_t k = 0; k < args->kwcount; k++) {
		const msgpack_object_str *key = &args->kwargs[k].key.via.str;
		uint32_t i = 0;
		while (names[i] && (strlen(names[i]) != key->size || memcmp(names[i], key->ptr, key->size) != 0))
			i++;
		if (!names[i])
			return objpool_bad_argument(call, "unknown keyword argument \"%.*s\"",
						    (int)(key->size < 80 ? key->size : 80), key->ptr);
		if (values[i])
			return objpool_bad_argument(call, "%s is given twice", names[i]);
		values[i] = &args->kwargs[k].val;
	}
	for (uint32_t i = 0; names[i]; i++)
		if (values[i] && values[i]->type == MSGPACK_OBJECT_NIL)
			values[i] = NULL;
	return 0;
}

#ifdef __cplusplus
}
#endif
#endif
