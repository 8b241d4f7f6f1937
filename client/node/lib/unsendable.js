// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Why a value can't be sent, and where in what was given it is. It is thrown where the value is; whoever holds that value adds
 * its place; whoever was given all of it makes the ObjpoolError. */
const { inspect } = require("node:util");
const { bad_value } = require("./errors.js");

const STEPS_MAX = 8; // of a place that are named
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const ADVICE = { Set: "send an array", Promise: "await it" };

class Unsendable {
	constructor(text) {
		this.text = text;
		this.steps = []; // from the value outwards: indexes of arrays, keys of objects and Maps
	}

	/** The error, for what holds the value at that index or key. */
	static within(error, step) {
		if (error instanceof Unsendable)
			error.steps.push(step);
		return error;
	}

	/** The error for the user, who has given `root`. */
	static refused(error, root) {
		return error instanceof Unsendable ? bad_value(`${root}${path_of(error.steps)}: ${error.text}`) : error;
	}

	/** Likewise of a message's parameters. Those of objpool.call are [target, method, args, options]. */
	static refused_of(error, method) {
		if (!(error instanceof Unsendable))
			return error;
		if (method !== "objpool.call")
			return Unsendable.refused(error, method.startsWith("objpool.") ? "params" : "args");
		const [at, ...steps] = [...error.steps].reverse();
		const root = at === 2 ? "args" : at === 3 ? option_of(steps.shift()) : `params[${at}]`;
		return bad_value(`${root}${path_of(steps.reverse())}: ${error.text}`);
	}
}

const option_of = (wire) => String(wire).replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

function path_of(steps) {
	const path = [...steps].reverse().slice(0, STEPS_MAX).map(step_text).join("");
	return steps.length > STEPS_MAX ? `${path}…` : path;
}

function step_text(step) {
	return typeof step === "string" && IDENTIFIER.test(step) ? `.${step}` : `[${inspect(step, { depth: 0 })}]`;
}

/** A value of a kind that can't be sent. */
function no_form(value) {
	const kind = typeof value === "object" ? name_of(value) : typeof value;
	const advice = ADVICE[kind] ? `: ${ADVICE[kind]}` : "";
	return new Unsendable(`${/^[AEIO]/i.test(kind) ? "an" : "a"} ${kind} has no form on the wire${advice}`);
}

/** The name of an object's class. An iterator of JavaScript's own has only a tag. */
function name_of(value) {
	const name = value.constructor?.name;
	return name && name !== "Object" ? name : value[Symbol.toStringTag] ?? "object";
}

module.exports = { Unsendable, no_form };
