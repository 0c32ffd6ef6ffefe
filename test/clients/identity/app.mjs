// The identity door under supabase-js, unchanged, against a running server
// with the application of identity_test.go.
//
//   PANDO_URL          the server (required)
//   PANDO_PUBLISHABLE  its publishable key (required)
//   PANDO_KEY          its secret key (required)
//   PANDO_DATA         its data folder, where the mails are (required)
//   PANDO_IDP          the URL that the provider "example" is to have (required)

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '@supabase/supabase-js';

export function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: it names the server under test`);
  return value;
}

export const url = env('PANDO_URL').replace(/\/$/, '');
const publishable = env('PANDO_PUBLISHABLE');
const secret = env('PANDO_KEY');

/** Where sign-ins lead back to; pando.yaml allows it. Nothing listens there. */
export const after = 'http://127.0.0.1:9/after';

// supabase-js wants a WebSocket class when it is made, which Node has from 22
// on. No channel is opened here.
const transport = globalThis.WebSocket ?? class {
  constructor() {
    throw new Error('these tests open no channel');
  }
};

const quiet = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false };

/** A client as an application's pages have it: signed in by nobody yet. */
export const visitor = (auth = {}) => createClient(url, publishable, { auth: { ...quiet, ...auth }, realtime: { transport } });

/** The client of a server that holds the secret key. */
export const service = () => createClient(url, secret, { auth: quiet, realtime: { transport } });

export const password = 'correct horse battery staple';

let count = 0;
/** An address that nobody has. */
export const address = (who = 'ada') => `${who}.${process.pid}.${++count}@example.com`;

/** The data of an answer that must be a success. */
export async function ok(answer) {
  const { data, error } = await answer;
  assert.equal(error, null, error && `${error.name} ${error.status} ${error.code}: ${error.message}`);
  return data;
}

/** The error of an answer that must be a failure with this code and status. */
export async function fails(answer, code, status, name = 'AuthApiError') {
  const { data, error } = await answer;
  assert.ok(error, `succeeded with ${JSON.stringify(data)}`);
  assert.deepEqual([error.name, error.code, error.status], [name, code, status], error.message);
  assert.ok(error.message, 'no message');
  return error;
}

/** A user with a confirmed address and a client that is signed in as them. */
export async function member(attributes = {}) {
  const email = attributes.email ?? address();
  const { user } = await ok(service().auth.admin.createUser({ email, password, email_confirm: true, ...attributes }));
  const client = visitor();
  const { session } = await ok(client.auth.signInWithPassword({ email, password }));
  return { email, user, client, session };
}

// Mails.

const folder = join(env('PANDO_DATA'), 'mail');
const seen = new Set();

/** Waits for the next mail to an address that no test has read yet. */
export async function mailTo(to, box = () => read(folder)) {
  const end = Date.now() + 20_000;
  for (;;) {
    for (const mail of box()) {
      if (!seen.has(mail.id) && mail.to.includes(to)) {
        seen.add(mail.id);
        return mail;
      }
    }
    if (Date.now() > end) throw new Error(`no mail to ${to} came within 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Forgets the mails to an address that have come so far. */
export async function passMails(to) {
  for (const mail of read(folder)) if (mail.to.includes(to)) seen.add(mail.id);
}

const parsed = new Map();

function read(dir) {
  let names = [];
  try {
    names = readdirSync(dir).filter((n) => n.endsWith('.eml')).sort();
  } catch {
    // The folder comes with the first mail.
  }
  return names.map((name) => {
    if (!parsed.has(name)) parsed.set(name, parse(name, readFileSync(join(dir, name), 'utf8')));
    return parsed.get(name);
  });
}

/** What a mail holds: its text part, the link that does it and its code. */
export function parse(id, raw) {
  const [head, ...rest] = raw.replace(/\r\n/g, '\n').split('\n\n');
  const headers = head.replace(/\n[ \t]+/g, ' ');
  const header = (name) => headers.match(new RegExp(`^${name}:(.*)$`, 'im'))?.[1].trim() ?? '';
  let body = rest.join('\n\n');
  const boundary = header('Content-Type').match(/boundary="?([^";]+)"?/)?.[1];
  let encoding = header('Content-Transfer-Encoding');
  if (boundary) {
    const part = body.split(`--${boundary}`).find((p) => /content-type:\s*text\/plain/i.test(p));
    encoding = part.match(/content-transfer-encoding:\s*(\S+)/i)?.[1] ?? '';
    body = part.slice(part.indexOf('\n\n') + 2);
  }
  if (/quoted-printable/i.test(encoding)) {
    const text = body.replace(/=\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
    body = Buffer.from(text, 'latin1').toString('utf8');
  } else if (/base64/i.test(encoding)) {
    body = Buffer.from(body, 'base64').toString('utf8');
  }
  return {
    id, body, headers,
    from: header('From'), to: header('To'), subject: header('Subject'),
    link: body.match(/https?:\/\/\S+\/auth\/v1\/verify\?\S+/)?.[0].replace(/[)>.]+$/, '') ?? '',
    code: body.match(/\b\d{6}\b/)?.[0] ?? '',
  };
}

/** Follows a mail's link as a browser would and returns where it leads. */
export async function follow(link) {
  const answer = await fetch(link, { redirect: 'manual' });
  assert.equal(answer.status, 303, await answer.text());
  const to = new URL(answer.headers.get('location'));
  return { url: to, query: to.searchParams, fragment: new URLSearchParams(to.hash.slice(1)) };
}

/** The current code of a TOTP secret (RFC 6238). steps: of 30 s from now. */
export function totp(base32, steps = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...base32.replace(/=+$/, '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', key).update(counter).digest();
  const at = mac[19] & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

export const random = () => randomBytes(16).toString('hex');
