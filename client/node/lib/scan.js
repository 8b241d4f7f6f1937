// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Finds where a msgpack value ends that comes in pieces, and remembers between them how far it is. Makes no values. */

/* By first byte, from 0xc0 on: how many bytes of a number follow, and what that number counts. */
const LENGTHS = new Map([
	[0xc4, 1], [0xc5, 2], [0xc6, 4], [0xc7, 1], [0xc8, 2], [0xc9, 4], [0xd9, 1], [0xda, 2], [0xdb, 4],
	[0xdc, 2], [0xdd, 4], [0xde, 2], [0xdf, 4],
]);
const FIXED = new Map([
	[0xc0, 0], [0xc1, 0], [0xc2, 0], [0xc3, 0], [0xca, 4], [0xcb, 8], [0xcc, 1], [0xcd, 2], [0xce, 4], [0xcf, 8],
	[0xd0, 1], [0xd1, 2], [0xd2, 4], [0xd3, 8], [0xd4, 2], [0xd5, 3], [0xd6, 5], [0xd7, 9], [0xd8, 17],
]);

class Scanner {
	constructor() {
		this.begin();
	}

	begin() {
		this.values = 1; // that are still to come
		this.skip = 0; // bytes of the last one
		this.digits = 0; // bytes of its length that are still to come
		this.first = 0;
		this.number = 0;
	}

	/** Goes on from `at`. The place after the value; -1: it goes on beyond `end`. */
	scan(buffer, at, end) {
		for (;;) {
			if (this.skip > 0) {
				const step = Math.min(this.skip, end - at);
				this.skip -= step;
				at += step;
				if (this.skip > 0)
					return -1;
			}
			if (this.values === 0 && this.digits === 0)
				return at;
			if (at === end)
				return -1;
			this.take(buffer[at++]);
		}
	}

	take(byte) {
		if (this.digits === 0) {
			this.begin_value(byte);
			return;
		}
		this.number = this.number * 256 + byte;
		if (--this.digits === 0)
			this.counted();
	}

	begin_value(first) {
		this.values--;
		if (first < 0x80 || first >= 0xe0)
			return;
		if (first < 0x90)
			this.values += 2 * (first & 0x0f);
		else if (first < 0xa0)
			this.values += first & 0x0f;
		else if (first < 0xc0)
			this.skip = first & 0x1f;
		else
			this.begin_long(first);
	}

	begin_long(first) {
		const fixed = FIXED.get(first);
		if (fixed !== undefined) {
			this.skip = fixed;
			return;
		}
		this.first = first;
		this.number = 0;
		this.digits = LENGTHS.get(first);
	}

	counted() {
		if (this.first >= 0xde)
			this.values += 2 * this.number;
		else if (this.first >= 0xdc)
			this.values += this.number;
		else
			this.skip = this.number + (this.first >= 0xc7 && this.first <= 0xc9 ? 1 : 0);
	}
}

/** The place after the value that begins at `at`. */
function skip_value(buffer, at, end) {
	return new Scanner().scan(buffer, at, end);
}

module.exports = { Scanner, skip_value };
