/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libobjpool: calls methods of the objects that an objpoold daemon serves. Link with `pkg-config --libs objpool`.
 *
 *	struct objpool_client *client;
 *	struct objpool_result result;
 *
 *	if (objpool_connect(&client, NULL, NULL) < 0) ...
 *	if (objpool_callf(client, "sim.step", &result, "[i f]", 7, 0.5) == 0)
 *		...	result.value is the method's value, as msgpack
 *	objpool_result_free(&result);
 *	objpool_close(client);
 *
 * Values are msgpack bytes, in both directions. objpool_pack() and objpool_pack_* make them, objpool_read_* read them. Any
 * other msgpack library can do so, too.
 *
 * Errors. A function returns a negative errno if it fails, and 0 if it succeeds, or what its comment says. -EREMOTEIO: the call
 * itself has failed, and result.error says how. -ENOTCONN: the connection is lost. -ESHUTDOWN: a callback has closed the
 * connection. -EDEADLK: the function waits, and was called in a callback. -ENOMEM: there is no memory. After a negative number
 * of objpool_call other than -EREMOTEIO no request was sent, but for one case: -ENOMEM, if there is no memory for the result.
 *
 * Ownership. What is passed to a function stays the caller's, and may change or go when the function has returned, unless the
 * function's comment says otherwise. What a function returns by a pointer into its arguments is borrowed.
 *
 * Threads. Only one thread at a time may use a connection; threads that share one hold a lock. Different connections are
 * independent: the library has no global state. A result, or a packer, belongs to the thread that holds it.
 *
 * Callbacks. The library calls them from objpool_dispatch, objpool_wait, objpool_drain, objpool_close and the functions that
 * wait for an answer. A callback may start and cancel calls, and close the connection. Functions that wait return -EDEADLK in a
 * callback. The callback of a call is called exactly once, also when the connection is lost.
 *
 * Signals. The library never raises SIGPIPE and installs no handlers. It goes on waiting after EINTR.
 */
#ifndef OBJPOOL_CLIENT_H
#define OBJPOOL_CLIENT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* a structure and a function may have one name: objpool_lease, objpool_reader */
#endif

#define OBJPOOL_API __attribute__((visibility("default")))

/* One or more packed msgpack values. `data` NULL means none. */
struct objpool_bytes {
	const void *data;
	size_t size;
};

/* Whether the method ran. After OBJPOOL_RAN_NO it is safe to call again. */
enum objpool_ran { OBJPOOL_RAN_UNKNOWN, OBJPOOL_RAN_NO, OBJPOOL_RAN_MAYBE, OBJPOOL_RAN_YES };

/* Why a call failed. Only the library makes these structures: later versions may add members at the end. */
struct objpool_error {
	const char *code;          /* "FAILED", "WORKER_LOST", ...; "DISCONNECTED": the connection is lost. Never NULL */
	const char *message;       /* never NULL */
	const char *type;          /* the exception's class in the object's language, or NULL */
	const char *traceback;     /* or NULL */
	const char *pool;          /* where the call ran, with slot and generation; or NULL */
	int64_t slot;              /* or -1 */
	int64_t generation;        /* or -1 */
	int64_t index;             /* the item's number in all, map and scatter, or -1 */
	enum objpool_ran ran;
	int signal;                /* the signal that killed the worker, or 0 */
	int exit_status;           /* the exit status of the worker that ended, or -1 */
	struct objpool_bytes data; /* the object's own: one packed bin or ext, or none */
	const char *user;          /* DENIED: the user that was refused; OVERLOADED: whose limit is reached; or NULL */
	const char *right;         /* DENIED: the right that the user lacks, as "call"; or NULL */
	int64_t retry_after_ms;    /* OVERLOADED: when to try again; 0: not known */
	const char *host;          /* of a call to another machine: the host that went, or can't be asked; or NULL */
};

/*
 * The result of a call: a value if `error` is NULL, else an error.
 *
 * Ownership: a callback borrows its result, which is valid until the callback returns. A function that waits gives its result to
 * the caller, who frees it with objpool_result_free, whatever the function has returned.
 */
struct objpool_result {
	struct objpool_bytes value; /* one packed msgpack value */
	const struct objpool_error *error;
	void *owned; /* the library uses it */
};

/*
 * Frees the memory of an owned result, and empties the result. Does nothing to an empty or a borrowed result. It may be called
 * on any thread, and after objpool_close.
 */
OBJPOOL_API void objpool_result_free(struct objpool_result *result);

