// SPDX-License-Identifier: Apache-2.0
import objpool = require("objpool");

export async function untyped(): Promise<number> {
	const client: objpool.Client = await objpool.connect();
	return client.pool<{ add(a: number, b: number): number }>("p").add(1, 2);
}
