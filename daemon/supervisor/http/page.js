// SPDX-License-Identifier: Apache-2.0
// The page's script. What the daemon says comes in as events (listen), changes `known`, and is shown once for each frame (show).
// Texts of others get into the document by put() alone: as text, with hidden characters made visible. Paths are relative: a
// proxy may offer the page below a path of its own.
"use strict";

const SAMPLES = 600, GRAIN = 10, ROWS = 200, SILENCE = 5000;
const $ = (id) => document.getElementById(id);

const known = {
	now: 0, at: 0,               // the daemon's clock in milliseconds, and ours when it said so
	daemon: null, hello: null,
	pools: new Map(),            // in the daemon's order
	sparks: new Map(),           // name -> calls in each ten seconds
	all: [],                     // samples of all pools together
	pool: null,                  // the name of the pool that is opened
	slots: new Map(), samples: [], description: null,
	clients: null, log: [], failures: new Map(),
	cpu: new Map(),              // what was last known of a process: {at, cpu, share}
};
let token = sessionStorage.getItem("token") || "";
let wantsClients = false, shownRows = ROWS, sort = {key: null, down: false};

// ---- texts ----

// As the daemon's log does: what is invisible, or would reorder other text, is shown as an escape.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]/gu;
const visible = (text) => String(text).replace(HIDDEN, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));

function put(element, text) {
	const shown = visible(text);
	if (element.textContent !== shown)
		element.textContent = shown;
	return element;
}

function make(tag, className, text) {
	const element = document.createElement(tag);
	if (className)
		element.className = className;
	return text === undefined ? element : put(element, text);
}

const FORMATS = [0, 1, 2].map((digits) => new Intl.NumberFormat("en", {maximumFractionDigits: digits}));
const round = (n, digits) => FORMATS[digits].format(n);
const count = (n) => n < 1e5 ? round(n, 2) : n < 1e6 ? round(n / 1e3, 1) + " k" : n < 1e9 ? round(n / 1e6, 2) + " M" : round(n / 1e9, 2) + " G";
const bytes = (n) => n < 1024 ? n + " B" : n < 1 << 20 ? round(n / 1024, 0) + " KiB" : n < 2 ** 30 ? round(n / 2 ** 20, 1) + " MiB" :
	round(n / 2 ** 30, 2) + " GiB";
const time = (s) => s === null ? "–" : s < 1e-3 ? round(s * 1e6, 0) + " µs" : s < 1 ? round(s * 1e3, s < 0.01 ? 2 : 0) + " ms" :
	s < 100 ? round(s, 1) + " s" : span(s);
const percent = (n) => n === null ? "–" : round(n * 100, n < 0.1 ? 1 : 0) + " %";
const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

function span(s) {
	const whole = Math.floor(s), two = (n) => String(n).padStart(2, "0");
	if (whole < 60)
		return whole + " s";
	if (whole < 3600)
		return Math.floor(whole / 60) + ":" + two(whole % 60) + " min";
	if (whole < 86400)
		return Math.floor(whole / 3600) + ":" + two(Math.floor(whole / 60) % 60) + " h";
	return Math.floor(whole / 86400) + " d " + Math.floor(whole / 3600) % 24 + " h";
}

const age = (at) => span(Math.max(0, known.now - at) / 1000);
const wall = (at) => known.at - (known.now - at);

// Each state has a mark and a word: colour alone says nothing.
const STATES = {
	ready: ["✓", "good"], running: ["▶", "busy"], starting: ["…", "wait"], waiting: ["…", "wait"], stopping: ["■", "wait"],
	paused: ["‖", "wait"], asleep: ["☾", "wait"], leaving: ["■", "wait"], draining: ["■", "wait"], degraded: ["!", "bad"],
	failed: ["✗", "bad"], unavailable: ["✗", "bad"], lost: ["✗", "bad"], connecting: ["…", "wait"], "logged out": ["?", "wait"],
};

function putState(element, state, words) {
	if (element.dataset.state === state + words)
		return;
	const [mark, kind] = STATES[state] || ["?", "wait"], sign = make("span", "mark", mark);
	element.dataset.state = state + words;
	element.className = "state is-" + kind;
	sign.setAttribute("aria-hidden", "true");
	element.replaceChildren(sign, " ", make("span", "words", words || state));
}