/*
 * Makes `*copy` an owned copy of a result.
 *
 * Ownership: the caller frees the copy with objpool_result_free. The copy outlives `result`, which stays as it is.
 *
 * Returns 0; -ENOMEM: the copy is empty.
 */
OBJPOOL_API int objpool_result_copy(struct objpool_result *copy, const struct objpool_result *result);

/* ---- connections ----------------------------------------------------------------------------------------------------- */

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

/* Calls of one instance go straight to its worker, see "direct channels". */
enum objpool_direct {
	OBJPOOL_DIRECT = 1,       /* through a socket */
	OBJPOOL_DIRECT_RINGS = 2, /* through shared memory, and pipes that wake who sleeps */
};

struct objpool_connect_options {
	size_t size;         /* sizeof(struct objpool_connect_options) */
	const char *client;  /* the name that the daemon is told; NULL: the program's short name */
	int timeout_ms;      /* for connecting and the greeting together; 0: ten seconds; negative: none */
	bool no_descriptors; /* large values go through the socket, see "large values" */
	int direct;          /* an enum objpool_direct; 0: all calls go through the daemon */

	/* For tls: addresses. Files are in PEM; NULL or "": as the environment variable says, if it is set and not empty. */
	const char *tls_ca;   /* file of the CAs that are trusted ($OBJPOOL_TLS_CA); none: those of the system */
	const char *
		tls_cert; /* file of this client's certificate, and of CAs under the one that the daemon knows ($OBJPOOL_TLS_CERT) */
	const char *tls_key;  /* file of its key, without a passphrase ($OBJPOOL_TLS_KEY); none: it is in the same file */
	const char *tls_name; /* that the daemon's certificate must have ($OBJPOOL_TLS_NAME); none: the host in the address */

	/* A file with a token, by which the daemon knows its user ($OBJPOOL_TOKEN_FILE). Not for tcp:, which anybody can read.
	 * Others must not be able to read the file; but a group may if root owns it. */
	const char *token_file;

	char *reason;       /* room for a sentence that says why connecting failed; NULL: not wanted */
	size_t reason_size; /* bytes of it. The sentence is empty if the errno says all */
};
#define OBJPOOL_CONNECT_OPTIONS_INIT \
	{sizeof(struct objpool_connect_options), NULL, 0, false, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0}

/*
 * Connects to a daemon, and waits for its greeting. `address` is unix:PATH, tcp:HOST:PORT, tls:HOST:PORT; a HOST may be [IPV6].
 * Also unix:///PATH, tcp://HOST:PORT, tls://HOST:PORT, a path that begins with / or ./, and HOST:PORT.
 * NULL: objpool_default_address. `options` may be NULL.
 *
 * Over TLS the daemon's certificate is always looked at: a CA that is trusted must lead to it, and it must have the name.
 *
 * Ownership: the caller closes the connection with objpool_close. After an error `*client` is NULL.
 *
 * Returns 0; -EINVAL: the address is malformed, or a file of the options can't be used; -EPROTO: no objpoold answers there, or
 * it speaks no TLS; -EHOSTUNREACH: the host has no address; -EKEYREJECTED: the daemon's certificate is refused; -EACCES: the
 * program may not connect to the socket, or the daemon refuses the client's certificate or token; -EBUSY: the daemon takes no
 * more connections now, or none of this user; -ELIBACC: OpenSSL is not there, which is loaded for tls: only; -ETIMEDOUT: the
 * time of the options has passed; -ENOMEM; or an error of connect(2), mostly -ENOENT or -ECONNREFUSED.
 */
OBJPOOL_API int objpool_connect(struct objpool_client **client, const char *address,
				const struct objpool_connect_options *options);

/*
 * Uses a connected stream socket, and waits for the daemon's greeting. Otherwise like objpool_connect.
 *
 * Ownership: the library closes `fd`, also if the function fails.
 *
 * Returns 0; or an error of objpool_connect.
 */
OBJPOOL_API int objpool_adopt(struct objpool_client **client, int fd, const struct objpool_connect_options *options);

/*
 * Closes a connection, and frees it. Calls in flight fail with DISCONNECTED before. In a callback, this happens when the callback
 * has returned. `client` may be NULL. Results that the caller owns stay valid.
 *
 * Returns NULL.
 */
OBJPOOL_API struct objpool_client *objpool_close(struct objpool_client *client);

/*
 * Writes the address that objpool_connect uses for NULL: $OBJPOOL_ADDRESS if it is set; else unix:$XDG_RUNTIME_DIR/objpool.sock
 * if that socket exists; else unix:/run/objpool/objpool.sock.
 *
 * Returns 0; -ENAMETOOLONG: it does not fit into `size` bytes.
 */
