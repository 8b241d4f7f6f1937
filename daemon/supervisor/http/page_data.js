// SPDX-License-Identifier: Apache-2.0
// What the page knows of the daemon, and how it learns it. What the daemon says comes in as events (listen), changes `known`, and
// is shown once for each frame (show). Paths are relative: a proxy may offer the page below a path of its own.

const SAMPLES = 600, GRAIN = 10, SILENCE = 5000;

const known = {
	now: 0, at: 0,               // the daemon's clock in milliseconds, and ours when it said so
	daemon: null, hello: null,
	pools: new Map(),            // in the daemon's order
	sparks: new Map(),           // name -> calls in each ten seconds
	all: [],                     // samples of all pools together
	pool: null,                  // the name of the pool that is opened
	slots: new Map(), samples: [], description: null,
	clients: null, log: [], failures: new Map(),
	cluster: null, hostEvents: [],
	cpu: new Map(),              // what was last known of a process: {at, cpu, share}
};
let token = sessionStorage.getItem("token") || "";
let wantsClients = false;

const age = (at) => span(Math.max(0, known.now - at) / 1000);
const wall = (at) => known.at - (known.now - at);

// ---- talking to the daemon ----

// A header has bytes: those of the token's UTF-8.
const asBytes = (text) => String.fromCharCode(...new TextEncoder().encode(text));
const headers = (more) => token ? {Authorization: "Bearer " + asBytes(token), ...more} : {...more};

async function get(path) {
	const answer = await fetch(path, {headers: headers(), cache: "no-store"});
	if (!answer.ok)
		throw new Error((await answer.text()).trim());
	return answer.json();
}

let stream = null, pause = 1000, silence = 0, lostAt = 0, ended = null;

function listen() {
	if (stream)
		stream.abort();
	const mine = stream = new AbortController();
	const query = new URLSearchParams();
	if (known.pool)
		query.set("pool", known.pool);
	if (wantsClients)
		query.set("clients", "yes");
	follow("events?" + query, mine).catch((error) => error.message || String(error)).then((why) => {
		if (mine === stream)
			lose(why);
	});
}

async function follow(path, mine) {
	watchSilence(mine);
	const answer = await fetch(path, {headers: headers(), cache: "no-store", signal: mine.signal});
	if (answer.status === 401 || answer.status === 403) {
		logIn((await answer.text()).trim());
		return null;
	}
	if (!answer.ok)
		return (await answer.text()).trim();
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let text = "";
	for (;;) {
		const {value, done} = await reader.read();
		if (done || mine !== stream)
			return "the daemon has ended the connection";
		text += value;
		const end = text.lastIndexOf("\n\n");
		if (end < 0)
			continue;
		for (const event of text.slice(0, end).split("\n\n"))
			take(JSON.parse(event.slice(6)));
		text = text.slice(end + 2);
		watchSilence(mine);
	}
}

// A connection may be dead without an end: the daemon says something each second.
function watchSilence(mine) {
	clearTimeout(silence);
	silence = setTimeout(() => {
		if (mine !== stream)
			return;
		mine.abort();
		lose("nothing has come for " + SILENCE / 1000 + " s");
	}, SILENCE);
}

function lose(why) {
	clearTimeout(silence);
	stream = null;
	if (why === null)
		return;
	if (ended && !ended.tried) { // it has said why: that is no trouble, unless it can't be reached now
		ended.tried = true;
		listen();
		return;
	}
	if (!lostAt) {
		lostAt = Date.now();
		announce("The daemon does not answer.");
	}
	putState($("state"), "lost", "no answer");
	put($("trouble"), "The daemon does not answer since " + clock(lostAt) + ": " + (ended ? ended.why + " (" + why + ")" : why) +
		". What is shown is from then. Trying again.").hidden = false;
	setTimeout(() => { if (!stream) listen(); }, pause);
	pause = Math.min(pause * 1.5, 5000);
}

function logIn(why) {
	clearTimeout(silence);
	stream = null;
	putState($("state"), "logged out");
	put($("login-why"), why);
	$("trouble").hidden = true;
	$("login").hidden = false;
	$("main").className = "out";
	$("token").focus();
}

function getHistory() {
	get("history").then((history) => {
		known.sparks = new Map(Object.entries(history.pools));
		known.all = history.samples;
		show();
	}, () => {});
}

function getPool(name) {
	get("history?pool=" + encodeURIComponent(name)).then((history) => {
		if (known.pool === name)
			known.samples = history.samples;
		show();
	}, () => {});
	get("describe?pool=" + encodeURIComponent(name)).then((description) => {
		if (known.pool === name && JSON.stringify(description) !== JSON.stringify(known.description))
			showDescription(known.description = description); // else a form that somebody fills in stays
	}, (error) => { if (known.pool === name && !known.description) put($("class"), error.message); });
}

// ---- what has come ----