// For screen readers: what comes while they speak is said together, three seconds later.
let announced = 0, announcements = [];
function announce(text) {
	announcements.push(text);
	if (announcements.length > 1)
		return;
	setTimeout(() => {
		const more = announcements.length - 5;
		put($("live"), announcements.slice(0, 5).join(" ") + (more > 0 ? " And " + more + " more." : ""));
		announcements = [];
		announced = Date.now();
	}, Math.max(100, announced + 3000 - Date.now()));
}

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

let stream = null, pause = 1000, silence = 0, lostAt = 0;

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
	let text = "", first = true;
	for (;;) {
		const {value, done} = await reader.read();
		if (done || mine !== stream)
			return "the daemon has ended the connection";
		text += value;
		const end = text.lastIndexOf("\n\n");
		if (end < 0)
			continue;
		for (const event of text.slice(0, end).split("\n\n")) {
			take(JSON.parse(event.slice(6)), first);
			first = false;
		}
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
	if (!lostAt) {
		lostAt = Date.now();
		announce("The daemon does not answer.");
	}
	putState($("state"), "lost", "no answer");
	put($("trouble"), "The daemon does not answer since " + clock(lostAt) + ": " + why + ". What is shown is from then. Trying again.").hidden = false;
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

function greet(event) {
	const back = lostAt > 0, other = known.hello && known.hello.pid !== event.hello.pid;
	pause = 1000;
	lostAt = 0;
	known.hello = event.hello;
	known.slots = new Map();
	known.failures = other ? new Map() : known.failures;
	known.cpu = new Map();
	known.log = event.log || [];
	$("trouble").hidden = $("login").hidden = true;
	$("main").className = "";
	$("logout").hidden = !token;
	$("log-section").hidden = $("clients-section").hidden = !event.hello.watch;
	if (back)
		announce(other ? "The daemon was started again." : "The daemon answers again.");
	getHistory();
	if (known.pool)
		getPool(known.pool);
}

function take(event, first) {
	known.now = event.now;
	known.at = Date.now();
	known.daemon = event.daemon;
	if (first)
		greet(event);
	else
		known.log = known.log.concat(event.log || []).slice(-100);
	if (event.names) {
		known.pools = new Map(event.names.map((name) => [name, known.pools.get(name)]));
		if (!first && known.pools.has(known.pool))
			getPool(known.pool); // it may be another of that name
	}
	for (const pool of event.pools)
		takePool(pool);
	for (const [name, pool] of known.pools)
		if (!pool)
			known.pools.delete(name);
	if (event.slots)
		for (const slot of event.slots)
			known.slots.set(slot.slot, slot);
	known.clients = event.clients || null;
	if (!first)
		addSamples();
	show();
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

// ---- showing ----

let frame = 0;
function show() {
	if (!frame && !document.hidden)
		frame = requestAnimationFrame(() => { frame = 0; showAll(); });
}

function showAll() {
	if (!known.daemon)
		return;
	if (stream && !lostAt)
		putState($("state"), known.daemon.state, known.daemon.state);
	put($("about"), "version " + known.hello.version + ", process " + known.hello.pid + ", up " + age(0) +
		(known.hello.user ? ", you are " + known.hello.user : ""));
	showOverview();
	showPools();
	showOpened();
	showFailures();
	showLog();
	showClients();
}

function putTiles(list, tiles) {
	while (list.children.length > tiles.length)
		list.lastChild.remove();
	tiles.forEach(([name, value], i) => {
		let tile = list.children[i];
		if (!tile) {
			tile = make("div");
			tile.append(make("dt"), make("dd"));
			list.append(tile);
		}
		put(tile.firstChild, name);
		put(tile.lastChild, value);
	});
}

function showOverview() {
	const pools = [...known.pools.values()], sum = (key) => pools.reduce((n, pool) => n + pool[key], 0), daemon = known.daemon;
	const tiles = [["Pools", count(pools.length)], ["Instances ready", count(sum("ready")) + " of " + count(sum("workers"))],
		["Calls per second", count(sum("rate"))], ["Busy", count(sum("busy"))], ["Waiting calls", count(sum("queue"))],
		["Failed tasks", count(sum("failures"))], ["Lost tasks", count(sum("lost"))], ["Restarts", count(sum("restarts"))],
		["Memory of workers", bytes(sum("rss"))]];
	if (known.hello.watch)
		tiles.push(["Clients", count(daemon.clients)], ["Memory of the daemon", bytes(daemon.rss)],
			["CPU of the daemon", percent(share("daemon", daemon.cpu_s))], ["Held for clients", bytes(daemon.memory)],
			["Denied requests", count(daemon.denied)]);
	putTiles($("tiles"), tiles);
	overviewGraphs.forEach((graph) => graph.draw(known.all));
}

// ---- graphs ----

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue("--" + name).trim();

// The sizes of canvases, so that painting never has the browser lay out the page.
const sizes = new Map();
const sizeObserver = new ResizeObserver((entries) => {
	for (const {target, contentRect} of entries)
		sizes.set(target, [Math.round(contentRect.width), Math.round(contentRect.height)]);
	show();
});

// Makes the canvas as sharp as the screen. null: it can't be seen.
function prepare(canvas, [width, height] = sizes.get(canvas) || [0, 0]) {
	const scale = devicePixelRatio || 1;
	if (!width || !height)
		return null;
	if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
		canvas.width = Math.round(width * scale);
		canvas.height = Math.round(height * scale);
	}
	const context = canvas.getContext("2d");
	context.setTransform(scale, 0, 0, scale, 0, 0);
	context.clearRect(0, 0, width, height);
	return {context, width, height};
}

function ceiling(most) {
	if (!(most > 0))
		return 1;
	const power = 10 ** Math.floor(Math.log10(most));
	return [1, 2, 5, 10].find((n) => n * power >= most) * power;
}

class Graph {
	// series: [[name, index in a sample], …], two at most
	constructor(title, format, series) {
		this.title = title;
		this.format = format;
		this.series = series;
		this.canvas = make("canvas");
		this.canvas.setAttribute("role", "img");
		this.caption = make("figcaption");
		this.keys = series.map((_, i) => make("span", i ? "key second" : "key"));
		this.caption.append(make("b", "", title), make("br"), ...this.keys);
		this.figure = make("figure");
		this.figure.append(this.canvas, this.caption);
		sizeObserver.observe(this.canvas);
	}

	draw(samples) {
		const values = this.series.map(([, at]) => samples.map((sample) => sample[at]));
		const most = values.map((list) => list.reduce((n, value) => Math.max(n, value || 0), 0)), words = [];
		this.series.forEach(([name], i) => {
			const last = values[i].length ? values[i][values[i].length - 1] : null;
			words.push(name + ": now " + this.format(last === null ? null : last) + ", most " + this.format(most[i]));
			put(this.keys[i], words[i]);
		});
		this.canvas.setAttribute("aria-label", this.title + ", last ten minutes. " + words.join("; "));
		const place = prepare(this.canvas);
		if (place)
			this.paint(place, values, ceiling(Math.max(...most)));
	}

	paint({context, width, height}, values, top) {
		const left = 52, bottom = height - 16, x = (ago) => left + (width - left - 2) * (1 - ago / (SAMPLES - 1)), y = (v) => bottom - (bottom - 6) * v / top;
		context.font = "11px system-ui, sans-serif";
		context.fillStyle = colour("dim");
		context.strokeStyle = colour("line");
		context.lineWidth = 1;
		context.textAlign = "right";
		for (const part of [0, 0.5, 1]) {
			context.beginPath();
			context.moveTo(left, Math.round(y(part * top)) + 0.5);
			context.lineTo(width, Math.round(y(part * top)) + 0.5);
			context.stroke();
			context.fillText(this.format(part * top), left - 5, y(part * top) + 4);
		}
		context.textAlign = "left";
		context.fillText("10 min ago", left, height - 3);
		context.textAlign = "right";
		context.fillText("now", width - 1, height - 3);
		values.forEach((list, i) => {
			context.strokeStyle = colour(i ? "second" : "first");
			context.setLineDash(i ? [4, 3] : []);
			context.lineWidth = 1.5;
			trace(context, list, x, y);
		});
		context.setLineDash([]);
	}
}

// A line through the values, the last of which is of now. null leaves a gap; a value between two gaps is a dot.
function trace(context, values, x, y) {
	const last = values.length - 1, is = (i) => i >= 0 && i <= last && values[i] !== null;
	context.beginPath();
	for (let i = 0; i <= last; i++) {
		if (!is(i))
			continue;
		const at = x(last - i), high = y(values[i]);
		if (is(i - 1)) {
			context.lineTo(at, high);
		} else if (is(i + 1)) {
			context.moveTo(at, high);
		} else {
			context.moveTo(at - 1, high);
			context.lineTo(at + 1, high);
		}
	}
	context.stroke();
}

const graphsInto = (id, graphs) => { $(id).append(...graphs.map((graph) => graph.figure)); return graphs; };
const number = (n) => n === null ? "–" : count(n);
const overviewGraphs = graphsInto("overview-graphs", [
	new Graph("Calls per second", number, [["calls", 0], ["failed tasks", 1]]),
	new Graph("Busy instances and waiting calls", number, [["busy", 3], ["waiting", 2]])]);
const openedGraphs = graphsInto("opened-graphs", [
	new Graph("Calls per second", number, [["calls", 0], ["failed tasks", 1]]),
	new Graph("Latency of calls", time, [["median", 5], ["99 %", 6]]),
	new Graph("Busy instances and waiting calls", number, [["busy", 3], ["waiting", 2]])]);

const SPARK = [112, 24]; // as in the style

function paintSpark(canvas, spark) {
	const {context, width, height} = prepare(canvas, SPARK), top = Math.max(1, ...spark);
	context.strokeStyle = colour("first");
	context.lineWidth = 1.2;
	trace(context, spark, (ago) => width - 1 - (width - 2) * ago / (spark.length - 1), (v) => height - 2 - (height - 4) * v / top);
}

// ---- tables ----

// columns: {title, cell(item, td), key?, kind: "number"|"theirs"|"", spare: not on phones}
class Table {
	constructor(id, caption, columns, keyOf) {
		this.columns = columns;
		this.keyOf = keyOf;
		this.rows = new Map();
		this.body = $(id).tBodies[0];
		$(id).prepend(make("caption", "unseen", caption));
		this.heads = columns.map((column) => {
			const head = make("th", this.classOf(column));
			head.scope = "col";
			$(id).tHead.rows[0].append(head);
			return head;
		});
		this.heads.forEach((head, i) => columns[i].key ? this.makeSortable(head, columns[i]) : put(head, columns[i].title));
	}

	classOf(column) {
		return [column.kind || "", column.spare ? "spare" : ""].join(" ").trim();
	}

	makeSortable(head, column) {
		const button = make("button", "", column.title);
		button.type = "button";
		button.addEventListener("click", () => {
			sort = sort.key !== column.key ? {key: column.key, down: column.kind === "number"} :
				sort.down === (column.kind === "number") ? {key: column.key, down: !sort.down} : {key: null, down: false};
			this.heads.forEach((other, i) => sort.key && this.columns[i].key === sort.key ?
				other.setAttribute("aria-sort", sort.down ? "descending" : "ascending") : other.removeAttribute("aria-sort"));
			showPools();
		});
		head.append(button);
	}

	makeRow(item) {
		const row = make("tr");
		this.columns.forEach((column, i) => {
			const cell = make(i ? "td" : "th", this.classOf(column));
			if (!i)
				cell.scope = "row";
			row.append(cell);
		});
		this.rows.set(this.keyOf(item), row);
		return row;
	}

	// Shows these items, in this order. Cells that stay the same are not touched.
	show(items) {
		const keys = new Set(items.map(this.keyOf));
		for (const [key, row] of this.rows)
			if (!keys.has(key)) {
				row.remove();
				this.rows.delete(key);
			}
		items.forEach((item, i) => {
			const row = this.rows.get(this.keyOf(item)) || this.makeRow(item);
			if (this.body.rows[i] !== row)
				this.body.insertBefore(row, this.body.rows[i] || null);
			this.columns.forEach((column, c) => column.cell(item, row.cells[c]));
		});
	}
}

const text = (value) => (item, cell) => put(cell, value(item));
const state = (value) => (item, cell) => {
	if (!cell.firstChild)
		cell.append(make("span", "state"));
	putState(cell.firstChild, value(item), value(item));
};

function nameCell(pool, cell) {
	let button = cell.firstChild;
	if (!button) {
		button = make("button", "name theirs", pool.name);
		button.type = "button";
		button.addEventListener("click", () => { location.hash = "pool=" + pool.name; });
		cell.append(button);
	}
	button.setAttribute("aria-expanded", String(known.pool === pool.name));
}

function sparkCell(pool, cell) {
	let canvas = cell.firstChild;
	if (!canvas) {
		canvas = make("canvas");
		canvas.setAttribute("role", "img");
		cell.append(canvas);
	}
	const spark = known.sparks.get(pool.name) || [], mark = spark.join();
	if (canvas.dataset.mark === mark || !spark.length)
		return;
	canvas.dataset.mark = mark;
	canvas.setAttribute("aria-label", "most calls in ten seconds: " + count(Math.max(...spark)));
	paintSpark(canvas, spark);
}

const poolTable = new Table("pools", "Pools, with what each did in the last second", [
	{title: "Pool", key: "name", cell: nameCell},
	{title: "State", key: "state", cell: state((pool) => pool.state)},
	{title: "Ready", key: "ready", kind: "number", cell: text((pool) => pool.ready + "/" + pool.workers)},
	{title: "Busy", key: "busy", kind: "number", cell: text((pool) => count(pool.busy))},
	{title: "Waiting", key: "queue", kind: "number", cell: text((pool) => count(pool.queue))},
	{title: "Calls/s", key: "rate", kind: "number", cell: text((pool) => count(pool.rate))},
	{title: "Last 10 min", cell: sparkCell, spare: true},
	{title: "Median", key: "p50", kind: "number", spare: true, cell: text((pool) => time(pool.p50))},
	{title: "99 %", key: "p99", kind: "number", spare: true, cell: text((pool) => time(pool.p99))},
	{title: "Calls", key: "calls", kind: "number", spare: true, cell: text((pool) => count(pool.calls))},
	{title: "Failed", key: "failures", kind: "number", cell: text((pool) => count(pool.failures + pool.lost))},
	{title: "Restarts", key: "restarts", kind: "number", spare: true, cell: text((pool) => count(pool.restarts))},
	{title: "Memory", key: "rss", kind: "number", spare: true, cell: text((pool) => bytes(pool.rss))},
	{title: "CPU", kind: "number", spare: true, cell: text((pool) => percent(share("pool " + pool.name, pool.cpu_s)))},
], (pool) => pool.name);

function sorted(pools) {
	const order = (a, b) => a === b ? 0 : a === null ? -1 : b === null ? 1 : a < b ? -1 : 1;
	return sort.key ? pools.sort((a, b) => order(a[sort.key], b[sort.key]) * (sort.down ? -1 : 1)) : pools;
}

function showPools() {
	const filter = $("filter").value.toLowerCase();
	const pools = sorted([...known.pools.values()].filter((pool) =>
		!filter || pool.name.toLowerCase().includes(filter) || pool.state.includes(filter) || pool.class.toLowerCase().includes(filter)));
	poolTable.show(pools.slice(0, shownRows));
	put($("pools-count"), pools.length > shownRows ? shownRows + " of " + pools.length : pools.length + (pools.length === 1 ? " pool" : " pools"));
	$("more").hidden = pools.length <= shownRows;
}

// ---- the pool that is opened ----

const slotTable = new Table("slots", "Slots of the pool", [
	{title: "Slot", cell: text((slot) => slot.slot)},
	{title: "State", cell: state((slot) => slot.state)},
	{title: "Runs", kind: "theirs", cell: text((slot) => slot.running === null ? (slot.leased ? "leased" : "–") : slot.running)},
	{title: "For", kind: "number", cell: text((slot) => slot.running === null ? "–" : age(slot.running_at))},
	{title: "Waiting", kind: "number", spare: true, cell: text((slot) => count(slot.queue + slot.deferred))},
	{title: "Tasks", kind: "number", cell: text((slot) => count(slot.calls))},
	{title: "Failed", kind: "number", cell: text((slot) => count(slot.failures + slot.lost))},
	{title: "Restarts", kind: "number", spare: true, cell: text((slot) => count(slot.restarts))},
	{title: "Generation", kind: "number", spare: true, cell: text((slot) => slot.generation)},
	{title: "Process", kind: "number", spare: true, cell: text((slot) => slot.pid || "–")},
	{title: "Memory", kind: "number", spare: true, cell: text((slot) => bytes(slot.rss))},
	{title: "CPU", kind: "number", spare: true, cell: text((slot) => percent(share("slot " + slot.slot + " " + slot.pid, slot.cpu_s)))},
	{title: "In this state", kind: "number", spare: true, cell: text((slot) => age(slot.since))},
	{title: "Last failure", kind: "theirs", cell: text((slot) => slot.last_failure)},
], (slot) => slot.slot);

const SHOWN_SLOTS = {
	all: () => true,
	running: (slot) => slot.running !== null,
	unready: (slot) => slot.state !== "ready",
	failed: (slot) => slot.failed_at > 0,
};

function showOpened() {
	const pool = known.pool && known.pools.get(known.pool);
	$("opened").hidden = !known.pool;
	if (!known.pool)
		return;
	put($("opened-title"), "Pool " + known.pool + (pool ? "" : ": there is no such pool"));
	if (!pool)
		return;
	put($("opened-error"), pool.error).hidden = !pool.error;
	putTiles($("opened-tiles"), [["State", pool.state], ["Class", pool.class + " of " + pool.plugin],
		["Instances ready", pool.ready + " of " + pool.workers], ["Busy", count(pool.busy)], ["Waiting calls", count(pool.queue)],
		["Calls per second", count(pool.rate)], ["Median", time(pool.p50)], ["99 %", time(pool.p99)], ["Calls", count(pool.calls)],
		["Failed tasks", count(pool.failures)], ["Lost tasks", count(pool.lost)], ["Rejected calls", count(pool.rejected)],
		["Restarts", count(pool.restarts)], ["Memory", bytes(pool.rss)], ["CPU", percent(share("pool " + pool.name, pool.cpu_s))]]);
	openedGraphs.forEach((graph) => graph.draw(known.samples));
	showSlots(pool);
}

function showSlots(pool) {
	const all = [...known.slots.values()].filter((slot) => slot.slot < pool.workers).sort((a, b) => a.slot - b.slot);
	const slots = all.filter(SHOWN_SLOTS[$("slots-shown").value]);
	paintGrid(all);
	slotTable.show(slots.slice(0, ROWS));
	put($("slots-count"), slots.length > ROWS ? "the first " + ROWS + " of " + slots.length : slots.length + " of " + all.length);
}

// A small square for each slot: filled when it runs, framed when it is ready, crossed when it has failed, a dot while it comes.
function paintGrid(slots) {
	const canvas = $("grid"), size = 14, width = (sizes.get(canvas) || [0])[0], across = Math.max(1, Math.floor(width / size));
	const height = Math.max(1, Math.ceil(slots.length / across)) * size;
	const runs = slots.filter((slot) => slot.running !== null).length, ready = slots.filter((slot) => slot.state === "ready").length;
	canvas.setAttribute("aria-label", slots.length + " slots: " + ready + " ready, " + runs + " running a method");
	const place = prepare(canvas, [width, height]);
	if (!place)
		return;
	canvas.style.setProperty("height", height + "px");
	slots.forEach((slot, i) => paintSlot(place.context, slot, i % across * size + 1.5, Math.floor(i / across) * size + 1.5, size - 4));
}

function paintSlot(context, slot, x, y, side) {
	const bad = slot.state === "failed", ready = slot.state === "ready";
	context.strokeStyle = context.fillStyle = colour(bad ? "bad" : !ready ? "wait" : slot.running !== null ? "busy" : "good");
	context.lineWidth = 1.5;
	context.beginPath();
	if (bad) {
		context.moveTo(x, y);
		context.lineTo(x + side, y + side);
		context.moveTo(x + side, y);
		context.lineTo(x, y + side);
	} else if (ready) {
		context.rect(x, y, side, side);
	} else {
		context.arc(x + side / 2, y + side / 2, 2, 0, 7);
	}
	context.stroke();
	if (ready && slot.running !== null)
		context.fill();
}

function openPool() {
	const name = new URLSearchParams(location.hash.slice(1)).get("pool");
	const before = known.pool;
	if (name === before)
		return;
	known.pool = name;
	known.slots = new Map();
	known.samples = [];
	known.description = null;
	put($("class"), "");
	$("methods").replaceChildren();
	showAll();
	if (!$("login").hidden)
		return;
	listen();
	if (name) {
		$("opened-title").focus();
	} else if (before && poolTable.rows.has(before)) {
		poolTable.rows.get(before).querySelector("button").focus();
	}
}

// ---- methods, and calling them ----

const EXAMPLES = {int: 0, float: 0.5, str: "", bool: false, bytes: {$bin: ""}};

function example(type) {
	if (typeof type === "string")
		return type in EXAMPLES ? EXAMPLES[type] : null;
	if (!type)
		return null;
	if (type.list || type.tuple || type.iterator)
		return [];
	if (type.union)
		return type.union.includes("None") ? null : example(type.union[0]);
	return type.dict ? {} : type.int ? type.int[0] : null;
}

const isNeeded = (param) => (param.kind === "positional" || param.kind === "either") && !("default" in param) && !param.optional;

function showDescription(description) {
	const place = $("class");
	place.replaceChildren(make("code", "theirs", description.class + (description.signature || "")));
	if (description.doc)
		place.append(make("p", "doc theirs", description.doc));
	for (const [name, fields] of Object.entries(description.types || {})) {
		const line = make("p");
		line.append("record ", make("code", "theirs", name + ": " + fields.map((field) => field.name).join(", ")));
		place.append(line);
	}
	$("methods").replaceChildren(...description.methods.map(makeMethod));
}

function makeMethod(method) {
	const details = make("details"), summary = make("summary");
	summary.append(make("code", "theirs", method.name + (method.signature || "(…)")));
	details.append(summary);
	details.addEventListener("toggle", () => {
		if (details.open && details.children.length === 1)
			details.append(make("p", "doc theirs", method.doc || "It has no documentation."), makeForm(method));
	});
	return details;
}

function makeField(form, id, label, field) {
	const name = make("label", "", label);
	name.htmlFor = field.id = id;
	form.append(name, field);
	return field;
}

let fields = 0;
function makeForm(method) {
	if (!known.daemon.calls)
		return make("p", "", "To call it from here, set http_calls = yes in the daemon's configuration.");
	const form = make("form"), id = "field" + ++fields;
	const where = makeField(form, id + "w", "Instance: empty for any that is free; a slot's number; or all", make("input"));
	const body = makeField(form, id + "b", "Arguments, as a JSON array; or an object with args, kwargs and options", make("textarea"));
	const button = make("button", "", "Call " + method.name), output = make("pre");
	where.spellcheck = body.spellcheck = false;
	body.value = JSON.stringify((method.params || []).filter(isNeeded).map((param) => example(param.type)));
	output.setAttribute("role", "status");
	output.hidden = true;
	form.append(button, output);
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		call(method.name, where.value.trim(), body.value, output, button);
	});
	return form;
}