OBJPOOL_API int objpool_default_address(char *text, size_t size);

/*
 * Gives the daemon's greeting: a packed map {server, version, session, pools, limits, fds, fds_mark}.
 *
 * Ownership: the bytes are borrowed, and valid until the connection is closed.
 */
OBJPOOL_API struct objpool_bytes objpool_hello(const struct objpool_client *client);

/* ---- calls ----------------------------------------------------------------------------------------------------------- */

/*
 * Is called now and then while a call runs, if the call has asked for it. `done` of `total`: what the method itself reports;
 * or, in all, map and scatter, how many tasks are done. -1: not known. `text` comes from the method, and is borrowed; or it is
 * NULL. Returns 0; another number cancels the call, which then fails with CANCELLED, or ends the stream, as if `each` had
 * returned it.
 */
typedef int objpool_progress_callback(void *context, int64_t done, int64_t total, const char *text);

/* Members other than `size` may be zero. Pointers are only read while the function runs, except `progress_context`. */
struct objpool_call_options {
	size_t size;                      /* sizeof(struct objpool_call_options) */
	const char *target;               /* "sim", "sim:all", "sim:key=a.b"; `method` is then only the method's name */
	struct objpool_bytes kwargs;      /* packed map: keyword arguments */
	struct objpool_bytes bind;        /* packed array: leading arguments of every task */
	struct objpool_bytes bind_kwargs; /* packed map: keyword arguments of every task */
	const char *args_as;              /* in map and scatter: "zip", "single", "positional", "keyword" */
	const char *errors;               /* "wait", "first", "collect" */
	const char *sticky;               /* with all: "replace", "append": instances built later run the call, too */
	uint32_t timeout_ms;              /* the call fails with TIMEOUT after this time; 0: no limit */
	uint32_t chunk;                   /* items that a worker gets at once; 0: the daemon adapts it */
	bool idempotent;                  /* if a worker dies, another instance may run the call again */
	bool sync;                        /* in map: rounds of one item per slot */
	bool progress;                    /* send objpool.progress to objpool_on_notification's callback */
	bool unordered;                   /* in objpool_call_each: results as they finish, not in order */
	uint32_t window;                  /* in objpool_call_each of a map: as in objpool_map_options */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
	const char *traceparent;          /* the trace that the call belongs to, as in W3C Trace Context; NULL: none */
	int priority;                     /* from -10 to 10: where calls wait, a higher one is next */
	bool labels;                      /* in all and scatter: each result is an array: host (or nil), slot, result */
};
#define OBJPOOL_CALL_OPTIONS_INIT \
	{sizeof(struct objpool_call_options), NULL, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, NULL, NULL, 0, 0, \
	 false, false, false, false, 0, NULL, NULL, NULL, 0, false}

/*
 * Calls a method and waits for the answer. Callbacks of other calls may run meanwhile. `method` is "sim.step", "sim:2.step",
 * "sim:all.step", ... ; in a cluster also "sim@h2.step", "sim@*:all.step". `args` is a packed array (none: no arguments);
 * `options` may be NULL.
 *
 * After the timeout the daemon has one more second to answer with TIMEOUT; then the call fails here, with TIMEOUT. A call of
 * the daemon's own methods fails here at the timeout.
 *
 * Ownership: the caller frees `result` with objpool_result_free. It is empty after errors other than -EREMOTEIO. Arguments and
 * options are only read while the function runs.
 *
 * Returns 0: `result->value` is the value; -EREMOTEIO: `result->error` is the error; -EINVAL: the method has no dot, or args or
 * options are not well-formed msgpack; -ENOTCONN: the connection was lost before; -ESHUTDOWN; -EDEADLK; -ENOMEM: there is no
 * memory, or args or options come from a packer that has failed.
 */
OBJPOOL_API int objpool_call(struct objpool_client *client, const char *method, struct objpool_bytes args,
			     const struct objpool_call_options *options, struct objpool_result *result);

/*
 * Packs the arguments as objpool_pack does, calls a method, and waits. `format` describes one array. Otherwise like objpool_call.
 *
 * Returns 0: `result->value` is the value; -EINVAL: also if the format is malformed; or an error of objpool_call.
 */
OBJPOOL_API int objpool_callf(struct objpool_client *client, const char *method, struct objpool_result *result,
			      const char *format, ...);

/* Is called once for each call. `result` is borrowed. */
typedef void objpool_callback(void *context, const struct objpool_result *result);

