/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libobjpool: calls methods on the objects of an objpoold daemon. Link with `pkg-config --libs objpool`.
 *
 *	struct objpool_client *client;
 *	struct objpool_result result;
 *
 *	if (objpool_connect(&pool, NULL, NULL) < 0) ...
 *	if (objpool_callf(pool, "sim.step", &result, "[i f]", 7, 0.5) == 0)
 *		...	result.value is the method's value, as msgpack
 *	objpool_result_free(&result);
 *	objpool_close(pool);
 *
 * Values are msgpack bytes, in both directions: objpool_pack_* and objpool_pack() make them, objpool_read_* take them
 * apart, and so does any msgpack library.
 *
 * Errors. A function returns 0 (or what its comment says) or a negative errno. Where it has a result, -EREMOTEIO says that
 * the call itself failed, and result.error how; any other negative number means that nothing was asked of the daemon.
 *
 * Threads. One connection is used by one thread at a time: callers that share one lock around it. Different connections
 * know nothing of each other; the library has no global state. Results and packers belong to whoever holds them.
 *
 * Callbacks run inside objpool_dispatch, objpool_wait, objpool_drain, objpool_close and the functions that wait for an
 * answer, never elsewhere. In a callback, calls may be started, cancelled and the connection closed; functions that wait
 * return -EDEADLK there. Every callback of a call is called exactly once, whatever happens to the connection.
 *
 * Signals. The library never raises SIGPIPE, installs no handlers, and goes on waiting after EINTR.
 */
#ifndef OBJPOOL_CLIENT_H
#define OBJPOOL_CLIENT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OBJPOOL_API __attribute__((visibility("default")))

/*
 * A connection to a daemon.
 *
 * Up to version 0.1 the tag was `objpool`. In this release both names mean the same struct, so that older programs compile and
 * run unchanged, as C and as C++. In both languages only a macro can give a tag a second name: a typedef's name can't follow
 * `struct`. The macro has the new name because `objpool` may be a word of the program. A later release drops the macro, and the
 * old name with it. Until then, do not declare `struct objpool_client` yourself: include this header.
 */
#define objpool_client objpool
struct objpool_client;

/* One or more packed msgpack values. `data` NULL stands for "none". */
struct objpool_bytes {
	const void *data;
	size_t size;
};

/* Whether the method ran: after OBJPOOL_RAN_NO it is safe to call again. */
enum objpool_ran { OBJPOOL_RAN_UNKNOWN, OBJPOOL_RAN_NO, OBJPOOL_RAN_MAYBE, OBJPOOL_RAN_YES };

/* Why a call failed. Only the library makes these; later versions may add members at the end. */
struct objpool_error {
	const char *code;          /* "FAILED", "WORKER_LOST", ...; "DISCONNECTED": the connection was lost. Never NULL */
	const char *message;       /* never NULL */
	const char *type;          /* the exception's class in the object's language, or NULL */
	const char *traceback;     /* or NULL */
	const char *pool;          /* or NULL */
	int64_t slot;              /* or -1 */
	int64_t generation;        /* or -1 */
	int64_t index;             /* of the item, in map and scatter, or -1 */
	enum objpool_ran ran;
	int signal;                /* that killed the worker, or 0 */
	int exit_status;           /* of the worker, or -1 */
	struct objpool_bytes data; /* what the object added: one packed bin or ext, or none */
};

/*
 * What a call came to: a value when `error` is NULL, else an error. In a callback it is borrowed until the callback
 * returns; from a function that waits it is the caller's, who gives it to objpool_result_free.
 */
struct objpool_result {
	struct objpool_bytes value; /* one packed msgpack value */
	const struct objpool_error *error;
	void *owned; /* the library's */
};

/* Frees what an owned result holds and empties it; an empty or borrowed result stays as it is. */
OBJPOOL_API void objpool_result_free(struct objpool_result *result);

