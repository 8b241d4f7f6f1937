// SPDX-License-Identifier: Apache-2.0
// What people do: they call methods, log in, open pools.

// ---- opening a pool ----

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
	const body = makeField(form, id + "b", "Arguments, as a JSON array; or an object with args, kwargs and options",
		make("textarea"));
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
addEventListener("resize", () => {
	document.querySelectorAll("td canvas").forEach((canvas) => delete canvas.dataset.mark);
	show();
});
document.addEventListener("visibilitychange", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("resize")));

sizeObserver.observe($("grid"));
known.pool = new URLSearchParams(location.hash.slice(1)).get("pool");
listen();