/*
 * Starts a call. `callback` gets its result. The request goes into the output buffer, so that many calls cost one write:
 * objpool_flush, objpool_dispatch and functions that wait send it. `*id` is for objpool_cancel; `id` may be NULL. After an error
 * the callback is not called.
 *
 * Ownership: arguments and options are only read while the function runs. `context` must be valid until `callback` is called.
 *
 * Returns 0; or an error of objpool_call.
 */
OBJPOOL_API int objpool_call_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
				   const struct objpool_call_options *options, objpool_callback *callback, void *context,
				   uint32_t *id);

/*
 * Asks the daemon to cancel a call in flight. The call fails with CANCELLED unless it ends before.
 *
 * Returns 0; -ENOTCONN; -ENOMEM.
 */
OBJPOOL_API int objpool_cancel(struct objpool_client *client, uint32_t id);

/*
 * Calls a method without an answer, not even an error. The request goes into the output buffer, as with objpool_call_async.
 *
 * Returns 0; or an error of objpool_call.
 */
OBJPOOL_API int objpool_notify(struct objpool_client *client, const char *method, struct objpool_bytes args);

/* Gets a notification. `method` ends with NUL. Both `method` and `params` are borrowed: they are valid until it returns. */
typedef void objpool_notification(void *context, const char *method, struct objpool_bytes params);

/*
 * Sets who gets notifications, which the daemon sends because the program has asked for them. A connection has one such
 * callback. NULL: none.
 */
OBJPOOL_API void objpool_on_notification(struct objpool_client *client, objpool_notification *callback, void *context);

struct objpool_packer;

/* ---- large values ---------------------------------------------------------------------------------------------------- */

/*
 * On a Unix socket, bins and exts of 64 KiB and more do not go through the socket if the daemon accepts descriptors (`fds` in
 * objpool_hello). The library puts such values of arguments into sealed memory and passes its descriptor. It maps the files of
 * such results. For the program nothing changes: `result->value` is the packed value.
 *
 * - objpool_result_free gives the memory of a result back to the daemon, with the next request or turn.
 * - If an array or a map has large values in it, the library copies the whole result into one piece. objpool_all and
 *   objpool_map deliver each value alone, without this copy.
 * - Arguments of objpool_notify and of sticky calls go through the socket.
 * - Memory stays mapped for some seconds after its use, since its pages are present. A later turn unmaps it.
 * - A program that has no descriptor left when one arrives loses the connection (EPROTO). Connect with `no_descriptors` to get
 *   none.
 */

/*
 * Gives an empty packer memory that the daemon can map, with room for `size` bytes and some headers. Large bins and exts that
 * are packed there are not copied when they are arguments of calls of `client`. Pack them with objpool_pack_bin_room and fill
 * them in place.
 *
 * The packed bytes must not change until the call is answered without an error. After that, set `size` to 0 to pack the next
 * arguments into the same pages. If the bytes outgrow the room, they move to ordinary memory. If the connection takes no
 * descriptors, the packer gets ordinary memory at once.
 *
 * Ownership: the caller frees the packer with objpool_packer_free.
 *
 * Returns 0; -EINVAL: the packer is not empty, or `size` is 0; -ENOMEM.
 */
OBJPOOL_API int objpool_packer_share(struct objpool_packer *packer, struct objpool_client *client, size_t size);

/* ---- direct channels ------------------------------------------------------------------------------------------------- */

/*
 * With `direct` in objpool_connect_options, small calls of one instance ("sim.step", "sim:2.step", also under a lease) do not go
 * through the daemon. The daemon opens a socket to the instance's worker, and the library uses it. A call wakes two processes,
 * not four. For the program nothing else changes: errors, timeouts, progress and objpool_cancel are the same.
 *
 * - "sim.step" goes to the instance which has the fewest calls of this connection. While all that it can choose from are busy,
 *   the library asks for another instance.
 * - The library never waits for a channel. A call goes the ordinary way while there is none: at first, on TCP, with a daemon or a
 *   pool without channels, while an instance is replaced. So do maps, streams, `all`, keys, calls with other options than
 *   `kwargs`, `timeout_ms` and progress, arguments of 64 KiB and more, and calls of a method whose last result had 256 KiB and
 *   more: large values go by descriptor there.
 * - So calls to one instance that are in flight together may begin in another order than they were made.
 * - When a worker dies, calls that it had not begun are sent again. Those that it had begun fail with WORKER_LOST.
 * - At its timeout a call fails at once, and the library cancels it.
 * - objpool_fd is a descriptor of epoll(7) that stands for all sockets. Poll it like a socket.
 *
 * OBJPOOL_DIRECT_RINGS: bytes go through two rings of 64 KiB in memory that the program shares with the worker. A system call is
 * made only to sleep, and to wake who sleeps. A worker or a daemon without rings uses the socket.
 */

