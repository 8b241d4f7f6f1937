// SPDX-License-Identifier: Apache-2.0
// Texts of the page: how numbers, times and states read, and how texts of others get into the document: by put() alone, as text,
// with hidden characters made visible.
"use strict";

const $ = (id) => document.getElementById(id);

// ---- texts ----

// As the daemon's log does: what is invisible, or would reorder other text, is shown as an escape.
const HIDDEN = new RegExp("[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5" +
	"\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb]", "gu");
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
const count = (n) => n < 1e5 ? round(n, 2) : n < 1e6 ? round(n / 1e3, 1) + " k" : n < 1e9 ? round(n / 1e6, 2) + " M" :
	round(n / 1e9, 2) + " G";
const bytes = (n) => n < 1024 ? n + " B" : n < 2 ** 20 ? round(n / 1024, 0) + " KiB" :
	n < 2 ** 30 ? round(n / 2 ** 20, 1) + " MiB" : round(n / 2 ** 30, 2) + " GiB";
const time = (s) => s === null ? "–" : s < 1e-3 ? round(s * 1e6, 0) + " µs" :
	s < 1 ? round(s * 1e3, s < 0.01 ? 2 : 0) + " ms" : s < 100 ? round(s, 1) + " s" : span(s);
const percent = (n) => n === null ? "–" : round(n * 100, n < 0.1 ? 1 : 0) + " %";
const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString("en-GB");

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

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

// Each state has a mark and a word: colour alone says nothing.
const STATES = {
	ready: ["✓", "good"], running: ["▶", "busy"], self: ["●", "good"], connected: ["✓", "good"],
	starting: ["…", "wait"], waiting: ["…", "wait"], connecting: ["…", "wait"], asleep: ["☾", "wait"], paused: ["‖", "wait"],
	stopping: ["■", "wait"], leaving: ["■", "wait"], draining: ["■", "wait"], "logged out": ["?", "wait"],
	degraded: ["!", "bad"], failed: ["✗", "bad"], unavailable: ["✗", "bad"], lost: ["✗", "bad"],
	silent: ["…", "wait"], gone: ["✗", "bad"], refused: ["✗", "bad"], stopped: ["✗", "bad"],
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
