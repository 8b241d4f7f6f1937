// SPDX-License-Identifier: Apache-2.0

/* For programs whose `lib` has no esnext.disposable, and no types of Node. */
declare global {
	interface SymbolConstructor {
		readonly asyncDispose: unique symbol;
	}
	interface AsyncDisposable {
		[Symbol.asyncDispose](): PromiseLike<void>;
	}
}

/** An AbortSignal. */
export interface AbortSignalLike {
	readonly aborted: boolean;
	readonly reason?: any;
	addEventListener(type: "abort", listener: () => void, options?: any): void;
	removeEventListener(type: "abort", listener: () => void, options?: any): void;
}

/** When a call is sent again that has not run. */
export interface RetryPolicy {
	/** How often it is sent at most; 5. */
	attempts?: number;
	/** Before the second attempt; 50. Each pause is about twice the one before. */
	delayMs?: number;
	/** The longest pause; 2000. */
	maxDelayMs?: number;
}

/** How a lost connection is made anew. */
export interface ReconnectPolicy {
	/** How long calls wait for it; 10000. */
	timeoutMs?: number;
	/** The first pause between two attempts; 50. Each is about twice the one before. */
	delayMs?: number;
	/** The longest pause; 2000. */
	maxDelayMs?: number;
}

/** What `connect` takes. What is not given of TLS and tokens is looked for in the environment. */
export interface ConnectOptions {
	/** The client's name, for the daemon's log and `clients()`. */
	name?: string;
	/** How long one attempt to connect may take; 10000. */
	connectTimeoutMs?: number;
	/** How a lost connection is made anew; false: it is not. */
	reconnect?: false | ReconnectPolicy;
	/** How many streams that are no maps have a connection of their own at the same time; 8. */
	streamConnections?: number;
	/** For all calls: see {@link CallOptions.retry}. */
	retry?: boolean | number | RetryPolicy;
	/** The file of the CAs that are trusted; $OBJPOOL_TLS_CA. */
	tlsCa?: string;
	/** The file of the client's certificate; $OBJPOOL_TLS_CERT. */
	tlsCert?: string;
	/** The file of its key; $OBJPOOL_TLS_KEY, or the file of the certificate. */
	tlsKey?: string;
	/** The name that the daemon's certificate must have, if it is not the host of the address; $OBJPOOL_TLS_NAME. */
	tlsName?: string;
	/** A token that says who the client is. */
	token?: string;
	/** A file with a token, which others may not read; $OBJPOOL_TOKEN_FILE. */
	tokenFile?: string;
}

/** Options of calls, which `options()` of a pool or of a part takes. */
export interface CallOptions {
	/** Then the call fails with `TIMEOUT`, and a method that runs is told. */
	timeoutMs?: number;
	/** Cancels the call. */
	signal?: AbortSignalLike;
	/** Keyword arguments. Of a map or scatter each is an iterable, zipped in with the arguments. */
	kwargs?: Record<string, unknown>;
	/** Leading arguments of a map or scatter that are the same for all items: sent once. */
	bind?: unknown[];
	/** Likewise keyword arguments. */
	bindKwargs?: Record<string, unknown>;
	/** What the items of a map's one argument are. */
	argsAs?: "zip" | "single" | "positional" | "keyword";
	/** When a task of all, map or scatter fails: `"wait"` (the default) and `"first"` fail the call when all is done, or at
	 * once; with `"collect"` an ObjpoolError is the result in its place. */
	errors?: "wait" | "first" | "collect";
	/** Of map: how many items a worker is handed at once. */
	chunk?: number;
	/** The call may run again, up to three times, when its worker dies. */
	idempotent?: boolean;
	/** Of a stream: results in item order (the default), or as they come. */
	ordered?: boolean;
	/** Of a streamed map: how many items may be read beyond the results that were taken. */
	window?: number;
	/** Of all and scatter: each result is [host, slot, result]. */
	labels?: boolean;
	/** Of map: in rounds, each slot once. */
	sync?: boolean;
	/** Of all: the daemon replays the call on instances that are built later. */
	sticky?: "append" | "replace";
	/** From -10 to 10: where calls wait, those of higher priority are next. */
	priority?: number;
	/** The trace to which the call belongs, as in W3C Trace Context. */
	traceparent?: string;
	/** Is told how far the call is. */
	progress?: (done: number, total: number | null, text: string | null) => void;
	/** Results as the bytes of msgpack, which `decode` reads. */
	raw?: boolean;
	/** The call is sent again if it has not run: so many attempts, or a policy; true: five. */
	retry?: boolean | number | RetryPolicy;
}

