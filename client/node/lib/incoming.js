// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Cuts what comes from a socket into messages. A message that lies in one piece is read where it is. Of one that lies in several,
 * the end is looked for first, and its pieces are joined once. */
const { Reader, SHORT } = require("./decode.js");
const { Scanner } = require("./scan.js");

class Incoming {
	/** `on_message(reader)` reads one whole message, and acts only when it has read it. */
	constructor(on_message) {
		this.on_message = on_message;
		this.reader = new Reader();
		this.scanner = new Scanner();
		this.pieces = [];
	}

	/** Whether a message has begun that has not ended. */
	get is_within() {
		return this.pieces.length > 0;
	}

	add(chunk) {
		let at = 0;
		if (this.pieces.length > 0) {
			at = this.scanner.scan(chunk, 0, chunk.length);
			if (at < 0) {
				this.pieces.push(chunk);
				return;
			}
			this.finish(chunk.subarray(0, at));
		}
		while (at < chunk.length) {
			const end = this.read(chunk, at, chunk.length);
			if (end < 0)
				break;
			at = end;
		}
	}

	finish(last) {
		this.pieces.push(last);
		const whole = Buffer.concat(this.pieces);
		this.pieces = [];
		if (this.read(whole, 0, whole.length) !== whole.length)
			throw new RangeError("a message ends in the middle of a value");
	}

	/** The place after the message. -1: its end has not come, and it is kept. */
	read(chunk, at, end) {
		this.reader.set(chunk, at, end);
		try {
			this.on_message(this.reader);
			return this.reader.position;
		} catch (error) {
			if (error !== SHORT)
				throw error;
		}
		this.scanner.begin();
		if (this.scanner.scan(chunk, at, end) >= 0)
			throw new RangeError("a message has fewer values than it must have");
		this.pieces.push(chunk.subarray(at, end));
		return -1;
	}
}

module.exports = { Incoming };
