// SPDX-License-Identifier: GPL-2.0-only
'use strict';

// An HTTP server that answers with what it gets, and its load:
//
//	node_http.js serve PORT
//	node_http.js load PORT MARKER REQUESTS

const http = require('node:http');

const CLIENTS = 8;
const [verb, port, marker, requests] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: CLIENTS });

function post(body) {
	return new Promise((resolve, reject) => {
		const request = http.request(
			{ host: '127.0.0.1', port, agent, method: 'POST' },
			(answer) => {
				const parts = [];

				answer.on('data', (part) => parts.push(part));
				answer.on('end', () => resolve(Buffer.concat(parts)));
				answer.on('error', reject);
			});
		request.on('error', reject);
		request.end(body);
	});
}

async function client(number) {
	for (let i = 0; i < requests; i++) {
		const times = 1 << ((number + i) % 16);
		const body = Buffer.from(marker.repeat(times));

		if (!(await post(body)).equals(body))
			throw new Error(`client ${number}: request ${i} differs`);
	}
}

async function load() {
	const all = [];

	for (let number = 0; number < CLIENTS; number++)
		all.push(client(number));
	await Promise.all(all);
	agent.destroy();
	console.log('done', CLIENTS * requests);
}

if (verb === 'serve')
	http.createServer((request, answer) => request.pipe(answer))
		.listen(port, '127.0.0.1');
else
	load();