/** Results one by one. To leave the loop cancels the call. A failed item throws, and ends it; with `errors: "collect"` it is an
 * item. */
export interface Results<T> extends AsyncIterableIterator<T>, AsyncDisposable {
	next(): Promise<IteratorResult<T, undefined>>;
	return(value?: unknown): Promise<IteratorResult<T, undefined>>;
	throw(error?: unknown): Promise<IteratorResult<T, undefined>>;
	[Symbol.asyncIterator](): Results<T>;
	/** The same stream as pairs: the number of the item, and its result. */
	entries(): Results<[number, T]>;
	/** All results that are still to come. */
	toArray(): Promise<T[]>;
	/** Once the stream has ended; not if it was left, or an error ended it. */
	readonly summary: { items: number; failed: number; itemNs?: number } | undefined;
}

type Streamable<T> = Iterable<T> | AsyncIterable<T>;
type Zipped<A extends unknown[]> = { [I in keyof A]: Iterable<A[I]> };
type Fed<A extends unknown[]> = { [I in keyof A]: Streamable<A[I]> };
/** What a method yields that is written with an iterator as its result. */
type Item<R> = R extends string ? R : R extends Iterator<infer T> | AsyncIterator<infer T> ? T : R;
type Whole<R> = R extends string ? R : R extends Iterator<infer T> | AsyncIterator<infer T> ? T[] : R;

/** A method of a pool or a part. */
export interface Method<A extends unknown[], R, S extends unknown[] = A, T = R> {
	(...args: A): Promise<R>;
	/** Its results one by one. The call begins now, and not when the first is taken. */
	stream(...args: S): Results<T>;
	/** Calls it without an answer; resolves when the socket has taken that. */
	notify(...args: A): Promise<void>;
}

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Result<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;
type Names<Api> = { [K in keyof Api]: Api[K] extends (...args: never[]) => unknown ? K : never }[keyof Api];
type IsAny<T> = 0 extends 1 & T ? true : false;

type OneMethods<Api> = { [K in Names<Api>]: OneMethod<Arguments<Api[K]>, Result<Api[K]>> };
type AllMethods<Api, E> = { [K in Names<Api>]: AllMethod<Arguments<Api[K]>, Whole<Result<Api[K]>> | E> };
type MapMethods<Api, E> = { [K in Names<Api>]: MapMethod<Arguments<Api[K]>, Whole<Result<Api[K]>> | E> };
type OneMethod<A extends unknown[], R> = Method<A, Whole<R>, A, Item<R>>;
type AllMethod<A extends unknown[], R> = Method<A, R[], A, R>;
type MapMethod<A extends unknown[], R> = Method<Zipped<A>, R[], Fed<A>, R>;
type AnyMethods = { [method: string]: any };

/** What all parts of a pool have beside the methods. Methods of these names are called by `call`. */
export interface PartBase {
	/** The name of it on the wire. */
	readonly target: string;
	/** Calls a method by its name. */
	call<R = any>(method: string, ...args: unknown[]): Promise<R>;
	/** A method by its name. */
	method<A extends unknown[] = any[], R = any>(name: string): Method<A, R>;
	toString(): string;
}

