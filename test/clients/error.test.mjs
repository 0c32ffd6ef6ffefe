// Errors: each carries code, message, details and hint, as the clients' types
// promise, and the status that PostgREST uses with the code.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clients, fails, id, ok, postgrest, url } from './shop.mjs';

for (const [name, db] of Object.entries(clients)) {
  describe(name, () => {
    test('unique: 23505', async () => {
      const error = await fails(db.from('categories').insert({ slug: 'tea', name: 'Again' }), '23505', 409);
      assert.match(error.details, /slug/);
    });

    test('foreign key: 23503, on both sides', async () => {
      await fails(db.from('categories').insert({ slug: 'error-fk', name: 'x', parent_id: id.category(999) }), '23503', 409);
      await fails(db.from('categories').delete().eq('id', id.category(6)), '23503', 409);
    });

    test('check: 23514, of the entity and of a field', async () => {
      const product = { sku: 'ERROR', name: 'x', category_id: id.category(1) };
      await fails(db.from('products').insert({ ...product, price: 0 }), '23514', 400);
      await fails(db.from('products').insert({ ...product, price: -1, status: 'draft' }), '23514', 400);
    });

    test('missing: 23502', async () => {
      const error = await fails(db.from('categories').insert({ slug: 'error-null' }), '23502', 400);
      assert.match(error.message, /name/);
    });

    test('a value of another type: 22P02', async () => {
      await fails(db.from('products').select().eq('stock', 'many'), '22P02', 400);
      await fails(db.from('products').select().eq('id', 'x'), '22P02', 400);
      await fails(db.from('products').insert({ sku: 'ERROR', name: 'x', price: 1, category_id: id.category(1), status: 'lost' }), '22P02', 400);
    });

    test('no such field: 42703, PGRST204 in a body', async () => {
      const error = await fails(db.from('products').select('skew'), '42703', 400);
      assert.match(error.hint, /sku/);
      await fails(db.from('products').select().eq('skew', 1), '42703', 400);
      await fails(db.from('products').select().order('skew'), '42703', 400);
      const inserted = await fails(db.from('categories').insert({ slug: 'error-field', name: 'x', nmae: 'y' }), 'PGRST204', 400);
      assert.match(inserted.message, /nmae/);
    });

    test('no such entity: PGRST205', async () => {
      const error = await fails(db.from('product').select(), 'PGRST205', 404);
      assert.match(error.hint, /products/);
    });

    test('no such relation: PGRST200', async () => {
      const error = await fails(db.from('products').select('*, categry(*)'), 'PGRST200', 400);
      assert.match(error.hint, /categor/);
    });

    test('no such operation: PGRST202', async () => {
      await fails(db.rpc('plaec', { lines: [] }), 'PGRST202', 404);
    });

    test('no such module: PGRST106', async () => {
      const error = await fails(db.schema('order').from('orders').select(), 'PGRST106', 406);
      assert.match(error.hint, /catalog, orders/);
    });

    test('not one row: PGRST116', async () => {
      const none = await fails(db.from('categories').select().eq('slug', 'none').single(), 'PGRST116', 406);
      assert.match(none.details, /0 rows/);
      const many = await fails(db.from('categories').select().single(), 'PGRST116', 406);
      assert.match(many.details, /6 rows|rows/);
      const maybe = await db.from('categories').select().maybeSingle();
      assert.equal(maybe.error.code, 'PGRST116');
      assert.deepEqual([maybe.data, maybe.status], [null, 406]);
    });

    test('an offset past the end: PGRST103 when the count is asked for', async () => {
      await fails(db.from('categories').select('*', { count: 'exact' }).range(500, 510), 'PGRST103', 416);
    });

    test('what the grammar does not have: PGRST100', async () => {
      await fails(db.from('products').select('sku,'), 'PGRST100', 400);
      const error = await fails(db.from('products').select().filter('sku', 'equals', 'x'), 'PGRST100', 400);
      assert.match(error.hint, /eq/);
    });

    test('what Pando does not have: a 400 that names it', async () => {
      const cases = {
        'an empty embed': db.from('orders').select('number, customers!inner()'),
        range: db.from('products').select().rangeGt('price', '[1,2)'),
        plan: db.from('products').select().explain(),
        geojson: db.from('products').select().geojson(),
        rollback: db.from('categories').insert({ slug: 'error-rollback', name: 'x' }).rollback(),
        'a language': db.from('products').select().textSearch('description', 'x', { config: 'english' }),
      };
      for (const [what, query] of Object.entries(cases)) {
        const { error, status } = await query;
        assert.ok(error?.code && error.message, what);
        assert.ok(status === 400 || status === 406, `${what}: ${status}`); // 406: no such representation
      }
      assert.deepEqual(await ok(db.from('categories').select().like('slug', 'error-%')), []);
    });

    test('throwOnError', async () => {
      await assert.rejects(async () => db.from('nothing').select().throwOnError(), (error) => {
        assert.equal(error.name, 'PostgrestError');
        assert.equal(error.code, 'PGRST205');
        return true;
      });
      assert.equal((await db.from('categories').select('name').eq('slug', 'tea').single().throwOnError()).data.name, 'Tea');
    });
  });
}

test('without a key: 401, and with a wrong one', async () => {
  await fails(postgrest({ headers: {} }).from('products').select(), 'PGRST302', 401);
  await fails(postgrest({ headers: { apikey: 'x'.repeat(40) } }).from('products').select(), 'PGRST301', 401);
  await fails(postgrest({ headers: { Authorization: 'Bearer ' + 'x'.repeat(40) } }).from('products').select(), 'PGRST301', 401);
  assert.equal((await fetch(`${url}/rest/v1/products`)).status, 401);
});
