// SPDX-License-Identifier: Apache-2.0
// Pictures: graphs of the last ten minutes, small ones in tables, and the squares of slots.

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
		const left = 52, bottom = height - 16;
		const x = (ago) => left + (width - left - 2) * (1 - ago / (SAMPLES - 1));
		const y = (v) => bottom - (bottom - 6) * v / top;
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
	trace(context, spark, (ago) => width - 1 - (width - 2) * ago / (spark.length - 1),
		(v) => height - 2 - (height - 4) * v / top);
}

// A small square for each slot: filled when it runs, framed when it is ready, crossed when it has failed, a dot while it comes.
function paintGrid(slots) {
	const canvas = $("grid"), size = 14, width = (sizes.get(canvas) || [0])[0];
	const across = Math.max(1, Math.floor(width / size)), height = Math.max(1, Math.ceil(slots.length / across)) * size;
	const runs = slots.filter((slot) => slot.running !== null).length;
	const ready = slots.filter((slot) => slot.state === "ready").length;
	canvas.setAttribute("aria-label", slots.length + " slots: " + ready + " ready, " + runs + " running a method");
	const place = prepare(canvas, [width, height]);
	if (!place)
		return;
	canvas.style.setProperty("height", height + "px");
	slots.forEach((slot, i) =>
		paintSlot(place.context, slot, i % across * size + 1.5, Math.floor(i / across) * size + 1.5, size - 4));
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