/* The same with these options, beside those that it has. An option that is undefined is taken away. */
interface OneOptions<Api> { options(options: CallOptions): One<Api> }
interface LeaseWithOptions<Api> { options(options: CallOptions): Lease<Api> }
interface AllOptions<Api, E> {
	options(options: Collecting): All<Api, ObjpoolError>;
	options(options: CallOptions): All<Api, E>;
}
interface MappedOptions<Api, E> {
	options(options: Collecting): Mapped<Api, ObjpoolError>;
	options(options: CallOptions): Mapped<Api, E>;
}
interface PoolOptions<Api, E> {
	options(options: Collecting): Pool<Api, ObjpoolError>;
	options(options: CallOptions): Pool<Api, E>;
}
/** Options with which errors of tasks are results. */
type Collecting = CallOptions & { errors: "collect" };

type Methods<Api, Typed> = IsAny<Api> extends true ? AnyMethods : Typed;

/** One instance, or any. */
export type One<Api = any> = PartBase & OneOptions<Api> & Methods<Api, OneMethods<Api>>;
/** Each instance: results are arrays, in slot order. `E` stands for a failed task: ObjpoolError with `errors: "collect"`. */
export type All<Api = any, E = never> = PartBase & AllOptions<Api, E> & Methods<Api, AllMethods<Api, E>>;
/** One task for each item: arguments are iterables, and results are arrays. */
export type Mapped<Api = any, E = never> = PartBase & MappedOptions<Api, E> & Methods<Api, MapMethods<Api, E>>;

export interface LeaseOptions {
	/** The instance; without it, the first that is free. */
	slot?: number;
	/** How long to wait for it. */
	timeoutMs?: number;
	/** How long the lease lasts at most. */
	leaseMs?: number;
	/** Ends the wait. */
	signal?: AbortSignalLike;
}

/** An instance that this client has for itself. */
export type Lease<Api = any> = PartBase & AsyncDisposable & LeaseWithOptions<Api> & {
	readonly slot: number;
	readonly generation: number;
	/** Gives it back. False: it was not leased any more. */
	release(): Promise<boolean>;
} & Methods<Api, OneMethods<Api>>;

/** What a pool has beside the methods of its instances. */
export interface PoolBase<Api, E> extends PartBase, AsyncDisposable {
	readonly name: string;
	/** Each instance. */
	readonly all: All<Api, E>;
	/** One task for each item, on whichever instance is free. */
	readonly map: Mapped<Api, E>;
	/** Item i on slot i. */
	readonly scatter: Mapped<Api, E>;
	/** The instance in that slot. */
	slot(number: number): One<Api>;
	/** The same instance for the same key. */
	key(key: string | number): One<Api>;
	/** An instance for this client alone, until it is released. */
	lease(options?: LeaseOptions): Promise<Lease<Api>>;
	/** Likewise, until the promise of `use` has settled. */
	lease<R>(use: (one: Lease<Api>) => R | Promise<R>): Promise<R>;
	lease<R>(options: LeaseOptions, use: (one: Lease<Api>) => R | Promise<R>): Promise<R>;
	/** Removes the pool from the daemon. */
	drop(): Promise<boolean>;
}

/** A pool. `Api` is the interface of its instances: `interface Sim { step(dt: number): number }`. */
export type Pool<Api = any, E = never> = PoolBase<Api, E> & PoolOptions<Api, E> & Methods<Api, OneMethods<Api>>;

/** The keys of a pool's section in objpoold.conf(5). */
export interface PoolSettings {
	plugin?: string;
	class?: string;
	workers?: number;
	args?: unknown[];
	kwargs?: Record<string, unknown>;
	slot_kwargs?: Record<string, unknown>[];
	/** `"session"` (the default): the pool goes with this client's connection; `"daemon"`: it stays. */
	owner?: "session" | "daemon";
	[key: string]: unknown;
}

export interface MethodDescription {
	name: string;
	signature: string;
	doc: string;
	[key: string]: any;
}

export interface PoolDescription {
	pool: string;
	plugin: string;
	version: string;
	class: string;
	doc: string;
	signature: string;
	methods: MethodDescription[];
	[key: string]: any;
}

/** What the daemon says of itself and of a connection. */
export interface Hello {
	server: string;
	version: string;
	protocol: [number, number];
	session: number;
	pools: string[];
	limits: Record<string, number>;
}

