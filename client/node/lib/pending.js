// SPDX-License-Identifier: Apache-2.0
"use strict";
/* What waits for an answer, by msgid. Msgids are given in turn, so an entry's place is its msgid's last bits: nothing is hashed,
 * and nothing is allocated but when there are more entries than places. */
const FIRST_SIZE = 64; // a power of two
const MSGID_END = 2 ** 32;

class Pending {
	constructor() {
		this.places = new Array(FIRST_SIZE).fill(undefined); // of {msgid, …}
		this.size = 0;
		this.next_id = 1;
	}

	/** A msgid that nobody has, for the next entry. */
	new_id() {
		if (2 * this.size >= this.places.length)
			this.grow();
		let id = this.next_id;
		while (id === MSGID_END || this.places[id & this.places.length - 1] !== undefined)
			id = id + 1 < MSGID_END ? id + 1 : 1;
		this.next_id = id + 1;
		return id;
	}

	/** Doubles the places. Msgids that differ in their last bits differ in one bit more, too. */
	grow() {
		const places = new Array(2 * this.places.length).fill(undefined);
		for (const entry of this.entries())
			places[entry.msgid & places.length - 1] = entry;
		this.places = places;
	}

	/** The entry has the msgid that new_id gave. */
	add(entry) {
		this.places[entry.msgid & this.places.length - 1] = entry;
		this.size++;
	}

	/** Undefined: there is none. The msgid has come over a socket, and may be any value. */
	get(msgid) {
		if (typeof msgid !== "number")
			return undefined;
		const entry = this.places[msgid & this.places.length - 1];
		return entry !== undefined && entry.msgid === msgid ? entry : undefined;
	}

	delete(entry) {
		this.places[entry.msgid & this.places.length - 1] = undefined;
		this.size--;
	}

	entries() {
		return this.places.filter((entry) => entry !== undefined);
	}

	/** Takes all of them out, in the order in which they came. */
	clear() {
		const entries = this.entries().sort((one, other) => one.chunk - other.chunk || one.msgid - other.msgid);
		this.places.fill(undefined);
		this.size = 0;
		return entries;
	}
}

module.exports = { Pending };