/* Makes `*copy` an owned copy of a borrowed result. 0 or -ENOMEM (the copy is empty then). */
OBJPOOL_API int objpool_result_copy(struct objpool_result *copy, const struct objpool_result *result);

/* ---- connections ----------------------------------------------------------------------------------------------------- */

struct objpool_connect_options {
	size_t size;        /* sizeof(struct objpool_connect_options) */
	const char *client; /* what this program tells the daemon that it is; NULL: its short name */
	int timeout_ms;     /* for connecting and the greeting together; 0: ten seconds; negative: none */
	bool no_descriptors; /* large values go through the socket, see "large values" */
};
#define OBJPOOL_CONNECT_OPTIONS_INIT {sizeof(struct objpool_connect_options), NULL, 0, false}

/*
 * Connects, and says hello. `address` is unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT; NULL means objpool_default_address.
 * Waits; `options` may be NULL. 0; -EINVAL: the address is malformed; -EPROTO: no objpoold answers there; -EHOSTUNREACH: the
 * host has no address; else what connect(2) says, mostly -ENOENT, -ECONNREFUSED, -EACCES or -ETIMEDOUT. On error `*pool` is
 * NULL.
 */
OBJPOOL_API int objpool_connect(struct objpool_client **client, const char *address,
				const struct objpool_connect_options *options);

/* Says hello over a connected stream socket, and takes it, on error too. Else like objpool_connect. */
OBJPOOL_API int objpool_adopt(struct objpool_client **client, int fd, const struct objpool_connect_options *options);

/* Fails all calls in flight with DISCONNECTED, closes and frees. Accepts NULL; returns NULL. In a callback: happens when it
 * returns. */
OBJPOOL_API struct objpool_client *objpool_close(struct objpool_client *client);

/*
 * Where NULL connects to: $OBJPOOL_ADDRESS; else unix:$XDG_RUNTIME_DIR/objpool.sock if that exists; else
 * unix:/run/objpool/objpool.sock. 0, or -ENAMETOOLONG when it does not fit into `size` bytes.
 */
OBJPOOL_API int objpool_default_address(char *text, size_t size);

/* What the daemon said to hello: {server, version, session, pools, limits, fds, fds_mark}. Borrowed until the connection is
 * closed. */
OBJPOOL_API struct objpool_bytes objpool_hello(const struct objpool_client *client);

/* ---- calls ----------------------------------------------------------------------------------------------------------- */

/*
 * Called now and then while a call runs that has asked for it: `done` of `total`, as the method says it of itself, or tasks of
 * all, map and scatter; -1: not known. `text` is the method's, or NULL; borrowed. Non-zero cancels the call, which then fails
 * with CANCELLED; a stream ends as if `each` had returned it.
 */
typedef int objpool_progress_callback(void *context, int64_t done, int64_t total, const char *text);

/* All members but `size` may be left zero. What is pointed to is only read while the function runs, contexts apart. */
struct objpool_call_options {
	size_t size;                      /* sizeof(struct objpool_call_options) */
	const char *target;               /* "sim", "sim:all", "sim:key=a.b": then `method` is the method's name alone */
	struct objpool_bytes kwargs;      /* packed map: keyword arguments */
	struct objpool_bytes bind;        /* packed array: leading arguments of every task */
	struct objpool_bytes bind_kwargs; /* packed map: keyword arguments of every task */
	const char *args_as;              /* in map and scatter: "zip", "single", "positional", "keyword" */
	const char *errors;               /* "wait", "first", "collect" */
	const char *sticky;               /* with all: "replace", "append": replayed on instances built later */
	uint32_t timeout_ms;              /* then the call fails with TIMEOUT; 0: none */
	uint32_t chunk;                   /* items handed to a worker at once; 0: the daemon adapts it */
	bool idempotent;                  /* may run again on another instance when its worker dies */
	bool sync;                        /* in map: rounds of one item per slot */
	bool progress;                    /* send objpool.progress, see objpool_on_notification; on_progress asks for it too */
	bool unordered;                   /* of objpool_call_each: results as they finish, not in order */
	uint32_t window;                  /* of objpool_call_each on a map: as in objpool_map_options */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
};
#define OBJPOOL_CALL_OPTIONS_INIT \
	{sizeof(struct objpool_call_options), NULL, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, NULL, NULL, 0, 0, \
	 false, false, false, false, 0, NULL, NULL}

