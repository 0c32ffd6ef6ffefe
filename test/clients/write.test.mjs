// Writing: insert, upsert, update, delete, and what each answers. Each test
// makes its own rows; what it leaves is removed at the end.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { clients, fails, fresh, id, ok, postgrest } from './shop.mjs';

after(() => ok(postgrest().from('categories').delete().like('slug', 'write-%')));

for (const [name, db] of Object.entries(clients)) {
  const categories = () => db.from('categories');
  const shelf = (more = {}) => ({ slug: fresh('write'), name: 'A shelf', ...more });
  const byKey = (a, b) => (a.id < b.id ? -1 : 1); // what is changed is answered by key
  const made = async (...rows) => (await ok(categories().insert(rows).select(), 201)).sort(byKey);

  describe(name, () => {
    describe('insert', () => {
      test('one, answering nothing', async () => {
        const row = shelf();
        assert.equal(await ok(categories().insert(row), 201), null);
        assert.deepEqual(await ok(categories().select('name, parent_id').eq('slug', row.slug)), [{ name: 'A shelf', parent_id: null }]);
      });

      test('one, answering the row', async () => {
        const row = shelf({ parent_id: id.category(1) });
        const data = await ok(categories().insert(row).select().single(), 201);
        assert.match(data.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/, 'a UUID of version 7');
        assert.deepEqual(data, { id: data.id, ...row });
      });

      test('one, answering an embed', async () => {
        const row = shelf({ parent_id: id.category(1) });
        assert.deepEqual(await ok(categories().insert(row).select('slug, parent(slug)').single()), { slug: row.slug, parent: { slug: 'food' } });
      });

      test('many, answering in their order', async () => {
        const rows = ['c', 'a', 'b'].map((n) => shelf({ name: n }));
        assert.deepEqual(await ok(categories().insert(rows).select('slug, name, parent_id'), 201), rows.map((r) => ({ ...r, parent_id: null })));
      });

      test('many of different keys: what is missing takes its default', async () => {
        const own = `0190aaaa-0000-7000-8000-${String(Date.now()).padStart(12, '0').slice(-12)}`;
        for (const defaultToNull of [true, false]) {
          const rows = [shelf({ id: own }), shelf()];
          const data = await ok(categories().insert(rows, { defaultToNull }).select('id, slug'), 201);
          assert.deepEqual(data.map((r) => r.slug), rows.map((r) => r.slug));
          assert.equal(data[0].id, own);
          assert.match(data[1].id, /^[0-9a-f-]{36}$/);
          await ok(categories().delete().eq('id', own), 204);
        }
      });

      test('an explicit null takes no default', async () => {
        await fails(categories().insert(shelf({ id: null })), '23502', 400);
      });

      test('none of many when one is wrong', async () => {
        const row = shelf();
        await fails(categories().insert([row, shelf({ slug: 'tea' })]), '23505', 409);
        assert.deepEqual(await ok(categories().select('id').eq('slug', row.slug)), []);
      });

      test('a count of what was made', async () => {
        const answer = await categories().insert([shelf(), shelf()], { count: 'exact' });
        assert.deepEqual([answer.error, answer.count], [null, 2]);
      });

      test('every type', async () => {
        const sku = fresh('write').toUpperCase();
        const row = {
          sku, name: 'Ünïcode “quotes” \\ 🍵', description: null, price: 1234567.89, weight_kg: 0.1, stock: 9007199254740991,
          status: 'draft', tags: ['a,b', '"c"', ''], attributes: { b: [1, null, { x: true }], aa: 1.5 }, category_id: id.category(6), released_on: '2024-02-29',
        };
        const data = await ok(db.from('products').insert(row).select(Object.keys(row).join()).single(), 201);
        assert.deepEqual(data, row);
        assert.deepEqual(Object.keys(data.attributes), ['b', 'aa'], 'shorter keys first, as jsonb has them');
        await ok(db.from('products').delete().eq('sku', sku), 204);
      });
    });

    describe('upsert', () => {
      test('by the primary key', async () => {
        const [row] = await made(shelf());
        const data = await ok(categories().upsert({ ...row, name: 'Renamed' }).select().single());
        assert.deepEqual(data, { ...row, name: 'Renamed' });
      });

      test('by another unique field', async () => {
        const [row] = await made(shelf());
        const fresher = shelf({ name: 'New' });
        const data = await ok(categories().upsert([{ slug: row.slug, name: 'Merged' }, fresher], { onConflict: 'slug' }).select('slug, name'));
        assert.deepEqual(data, [{ slug: row.slug, name: 'Merged' }, fresher]);
        assert.deepEqual(await ok(categories().select('id, name').eq('slug', row.slug)), [{ id: row.id, name: 'Merged' }]);
      });

      test('ignoring what is there', async () => {
        const [row] = await made(shelf());
        const fresher = shelf();
        const data = await ok(categories().upsert([{ slug: row.slug, name: 'Ignored' }, fresher], { onConflict: 'slug', ignoreDuplicates: true }).select('slug'));
        assert.deepEqual(data, [{ slug: fresher.slug }]);
        assert.deepEqual(await ok(categories().select('name').eq('slug', row.slug).single()), { name: 'A shelf' });
      });

      test('the same row twice', async () => {
        const row = shelf();
        await fails(categories().upsert([row, row], { onConflict: 'slug' }), '21000', 400);
      });

      test('on what is not unique', async () => {
        await fails(categories().upsert(shelf(), { onConflict: 'name' }), '42P10', 400);
      });
    });

    describe('update', () => {
      test('answering nothing, and only where it was asked', async () => {
        const [a, b] = await made(shelf(), shelf());
        assert.equal(await ok(categories().update({ name: 'Changed' }).eq('id', a.id), 204), null);
        assert.deepEqual(await ok(categories().select('name').in('id', [a.id, b.id]).order('id')), [{ name: 'Changed' }, { name: 'A shelf' }]);
      });

      test('answering the rows and their count', async () => {
        const rows = await made(shelf(), shelf());
        const answer = await categories().update({ name: 'Both' }, { count: 'exact' }).in('slug', rows.map((r) => r.slug)).select();
        assert.deepEqual([answer.error, answer.count, answer.status], [null, 2, 200]);
        assert.deepEqual(answer.data, rows.map((r) => ({ ...r, name: 'Both' })));
      });

      test('nothing that matches', async () => {
        assert.deepEqual(await ok(categories().update({ name: 'x' }).eq('slug', 'none').select(), 200), []);
      });

      test('to null, and a field that follows', async () => {
        const [row] = await made(shelf({ parent_id: id.category(1) }));
        assert.deepEqual(await ok(categories().update({ parent_id: null }).eq('id', row.id).select('parent_id').single()), { parent_id: null });
        const before = await ok(db.from('products').select('stock, updated_at').eq('sku', 'KIT-CUP').single());
        const product = await ok(db.from('products').update({ stock: before.stock }).eq('sku', 'KIT-CUP').select('updated_at').single());
        assert.ok(product.updated_at > before.updated_at, 'on_update');
      });

      test('without a filter it is refused', async () => {
        const error = await fails(categories().update({ name: 'all' }), 'unfiltered_write', 400);
        assert.match(error.hint, /not\.is\.null/);
      });
    });

    describe('delete', () => {
      test('answering nothing', async () => {
        const [row] = await made(shelf());
        assert.equal(await ok(categories().delete().eq('id', row.id), 204), null);
        assert.deepEqual(await ok(categories().select().eq('id', row.id)), []);
      });

      test('answering the rows that were, and their count', async () => {
        const rows = await made(shelf(), shelf());
        const answer = await categories().delete({ count: 'exact' }).in('id', rows.map((r) => r.id)).select();
        assert.deepEqual([answer.error, answer.count, answer.status, answer.data], [null, 2, 200, rows]);
      });

      test('with what belongs to it', async () => {
        const customer = await ok(db.from('customers').insert({ email: `${fresh('write')}@shop.example`, name: 'W' }).select().single());
        const number = 5000 + Math.floor(Math.random() * 1e9);
        const order = await ok(db.from('orders').insert({ number, customer_id: customer.id }).select('id, status, total').single());
        assert.deepEqual(order, { id: order.id, status: 'open', total: 0 });
        await ok(db.from('lines').insert({ order_id: order.id, product_id: id.product(1), qty: 1, price: 8.4 }), 201);
        await ok(db.from('customers').delete().eq('id', customer.id), 204);
        assert.deepEqual(await ok(db.from('orders').select().eq('id', order.id)), []);
        assert.deepEqual(await ok(db.from('lines').select().eq('order_id', order.id)), []);
      });

      test('without a filter it is refused', async () => {
        await fails(categories().delete(), 'unfiltered_write', 400);
      });
    });

    test('a limit on what may be affected', async () => {
      const rows = await made(shelf(), shelf());
      const ids = rows.map((r) => r.id);
      const error = await fails(categories().update({ name: 'x' }).in('id', ids).select().maxAffected(1), 'PGRST124', 400);
      assert.ok(error.details);
      assert.deepEqual(await ok(categories().select('name').in('id', ids)), [{ name: 'A shelf' }, { name: 'A shelf' }]);
      assert.equal((await ok(categories().update({ name: 'x' }).in('id', ids).select().maxAffected(2))).length, 2);
    });
  });
}
