// Makes a request of what a form holds, and the lines that repeat it on a
// command line or in a program. Nothing here touches the page.

/** The text that stands for the key until it is revealed. */
export const KEY_VARIABLE = 'PANDO_KEY';

/**
 * build makes a request. values are [parameter, text] pairs; empty texts are
 * not sent.
 *   { method, path, query: [[name, value]], headers: [[name, value]], body }
 */
export function build({ base, entity, method, values, accept, contentType, body }) {
  const query = [];
  const headers = [];
  if (accept && accept !== 'application/json') headers.push(['Accept', accept]);
  if (entity.profile) headers.push([method === 'get' || method === 'head' ? 'Accept-Profile' : 'Content-Profile', entity.profile]);
  for (const [param, text] of values) {
    if (text === '') continue;
    (param.in === 'header' ? headers : query).push([param.name, text]);
  }
  if (body !== undefined) headers.push(['Content-Type', contentType]);
  return { method: method.toUpperCase(), path: base + entity.path, query, headers, body };
}

/** target is a request's path with its query, readable and properly escaped. */
export function target(request) {
  if (request.query.length === 0) return request.path;
  // Characters of the grammar that a query may hold as they are (RFC 3986).
  const escape = (s) => encodeURIComponent(s).replace(/%(2C|3A|24|40|2F)/g, (c) => decodeURIComponent(c));
  return `${request.path}?${request.query.map(([n, v]) => `${escape(n)}=${escape(v)}`).join('&')}`;
}

const shell = (s) => `'${s.replaceAll("'", `'\\''`)}'`;

/** curl is the request as a command line. key is null while it is hidden. */
export function curl(request, origin, key) {
  const parts = ['curl'];
  if (request.method === 'HEAD') parts.push('--head');
  else if (request.method !== 'GET') parts.push(`-X ${request.method}`);
  parts.push(shell(origin + target(request)));
  const lines = [parts.join(' ')];
  lines.push(key === null ? `-H "apikey: $${KEY_VARIABLE}"` : `-H ${shell(`apikey: ${key}`)}`);
  for (const [name, value] of request.headers) lines.push(`-H ${shell(`${name}: ${value}`)}`);
  if (request.body !== undefined) lines.push(`--data-binary ${shell(request.body)}`);
  return lines.join(' \\\n  ');
}

const quote = (s) => `'${JSON.stringify(s).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
// A short number is written as one; its text on the wire is the same.
const word = (s) => (/^-?(0|[1-9]\d{0,14})$/.test(s) ? s : quote(s));

/** supabase is the request as a program for supabase-js. */
export function supabase(request, origin, key, entity, accept) {
  const notes = [];
  const calls = [];
  const query = new Map(request.query);
  const prefer = request.headers.filter(([n]) => n === 'Prefer').map(([, v]) => v).join(',');
  calls.push(...verb(request, query, prefer, notes));
  for (const [name, value] of request.query) {
    // PUT's filter is the key that the row carries itself.
    if (!CONTROL.has(name) && request.method !== 'PUT') calls.push(filter(name, value));
  }
  calls.push(...page(query, notes));
  if (request.method !== 'GET' && request.method !== 'HEAD' && (query.has('select') || /return=representation/.test(prefer))) {
    calls.push(`select(${query.has('select') ? quote(query.get('select')) : ''})`);
  }
  if (accept === 'application/vnd.pgrst.object+json') calls.push('single()');
  if (accept === 'text/csv') calls.push('csv()');
  if (accept === 'application/x-ndjson') notes.push('Accept: application/x-ndjson');
  for (const [name, value] of request.headers) {
    if (!OWN_HEADERS.has(name)) calls.push(`setHeader(${quote(name)}, ${quote(value)})`);
  }
  const from = (entity.profile ? [`schema(${quote(entity.profile)})`] : []).concat(`from(${quote(entity.name)})`, calls);
  return [
    "import { createClient } from '@supabase/supabase-js'",
    '',
    `const supabase = createClient(${quote(origin)}, ${key === null ? `process.env.${KEY_VARIABLE}` : quote(key)})`,
    ...notes.map((n) => `// supabase-js has no way to say: ${n.replaceAll(/[\r\n]+/g, ' ')}`),
    'const { data, error } = await supabase',
    ...from.map((c) => `  .${c}`),
  ].join('\n');
}

const CONTROL = new Set(['select', 'order', 'limit', 'offset', 'cursor', 'and', 'or', 'not.and', 'not.or', 'columns', 'on_conflict']);
const OWN_HEADERS = new Set(['Accept', 'Accept-Profile', 'Content-Profile', 'Content-Type', 'Prefer']);

