// An operator's program for tests (npm standardwebhooks). Prints its port, then one JSON line per
// POST, with what each known secret says to its signature. `secret whsec_…` on stdin makes a secret
// known. Paths decide: /gone answers 410, /broken 500, /broken_once 500 once, all else 204.
'use strict';

const http = require('http');
const readline = require('readline');
const { Webhook } = require('standardwebhooks');

const secrets = [];
const broken = new Set();

function verifies(secret, body, headers) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString();
    const path = request.url;
    let status = 204;
    if (path === '/gone') status = 410;
    if (path === '/broken' || (path === '/broken_once' && !broken.has(path))) {
      broken.add(path);
      status = 500;
    }
    response.writeHead(status);
    response.end();
    console.log(JSON.stringify({
      path,
      status,
      id: request.headers['webhook-id'],
      signatures: request.headers['webhook-signature'].split(' ').length,
      verified: secrets.map((secret) => verifies(secret, body, request.headers)),
      type: request.headers['content-type'],
      body: JSON.parse(body),
    }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, value] = line.split(' ');
  if (word === 'secret') {
    secrets.push(value);
    console.log(JSON.stringify({ known: secrets.length }));
  }
});