const LONGEST = 100000;
async function call(method, where, body, output, button) {
	const target = known.pool + (where ? ":" + where : "") + "." + method, began = performance.now();
	button.disabled = true;
	output.hidden = false;
	put(output, "It runs …");
	try {
		const answer = await fetch("call/" + encodeURIComponent(target),
			{method: "POST", headers: headers({"Content-Type": "application/json"}), body: body.trim() || "[]"});
		const got = (await answer.text()).trim();
		put(output, (answer.ok ? "" : "status " + answer.status + "\n") + got.slice(0, LONGEST) +
			(got.length > LONGEST ? "\n… " + (got.length - LONGEST) + " characters more" : "") +
			"\n" + time((performance.now() - began) / 1000));
	} catch (error) {
		put(output, "It could not be called: " + error.message);
	}
	button.disabled = false;
}

// ---- failures, log, clients ----

function showLines(list, none, items, keyOf, fill) {
	const mark = items.map(keyOf).join();
	none.hidden = items.length > 0;
	if (list.dataset.mark === mark)
		return;
	list.dataset.mark = mark;
	list.replaceChildren(...items.map((item) => {
		const line = make("li");
		fill(item, line);
		return line;
	}));
}

function showFailures() {
	for (const slot of known.slots.values())
		if (slot.failed_at > 0)
			known.failures.set(known.pool + " " + slot.slot, {at: wall(slot.failed_at), pool: known.pool, slot: slot.slot, text: slot.last_failure});
	const failures = [...known.failures.values()].sort((a, b) => b.at - a.at).slice(0, 50);
	known.failures = new Map(failures.map((failure) => [failure.pool + " " + failure.slot, failure]));
	showLines($("failures"), $("failures-none"), failures, (f) => f.pool + f.slot + clock(f.at) + f.text, (failure, line) =>
		line.append(make("time", "", clock(failure.at)), make("b", "theirs", failure.pool + " slot " + failure.slot),
			make("span", "theirs", failure.text || "without a word")));
}

