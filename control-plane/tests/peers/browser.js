// A browser and its push service for tests (npm http_ece). Prints its port and the keys of its
// subscription, then one JSON line per push, decrypted and with its VAPID token verified by Node.
// Paths decide: /gone… answers 410, /busy… 429 once, all else 201.
'use strict';

const crypto = require('crypto');
const http = require('http');
const ece = require('http_ece');

const ecdh = crypto.createECDH('prime256v1');
ecdh.generateKeys();
const auth = crypto.randomBytes(16);
const busy = new Set();

// RFC 8292: the token is an ES256 JWT, verified with the key that stands beside it.
function verify(header) {
  const [, token, key] = /^vapid t=([^,]+), ?k=(.+)$/.exec(header);
  const [head, claims, signature] = token.split('.');
  const point = Buffer.from(key, 'base64url');
  const publicKey = crypto.createPublicKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      x: point.subarray(1, 33).toString('base64url'),
      y: point.subarray(33, 65).toString('base64url'),
    },
  });
  const valid = crypto.verify(
    'sha256',
    Buffer.from(`${head}.${claims}`),
    { key: publicKey, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  );
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
  return { valid, key, head: read(head), claims: read(claims) };
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    const clear = ece.decrypt(body, { version: 'aes128gcm', privateKey: ecdh, authSecret: auth });
    const path = request.url;
    let status = 201;
    if (path.startsWith('/gone')) status = 410;
    if (path.startsWith('/busy') && !busy.has(path)) {
      busy.add(path);
      status = 429;
    }
    response.writeHead(status, status === 429 ? { 'Retry-After': '1' } : {});
    response.end();
    console.log(JSON.stringify({
      path,
      status,
      bytes: body.length,
      headers: request.headers,
      vapid: verify(request.headers.authorization),
      payload: JSON.parse(clear.toString()),
    }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({
  port: server.address().port,
  p256dh: ecdh.getPublicKey('base64url'),
  auth: auth.toString('base64url'),
})));
