// The documentation page: asks for a key, reads the description of the API
// with it, and shows one entity at a time, which is what keeps a large
// application quick.

import { h, replace } from './dom.mjs';
import { renderClients, renderEntity, renderOverview } from './entity.mjs';
import { entities } from './spec.mjs';

const STORED = 'pando.key'; // in sessionStorage: gone with the tab
const $ = (id) => document.getElementById(id);

const state = { key: '', doc: null, all: [], byId: new Map(), links: [] };

// versions fills the list of versions; the newest is chosen unless the address
// names another: /docs?version=v1.
async function versions() {
  const list = $('version');
  if (list.options.length) return;
  const { versions } = await (await fetch('/docs/versions.json', { credentials: 'omit' })).json();
  for (const v of versions) list.append(h('option', { value: v }, v));
  const asked = new URLSearchParams(location.search).get('version');
  list.value = versions.includes(asked) ? asked : versions.at(-1);
}

async function open(key) {
  let response;
  try {
    await versions();
    response = await fetch(`/rest/${$('version').value}/`, {
      headers: { Accept: 'application/openapi+json', apikey: key },
      cache: 'no-store', credentials: 'omit', redirect: 'error',
    });
  } catch {
    throw new Error('The server does not answer.');
  }
  if (!response.ok) throw new Error(await problemText(response));
  state.doc = await response.json();
  state.key = key;
  state.all = entities(state.doc);
  state.byId = new Map(state.all.map((e) => [e.id, e]));
  sessionStorage.setItem(STORED, key);
}

async function problemText(response) {
  try {
    const p = await response.json();
    return [p.message ?? p.title, p.hint].filter(Boolean).join(': ');
  } catch {
    return `The server answered ${response.status}.`;
  }
}

async function start(key) {
  $('open').disabled = true;
  $('open').textContent = 'Opening…';
  $('key-error').hidden = true;
  try {
    await open(key);
    showShell();
  } catch (err) {
    sessionStorage.removeItem(STORED);
    $('key-error').textContent = err.message;
    $('key-error').hidden = false;
    $('key').focus();
  } finally {
    $('open').disabled = false;
    $('open').textContent = 'Open';
  }
}

function forget() {
  sessionStorage.removeItem(STORED);
  Object.assign(state, { key: '', doc: null, all: [], byId: new Map(), links: [] });
  replace($('content'));
  replace($('entities'));
  $('key').value = '';
  $('shell').hidden = true;
  $('forget').hidden = true;
  $('clients').hidden = true;
  $('gate').hidden = false;
  $('key').focus();
}

function showShell() {
  $('key').value = '';
  $('gate').hidden = true;
  $('shell').hidden = false;
  $('forget').hidden = false;
  $('clients').hidden = false;
  $('app-name').textContent = state.doc.info.title;
  document.title = `${state.doc.info.title} · API documentation`;
  renderNav();
  route();
}

function renderNav() {
  const groups = Map.groupBy ? Map.groupBy(state.all, (e) => e.module) : groupBy(state.all);
  state.links = [];
  replace($('entities'), [...groups].map(([module, list]) => {
    const section = h('section', null, h('h2', null, module));
    const ul = h('ul');
    for (const entity of list) {
      const a = h('a', { href: `#/${encodeURIComponent(entity.module)}/${encodeURIComponent(entity.name)}` }, entity.name);
      const li = h('li', null, a);
      ul.append(li);
      state.links.push({ entity, a, li, section });
    }
    section.append(ul);
    return section;
  }));
  filterNav();
}

function groupBy(list) {
  const out = new Map();
  for (const e of list) out.set(e.module, [...(out.get(e.module) ?? []), e]);
  return out;
}

// filterNav keeps the entities that have every word of the search in their
// name or in a field's.
function filterNav() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = new Set();
  let n = 0;
  for (const { entity, li, section } of state.links) {
    const match = words.every((w) => entity.words.includes(w));
    li.hidden = !match;
    if (match) {
      n++;
      shown.add(section);
    }
  }
  for (const { section } of state.links) section.hidden = !shown.has(section);
  const total = state.links.length;
  $('found').textContent = words.length ? `${n} of ${total} entities` : `${total} ${total === 1 ? 'entity' : 'entities'}`;
}

// thing is the page of what a Link header names, #module.entity or
// #module.entity.field; undefined: the address is none.
function thing() {
  const [, module, name] = /^#([^/.]+)\.([^/.]+)(\.[^/.]+)?$/.exec(location.hash) ?? [];
  return state.byId.has(`${module}/${name}`) ? `#/${module}/${name}` : undefined;
}

function route() {
  if (!state.doc) return;
  const named = thing();
  if (named) {
    location.replace(named);
    return;
  }
  const parts = location.hash.replace(/^#\/?/, '').split('/').map((p) => {
    try {
      return decodeURIComponent(p);
    } catch {
      return p;
    }
  });
  const entity = state.byId.get(parts.join('/'));
  const content = $('content');
  const context = { doc: state.doc, key: () => state.key };
  if (entity) replace(content, renderEntity(context, entity));
  else if (parts.join('/') === 'clients') replace(content, renderClients(state.all, $('version').value));
  else replace(content, renderOverview(context, state.all));
  for (const link of state.links) {
    if (link.entity === entity) link.a.setAttribute('aria-current', 'page');
    else link.a.removeAttribute('aria-current');
  }
  content.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const key = $('key').value.trim();
  // A header holds visible ASCII only; fetch would throw what looks like a network error.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    $('key-error').textContent = 'A key has letters, digits and signs only, without spaces.';
    $('key-error').hidden = false;
    return;
  }
  start(key);
});
$('forget').addEventListener('click', forget);
$('version').addEventListener('change', () => {
  const url = new URL(location.href);
  url.searchParams.set('version', $('version').value);
  history.replaceState(null, '', url);
  if (state.key) start(state.key);
});
$('search').addEventListener('input', filterNav);
$('search').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter') return;
  const first = state.links.find((l) => !l.li.hidden);
  if (first) location.hash = first.a.getAttribute('href');
});
window.addEventListener('hashchange', () => {
  if (location.hash === '#content') { // the skip link is no place of its own
    $('content').focus();
    return;
  }
  route();
});
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select');
  if (event.key !== '/' || typing || event.ctrlKey || event.metaKey || event.altKey || $('shell').hidden) return;
  event.preventDefault();
  $('search').focus();
});

const stored = sessionStorage.getItem(STORED);
if (stored) start(stored);
else $('key').focus();
