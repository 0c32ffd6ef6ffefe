// The clients under test, against a running server with the example shop.
//
//   PANDO_URL  the server, as http://127.0.0.1:7263 (required)
//   PANDO_KEY  its secret key (required)

import assert from 'node:assert/strict';
import { PostgrestClient } from '@supabase/postgrest-js';
import { createClient } from '@supabase/supabase-js';

function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: it names the server under test`);
  return value;
}

export const url = env('PANDO_URL').replace(/\/$/, '');
export const key = env('PANDO_KEY');

// supabase-js wants a WebSocket class when it is made, which Node has from 22
// on. No channel is opened here.
const transport = globalThis.WebSocket ?? class {
  constructor() {
    throw new Error('these tests open no channel');
  }
};

/** Makes supabase-js as its documentation does for a server. */
export const supabase = (options = {}) =>
  createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport }, ...options });

/** Makes postgrest-js alone. */
export const postgrest = (options = {}) => new PostgrestClient(`${url}/rest/v1`, { headers: { apikey: key }, ...options });

/** Both clients, by name. They must see the same. */
export const clients = { 'supabase-js': supabase(), 'postgrest-js': postgrest() };

/** The ids of the seeds. */
export const id = {
  category: (n) => seeded(1, n),
  product: (n) => seeded(2, n),
  customer: (n) => seeded(3, n),
  order: (n) => seeded(4, n),
};
const seeded = (table, n) => `0198000${table}-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

/** The data of an answer that must be a success. */
export async function ok(query, status) {
  const answer = await query;
  assert.equal(answer.error, null, JSON.stringify(answer.error));
  if (status !== undefined) assert.equal(answer.status, status);
  return answer.data;
}

/** The error of an answer that must be a failure with this code and HTTP status. */
export async function fails(query, code, status) {
  const answer = await query;
  assert.notEqual(answer.error, null, `succeeded with ${JSON.stringify(answer.data)}`);
  assert.equal(answer.error.code, code, JSON.stringify(answer.error));
  assert.equal(answer.status, status);
  assert.equal(answer.data, null);
  assert.ok(answer.error.message, 'no message');
  assert.deepEqual(Object.keys(answer.error).filter((k) => answer.error[k] === undefined), []);
  return answer.error;
}

/** What a unique text of a test begins with. */
let count = 0;
export const fresh = (prefix) => `${prefix}-${process.pid}-${++count}`;
