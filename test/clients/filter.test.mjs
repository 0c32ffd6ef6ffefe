// Every filter method, on fields of each type.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clients, id, ok } from './shop.mjs';

// name: [what is asked of a list of products or orders, what comes]
const products = {
  eq: [(q) => q.eq('sku', 'KIT-POT'), ['KIT-POT']],
  'eq of a decimal': [(q) => q.eq('price', 8.4), ['TEA-ASSAM']],
  'eq of a uuid': [(q) => q.eq('id', id.product(2)), ['TEA-SENCHA']],
  neq: [(q) => q.neq('status', 'listed'), ['COF-DECAF']],
  gt: [(q) => q.gt('price', 49), ['KIT-GRINDER', 'KIT-KETTLE']],
  gte: [(q) => q.gte('price', 49), ['KIT-GRINDER', 'KIT-KETTLE', 'KIT-POT']],
  lt: [(q) => q.lt('stock', 7), ['KIT-KETTLE']],
  lte: [(q) => q.lte('stock', 7), ['KIT-GRINDER', 'KIT-KETTLE']],
  'lt of a date': [(q) => q.lt('released_on', '2020-12-31'), ['KIT-POT', 'TEA-ASSAM']],
  'a range of floats': [(q) => q.gte('weight_kg', 0.4).lt('weight_kg', 0.7), ['BOOK-ASPEN', 'COF-SANTOS']],
  like: [(q) => q.like('name', '%tea%'), ['TEA-ASSAM', 'TEA-SENCHA']],
  'like, with one letter open': [(q) => q.like('sku', 'KIT-_UP'), ['KIT-CUP']],
  ilike: [(q) => q.ilike('name', '%TEA%'), ['BOOK-TEA', 'KIT-POT', 'TEA-ASSAM', 'TEA-SENCHA']],
  likeAllOf: [(q) => q.likeAllOf('sku', ['%TEA%', 'BOOK%']), ['BOOK-TEA']],
  likeAnyOf: [(q) => q.likeAnyOf('sku', ['%CUP', '%POT']), ['KIT-CUP', 'KIT-POT']],
  ilikeAllOf: [(q) => q.ilikeAllOf('sku', ['%tea%', 'book%']), ['BOOK-TEA']],
  ilikeAnyOf: [(q) => q.ilikeAnyOf('sku', ['%cup', '%pot']), ['KIT-CUP', 'KIT-POT']],
  regexMatch: [(q) => q.regexMatch('sku', '^COF-[SY]'), ['COF-SANTOS', 'COF-YIRGA']],
  regexIMatch: [(q) => q.regexIMatch('sku', '^cof-d'), ['COF-DECAF']],
  in: [(q) => q.in('sku', ['KIT-CUP', 'TEA-ASSAM', 'none']), ['KIT-CUP', 'TEA-ASSAM']],
  'in, with what must be quoted': [(q) => q.in('name', ['Teapot', 'a,b', 'c"d', 'e(f)', 'g\\h']), ['KIT-POT']],
  'in of nothing': [(q) => q.in('sku', []), []],
  notIn: [(q) => q.notIn('status', ['listed', 'retired']), ['COF-DECAF']],
  'contains, a list': [(q) => q.contains('tags', ['steel']), ['KIT-GRINDER', 'KIT-KETTLE']],
  'contains, a list of two': [(q) => q.contains('tags', ['coffee', 'steel']), ['KIT-GRINDER']],
  'contains, JSON': [(q) => q.contains('attributes', { origin: 'Japan' }), ['TEA-SENCHA']],
  'contains, nested in JSON': [(q) => q.contains('attributes', { caffeine: false, origin: 'Colombia' }), ['COF-DECAF']],
  'containedBy, a list': [(q) => q.containedBy('tags', ['steel', 'coffee', 'iron']), ['KIT-GRINDER', 'KIT-KETTLE', 'KIT-POT']],
  'containedBy, JSON': [(q) => q.containedBy('attributes', { clicks: 40, litres: 1 }), ['KIT-GRINDER', 'KIT-POT']],
  overlaps: [(q) => q.overlaps('tags', ['iron', 'porcelain']), ['KIT-CUP', 'KIT-POT']],
  'textSearch, plain': [(q) => q.textSearch('description', 'jasmine lemon', { type: 'plain' }), ['COF-YIRGA']],
  'textSearch, phrase': [(q) => q.textSearch('description', 'cast iron', { type: 'phrase' }), ['KIT-POT']],
  'textSearch, websearch': [(q) => q.textSearch('description', 'leaves -malty', { type: 'websearch' }), ['TEA-SENCHA']],
  'textSearch, operators': [(q) => q.textSearch('description', "'jasmine' | 'iron'"), ['COF-YIRGA', 'KIT-POT']],
  match: [(q) => q.match({ status: 'listed', stock: 9 }), ['KIT-POT']],
  'not eq': [(q) => q.not('status', 'eq', 'listed'), ['COF-DECAF']],
  'not in': [(q) => q.not('status', 'in', '(listed,retired)'), ['COF-DECAF']],
  'not ilike': [(q) => q.gt('price', 15).not('sku', 'ilike', 'kit%'), ['BOOK-ASPEN']],
  or: [(q) => q.or('sku.eq.KIT-CUP,price.gt.80'), ['KIT-CUP', 'KIT-GRINDER']],
  'or and and, nested': [(q) => q.or('sku.eq.KIT-CUP,and(price.gt.10,price.lt.12)'), ['KIT-CUP', 'TEA-SENCHA']],
  'or with not': [(q) => q.or('status.eq.draft,not.and(price.lt.80,stock.gt.0)'), ['COF-DECAF', 'KIT-GRINDER']],
  'or with quoted text': [(q) => q.or('name.eq."Hand grinder",tags.cs.{iron}'), ['KIT-GRINDER', 'KIT-POT']],
  filter: [(q) => q.filter('price', 'gte', 64.9), ['KIT-GRINDER', 'KIT-KETTLE']],
  'filter with a list': [(q) => q.filter('sku', 'in', '("KIT-CUP","KIT-POT")'), ['KIT-CUP', 'KIT-POT']],
  'filter with all of': [(q) => q.filter('sku', 'like(all)', '{%TEA%,BOOK%}'), ['BOOK-TEA']],
  'filter on a JSON path': [(q) => q.eq('attributes->>origin', 'Brazil'), ['COF-SANTOS']],
  'filter on a number in JSON': [(q) => q.gt('attributes->pages', 200), ['BOOK-ASPEN']],
  'conditions on one field twice': [(q) => q.gt('price', 12).lte('price', 14.2), ['COF-DECAF', 'COF-YIRGA']],
};

