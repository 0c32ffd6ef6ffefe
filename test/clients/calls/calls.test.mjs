// Operations and functions, as supabase-js calls them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clients, fails, ok, supabase } from '../shop.mjs';

for (const [name, db] of Object.entries(clients)) {
  describe(`rpc of ${name}`, () => {
    test('with an object, with nothing, and what is undefined', async () => {
      assert.deepEqual(await ok(db.rpc('echo', { n: 1, tags: ['a', 'b,c'], meta: { x: [1] } }), 200), { given: { n: 1, tags: ['a', 'b,c'], meta: { x: [1] } } });
      assert.deepEqual(await ok(db.rpc('echo'), 200), { given: {} });
      assert.deepEqual(await ok(db.rpc('echo', { n: undefined }), 200), { given: {} });
    });

    test('by GET, lists among it, and by HEAD', async () => {
      const given = { n: 7, tags: ['a', 'b'], at: '2026-01-02T03:04:05Z' };
      assert.deepEqual(await ok(db.rpc('echo', given, { get: true }), 200), { given: { ...given, at: '2026-01-02T03:04:05+00:00' } });
      assert.equal(await ok(db.rpc('echo', { n: 7 }, { head: true }), 200), null);
    });

    test('answers a row, rows, one of them, nothing', async () => {
      await ok(db.rpc('clear'), 204);
      assert.deepEqual(await ok(db.rpc('note', { id: 1, text: 'one' })), { id: 1, text: 'one', tags: null });
      assert.deepEqual(await ok(db.rpc('notes').single()), { id: 1, text: 'one', tags: null });
      assert.deepEqual(await ok(db.rpc('note', { id: 2 }).single()), { id: 2, text: null, tags: null });
      assert.deepEqual((await ok(db.rpc('notes', {}, { get: true }))).map((row) => row.id), [1, 2]);
      await fails(db.rpc('notes').single(), 'PGRST116', 406);
      assert.equal(await ok(db.rpc('clear'), 204), null);
      assert.deepEqual(await ok(db.rpc('notes')), []);
      assert.equal(await ok(db.rpc('notes', {}, { get: true }).maybeSingle()), null);
    });

    test('fails as code says, as the input says, and as the rules say', async () => {
      const error = await fails(db.rpc('note', { id: -1 }), 'P0001', 409);
      assert.equal(error.message, 'notes begin with 0');
      assert.equal(error.hint, 'count upwards');
      await fails(db.rpc('note', { id: 'x' }), 'invalid_input', 422);
      await fails(db.rpc('note', { idd: 1 }), 'invalid_input', 422);
      await fails(db.rpc('note', { id: 1 }, { get: true }), 'PGRST101', 405);
      await fails(db.rpc('mine'), '42501', 401);
      await fails(db.rpc('nothing'), 'PGRST202', 404);
      await fails(db.rpc('echo', { n: 1 }).eq('n', 1), 'PGRST127', 400);
    });

    test('in a schema', async () => {
      assert.deepEqual(await ok(db.schema('calls').rpc('echo', { n: 1 })), { given: { n: 1 } });
      assert.deepEqual(await ok(db.schema('calls').rpc('echo', { n: 1 }, { get: true })), { given: { n: 1 } });
      await fails(db.schema('nowhere').rpc('echo'), 'PGRST106', 406);
    });
  });
}

describe('functions of supabase-js', () => {
  const { functions } = supabase();

  test('are invoked with a body, by every method, below their path', async () => {
    const posted = await functions.invoke('hello', { body: { a: 1 } });
    assert.equal(posted.error, null);
    assert.deepEqual(posted.data, { method: 'POST', path: '/functions/v1/hello', body: { a: 1 }, key: null, token: null });
    for (const method of ['GET', 'DELETE', 'PUT', 'PATCH']) {
      const { data, error } = await functions.invoke('hello/more', { method });
      assert.equal(error, null);
      assert.equal(data.method, method);
      assert.equal(data.path, '/functions/v1/hello/more');
    }
  });

  test('fail with their own status', async () => {
    const { error } = await functions.invoke('hello', { body: { status: 418 } });
    assert.equal(error.context.status, 418);
    const unknown = await functions.invoke('hallo');
    assert.equal(unknown.error.context.status, 404);
    assert.match((await unknown.error.context.json()).hint, /hello/);
  });
});