function showLog() {
	showLines($("log"), $("log-none"), [...known.log].reverse(), (line) => line.number, (entry, line) =>
		line.append(make("time", "", clock(entry.at)), make("b", entry.error ? "is-bad" : "is-wait", entry.error ? "error" : "warning"),
			make("span", "theirs", entry.text)));
}

const clientTable = new Table("clients", "Clients, the oldest first", [
	{title: "Session", cell: text((client) => client.session)},
	{title: "Name", kind: "theirs", cell: text((client) => client.name || "–")},
	{title: "User", kind: "theirs", cell: text((client) => client.user || "–")},
	{title: "From", kind: "theirs", spare: true, cell: text((client) => client.peer)},
	{title: "Connected", kind: "number", spare: true, cell: text((client) => span(client.since_s))},
	{title: "In flight", kind: "number", cell: text((client) => count(client.in_flight))},
	{title: "Calls", kind: "number", cell: text((client) => count(client.calls))},
	{title: "Memory", kind: "number", spare: true, cell: text((client) => bytes(client.memory))},
	{title: "Waits for", kind: "theirs", cell: text((client) => client.waits_for ? client.waits_for + ", " + span(client.waits_s) : "–")},
], (client) => client.session);

function showClients() {
	$("clients-wide").hidden = !wantsClients;
	if (known.daemon.clients === undefined)
		return;
	const all = known.daemon.clients, clients = known.clients || [];
	put($("clients-count"), wantsClients && clients.length < all ? clients.length + " of " + all : String(all));
	if (wantsClients)
		clientTable.show(clients);
}

