// What lies under the queries: profiles, headers, keys, repeated writes,
// aborted requests, CORS.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { clients, fails, fresh, key, ok, postgrest, supabase, url } from './shop.mjs';

after(() => ok(postgrest().from('categories').delete().like('slug', 'transport-%')));

/** Options whose fetch keeps the requests and responses that it sees. */
function watched() {
  const seen = [];
  const fetch = async (input, init) => {
    const response = await globalThis.fetch(input, init);
    seen.push({ request: new Headers(init.headers), url: String(input), response });
    return response;
  };
  return { seen, fetch };
}

describe('modules are schemas', () => {
  for (const [name, db] of Object.entries(clients)) {
    test(`${name}: schema('orders')`, async () => {
      const orders = db.schema('orders');
      assert.deepEqual(await ok(orders.from('customers').select('name').eq('email', 'ada@shop.example')), [{ name: 'Ada Lovelace' }]);
      await fails(orders.from('products').select(), 'PGRST205', 404);
      const sku = await ok(orders.from('lines').select('product:products(sku)').limit(1));
      assert.ok(sku[0].product.sku, 'a relation leads into another module');
    });

    test(`${name}: writing to schema('catalog')`, async () => {
      const row = { slug: fresh('transport'), name: 'x' };
      assert.deepEqual(await ok(db.schema('catalog').from('categories').insert(row).select('slug, name').single(), 201), row);
      await fails(db.schema('orders').from('categories').insert(row), 'PGRST205', 404);
    });
  }

  test("supabase-js's default schema means none", async () => {
    const { seen, fetch } = watched();
    const db = supabase({ global: { fetch } });
    const row = { slug: fresh('transport'), name: 'x' };
    await ok(db.from('categories').insert(row), 201);
    await ok(db.from('orders').select().limit(1), 200);
    assert.deepEqual(seen.map((s) => s.request.get('content-profile') ?? s.request.get('accept-profile')), ['public', 'public']);
  });

  test('a schema for the whole client', async () => {
    const db = supabase({ db: { schema: 'orders' } });
    assert.equal((await ok(db.from('orders').select('number').eq('number', 1001))).length, 1);
  });
});

describe('keys', () => {
  test('as apikey, as Bearer, as both', async () => {
    for (const headers of [{ apikey: key }, { Authorization: `Bearer ${key}` }, { apikey: key, Authorization: `Bearer ${key}` }]) {
      await ok(postgrest({ headers }).from('products').select('sku').limit(1), 200);
    }
  });

  test('never in an answer', async () => {
    const { seen, fetch } = watched();
    const answer = await postgrest({ fetch }).from(key).select();
    assert.equal(answer.status, 404);
    const [{ response }] = seen;
    assert.ok(![...response.headers.values()].join().includes(key));
  });
});

describe('headers', () => {
  test('a problem is RFC 9457', async () => {
    const response = await fetch(`${url}/rest/v1/nothing`, { headers: { apikey: key } });
    assert.equal(response.headers.get('content-type'), 'application/problem+json');
    const problem = await response.json();
    assert.equal(problem.status, 404);
    assert.equal(problem.detail, problem.message);
    for (const member of ['type', 'title', 'instance', 'code', 'message', 'details', 'hint']) assert.ok(member in problem, member);
    assert.equal(problem.instance, response.headers.get('x-request-id'));
  });

  test('rows are JSON', async () => {
    const response = await fetch(`${url}/rest/v1/categories`, { headers: { apikey: key } });
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    assert.equal(response.headers.get('content-range'), '0-' + ((await response.json()).length - 1) + '/*');
  });

  test('setHeader', async () => {
    const { seen, fetch } = watched();
    await ok(postgrest({ fetch }).from('categories').select().setHeader('X-Request-Id', 'abc-123'));
    assert.equal(seen[0].request.get('x-request-id'), 'abc-123');
  });

  test('a browser may ask, and may read the count', async () => {
    const asked = 'apikey, authorization, accept-profile, prefer, x-client-info, content-type, idempotency-key';
    const preflight = await fetch(`${url}/rest/v1/products`, {
      method: 'OPTIONS',
      headers: { Origin: 'https://shop.example', 'Access-Control-Request-Method': 'PATCH', 'Access-Control-Request-Headers': asked },
    });
    assert.ok(preflight.ok);
    assert.equal(preflight.headers.get('access-control-allow-origin'), '*');
    assert.match(preflight.headers.get('access-control-allow-methods'), /PATCH/);
    for (const name of asked.split(', ')) assert.ok(preflight.headers.get('access-control-allow-headers').toLowerCase().includes(name), name);
    const answer = await fetch(`${url}/rest/v1/products`, { headers: { Origin: 'https://shop.example', apikey: key } });
    assert.equal(answer.headers.get('access-control-allow-origin'), '*');
    assert.match(answer.headers.get('access-control-expose-headers'), /content-range/i);
  });
});

describe('repeated writes', () => {
  test('an Idempotency-Key makes a retry harmless', async () => {
    const { seen, fetch } = watched();
    const db = postgrest({ fetch });
    const row = { slug: fresh('transport'), name: 'once' };
    const again = fresh('key');
    const send = (what) => db.from('categories').insert(what).select().setHeader('Idempotency-Key', again);
    const first = await ok(send(row), 201);
    assert.deepEqual(await ok(send(row), 201), first);
    assert.deepEqual(seen.map((s) => s.response.headers.get('idempotency-replayed')), [null, 'true']);
    const other = await send({ ...row, name: 'twice' });
    assert.equal(other.status, 422);
    assert.ok(other.error.code);
    assert.equal((await ok(db.from('categories').select().eq('slug', row.slug))).length, 1);
  });

  test('at the same time, one is made', async () => {
    const row = { slug: fresh('transport'), name: 'once' };
    const again = fresh('key');
    const answers = await Promise.all(Array.from({ length: 8 }, () => postgrest().from('categories').insert(row).setHeader('Idempotency-Key', again)));
    for (const { status } of answers) assert.ok(status === 201 || status === 409, `${status}`);
    assert.equal((await ok(postgrest().from('categories').select().eq('slug', row.slug))).length, 1);
  });
});

describe('aborted requests', () => {
  for (const [name, db] of Object.entries(clients)) {
    test(name, async () => {
      const answer = await db.from('products').select().abortSignal(AbortSignal.abort());
      assert.equal(answer.data, null);
      assert.match(answer.error.message, /AbortError/);
      assert.equal((await ok(db.from('products').select('sku').abortSignal(AbortSignal.timeout(10_000)).limit(1))).length, 1);
    });
  }
});

test('a long filter goes through', async () => {
  const skus = Array.from({ length: 150 }, (_, i) => `NONE-${i}`);
  assert.deepEqual(await ok(postgrest().from('products').select('sku').in('sku', [...skus, 'KIT-POT'])), [{ sku: 'KIT-POT' }]);
});

test('many clients at once see their own writes', async () => {
  await Promise.all(Array.from({ length: 24 }, async () => {
    const row = { slug: fresh('transport'), name: 'mine' };
    await ok(postgrest().from('categories').insert(row), 201);
    assert.deepEqual(await ok(postgrest().from('categories').select('slug, name').eq('slug', row.slug)), [row]);
  }));
});