// A whole event: the first of a stream, or of a daemon that has read its configuration again.
function greet(event) {
	const back = lostAt > 0, other = known.hello && known.hello.pid !== event.hello.pid;
	pause = 1000;
	lostAt = 0;
	ended = null;
	known.hello = event.hello;
	known.slots = new Map();
	known.log = [];
	known.hostEvents = [];
	if (other) {
		known.failures = new Map();
		known.cpu = new Map();
	}
	$("trouble").hidden = $("login").hidden = true;
	$("main").className = "";
	$("logout").hidden = !token;
	$("log-section").hidden = $("clients-section").hidden = !event.hello.watch;
	if (back)
		announce(other ? "The daemon was started again." : "The daemon answers again.");
	getHistory();
}

function take(event) {
	known.now = event.now;
	known.at = Date.now();
	if (event.end) {
		ended = {why: event.end, tried: false};
		return;
	}
	known.daemon = event.daemon;
	if (event.hello)
		greet(event);
	known.log = known.log.concat(event.log || []).slice(-100);
	takeCluster(event);
	if (event.names)
		takeNames(event.names);
	for (const pool of event.pools)
		takePool(pool);
	for (const [name, pool] of known.pools)
		if (!pool)
			known.pools.delete(name);
	if (event.slots)
		for (const slot of event.slots)
			known.slots.set(slot.slot, slot);
	known.clients = event.clients || null;
	if (!event.hello) // else the history has this second, too
		addSamples();
	show();
}

// What goes over the bus in a second is not told: it is the difference of two events.
function takeCluster(event) {
	const before = known.cluster, now = event.cluster || null;
	if (now) {
		const seconds = before ? (event.now - before.at) / 1000 : 0;
		now.at = event.now;
		now.in_rate = seconds > 0 ? Math.max(0, now.in_bytes - before.in_bytes) / seconds : null;
		now.out_rate = seconds > 0 ? Math.max(0, now.out_bytes - before.out_bytes) / seconds : null;
	}
	known.cluster = now;
	const events = event.host_events || [];
	known.hostEvents = known.hostEvents.concat(events).slice(-50);
	if (!event.hello)
		events.forEach((one) => announce(sentence(one.text)));
}

// All pools that may be seen, in their order.
function takeNames(names) {
	const before = known.pools;
	known.pools = new Map(names.map((name) => [name, before.get(name)]));
	for (const name of before.keys())
		if (!known.pools.has(name))
			forgetPool(name);
	if (known.pools.has(known.pool))
		getPool(known.pool); // it may be another of that name
}

function forgetPool(name) {
	known.sparks.delete(name);
	for (const [key, failure] of known.failures)
		if (failure.pool === name)
			known.failures.delete(key);
	if (known.pool === name) {
		known.slots = new Map();
		known.samples = [];
	}
	announce("Pool " + name + " is gone.");
}

function takePool(pool) {
	const before = known.pools.get(pool.name);
	known.pools.set(pool.name, pool);
	if (before && pool.name === known.pool && (!before.ready && pool.ready || before.class !== pool.class))
		getPool(pool.name); // its class is known only now
	if (before && before.state !== pool.state)
		announce("Pool " + pool.name + " is " + pool.state + ".");
	if (pool.failed_at > 0)
		known.failures.set(pool.name + " " + pool.failed_slot,
			{at: wall(pool.failed_at), pool: pool.name, slot: pool.failed_slot, text: pool.last_failure});
}

function addSamples() {
	const sum = [0, 0, 0, 0, 0, null, null];
	for (const pool of known.pools.values()) {
		const sample = [pool.rate, pool.failing, pool.queue, pool.busy, pool.ready, pool.p50, pool.p99];
		for (let i = 0; i < 5; i++)
			sum[i] += sample[i];
		if (pool.name === known.pool)
			known.samples = known.samples.concat([sample]).slice(-SAMPLES);
		addSpark(pool);
	}
	known.all = known.all.concat([sum]).slice(-SAMPLES);
}

// The last place is of the ten seconds that are not over.
function addSpark(pool) {
	const spark = known.sparks.get(pool.name) || new Array(SAMPLES / GRAIN).fill(0);
	known.sparks.set(pool.name, spark);
	if (Math.floor(known.now / 1000) % GRAIN === 0) {
		spark.shift();
		spark.push(0);
	}
	spark[spark.length - 1] += pool.rate;
}

// The share of a CPU that processes have used since they were last looked at. null: not known yet.
function share(key, cpu) {
	const last = known.cpu.get(key);
	if (!last || cpu < last.cpu) {
		known.cpu.set(key, {at: known.now, cpu, share: null});
		return null;
	}
	if (known.now - last.at >= 3000) {
		last.share = (cpu - last.cpu) / ((known.now - last.at) / 1000);
		last.at = known.now;
		last.cpu = cpu;
	}
	return last.share;
}
