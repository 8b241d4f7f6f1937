// SPDX-License-Identifier: Apache-2.0
// A web service before a pool: GET /upper/TEXT. A request that its client gives up is cancelled.
//     node web.mjs POOL [PORT] [ADDRESS]
import http from "node:http";
import { connect } from "objpool";

const STATUS = {
	TIMEOUT: 504, OVERLOADED: 503, UNAVAILABLE: 503, NO_DAEMON: 503, CONNECTION_LOST: 502,
	BAD_ARGUMENT: 400, NO_SUCH_METHOD: 404,
};

const [name, port = "0", address] = process.argv.slice(2);
const pool = (await connect(address, { retry: 3 })).pool(name);
const server = http.createServer(async (request, response) => {
	const gone = new AbortController();
	response.on("close", () => gone.abort());
	const [, method, text] = decodeURI(request.url).split("/");
	try {
		const result = await pool.options({ timeoutMs: 2000, signal: gone.signal }).call(method, text);
		response.end(`${JSON.stringify(result)}\n`);
	} catch (error) {
		response.statusCode = STATUS[error.code] ?? 500;
		response.end(`${error.message}\n`);
	}
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