/* Called once per call. `result` is borrowed. */
typedef void objpool_callback(void *context, const struct objpool_result *result);

/*
 * Calls and waits for the answer; callbacks of other calls may run meanwhile. `method` is "sim.step", "sim:2.step",
 * "sim:all.step", ... ; `args` is a packed array (none: no arguments); `options` may be NULL. After a timeout the daemon has
 * one more second to say so, before the call fails with TIMEOUT here; a call of the daemon's own methods fails at the timeout.
 * 0: `result->value` is there. -EREMOTEIO: `result->error` is. -EINVAL: the method has no dot, or args or options aren't
 * well-formed msgpack; -ENOTCONN: the connection has been lost before; -EDEADLK; -ENOMEM: `result` is empty (also when args or
 * options come from a packer that has failed).
 */
OBJPOOL_API int objpool_call(struct objpool_client *client, const char *method, struct objpool_bytes args,
			     const struct objpool_call_options *options, struct objpool_result *result);

/* objpool_call with arguments made as by objpool_pack; `format` describes one array. Also -EINVAL: the format is none. */
OBJPOOL_API int objpool_callf(struct objpool_client *client, const char *method, struct objpool_result *result,
			      const char *format, ...);

/*
 * Starts a call; `callback` gets its result. The request is put into the output buffer: objpool_flush, objpool_dispatch
 * and what waits send it, so that many calls cost one write. `*id` (may be NULL) is for objpool_cancel. Errors like
 * objpool_call; the callback is not called then.
 */
OBJPOOL_API int objpool_call_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
				   const struct objpool_call_options *options, objpool_callback *callback, void *context,
				   uint32_t *id);

/* Asks the daemon to cancel a call in flight, which then fails with CANCELLED, unless it was faster. 0, -ENOTCONN, -ENOMEM. */
OBJPOOL_API int objpool_cancel(struct objpool_client *client, uint32_t id);

/* Calls without an answer: nobody learns what becomes of it. Buffered like a call. Errors like objpool_call_async. */
OBJPOOL_API int objpool_notify(struct objpool_client *client, const char *method, struct objpool_bytes args);

/* Notifications that the daemon sends because the program asked for them. `method` ends with NUL; both are borrowed. */
typedef void objpool_notification(void *context, const char *method, struct objpool_bytes params);
OBJPOOL_API void objpool_on_notification(struct objpool_client *client, objpool_notification *callback, void *context);

struct objpool_packer;

/* ---- large values ---------------------------------------------------------------------------------------------------- */

/*
 * On a Unix socket, bins and exts of 64 KiB and more don't go through it, if the daemon is willing (`fds` in objpool_hello):
 * the library puts those of arguments into sealed memory and hands its descriptor over, and maps those of results. Nothing
 * looks different: `result->value` is the packed value, and what it lies in goes back to the daemon, with the next request or
 * turn, after objpool_result_free, which may be called on any thread, and after objpool_close. A result that has large values
 * within an array or a map is put together by a copy; objpool_all and objpool_map give each alone. objpool_notify's arguments
 * and those of sticky calls go as bytes.
 *
 * Memory stays mapped for some seconds after its use, as its pages are warm, and goes in a turn after that. A program that has
 * no descriptor left when one comes loses the connection (EPROTO); connect with `no_descriptors` to get none.
 */

/*
 * Makes an empty packer one with room for `size` bytes, and some headers, in such memory: large bins and exts that are packed
 * there are not copied when they are arguments of calls on `pool`. Pack those with objpool_pack_bin_room and fill them in
 * place. What is in it must not change until the call is answered without an error; then set `size` to 0 and pack the next, in
 * warm pages. What outgrows the room moves to ordinary memory, where it begins when the connection takes no descriptors. 0;
 * -EINVAL: it is not empty, or `size` is 0; -ENOMEM.
 */
OBJPOOL_API int objpool_packer_share(struct objpool_packer *packer, struct objpool_client *client, size_t size);

/* ---- results one by one ---------------------------------------------------------------------------------------------- */

/*
 * Called for each slot or item, with its number from 0 and a value or an error, both borrowed; `value` has no data when there
 * is an error. Non-zero ends the stream: its call is cancelled, nothing more is delivered, and the number is what the stream
 * comes to. While it runs nothing is read, and the daemon stops when what it has sent fills the socket.
 */
typedef int objpool_each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error);

/*
 * Calls any target, like objpool_call, and waits; `each` gets the results one by one, in slot or item order or as they finish,
 * and none is kept. A call of one instance has one result, of index 0. 0: all have been delivered; -EREMOTEIO: the call failed,
 * `result->error` says how (`result` may be NULL); else what `each` returned, or an error of objpool_call. Which failures of
 * slots and items make the call fail is what `errors` says, as in objpool_map.
 */
OBJPOOL_API int objpool_call_each(struct objpool_client *client, const char *method, struct objpool_bytes args,
				  const struct objpool_call_options *options, objpool_each *each, void *context,
				  struct objpool_result *result);

/*
 * Calls "sim.step" once on every slot of its pool, and waits; a slot that fails is an error in its place. Options as for
 * objpool_call (`errors`, `target` and `unordered` are not looked at). Returns like objpool_call_each.
 */
OBJPOOL_API int objpool_all(struct objpool_client *client, const char *method, struct objpool_bytes args,
			    const struct objpool_call_options *options, objpool_each *each, void *context,
			    struct objpool_result *result);

/* A stream under way, from the function that started it until its `done` is called. */
struct objpool_stream;

/* Called once, at the end: `status` is what objpool_call_each or objpool_map would return; `error` is borrowed, or NULL. */
typedef void objpool_stream_done(void *context, int status, const struct objpool_error *error);

/*
 * objpool_call_each that goes on within objpool_dispatch and what waits. `done` is always called later, never from here.
 * `*stream` may be NULL. 0, or an error of objpool_call_async; nothing is called then.
 */
OBJPOOL_API int objpool_call_each_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
					const struct objpool_call_options *options, objpool_each *each, void *each_context,
					objpool_stream_done *done, void *done_context, struct objpool_stream **stream);

/* Ends a stream, also from its callbacks: its call is cancelled, `done` gets `status` (negative) at the end of the next turn. */
OBJPOOL_API void objpool_stream_stop(struct objpool_stream *stream, int status);

/* ---- map ------------------------------------------------------------------------------------------------------------- */

/* What an objpool_next says. */
enum {
	OBJPOOL_NEXT_END = 0,    /* there are no more items */
	OBJPOOL_NEXT_ITEM = 1,   /* it has packed one */
	OBJPOOL_NEXT_FAILED = 2  /* the input itself has failed: it has packed how, a str */
};

/*
 * Where a map's items come from: asked for one at a time, when the daemon is ready to take it. `item` is borrowed. After
 * OBJPOOL_NEXT_FAILED the text arrives in its place, behind the results of the items before it, as one more item that has failed.
 * -EAGAIN: there is no item now (objpool_stream_more says when there is again; nobody could during an objpool_map, which ends);
 * another negative number ends the map with it at once.
 */
typedef int objpool_next(void *context, struct objpool_packer *item);

/* All members but `size` may be left zero. What is pointed to is only read while the function runs, contexts apart. */
struct objpool_map_options {
	size_t size;                      /* sizeof(struct objpool_map_options) */
	const char *args_as;              /* how an item becomes arguments: "single" (default), "positional", "keyword" */
	const char *errors;               /* "wait" (default), "first", "collect", see objpool_map */
	struct objpool_bytes bind;        /* packed array: leading arguments of every item */
	struct objpool_bytes bind_kwargs; /* packed map: keyword arguments of every item */
	uint32_t timeout_ms;              /* for the whole map; 0: none */
	uint32_t chunk;                   /* items handed to a worker at once; 0: the daemon adapts it */
	uint32_t window;                  /* items accepted and unanswered; 0: twice what the slots have in hand */
	bool unordered;                   /* results as they finish, not in item order */
	bool idempotent;                  /* an item may run again on another instance when its worker dies */
	bool sync;                        /* rounds of one item per slot, each slot exactly once a round */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
};
#define OBJPOOL_MAP_OPTIONS_INIT \
	{sizeof(struct objpool_map_options), NULL, NULL, {NULL, 0}, {NULL, 0}, 0, 0, 0, false, false, false, NULL, NULL}

/*
 * Calls "sim.step" for each item on whichever instance is free, and waits for the end. `each` gets every item's result.
 * Memory stays flat, here and in the daemon, however many there are and whoever is slow: the daemon gives credit for items as
 * results leave. `errors` decides about items that fail:
 *
 *	wait     the map goes on to the end, then fails with the first failure in item order
 *	first    the map fails at the first failure; what has not been delivered by then is not
 *	collect  the map does not fail for items
 *
 * 0; -EREMOTEIO: it failed, `result->error` says how (`result` may be NULL); else what `next` or `each` returned, or an
 * error of objpool_call; -EINVAL also when `next` has packed something else than one value.
 */
OBJPOOL_API int objpool_map(struct objpool_client *client, const char *method, objpool_next *next, void *next_context,
			    objpool_each *each, void *each_context, const struct objpool_map_options *options,
			    struct objpool_result *result);

/* objpool_map that goes on within objpool_dispatch and what waits. Else like objpool_call_each_async. */
OBJPOOL_API int objpool_map_async(struct objpool_client *client, const char *method, objpool_next *next, void *next_context,
				  objpool_each *each, void *each_context, const struct objpool_map_options *options,
				  objpool_stream_done *done, void *done_context, struct objpool_stream **stream);

/* There are items again, after -EAGAIN: the next dispatch takes some. */
OBJPOOL_API void objpool_stream_more(struct objpool_stream *stream);

/* ---- leases ---------------------------------------------------------------------------------------------------------- */

struct objpool_lease_options {
	size_t size;         /* sizeof(struct objpool_lease_options) */
	uint32_t timeout_ms; /* for which to wait for an instance, then TIMEOUT; 0: for ever */
	uint32_t lease_ms;   /* after which the lease ends by itself; 0: when it is released */
	int64_t slot;        /* the one to lease; -1: any */
};
#define OBJPOOL_LEASE_OPTIONS_INIT {sizeof(struct objpool_lease_options), 0, 0, -1}

/* An instance that this connection has for itself: "sim:2.step" of others waits for slot 2. */
struct objpool_lease {
	int64_t slot;
	int64_t generation;
};

/*
 * Waits for an instance of the pool called `name`, and has it for this connection alone until objpool_release, or the connection
 * ends. `options` may be NULL. 0: `*lease` says which; -EREMOTEIO: `result->error` says why not (`result` may be NULL);
 * -EPROTO: the answer is none; else an error of objpool_call.
 */
OBJPOOL_API int objpool_lease(struct objpool_client *client, const char *name, const struct objpool_lease_options *options,
			      struct objpool_lease *lease, struct objpool_result *result);

/*
 * Gives a leased slot of the pool called `name` back; -1: the only or oldest one. 1: it was held; 0: there was no such lease,
 * or it has been lost meanwhile: with its worker, or its time. Errors like objpool_lease.
 */
OBJPOOL_API int objpool_release(struct objpool_client *client, const char *name, int64_t slot, struct objpool_result *result);

/* ---- waiting, and other loops ---------------------------------------------------------------------------------------- */

/* Sends what is buffered, as far as the socket takes it now. 0: all; 1: some is left; -ENOTCONN. */
OBJPOOL_API int objpool_flush(struct objpool_client *client);

/* Calls started and unanswered. */
OBJPOOL_API size_t objpool_in_flight(const struct objpool_client *client);

/* Bytes in the output buffer. */
OBJPOOL_API size_t objpool_unsent(const struct objpool_client *client);

/*
 * Sends, waits until something has come (at most `timeout_ms`; negative: no limit), and runs callbacks. 0: something may
 * have happened; -ETIMEDOUT; -ENOTCONN: the connection is lost, and all calls have been told; -EDEADLK.
 */
OBJPOOL_API int objpool_wait(struct objpool_client *client, int timeout_ms);

/* Waits until no call and no stream is under way. 0, -ENOTCONN, -EDEADLK. */
OBJPOOL_API int objpool_drain(struct objpool_client *client);

/*
 * For a program's own loop: wait until objpool_fd is ready for objpool_events (POLLIN, POLLOUT), or objpool_timeout_ms
 * (-1: none) has passed, then call objpool_dispatch with what poll(2) said. Ask for events and timeout anew each turn.
 * The descriptor stays the library's, and stays the same.
 */
OBJPOOL_API int objpool_fd(const struct objpool_client *client);
OBJPOOL_API short objpool_events(const struct objpool_client *client);
OBJPOOL_API int objpool_timeout_ms(const struct objpool_client *client);

/*
 * Receives, runs callbacks and timers, and sends; never waits. `events` is poll's `revents`; 0 when only time has passed. 0;
 * -ENOTCONN: the connection is lost, and all calls have been told; -ESHUTDOWN: a callback has closed it; -EDEADLK.
 */
OBJPOOL_API int objpool_dispatch(struct objpool_client *client, short events);

/* ---- making msgpack -------------------------------------------------------------------------------------------------- */

/*
 * Bytes that grow. Begin with OBJPOOL_PACKER_INIT, end with objpool_packer_free. A failure to allocate is kept in `error`
 * (-ENOMEM): what follows is dropped, and it is enough to look once, at the end.
 */
struct objpool_packer {
	unsigned char *data;
	size_t size;
	size_t capacity;
	int error;
	void *owned; /* the library's */
};
#define OBJPOOL_PACKER_INIT {NULL, 0, 0, 0, NULL}

/* Frees the bytes; the packer can be used again. */
OBJPOOL_API void objpool_packer_free(struct objpool_packer *packer);

/*
 * The packed bytes; borrowed until the packer is used again. After an error `data` is NULL and `size` is SIZE_MAX. This does
 * not stand for "none": each function of the library refuses it with -ENOMEM, so that no call is made with a part of its
 * arguments.
 */
OBJPOOL_API struct objpool_bytes objpool_packed(const struct objpool_packer *packer);

OBJPOOL_API void objpool_pack_nil(struct objpool_packer *packer);
OBJPOOL_API void objpool_pack_bool(struct objpool_packer *packer, bool value);
OBJPOOL_API void objpool_pack_int(struct objpool_packer *packer, int64_t value);
OBJPOOL_API void objpool_pack_uint(struct objpool_packer *packer, uint64_t value);
OBJPOOL_API void objpool_pack_double(struct objpool_packer *packer, double value);
OBJPOOL_API void objpool_pack_str(struct objpool_packer *packer, const char *text, size_t size);
OBJPOOL_API void objpool_pack_cstr(struct objpool_packer *packer, const char *text);
OBJPOOL_API void objpool_pack_bin(struct objpool_packer *packer, const void *bytes, size_t size);
OBJPOOL_API void objpool_pack_ext(struct objpool_packer *packer, int8_t type, const void *bytes, size_t size);

/* A bin whose bytes the caller fills: where they go, until the packer is used again. NULL: out of memory, as `error` says. */
OBJPOOL_API void *objpool_pack_bin_room(struct objpool_packer *packer, size_t size);

/* The headers of an array and a map; their `count` values, or keys and values by turns, follow. */
OBJPOOL_API void objpool_pack_array(struct objpool_packer *packer, uint32_t count);
OBJPOOL_API void objpool_pack_map(struct objpool_packer *packer, uint32_t count);

/* Values that are packed already. */
OBJPOOL_API void objpool_pack_raw(struct objpool_packer *packer, struct objpool_bytes values);

/*
 * Packs what `format` describes; blanks, commas and colons in it are for the eye:
 *
 *	[ ]  array    { }  map: keys and values by turns         n  nil
 *	b  bool (int)    i  int    I  int64_t    u  uint64_t    f  double
 *	s  const char *, ends with NUL     S  const char *, size_t: str
 *	B  const void *, size_t: bin       v  struct objpool_bytes: packed values, one
 *
 *	objpool_pack(&packer, "[i {s: f, s: [b n]}]", 7, "rate", 0.5, "flags", true);
 *
 * 0; -EINVAL: the format is malformed (what has been packed is taken back); -ENOMEM.
 */
OBJPOOL_API int objpool_pack(struct objpool_packer *packer, const char *format, ...);
OBJPOOL_API int objpool_vpack(struct objpool_packer *packer, const char *format, va_list arguments);

/* ---- taking msgpack apart -------------------------------------------------------------------------------------------- */

/*
 * Reads values from front to back. What begins with objpool_reader is safe with any bytes: each function returns 0, or -EINVAL
 * when the next value is of another type or not whole; nothing is passed then.
 */
struct objpool_reader {
	const unsigned char *next;
	const unsigned char *end;
};

enum objpool_type {
	OBJPOOL_END, /* no more bytes, or bytes that are not msgpack */
	OBJPOOL_NIL,
	OBJPOOL_BOOL,
	OBJPOOL_INT, /* of any size and sign */
	OBJPOOL_DOUBLE,
	OBJPOOL_STR,
	OBJPOOL_BIN,
	OBJPOOL_EXT,
	OBJPOOL_ARRAY,
	OBJPOOL_MAP
};

OBJPOOL_API struct objpool_reader objpool_reader(struct objpool_bytes values);
OBJPOOL_API enum objpool_type objpool_read_type(const struct objpool_reader *reader);
OBJPOOL_API int objpool_read_nil(struct objpool_reader *reader);
OBJPOOL_API int objpool_read_bool(struct objpool_reader *reader, bool *value);
OBJPOOL_API int objpool_read_int(struct objpool_reader *reader, int64_t *value);
OBJPOOL_API int objpool_read_uint(struct objpool_reader *reader, uint64_t *value);
OBJPOOL_API int objpool_read_double(struct objpool_reader *reader, double *value); /* floats and integers */
OBJPOOL_API int objpool_read_str(struct objpool_reader *reader, const char **text, size_t *size); /* no NUL at its end */
OBJPOOL_API int objpool_read_bin(struct objpool_reader *reader, const void **bytes, size_t *size);
OBJPOOL_API int objpool_read_ext(struct objpool_reader *reader, int8_t *type, const void **bytes, size_t *size);
OBJPOOL_API int objpool_read_array(struct objpool_reader *reader, uint32_t *count);
OBJPOOL_API int objpool_read_map(struct objpool_reader *reader, uint32_t *count);

/* The next value whole, whatever it is; `value` may be NULL: it is passed over. */
OBJPOOL_API int objpool_read_value(struct objpool_reader *reader, struct objpool_bytes *value);

#ifdef __cplusplus
}
#endif

#endif