/* ---- results one by one ---------------------------------------------------------------------------------------------- */

/*
 * Is called for each slot or item, with its number from 0, and with a value or an error; both are borrowed. If there is an
 * error, `value` has no data. Returns 0; another number ends the stream: the library cancels the call, delivers nothing more,
 * and the function that started the stream returns this number. While `each` runs the library reads nothing; the daemon stops
 * when the socket is full.
 */
typedef int objpool_each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error);

/*
 * Calls any target, like objpool_call, and waits. `each` gets the results one by one, in slot or item order, or as they finish.
 * The library keeps none. A call of one instance has one result, with index 0. `errors` says which failures of slots and items
 * make the call fail, as in objpool_map. `result` may be NULL.
 *
 * Ownership: the caller frees `result` with objpool_result_free. It has an error, or is empty.
 *
 * Returns 0: all results have been delivered; the number that `each` returned: it has ended the call; -EREMOTEIO: the call has
 * failed, and `result->error` says how; or an error of objpool_call.
 */
OBJPOOL_API int objpool_call_each(struct objpool_client *client, const char *method, struct objpool_bytes args,
				  const struct objpool_call_options *options, objpool_each *each, void *context,
				  struct objpool_result *result);

/*
 * Calls "sim.step" once on every slot of its pool, and waits. The result of a slot that fails is an error. Options as for
 * objpool_call; `errors`, `target` and `unordered` are ignored. `result` is as with objpool_call_each.
 *
 * Returns 0: all results have been delivered; the number that `each` returned: it has ended the call; or an error of
 * objpool_call_each.
 */
OBJPOOL_API int objpool_all(struct objpool_client *client, const char *method, struct objpool_bytes args,
			    const struct objpool_call_options *options, objpool_each *each, void *context,
			    struct objpool_result *result);

/* A stream under way. It is valid from the function that starts it until its `done` has been called. */
struct objpool_stream;

/* Is called once, at the end. `status`: what objpool_call_each or objpool_map would return. `error` is borrowed, or NULL. */
typedef void objpool_stream_done(void *context, int status, const struct objpool_error *error);

/*
 * Starts what objpool_call_each does. It goes on within objpool_dispatch and functions that wait. `done` is always called
 * later, never from here. `stream` may be NULL. After an error no callback is called.
 *
 * Ownership: `*stream` is the library's, and valid until `done` has been called. So must both contexts be.
 *
 * Returns 0; or an error of objpool_call_async.
 */
OBJPOOL_API int objpool_call_each_async(struct objpool_client *client, const char *method, struct objpool_bytes args,
					const struct objpool_call_options *options, objpool_each *each, void *each_context,
					objpool_stream_done *done, void *done_context, struct objpool_stream **stream);

/*
 * Ends a stream. Its callbacks may do so. The library cancels the call. At the end of the next turn `done` gets `status`, which
 * is negative.
 */
OBJPOOL_API void objpool_stream_stop(struct objpool_stream *stream, int status);

/* ---- map ------------------------------------------------------------------------------------------------------------- */

/* What an objpool_next returns. */
enum {
	OBJPOOL_NEXT_END = 0,   /* there are no more items */
	OBJPOOL_NEXT_ITEM = 1,  /* it has packed an item */
	OBJPOOL_NEXT_FAILED = 2 /* the input itself has failed: it has packed a str that says how */
};

/*
 * Packs the next item of a map. The library calls it when the daemon is ready to take an item. `item` is borrowed.
 *
 * OBJPOOL_NEXT_FAILED: the text becomes the result of one more item, an item that has failed, after the results of the items
 * before it. -EAGAIN: there is no item now; the program calls objpool_stream_more when there is one. objpool_map ends with
 * -EAGAIN, because it waits, and nobody could call objpool_stream_more. Another negative number ends the map at once, with this
 * number.
 */
typedef int objpool_next(void *context, struct objpool_packer *item);