const orders = {
  'is null': [(q) => q.is('paid_at', null).lt('number', 1006), [1001, 1004]],
  'not is null': [(q) => q.not('paid_at', 'is', null).lt('number', 1004), [1002, 1003]],
  'eq of an enum': [(q) => q.eq('status', 'shipped').lte('number', 1006), [1003, 1006]],
  'gte of a timestamp, in another zone': [(q) => q.gte('paid_at', '2026-09-18T10:30:00+02:00'), [1009, 1018]],
  'isDistinct from text': [(q) => q.isDistinct('note', 'Please leave it with the neighbour.').lte('number', 1003), [1002, 1003]],
  'through an inner embed': [(q) => q.eq('customers.email', 'ada@shop.example').lt('number', 1010), [1001, 1006], 'number, customers!inner(name)'],
};

for (const [name, db] of Object.entries(clients)) {
  describe(name, () => {
    for (const [what, [ask, want]] of Object.entries(products)) {
      test(what, async () => {
        const data = await ok(ask(db.from('products').select('sku')).order('sku'), 200);
        assert.deepEqual(data.map((r) => r.sku), want);
      });
    }
    for (const [what, [ask, want, select]] of Object.entries(orders)) {
      test(what, async () => {
        const data = await ok(ask(db.from('orders').select(select ?? 'number')).order('number'), 200);
        assert.deepEqual(data.map((r) => r.number), want);
      });
    }
  });
}
