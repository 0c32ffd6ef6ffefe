// Reading: columns, embeds, order, pages, counts and representations.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clients, id, ok } from './shop.mjs';

for (const [name, db] of Object.entries(clients)) {
  describe(name, () => {
    describe('select', () => {
      test('all columns in their declared order', async () => {
        const [row] = await ok(db.from('products').select().eq('sku', 'COF-SANTOS'), 200);
        const { created_at, updated_at, ...rest } = row;
        assert.deepEqual(Object.keys(row), ['id', 'sku', 'name', 'description', 'price', 'weight_kg', 'stock', 'status',
          'tags', 'attributes', 'category_id', 'released_on', 'created_at', 'updated_at']);
        assert.deepEqual(rest, {
          id: id.product(5), sku: 'COF-SANTOS', name: 'Santos coffee', description: 'A mild, nutty everyday coffee.',
          price: 9.8, weight_kg: 0.5, stock: 95, status: 'listed', tags: ['beans', 'medium'],
          attributes: { origin: 'Brazil' }, category_id: id.category(3), released_on: '2024-05-14',
        });
        assert.match(created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?\+00:00$/);
        assert.equal(created_at, updated_at);
      });

      test('aliases, casts and JSON paths', async () => {
        const data = await ok(db.from('products')
          .select('code:sku, price::text, origin:attributes->>origin, grams:attributes->grams, tag:tags->0')
          .eq('id', id.product(1)));
        assert.deepEqual(data, [{ code: 'TEA-ASSAM', price: '8.40', origin: 'India', grams: 125, tag: 'black' }]);
      });

      test('white space between the columns, as in a template literal', async () => {
        const data = await ok(db.from('categories').select(`
          slug,
          parent (
            slug
          )
        `).eq('slug', 'tea'));
        assert.deepEqual(data, [{ slug: 'tea', parent: { slug: 'food' } }]);
      });

      test('an answer without rows', async () => {
        assert.deepEqual(await ok(db.from('products').select('sku').eq('sku', 'none')), []);
      });
    });

    describe('embeds', () => {
      test('to one, by relation, by entity and by field', async () => {
        const want = [{ sku: 'BOOK-TEA', category: { slug: 'books' } }];
        const from = (select) => ok(db.from('products').select(select).eq('sku', 'BOOK-TEA'));
        assert.deepEqual(await from('sku, category(slug)'), want);
        assert.deepEqual(await from('sku, category:categories(slug)'), want);
        assert.deepEqual(await from('sku, category:category_id(slug)'), want);
        assert.deepEqual(await from('sku, category:categories!category_id(slug)'), want);
      });

      test('to one that is missing is null', async () => {
        assert.deepEqual(await ok(db.from('categories').select('slug, parent(slug)').eq('slug', 'books')), [{ slug: 'books', parent: null }]);
      });

      test('to many, ordered and limited on their own', async () => {
        const data = await ok(db.from('categories')
          .select('slug, products(sku)')
          .in('slug', ['tea', 'food'])
          .order('slug')
          .order('price', { referencedTable: 'products', ascending: false })
          .limit(2, { referencedTable: 'products' }));
        assert.deepEqual(data, [
          { slug: 'food', products: [] },
          { slug: 'tea', products: [{ sku: 'TEA-SENCHA' }, { sku: 'TEA-ASSAM' }] },
        ]);
      });

      test('to many, a range of them', async () => {
        const data = await ok(db.from('categories')
          .select('slug, items:products(sku)')
          .eq('slug', 'kitchen')
          .order('sku', { referencedTable: 'items' })
          .range(1, 2, { referencedTable: 'items' }));
        assert.deepEqual(data, [{ slug: 'kitchen', items: [{ sku: 'KIT-GRINDER' }, { sku: 'KIT-KETTLE' }] }]);
      });

      test('nested, through three entities', async () => {
        const data = await ok(db.from('customers')
          .select('name, orders(number, lines(qty, product:products(sku, category(slug, parent(slug)))))')
          .eq('email', 'barbara@shop.example')
          .eq('orders.number', 1004));
        assert.deepEqual(data, [{
          name: 'Barbara Liskov',
          orders: [{ number: 1004, lines: [{ qty: 1, product: { sku: 'COF-YIRGA', category: { slug: 'coffee', parent: { slug: 'food' } } } }] }],
        }]);
      });

      test('many to many, through the lines', async () => {
        const data = await ok(db.from('orders').select('number, products(sku)').eq('number', 1001).order('sku', { referencedTable: 'products' }));
        assert.deepEqual(data, [{ number: 1001, products: [{ sku: 'KIT-POT' }, { sku: 'TEA-ROOIBOS' }] }]);
      });

      test('an entity in itself, both ways', async () => {
        const data = await ok(db.from('categories').select('slug, parent(slug), children(slug)').in('slug', ['home', 'kitchen']).order('slug'));
        assert.deepEqual(data, [
          { slug: 'home', parent: null, children: [{ slug: 'kitchen' }] },
          { slug: 'kitchen', parent: { slug: 'home' }, children: [] },
        ]);
      });

      test('a filter on an embed keeps the row, !inner drops it', async () => {
        const left = await ok(db.from('products').select('sku, category(slug)').in('sku', ['BOOK-TEA', 'KIT-CUP']).eq('category.slug', 'books').order('sku'));
        assert.deepEqual(left, [{ sku: 'BOOK-TEA', category: { slug: 'books' } }, { sku: 'KIT-CUP', category: null }]);
        const inner = await ok(db.from('products').select('sku, category!inner(slug)').in('sku', ['BOOK-TEA', 'KIT-CUP']).eq('category.slug', 'books'));
        assert.deepEqual(inner, [{ sku: 'BOOK-TEA', category: { slug: 'books' } }]);
        const drafts = await ok(db.from('categories').select('slug, products!inner(sku)').eq('products.status', 'draft'));
        assert.deepEqual(drafts, [{ slug: 'coffee', products: [{ sku: 'COF-DECAF' }] }]);
      });

      test('rows with none in an embed', async () => {
        const data = await ok(db.from('categories').select('slug, products(sku)').is('products', null).order('slug'));
        assert.deepEqual(data, [{ slug: 'food', products: [] }, { slug: 'home', products: [] }]);
        const some = await ok(db.from('categories').select('slug, products(sku)').not('products', 'is', null).order('slug').limit(1, { referencedTable: 'products' }));
        assert.deepEqual(some.map((r) => r.slug), ['books', 'coffee', 'kitchen', 'tea']);
      });

      test('spread of a to-one', async () => {
        const data = await ok(db.from('lines').select('qty, ...products(sku, ...categories(shelf:slug))').eq('order_id', id.order(4)));
        assert.deepEqual(data, [{ qty: 1, sku: 'COF-YIRGA', shelf: 'coffee' }]);
      });

      test('an alternative of conditions on an embed', async () => {
        const data = await ok(db.from('categories')
          .select('slug, products(sku)').eq('slug', 'coffee')
          .or('price.lt.10,status.eq.draft', { referencedTable: 'products' })
          .order('sku', { referencedTable: 'products' }));
        assert.deepEqual(data, [{ slug: 'coffee', products: [{ sku: 'COF-DECAF' }, { sku: 'COF-SANTOS' }] }]);
      });

      test('aggregates, grouped by what else is selected', async () => {
        const data = await ok(db.from('products').select('status, count(), price.min(), most:price.max()').order('status'));
        assert.deepEqual(data, [
          { status: 'draft', count: 1, min: 12.3, most: 12.3 },
          { status: 'listed', count: 11, min: 6.5, most: 89 },
        ]);
        for (const count of ['count', 'count()']) {
          const counted = await ok(db.from('categories').select(`slug, products(${count})`).eq('slug', 'tea'));
          assert.deepEqual(counted, [{ slug: 'tea', products: [{ count: 3 }] }]);
        }
      });
    });

    describe('order and pages', () => {
      test('several keys, descending, nulls first and last', async () => {
        const paid = (nullsFirst) => ok(db.from('orders').select('number, paid_at').in('number', [1001, 1002, 1003])
          .order('paid_at', { ascending: false, nullsFirst }).order('number'));
        assert.deepEqual((await paid(true)).map((r) => r.number), [1001, 1003, 1002]);
        assert.deepEqual((await paid(false)).map((r) => r.number), [1003, 1002, 1001]);
        assert.deepEqual((await paid(undefined)).map((r) => r.number), [1001, 1003, 1002], 'descending puts null first');
      });

      test('by a to-one relation', async () => {
        const data = await ok(db.from('products').select('sku, category(slug)').in('sku', ['TEA-ASSAM', 'BOOK-TEA', 'KIT-CUP']).order('category(slug)'));
        assert.deepEqual(data.map((r) => r.sku), ['BOOK-TEA', 'KIT-CUP', 'TEA-ASSAM']);
      });

      test('limit and range', async () => {
        const skus = async (q) => (await ok(q)).map((r) => r.sku);
        const list = () => db.from('products').select('sku').order('price', { ascending: false });
        assert.deepEqual(await skus(list().limit(2)), ['KIT-GRINDER', 'KIT-KETTLE']);
        assert.deepEqual(await skus(list().range(1, 2)), ['KIT-KETTLE', 'KIT-POT']);
        assert.deepEqual(await skus(list().range(11, 20)), ['TEA-ROOIBOS']);
        assert.deepEqual(await skus(list().range(500, 510)), []);
        assert.deepEqual(await skus(list().limit(0)), []);
      });

      test('count: exact, planned, estimated', async () => {
        for (const count of ['exact', 'planned', 'estimated']) {
          const answer = await db.from('orders').select('number', { count }).range(0, 1);
          assert.equal(answer.error, null);
          assert.equal(answer.data.length, 2);
          assert.ok(Number.isInteger(answer.count), `${count}: ${answer.count}`);
          if (count === 'exact') {
            assert.equal(answer.count, 20);
            assert.equal(answer.status, 206);
          }
        }
      });

      test('count alone, without rows', async () => {
        const answer = await db.from('orders').select('*', { count: 'exact', head: true }).eq('status', 'paid');
        assert.deepEqual([answer.error, answer.data, answer.count, answer.status], [null, null, 7, 200]);
      });
    });

    describe('representations', () => {
      test('single', async () => {
        assert.deepEqual(await ok(db.from('categories').select('name').eq('slug', 'tea').single()), { name: 'Tea' });
      });

      test('maybeSingle', async () => {
        assert.deepEqual(await ok(db.from('categories').select('name').eq('slug', 'tea').maybeSingle()), { name: 'Tea' });
        assert.equal(await ok(db.from('categories').select('name').eq('slug', 'none').maybeSingle()), null);
      });

      test('csv', async () => {
        const data = await ok(db.from('products').select('sku,price,tags,description').eq('sku', 'COF-SANTOS').csv());
        assert.equal(data, 'sku,price,tags,description\nCOF-SANTOS,9.80,"[""beans"",""medium""]","A mild, nutty everyday coffee."\n');
      });

      test('stripped nulls', async () => {
        assert.deepEqual(await ok(db.from('orders').select('number,note').eq('number', 1002).stripNulls()), [{ number: 1002 }]);
      });
    });
  });
}