/* Members other than `size` may be zero. Pointers are only read while the function runs, except `progress_context`. */
struct objpool_map_options {
	size_t size;                      /* sizeof(struct objpool_map_options) */
	const char *args_as;              /* how an item becomes arguments: "single" (default), "positional", "keyword" */
	const char *errors;               /* "wait" (default), "first", "collect", see objpool_map */
	struct objpool_bytes bind;        /* packed array: leading arguments of every item */
	struct objpool_bytes bind_kwargs; /* packed map: keyword arguments of every item */
	uint32_t timeout_ms;              /* for the whole map; 0: no limit */
	uint32_t chunk;                   /* items that a worker gets at once; 0: the daemon adapts it */
	uint32_t window;                  /* items accepted and unanswered; 0: by the work and the bytes of the items */
	bool unordered;                   /* results as they finish, not in item order */
	bool idempotent;                  /* if a worker dies, another instance may run its items again */
	bool sync;                        /* rounds of one item per slot: each slot exactly once in a round */
	objpool_progress_callback *on_progress; /* or NULL */
	void *progress_context;
	const char *traceparent;          /* the trace that the map belongs to, as in W3C Trace Context; NULL: none */
	int priority;                     /* of all items, from -10 to 10: where calls wait, a higher one is next */
};
#define OBJPOOL_MAP_OPTIONS_INIT \
	{sizeof(struct objpool_map_options), NULL, NULL, {NULL, 0}, {NULL, 0}, 0, 0, 0, false, false, false, NULL, NULL, NULL, 0}

/*
 * Calls "sim.step" for each item, on whichever instance is free, and waits for the end. `each` gets the result of every item.
 * Memory stays bounded, here and in the daemon, however many items there are and whichever side is slow: the daemon accepts
 * items as results leave. `errors` decides about items that fail:
 *
 *	wait     the map goes on to the end, then fails with the first failure in item order
 *	first    the map fails at the first failure; results that have not been delivered by then are dropped
 *	collect  the map does not fail because of items
 *
 * `options` and `result` may be NULL.
 *
 * Ownership: the caller frees `result` with objpool_result_free. It has an error, or is empty.
 *
 * Returns 0: all results have been delivered; the number that `next` or `each` returned: it has ended the map; -EREMOTEIO: the
 * map has failed, and `result->error` says how; -EINVAL: also if `next` has not packed exactly one value; -EAGAIN: `next` has
 * returned it; or an error of objpool_call.
 */
OBJPOOL_API int objpool_map(struct objpool_client *client, const char *method, objpool_next *next, void *next_context,
			    objpool_each *each, void *each_context, const struct objpool_map_options *options,
			    struct objpool_result *result);

/*
 * Starts what objpool_map does. Otherwise like objpool_call_each_async.
 *
 * Returns 0; or an error of objpool_call_async.
 */
OBJPOOL_API int objpool_map_async(struct objpool_client *client, const char *method, objpool_next *next, void *next_context,
				  objpool_each *each, void *each_context, const struct objpool_map_options *options,
				  objpool_stream_done *done, void *done_context, struct objpool_stream **stream);

/* Says that there are items again, after `next` has returned -EAGAIN. The next turn takes some. */
OBJPOOL_API void objpool_stream_more(struct objpool_stream *stream);

/* ---- leases ---------------------------------------------------------------------------------------------------------- */

struct objpool_lease_options {
	size_t size;         /* sizeof(struct objpool_lease_options) */
	uint32_t timeout_ms; /* waits so long for an instance, then fails with TIMEOUT; 0: no limit */
	uint32_t lease_ms;   /* the lease ends after this time; 0: when it is released */
	int64_t slot;        /* the slot to lease; -1: any */
	char *host; /* room for OBJPOOL_HOST_SIZE bytes, or NULL: gets the host's name. "": the pool is this daemon's own */
};
#define OBJPOOL_LEASE_OPTIONS_INIT {sizeof(struct objpool_lease_options), 0, 0, -1, NULL}
#define OBJPOOL_HOST_SIZE 64

/* A lease: only this connection may call the instance. Calls of others to the slot wait. */
struct objpool_lease {
	int64_t slot;
	int64_t generation;
};

/*
 * Waits for an instance of the pool called `name`, and leases it until objpool_release or the end of the connection. `options`
 * and `result` may be NULL. If `name` stands for several hosts ("sim@*"), `options->host` gets the name of the one that has
 * granted the lease: call the instance as "sim@HOST:SLOT", and release it as "sim@HOST".
 *
 * Ownership: the caller frees `result` with objpool_result_free. It has an error, or is empty.
 *
 * Returns 0: `*lease` says which instance; -EREMOTEIO: there is none, and `result->error` says why; -EPROTO: the daemon's answer
 * is malformed; or an error of objpool_call.
 */
