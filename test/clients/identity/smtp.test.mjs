// Mails over SMTP: a second server, whose pando.yaml names an SMTP sink, sends
// what the others keep in a folder.
//
//   PANDO_SMTP_URL   that server (required)
//   PANDO_SMTP_PORT  where its sink listens (required)

import assert from 'node:assert/strict';
import { after as afterAll, before, describe, test } from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { SMTPServer } from 'smtp-server';
import { address, env, mailTo, ok, parse, password } from './app.mjs';

const url = env('PANDO_SMTP_URL');
const mails = [];
const sink = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onData(stream, session, callback) {
    const parts = [];
    stream.on('data', (part) => parts.push(part));
    stream.on('end', () => {
      mails.push({ ...parse(`smtp-${mails.length}`, Buffer.concat(parts).toString()), envelope: session.envelope });
      callback();
    });
  },
});

before(() => new Promise((resolve) => {
  sink.listen(Number(env('PANDO_SMTP_PORT')), '127.0.0.1', resolve);
}));
afterAll(() => new Promise((resolve) => {
  sink.close(resolve);
}));

describe('over SMTP', () => {
  test('the confirmation of a sign-up', async () => {
    const email = address('smtp');
    const client = createClient(url, env('PANDO_PUBLISHABLE'), {
      auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
      realtime: { transport: globalThis.WebSocket ?? class {} },
    });
    await ok(client.auth.signUp({ email, password }));
    const mail = await mailTo(email, () => mails);
    assert.deepEqual(mail.envelope.rcptTo.map((r) => r.address), [email]);
    assert.equal(mail.from.includes('no-reply@notes.example'), true, mail.from);
    assert.ok(mail.subject);
    const { session } = await ok(client.auth.verifyOtp({ email, token: mail.code, type: 'signup' }));
    assert.equal(session.user.email, email);
  });
});