function verb(request, query, prefer, notes) {
  const count = /count=(exact|planned|estimated)/.exec(prefer)?.[1];
  const options = [];
  const add = (name, value) => value && options.push(`${name}: ${value}`);
  const call = (name, ...args) => {
    if (options.length) args.push(`{ ${options.join(', ')} }`);
    return [`${name}(${args.join(', ')})`];
  };
  for (const p of prefer.split(',').map((s) => s.trim())) {
    if (/^(handling|max-affected|missing|return=headers-only)/.test(p)) notes.push(`Prefer: ${p}`);
  }
  const select = query.has('select') ? quote(query.get('select')) : quote('*');
  const body = request.body === undefined ? '' : json(request, notes);
  switch (request.method) {
    case 'GET':
      add('count', count && quote(count));
      return call('select', ...(query.has('select') || count ? [select] : []));
    case 'HEAD':
      add('count', quote(count ?? 'exact'));
      add('head', 'true');
      return call('select', select);
    case 'POST':
      add('count', count && quote(count));
            if (query.has('columns')) notes.push(`columns=${query.get('columns')}`);
      if (!/resolution=/.test(prefer)) return call('insert', body);
      add('onConflict', query.has('on_conflict') && quote(query.get('on_conflict')));
      add('ignoreDuplicates', /ignore-duplicates/.test(prefer) && 'true');
      return call('upsert', body);
    case 'PUT':
      return call('upsert', body);
    case 'PATCH':
      add('count', count && quote(count));
      return call('update', body);
    default:
      add('count', count && quote(count));
      return call('delete');
  }
}

// json is a body as it stands in a program. JSON is a JavaScript expression.
function json(request, notes) {
  const type = request.headers.find(([n]) => n === 'Content-Type')?.[1];
  if (type === 'application/json') {
    try {
      JSON.parse(request.body);
      return request.body.trim().replaceAll('\n', '\n  ');
    } catch {
      notes.push('a body that is not JSON');
      return quote(request.body);
    }
  }
  notes.push(`Content-Type: ${type}`);
  return quote(request.body);
}

const DIRECT = new Set(['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'like', 'ilike']);
const SEARCH = { fts: '', plfts: ", { type: 'plain' }", phfts: ", { type: 'phrase' }", wfts: ", { type: 'websearch' }" };
const WORDS = new Set(['null', 'true', 'false']);

function filter(name, value) {
  const m = /^(not\.)?([a-z]+)(\((?:any|all)\))?\.([\s\S]*)$/.exec(value);
  if (!m) return `filter(${quote(name)}, ${quote(value)}, '')`;
  const [, not, op, quant, rest] = m;
  if (not) return `not(${quote(name)}, ${quote(op + (quant ?? ''))}, ${op === 'is' && WORDS.has(rest) ? rest : quote(rest)})`;
  if (quant) return `filter(${quote(name)}, ${quote(op + quant)}, ${quote(rest)})`;
  if (DIRECT.has(op)) return `${op}(${quote(name)}, ${word(rest)})`;
  if (op === 'is' && WORDS.has(rest)) return `is(${quote(name)}, ${rest})`;
  if (op in SEARCH) return `textSearch(${quote(name)}, ${quote(rest)}${SEARCH[op]})`;
  const list = op === 'in' && /^\(([^"()\\]+)\)$/.exec(rest);
  if (list) return `in(${quote(name)}, [${list[1].split(',').map(word).join(', ')}])`;
  return `filter(${quote(name)}, ${quote(op)}, ${quote(rest)})`;
}

function page(query, notes) {
  const out = [];
  for (const term of (query.get('order') ?? '').split(/,(?![^(]*\))/).filter(Boolean)) {
    const [, field, mods] = /^(.*?)((?:\.(?:asc|desc|nullsfirst|nullslast))*)$/.exec(term.trim());
    const options = [];
    if (mods.includes('.desc')) options.push('ascending: false');
    if (mods.includes('.nulls')) options.push(`nullsFirst: ${mods.includes('.nullsfirst')}`);
    out.push(`order(${quote(field)}${options.length ? `, { ${options.join(', ')} }` : ''})`);
  }
  const limit = query.get('limit');
  const offset = query.get('offset');
  if (/^\d+$/.test(limit ?? '') && /^\d+$/.test(offset ?? '') && Number(limit) > 0) {
    out.push(`range(${offset}, ${Number(offset) + Number(limit) - 1})`);
  } else if (limit !== undefined) {
    out.push(`limit(${word(limit)})`);
    if (offset !== undefined) notes.push(`offset=${offset}`);
  } else if (offset !== undefined) notes.push(`offset=${offset} without a limit`);
  if (query.has('or')) out.unshift(`or(${quote(query.get('or').replace(/^\(([\s\S]*)\)$/, '$1'))})`);
  for (const name of ['and', 'not.and', 'not.or', 'cursor']) {
    if (query.has(name)) notes.push(`${name}=${query.get(name)}`);
  }
  return out;
}