// ---- what people do ----

$("login").querySelector("form").addEventListener("submit", (event) => {
	event.preventDefault();
	token = $("token").value.trim();
	sessionStorage.setItem("token", token);
	$("token").value = "";
	$("login").hidden = true;
	putState($("state"), "connecting");
	listen();
	$("main").focus();
});

$("logout").addEventListener("click", () => {
	sessionStorage.removeItem("token");
	location.reload();
});

$("clients-toggle").addEventListener("click", () => {
	wantsClients = !wantsClients;
	$("clients-toggle").setAttribute("aria-expanded", String(wantsClients));
	put($("clients-toggle"), wantsClients ? "Hide" : "Show");
	listen();
});

$("close").addEventListener("click", () => { location.hash = ""; });
$("more").addEventListener("click", () => { shownRows += ROWS; showPools(); });
$("filter").addEventListener("input", () => { shownRows = ROWS; showPools(); });
$("slots-shown").addEventListener("change", show);
addEventListener("hashchange", openPool);
addEventListener("resize", () => { document.querySelectorAll("td canvas").forEach((canvas) => delete canvas.dataset.mark); show(); });
document.addEventListener("visibilitychange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("resize")));

sizeObserver.observe($("grid"));
known.pool = new URLSearchParams(location.hash.slice(1)).get("pool");
listen();
