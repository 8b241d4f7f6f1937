// SPDX-License-Identifier: Apache-2.0
// Shows what is known: called once for each frame in which something has changed.

const ROWS = 200;
let shownRows = ROWS, sort = {key: null, down: false};

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
	showHosts();
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
	const pools = [...known.pools.values()], daemon = known.daemon;
	const sum = (key) => pools.reduce((n, pool) => n + pool[key], 0);
	const tiles = [["Pools", count(pools.length)], ["Instances ready", count(sum("ready")) + " of " + count(sum("workers"))],
		["Calls per second", count(sum("rate"))], ["Busy", count(sum("busy"))], ["Waiting calls", count(sum("queue"))],
		["Failed tasks", count(sum("failures"))], ["Lost tasks", count(sum("lost"))],
		["Restarts", count(sum("restarts"))], ["Memory of workers", bytes(sum("rss"))]];
	if (known.hello.watch)
		tiles.push(["Clients", count(daemon.clients)], ["Memory of the daemon", bytes(daemon.rss)],
			["CPU of the daemon", percent(share("daemon", daemon.cpu_s))], ["Held for clients", bytes(daemon.memory)],
			["Denied requests", count(daemon.denied)]);
	putTiles($("tiles"), tiles);
	overviewGraphs.forEach((graph) => graph.draw(known.all));
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
		this.heads.forEach((head, i) =>
			columns[i].key ? this.makeSortable(head, columns[i]) : put(head, columns[i].title));
	}

	classOf(column) {
		return [column.kind || "", column.spare ? "spare" : ""].join(" ").trim();
	}

	makeSortable(head, column) {
		const button = make("button", "", column.title);
		button.type = "button";
		button.addEventListener("click", () => {
			const first = column.kind === "number"; // the largest numbers first, texts from A
			sort = sort.key !== column.key ? {key: column.key, down: first} :
				sort.down === first ? {key: column.key, down: !first} : {key: null, down: false};
			this.heads.forEach((other, i) => sort.key && this.columns[i].key === sort.key ?
				other.setAttribute("aria-sort", sort.down ? "descending" : "ascending") :
				other.removeAttribute("aria-sort"));
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
	const has = (text) => text.toLowerCase().includes(filter);
	const pools = sorted([...known.pools.values()].filter((pool) =>
		!filter || has(pool.name) || has(pool.state) || has(pool.class)));
	poolTable.show(pools.slice(0, shownRows));
	put($("pools-count"), pools.length > shownRows ? shownRows + " of " + pools.length :
		pools.length + (pools.length === 1 ? " pool" : " pools"));
	$("more").hidden = pools.length <= shownRows;
}

// ---- the hosts of the cluster ----

const poolOfHost = (pool) => pool.pool + " " + pool.ready + "/" + pool.slots + (pool.queue > 0 ? ", " + count(pool.queue) + " waiting" : "");
const sumOf = (host, key) => host.pools.reduce((n, pool) => n + pool[key], 0);

function poolsCell(host, cell) {
	const lines = host.pools.map(poolOfHost), more = host.pool_count - host.pools.length;
	if (more > 0)
		lines.push("and " + more + " more");
	const mark = lines.join("\n");
	if (cell.dataset.mark === mark)
		return;
	cell.dataset.mark = mark;
	cell.replaceChildren(...(lines.length > 0 ? lines : ["–"]).map((line) => make("div", "", line)));
}

function hostState(host, cell) {
	if (!cell.firstChild)
		cell.append(make("span", "state"));
	putState(cell.firstChild, host.state, host.state === "self" ? "this host" : host.state);
}

const hostTable = new Table("hosts", "Hosts of the cluster, with the pools that they share", [
	{title: "Host", kind: "theirs", cell: text((host) => host.name)},
	{title: "State", cell: hostState},
	{title: "Pools", kind: "theirs", cell: poolsCell},
	{title: "Ready", kind: "number", cell: text((host) => count(sumOf(host, "ready")) + "/" + count(sumOf(host, "slots")))},
	{title: "Running", kind: "number", spare: true, cell: text((host) => count(sumOf(host, "running")))},
	{title: "Waiting", kind: "number", cell: text((host) => count(sumOf(host, "queue")))},
	{title: "Round trip", kind: "number", spare: true,
		cell: text((host) => host.rtt_us === null ? "–" : time(host.rtt_us / 1e6))},
	{title: "Calls to it", kind: "number", spare: true, cell: text((host) => count(host.calls))},
	{title: "In flight", kind: "number", cell: text((host) => count(host.inflight))},
	{title: "Lost", kind: "number", cell: text((host) => count(host.lost))},
	{title: "Known for", kind: "number", spare: true, cell: text((host) => age(host.since))},
	{title: "Last heard", kind: "number", spare: true,
		cell: text((host) => host.state === "self" ? "–" : age(host.heard) + " ago")},
], (host) => host.name);

const perSecond = (rate) => rate === null ? "–" : bytes(Math.round(rate)) + "/s";

function showHosts() {
	const cluster = known.cluster;
	$("hosts-section").hidden = !cluster;
	if (!cluster)
		return;
	put($("hosts-about"), "This is host " + cluster.name + " of domain " + cluster.domain +
		(cluster.server === null ? "." : ", at " + cluster.server + "."));
	putState($("bus-state"), cluster.state, "bus " + cluster.state);
	put($("hosts-count"), cluster.count > cluster.hosts.length ? cluster.hosts.length + " of " + cluster.count + " hosts" :
		cluster.count + (cluster.count === 1 ? " host" : " hosts"));
	put($("bus-trouble"), (cluster.state === "connecting" ? "No connection to the bus: " : "") + sentence(cluster.text)).hidden = cluster.state === "connected";
	putTiles($("hosts-tiles"), [["Other hosts ready", count(cluster.ready)], ["Calls in flight to others", count(cluster.requests)],
		["Calls to others", count(cluster.calls)], ["Lost with the gateway", count(cluster.lost)],
		["From the bus", perSecond(cluster.in_rate)], ["To the bus", perSecond(cluster.out_rate)],
		["Starts of the gateway", count(cluster.starts)]]);
	hostTable.show(cluster.hosts);
	showLines($("host-events"), $("host-events-none"), [...known.hostEvents].reverse(), (event) => event.number, (event, line) =>
		line.append(make("time", "", clock(event.at)), make("span", "theirs", event.text)));
}

// ---- the pool that is opened ----

const slotTable = new Table("slots", "Slots of the pool", [
	{title: "Slot", cell: text((slot) => slot.slot)},
	{title: "State", cell: state((slot) => slot.state)},
	{title: "Runs", kind: "theirs",
		cell: text((slot) => slot.running !== null ? slot.running : slot.leased ? "leased" : "–")},
	{title: "For", kind: "number", cell: text((slot) => slot.running === null ? "–" : age(slot.running_at))},
	{title: "Waiting", kind: "number", spare: true, cell: text((slot) => count(slot.queue + slot.deferred))},
	{title: "Tasks", kind: "number", cell: text((slot) => count(slot.calls))},
	{title: "Failed", kind: "number", cell: text((slot) => count(slot.failures + slot.lost))},
	{title: "Restarts", kind: "number", spare: true, cell: text((slot) => count(slot.restarts))},
	{title: "Generation", kind: "number", spare: true, cell: text((slot) => slot.generation)},
	{title: "Process", kind: "number", spare: true, cell: text((slot) => slot.pid || "–")},
	{title: "Memory", kind: "number", spare: true, cell: text((slot) => bytes(slot.rss))},
	{title: "CPU", kind: "number", spare: true,
		cell: text((slot) => percent(share("slot " + known.pool + " " + slot.slot + " " + slot.pid, slot.cpu_s)))},
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
	$("opened-body").hidden = !pool;
	if (!pool)
		return;
	put($("opened-error"), pool.error).hidden = !pool.error;
	putTiles($("opened-tiles"), [["State", pool.state], ["Class", pool.class + " of " + pool.plugin],
		["Instances ready", pool.ready + " of " + pool.workers], ["Busy", count(pool.busy)],
		["Waiting calls", count(pool.queue)], ["Calls per second", count(pool.rate)], ["Median", time(pool.p50)],
		["99 %", time(pool.p99)], ["Calls", count(pool.calls)], ["Failed tasks", count(pool.failures)],
		["Lost tasks", count(pool.lost)], ["Rejected calls", count(pool.rejected)], ["Restarts", count(pool.restarts)],
		["Memory", bytes(pool.rss)], ["CPU", percent(share("pool " + pool.name, pool.cpu_s))]]);
	openedGraphs.forEach((graph) => graph.draw(known.samples));
	showSlots(pool);
}

function showSlots(pool) {
	const all = [...known.slots.values()].filter((slot) => slot.slot < pool.workers).sort((a, b) => a.slot - b.slot);
	const slots = all.filter(SHOWN_SLOTS[$("slots-shown").value]);
	paintGrid(all);
	slotTable.show(slots.slice(0, ROWS));
	put($("slots-count"), slots.length > ROWS ? "the first " + ROWS + " of " + slots.length :
		slots.length + " of " + all.length);
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
			known.failures.set(known.pool + " " + slot.slot,
				{at: wall(slot.failed_at), pool: known.pool, slot: slot.slot, text: slot.last_failure});
	const failures = [...known.failures.values()].sort((a, b) => b.at - a.at).slice(0, 50);
	known.failures = new Map(failures.map((failure) => [failure.pool + " " + failure.slot, failure]));
	showLines($("failures"), $("failures-none"), failures, (f) => f.pool + f.slot + clock(f.at) + f.text, (failure, line) =>
		line.append(make("time", "", clock(failure.at)), make("b", "theirs", failure.pool + " slot " + failure.slot),
			make("span", "theirs", failure.text || "without a word")));
}

function showLog() {
	showLines($("log"), $("log-none"), [...known.log].reverse(), (line) => line.number, (entry, line) =>
		line.append(make("time", "", clock(entry.at)),
			make("b", entry.error ? "is-bad" : "is-wait", entry.error ? "error" : "warning"),
			make("span", "theirs", entry.text)));
}

const clientTable = new Table("clients", "Clients, the oldest first", [
	{title: "Session", cell: text((client) => client.session)},
	{title: "Kind", spare: true, cell: text((client) => client.kind)},
	{title: "Name", kind: "theirs", cell: text((client) => client.name || "–")},
	{title: "User", kind: "theirs", cell: text((client) => client.user || "–")},
	{title: "From", kind: "theirs", spare: true, cell: text((client) => client.peer)},
	{title: "Connected", kind: "number", spare: true, cell: text((client) => span(client.since_s))},
	{title: "In flight", kind: "number", cell: text((client) => count(client.in_flight))},
	{title: "Calls", kind: "number", cell: text((client) => count(client.calls))},
	{title: "Memory", kind: "number", spare: true, cell: text((client) => bytes(client.memory))},
	{title: "Waits for", kind: "theirs",
		cell: text((client) => client.waits_for ? client.waits_for + ", " + span(client.waits_s) : "–")},
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