export interface Logs {
	/** The number of the newest line, for the next question. */
	last: number;
	/** Lines that were not kept. */
	missed: number;
	/** `slot` is null in what the template has printed. */
	lines: { number: number; at_s: number; slot: number | null; stream: "stdout" | "stderr"; text: string }[];
}

/** Which events are wanted; without options all but the comings and goings of clients and leases. */
export interface EventOptions {
	/** Only what is about this pool. */
	pool?: string;
	/** Such as `"slot.died"`, or `"slot"` for all of its kinds. */
	kinds?: string | string[];
	/** Only events of then or later: seconds since 1970, or a date. */
	since?: number | Date;
	/** Only events with a greater number. */
	after?: number;
	/** Begin with so many of the events that there are; 0: only with what comes. */
	last?: number;
	/** False: end with the last event that there is. */
	follow?: boolean;
	/** Ends the stream. */
	signal?: AbortSignal;
}

/** What does not apply is not there. */
export interface DaemonEvent {
	/** In UTC, as `2026-11-29T16:38:38.285Z`. */
	time: string;
	/** The same in seconds since 1970. */
	at_s: number;
	number: number;
	kind: string;
	text: string;
	pool?: string;
	/** Another machine of the cluster. */
	host?: string;
	slot?: number;
	generation?: number;
	pid?: number;
	session?: number;
	/** How the process ended. */
	signal?: number;
	exit_status?: number;
	/** The last line that the process has printed on standard error. */
	last_words?: string;
	/** Of `events.lost`: how many events this reader was too slow for. */
	lost?: number;
}

/** A client of one daemon. Emits `connect`, and `disconnect` with the error that has ended the connection. */
export interface Client extends AsyncDisposable {
	readonly address: string;
	/** The daemon's answer to objpool.hello; null while there is no connection. */
	readonly hello: Hello | null;
	/** A pool that the daemon has. */
	pool<Api = any>(name: string, options?: CallOptions): Pool<Api>;
	/** Makes a pool; resolves when every constructor has run. */
	createPool<Api = any>(name: string, settings: PoolSettings): Promise<Pool<Api>>;
	dropPool(name: string): Promise<boolean>;
	/** Calls a method of the daemon itself, `objpool.x`: docs/PROTOCOL.md lists them. */
	request<R = any>(method: string, params?: unknown[], options?: CallOptions): Promise<R>;
	ping(...values: unknown[]): Promise<any[]>;
	whoami(): Promise<any>;
	acl(user: string, right: string, name: string): Promise<{ allowed: boolean; where: string }>;
	pools(): Promise<any[]>;
	describe(pool: string): Promise<PoolDescription>;
	status(pool?: string): Promise<any>;
	metrics(): Promise<string>;
	scale(pool: string, workers: number): Promise<{ workers: number }>;
	restart(pool: string, slot?: number): Promise<{ restarted: number }>;
	pause(pool: string): Promise<boolean>;
	resume(pool: string): Promise<boolean>;
	forget(pool: string, method?: string): Promise<number>;
	clients(): Promise<any[]>;
	kick(session: number): Promise<boolean>;
	reload(): Promise<any>;
	/** Has a pool's changed code loaded by a new process, and its instances replaced one by one. */
	reloadCode(pool: string): Promise<any>;
	/** What a pool's workers and template have printed: the lines with a greater number than `after`, as far as they are kept. */
	logs(pool: string, after?: number): Promise<Logs>;
	/** What has happened in the daemon, as far as it is kept, and what happens, one by one. Ends when the daemon stops. */
	events(options?: EventOptions): Results<DaemonEvent>;
	drain(): Promise<any>;
	shutdown(): Promise<boolean>;
	logLevel(level?: "error" | "warning" | "info" | "debug"): Promise<string>;
	config(): Promise<string>;
	/** Ends the connection at once. Calls under way fail; pools and leases that were made over it go. */
	close(): void;
	/** Refuses new calls, waits for the calls and streams that are under way, and ends the connection; resolves when it is closed.
	 * False: they took longer than `timeoutMs` (10000), and have failed. `await using` does this at the end of its block. */
	end(options?: { timeoutMs?: number }): Promise<boolean>;
	on(event: "connect", listener: () => void): this;
	on(event: "disconnect", listener: (error: ObjpoolError) => void): this;
	once(event: "connect", listener: () => void): this;
	once(event: "disconnect", listener: (error: ObjpoolError) => void): this;
	off(event: "connect" | "disconnect", listener: (...args: any[]) => void): this;
}

