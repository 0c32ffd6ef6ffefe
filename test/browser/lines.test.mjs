// The documentation page's pure parts: requests, the lines that repeat them,
// and how JSON is shown. Run by internal/api/openapi's test: node --test.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build, curl, supabase, target } from '../../internal/api/openapi/page/request.mjs';
import { pretty, rules, typeText } from '../../internal/api/openapi/page/spec.mjs';

const orders = { name: 'orders', path: '/orders' };
const notes = { name: 'notes', path: '/notes', profile: 'orders' };

const param = (name, where = 'query') => ({ name, in: where });
const request = (method, pairs, more = {}) => build({
  base: '/rest/v1', entity: orders, method,
  values: Object.entries(pairs).map(([n, v]) => [param(n, /^[A-Z]/.test(n) ? 'header' : 'query'), v]),
  ...more,
});
// The calls of a supabase-js program, without its first lines.
const calls = (r, entity = orders, accept) => supabase(r, 'http://h', null, entity, accept)
  .split('\n').slice(3).map((l) => l.trim()).join('');

test('empty fields are not sent', () => {
  const r = request('get', { select: '', limit: '10', Prefer: '' });
  assert.deepEqual([r.query, r.headers], [[['limit', '10']], []]);
});

test('a target is escaped and readable', () => {
  const r = request('get', { select: 'id,c:customer(name)', 'meta->>a b': 'eq.50% & more#' });
  assert.equal(target(r), '/rest/v1/orders?select=id,c:customer(name)&meta-%3E%3Ea%20b=eq.50%25%20%26%20more%23');
});

