// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import fs from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

const { address_form } = createRequire(import.meta.url)("../lib/address.js");

test("addresses have several forms, the same for each client", () => {
	const rows = JSON.parse(fs.readFileSync(new URL("../../../tests/addresses.json", import.meta.url), "utf8"));
	assert.ok(rows.length > 20);
	for (const { text, is } of rows)
		assert.equal(address_form(text), is);
});