OBJPOOL_API int objpool_lease(struct objpool_client *client, const char *name, const struct objpool_lease_options *options,
			      struct objpool_lease *lease, struct objpool_result *result);

/*
 * Releases a leased slot of the pool called `name`. If `slot` is -1: the only lease of the pool, or the oldest one. `result` is
 * as with objpool_lease.
 *
 * Returns 1: it is released; 0: there was no such lease, or it had ended before, with its worker or its time; or an error of
 * objpool_lease.
 */
OBJPOOL_API int objpool_release(struct objpool_client *client, const char *name, int64_t slot, struct objpool_result *result);

/* ---- waiting, and other loops ---------------------------------------------------------------------------------------- */

/*
 * Sends the output buffer, as much as the socket takes now.
 *
 * Returns 0: all is sent; 1: some is left; -ENOTCONN.
 */
OBJPOOL_API int objpool_flush(struct objpool_client *client);

/* Tells how many calls are not answered yet. */
OBJPOOL_API size_t objpool_in_flight(const struct objpool_client *client);

/* Tells how many bytes are in the output buffer. */
OBJPOOL_API size_t objpool_unsent(const struct objpool_client *client);

/*
 * Waits for one turn: sends, waits until something has come, at most `timeout_ms` (negative: no limit), and runs callbacks.
 *
 * Returns 0: something may have happened; -ETIMEDOUT: nothing has come; -ENOTCONN: the connection is lost, and all calls have
 * failed; -ESHUTDOWN: a callback has closed it, and `client` is freed; -EDEADLK.
 */
OBJPOOL_API int objpool_wait(struct objpool_client *client, int timeout_ms);

/*
 * Runs turns until no call and no stream is under way.
 *
 * Returns 0; -ENOTCONN; -ESHUTDOWN; -EDEADLK.
 */
OBJPOOL_API int objpool_drain(struct objpool_client *client);

/*
 * Tell what a program's own loop waits for. Wait until objpool_fd is ready for objpool_events (POLLIN, POLLOUT), or
 * objpool_timeout_ms has passed (-1: no limit). Then call objpool_dispatch with the `revents` of poll(2). Ask for events and
 * timeout again before each wait. The descriptor belongs to the library, and does not change.
 */
OBJPOOL_API int objpool_fd(const struct objpool_client *client);
OBJPOOL_API short objpool_events(const struct objpool_client *client);
OBJPOOL_API int objpool_timeout_ms(const struct objpool_client *client);

/*
 * Runs one turn, and never waits: receives, runs callbacks and timers, and sends. `events` is the `revents` of poll(2); 0: only
 * time has passed.
 *
 * Returns 0; -ENOTCONN: the connection is lost, and all calls have failed; -ESHUTDOWN: a callback has closed it, and `client` is
 * freed; -EDEADLK.
 */
OBJPOOL_API int objpool_dispatch(struct objpool_client *client, short events);

/* ---- making msgpack -------------------------------------------------------------------------------------------------- */

/*
 * Makes msgpack in memory that grows. Begin with OBJPOOL_PACKER_INIT, end with objpool_packer_free. If there is no memory,
 * `error` becomes -ENOMEM, and all that is packed later is dropped: it is enough to check `error` at the end.
 */
struct objpool_packer {
	unsigned char *data;
	size_t size;
	size_t capacity;
	int error;
	void *owned; /* the library's */
};
#define OBJPOOL_PACKER_INIT {NULL, 0, 0, 0, NULL}

/* Frees the bytes of a packer. The packer can be used again. */
OBJPOOL_API void objpool_packer_free(struct objpool_packer *packer);

/*
 * Gives the packed bytes. If the packer has failed, `data` is NULL and `size` is SIZE_MAX: each function of the library refuses
 * such bytes with -ENOMEM, so that no call is made with a part of its arguments.
 *
 * Ownership: the bytes are borrowed, and valid until the packer is used again.
 */
OBJPOOL_API struct objpool_bytes objpool_packed(const struct objpool_packer *packer);

/*
 * Pack one value each. The bytes are copied. objpool_pack_cstr: a str that ends with NUL. If there is no memory, the packer's
 * `error` becomes -ENOMEM.
 */