test('curl hides the key and quotes for the shell', () => {
  const r = request('post', { Prefer: 'return=representation' }, { contentType: 'application/json', body: '{"note":"it\'s $HOME"}' });
  assert.equal(curl(r, 'http://h', null), `curl -X POST 'http://h/rest/v1/orders' \\
  -H "apikey: $PANDO_KEY" \\
  -H 'Prefer: return=representation' \\
  -H 'Content-Type: application/json' \\
  --data-binary '{"note":"it'\\''s $HOME"}'`);
  assert.match(curl(r, 'http://h', "k'ey"), /-H 'apikey: k'\\''ey'/);
  assert.match(curl(request('head', {}), 'http://h', null), /^curl --head 'http/);
});

test('a shared name carries its profile', () => {
  const read = build({ base: '/rest/v1', entity: notes, method: 'get', values: [] });
  assert.deepEqual(read.headers, [['Accept-Profile', 'orders']]);
  const write = build({ base: '/rest/v1', entity: notes, method: 'delete', values: [] });
  assert.deepEqual(write.headers, [['Content-Profile', 'orders']]);
  assert.equal(calls(read, notes), "const { data, error } = await supabase.schema('orders').from('notes').select()");
});

const wants = "const { data, error } = await supabase.from('orders')";
for (const [name, r, want, accept] of [
  ['filters', request('get', { status: 'eq.open', total: 'gte.10', note: 'ilike.*a*' }),
    ".select().eq('status', 'open').gte('total', 10).ilike('note', '*a*')"],
  ['big numbers stay text', request('get', { n: 'eq.9007199254740993' }), ".select().eq('n', '9007199254740993')"],
  ['null and lists', request('get', { note: 'is.null', s: 'in.(open,paid)', t: 'in.("a,b",c)', u: 'not.is.null', v: 'not.eq.1', w: 'is.not_null' }),
    ".select().is('note', null).in('s', ['open', 'paid']).filter('t', 'in', '(\"a,b\",c)').not('u', 'is', null).not('v', 'eq', '1').filter('w', 'is', 'not_null')"],
  ['any and all', request('get', { n: 'like(any).{A*,B*}', m: 'not.eq(any).{1,2}' }),
    ".select().filter('n', 'like(any)', '{A*,B*}').not('m', 'eq(any)', '{1,2}')"],
  ['search', request('get', { a: 'fts.x', b: 'wfts.y z' }), ".select().textSearch('a', 'x').textSearch('b', 'y z', { type: 'websearch' })"],
  ['order and page', request('get', { select: 'id', order: 'total.desc.nullslast,customer(name),id.asc', limit: '10', offset: '20' }),
    ".select('id').order('total', { ascending: false, nullsFirst: false }).order('customer(name)').order('id').range(20, 29)"],
  ['or', request('get', { or: '(a.eq.1,b.is.null)' }), ".select().or('a.eq.1,b.is.null')"],
  ['count', request('get', { Prefer: 'count=exact' }), ".select('*', { count: 'exact' })"],
  ['head', request('head', {}), ".select('*', { count: 'exact', head: true })"],
  ['one', request('get', { id: 'eq.1' }, { accept: 'application/vnd.pgrst.object+json' }), ".select().eq('id', 1).single()", 'application/vnd.pgrst.object+json'],
  ['insert', request('post', { Prefer: 'return=representation' }, { contentType: 'application/json', body: '{"a":1}' }), '.insert({"a":1}).select()'],
  ['upsert', request('post', { on_conflict: 'a', Prefer: 'resolution=ignore-duplicates' }, { contentType: 'application/json', body: '[]' }),
    ".upsert([], { onConflict: 'a', ignoreDuplicates: true })"],
  ['put', request('put', { id: 'eq.1' }, { contentType: 'application/json', body: '{"id":1}' }), '.upsert({"id":1})'],
  ['update', request('patch', { id: 'eq.1', select: 'id' }, { contentType: 'application/json', body: '{"a":1}' }), ".update({\"a\":1}).eq('id', 1).select('id')"],
  ['delete', request('delete', { id: 'eq.1', 'Idempotency-Key': 'k' }), ".delete().eq('id', 1).setHeader('Idempotency-Key', 'k')"],
  ['quotes', request('get', { note: `eq.it's "a" \\ b` }), `.select().eq('note', 'it\\'s "a" \\\\ b')`],
]) {
  test(`supabase-js: ${name}`, () => {
    assert.equal(calls(r, orders, accept), wants + want);
    // Whatever stands there must at least be a program.
    const body = supabase(r, 'http://h', null, orders, accept).split('\n').slice(1).join('\n');
    assert.doesNotThrow(() => new Function(`return async () => {${body}}`));
  });
}

test('what supabase-js cannot say is said', () => {
  const text = supabase(request('get', { cursor: 'x', and: '(a.eq.1)', offset: '5' }), 'http://h', null, orders);
  for (const want of ['cursor=x', 'and=(a.eq.1)', 'offset=5']) assert.ok(text.includes(`no way to say: ${want}`), want);
  const broken = supabase(request('post', {}, { contentType: 'application/json', body: '{' }), 'http://h', null, orders);
  assert.match(broken, /no way to say: a body that is not JSON/);
});

test('pretty keeps numbers, strings and empty containers', () => {
  assert.equal(pretty('{"a":9007199254740993,"b":12.50,"c":[],"d":{},"e":"x{\\"[,","f":[1,null]}'),
    `{
  "a": 9007199254740993,
  "b": 12.50,
  "c": [],
  "d": {},
  "e": "x{\\"[,",
  "f": [
    1,
    null
  ]
}`);
  assert.equal(pretty('[{}]'), '[\n  {}\n]');
  assert.equal(pretty('"{"'), '"{"');
  assert.equal(pretty('{"a":"["}'), '{\n  "a": "["\n}');
  assert.equal(pretty('no json'), 'no json');
});

test('types in words', () => {
  assert.equal(typeText({ type: ['string', 'null'], format: 'uuid' }), 'string (uuid) or null');
  assert.equal(typeText({ type: ['string', 'null'], enum: ['a', 'b', null] }), 'a | b or null');
  assert.equal(typeText({ type: 'array', items: { type: 'integer', format: 'int64' } }), 'list of integer (int64)');
  assert.equal(typeText({}), 'any');
  assert.deepEqual(rules({ maximum: 9, default: 0, deprecated: true }), ['up to 9', 'default 0', 'deprecated']);
});
