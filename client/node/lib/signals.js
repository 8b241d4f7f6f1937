// SPDX-License-Identifier: Apache-2.0
"use strict";
/* What is to be done when an AbortSignal is aborted. However many calls have the same signal, it gets one listener. */

const watched = new WeakMap(); // the functions of each signal

function listen(signal) {
	const acts = new Set();
	watched.set(signal, acts);
	signal.addEventListener("abort", () => {
		for (const act of [...acts])
			act();
		acts.clear();
	}, { once: true });
	return acts;
}

/** Has `act` called once when the signal is aborted, which may be undefined. */
function on_abort(signal, act) {
	if (signal)
		(watched.get(signal) ?? listen(signal)).add(act);
}

function off_abort(signal, act) {
	if (signal)
		watched.get(signal)?.delete(act);
}

module.exports = { on_abort, off_abort };