OBJPOOL_API void objpool_pack_nil(struct objpool_packer *packer);
OBJPOOL_API void objpool_pack_bool(struct objpool_packer *packer, bool value);
OBJPOOL_API void objpool_pack_int(struct objpool_packer *packer, int64_t value);
OBJPOOL_API void objpool_pack_uint(struct objpool_packer *packer, uint64_t value);
OBJPOOL_API void objpool_pack_double(struct objpool_packer *packer, double value);
OBJPOOL_API void objpool_pack_str(struct objpool_packer *packer, const char *text, size_t size);
OBJPOOL_API void objpool_pack_cstr(struct objpool_packer *packer, const char *text);
OBJPOOL_API void objpool_pack_bin(struct objpool_packer *packer, const void *bytes, size_t size);
OBJPOOL_API void objpool_pack_ext(struct objpool_packer *packer, int8_t type, const void *bytes, size_t size);

/*
 * Packs a bin whose bytes the caller fills in.
 *
 * Ownership: the room is the packer's, and valid until the packer is used again.
 *
 * Returns where the bytes go; NULL: there is no memory.
 */
OBJPOOL_API void *objpool_pack_bin_room(struct objpool_packer *packer, size_t size);

/* Pack the header of an array or a map. Its `count` values, or keys and values by turns, must follow. */
OBJPOOL_API void objpool_pack_array(struct objpool_packer *packer, uint32_t count);
OBJPOOL_API void objpool_pack_map(struct objpool_packer *packer, uint32_t count);

/* Packs values that are packed already. They are copied. */
OBJPOOL_API void objpool_pack_raw(struct objpool_packer *packer, struct objpool_bytes values);

/*
 * Pack what a format describes. Blanks, commas and colons in it have no meaning.
 *
 *	[ ]  array    { }  map: keys and values by turns         n  nil
 *	b  bool (int)    i  int    I  int64_t    u  uint64_t    f  double
 *	s  const char *, ends with NUL     S  const char *, size_t: str
 *	B  const void *, size_t: bin       v  struct objpool_bytes: one packed value
 *
 *	objpool_pack(&packer, "[i {s: f, s: [b n]}]", 7, "rate", 0.5, "flags", true);
 *
 * Returns 0; -EINVAL: the format is malformed, and nothing has been packed; -ENOMEM.
 */
OBJPOOL_API int objpool_pack(struct objpool_packer *packer, const char *format, ...);
OBJPOOL_API int objpool_vpack(struct objpool_packer *packer, const char *format, va_list arguments);

/* ---- taking msgpack apart -------------------------------------------------------------------------------------------- */

/*
 * Reads values from the first to the last. All functions are safe with any bytes. A reader has nothing to free: it points into
 * the bytes, which must stay until it has been used.
 */
struct objpool_reader {
	const unsigned char *next;
	const unsigned char *end;
};

enum objpool_type {
	OBJPOOL_END, /* there are no more bytes, or they are not msgpack */
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

/*
 * Read packed values. objpool_reader begins; objpool_read_type tells the type of the next value, and does not pass it. Each of
 * the others reads the next value of its type, and passes it. objpool_read_double takes integers, too. After
 * objpool_read_array and objpool_read_map their values, or keys and values by turns, are next.
 *
 * Ownership: strings and bytes point into what is read. A str has no NUL at its end.
 *
 * Returns 0; -EINVAL: the next value has another type, does not fit, or is not whole: then it is not passed.
 */
OBJPOOL_API struct objpool_reader objpool_reader(struct objpool_bytes values);
OBJPOOL_API enum objpool_type objpool_read_type(const struct objpool_reader *reader);
OBJPOOL_API int objpool_read_nil(struct objpool_reader *reader);
OBJPOOL_API int objpool_read_bool(struct objpool_reader *reader, bool *value);
OBJPOOL_API int objpool_read_int(struct objpool_reader *reader, int64_t *value);
OBJPOOL_API int objpool_read_uint(struct objpool_reader *reader, uint64_t *value);
OBJPOOL_API int objpool_read_double(struct objpool_reader *reader, double *value);
OBJPOOL_API int objpool_read_str(struct objpool_reader *reader, const char **text, size_t *size);
OBJPOOL_API int objpool_read_bin(struct objpool_reader *reader, const void **bytes, size_t *size);
OBJPOOL_API int objpool_read_ext(struct objpool_reader *reader, int8_t *type, const void **bytes, size_t *size);
OBJPOOL_API int objpool_read_array(struct objpool_reader *reader, uint32_t *count);
OBJPOOL_API int objpool_read_map(struct objpool_reader *reader, uint32_t *count);

/*
 * Reads the next value, whatever its type. `value` may be NULL: then it is only passed.
 *
 * Ownership: `*value` points into what is read.
 *
 * Returns 0; -EINVAL: there is none, or it is not whole.
 */
OBJPOOL_API int objpool_read_value(struct objpool_reader *reader, struct objpool_bytes *value);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif
