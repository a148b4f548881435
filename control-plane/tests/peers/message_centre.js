// A message centre for tests (npm smpp). Prints its port, then one JSON line per event. Numbers
// decide what it answers: …11 is refused for good, …58 is throttled once, …99 is swallowed without
// an answer. A line `drop` on stdin cuts all sessions. It knows only rusuden/secret.
'use strict';

const readline = require('readline');
const smpp = require('smpp');

const sessions = new Set();
const throttled = new Set();
let count = 0;

const say = (line) => console.log(JSON.stringify(line));
const hex = (parts) => (parts || []).map((part) => Buffer.from(part).toString('hex')).join('');

function submitted(pdu) {
  const body = pdu.message_payload || pdu.short_message;
  return {
    event: 'submit',
    to: pdu.destination_addr,
    from: pdu.source_addr,
    ton: [pdu.source_addr_ton, pdu.dest_addr_ton],
    coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    receipt: pdu.registered_delivery,
    validity: typeof pdu.validity_period === 'string' ? pdu.validity_period : String(pdu.validity_period),
    payload: pdu.message_payload !== undefined,
    udh: hex(body.udh),
    text: Buffer.isBuffer(body.message) ? body.message.toString('latin1') : body.message,
  };
}

const server = smpp.createServer((session) => {
  sessions.add(session);
  session.on('error', () => {});
  session.on('close', () => sessions.delete(session));
  session.on('bind_transceiver', (pdu) => {
    const right = pdu.system_id === 'rusuden' && pdu.password === 'secret';
    session.send(pdu.response({ command_status: right ? 0 : smpp.ESME_RINVPASWD }));
    say({ event: right ? 'bound' : 'refused', version: pdu.interface_version });
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ event: 'unbound' });
    session.send(pdu.response());
  });
  session.on('deliver_sm_resp', (pdu) => say({ event: 'receipt_taken', status: pdu.command_status }));
  session.on('submit_sm', (pdu) => {
    const to = pdu.destination_addr;
    say(submitted(pdu));
    if (to.endsWith('99')) return;
    if (to.endsWith('11')) {
      session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
      return;
    }
    if (to.endsWith('58') && !throttled.has(to)) {
      throttled.add(to);
      session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
      return;
    }
    count += 1;
    const id = `centre-${count}`;
    session.send(pdu.response({ message_id: id }));
    session.deliver_sm({
      source_addr: to,
      destination_addr: pdu.source_addr,
      esm_class: 4,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2611230003 done date:2611230004 `
        + 'stat:DELIVRD err:000 text:',
      ...(count % 2 ? { receipted_message_id: id, message_state: 2 } : {}),
    });
  });
});
server.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === 'drop') sessions.forEach((session) => session.destroy());
});