/**
 * Connects to a daemon: `unix:PATH`, `tcp:HOST:PORT` or `tls:HOST:PORT`. Without an address: $OBJPOOL_ADDRESS, or else the daemon
 * of the user ($XDG_RUNTIME_DIR/objpool.sock) or of the system (/run/objpool/objpool.sock).
 */
export function connect(address?: string, options?: ConnectOptions): Promise<Client>;
export function connect(options: ConnectOptions): Promise<Client>;

/** The codes of errors. Others may be added. */
export type ErrorCode =
	| "BAD_REQUEST" | "BAD_TARGET" | "NO_SUCH_POOL" | "NO_SUCH_SLOT" | "NO_SUCH_METHOD" | "BAD_ARGUMENT" | "DENIED" | "FAILED"
	| "WORKER_LOST" | "TIMEOUT" | "CANCELLED" | "OVERLOADED" | "TOO_LARGE" | "UNAVAILABLE" | "HOST_LOST" | "UNREACHABLE"
	| "INTERNAL"
	| "CONNECTION_LOST" | "NO_DAEMON" | "BAD_VALUE";

/** Every error of a call. What is not known is undefined. */
export class ObjpoolError extends Error {
	constructor(code: ErrorCode, message: string, details?: Partial<ObjpoolError>);
	readonly code: ErrorCode | (string & {});
	/** Whether the method ran. After `"no"` it is safe to call again. */
	readonly ran: "no" | "maybe" | "yes";
	/** Of a method's exception: its class, and where it came from. `cause` is a {@link RemoteError} with both. */
	readonly type?: string;
	readonly traceback?: string;
	readonly pool?: string;
	/** Of `HOST_LOST` and `UNREACHABLE`: the machine that went, or can't be asked. */
	readonly host?: string;
	readonly slot?: number;
	readonly generation?: number;
	/** The item, in all, map and scatter. */
	readonly index?: number;
	/** How the worker ended. */
	readonly signal?: number;
	readonly exitStatus?: number;
	/** What the object has added. */
	readonly data?: Uint8Array;
	/** Of `OVERLOADED`: when to try again. */
	readonly retryAfterMs?: number;
	/** Of `DENIED`: who may not do what. */
	readonly user?: string;
	readonly right?: string;
	readonly cause?: unknown;
}

/** A method's exception: `name` is its class, `stack` where it came from. */
export class RemoteError extends Error {}

/** A msgpack ext value without a meaning here, such as a pickled object of Python (type 80). */
export class Ext {
	constructor(type: number, data: Uint8Array);
	readonly type: number;
	readonly data: Uint8Array;
}

/** A number that is sent as a float even if it is whole. */
export class Float {
	constructor(value: number);
	readonly value: number;
}

type TypedArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array
	| Float32Array | Float64Array;

/** An array as numpy has it. Typed arrays but bytes are sent as one, too. */
export class NdArray {
	constructor(data: TypedArray, shape?: number[], dtype?: string | unknown[], order?: "C" | "F");
	/** numpy's: `"<f8"`. */
	readonly dtype: string | unknown[];
	readonly shape: number[];
	readonly order: "C" | "F";
	readonly bytes: Uint8Array;
	/** The elements, in `order`; undefined: JavaScript has no such type. */
	readonly data: TypedArray | undefined;
}

/** The bytes of a value. */
export function encode(value: unknown): Uint8Array;
/** The value of these bytes. */
export function decode(bytes: Uint8Array): any;
