// The form that tries a call: it shows the request as a line for curl and as a
// program while it is filled in, sends it, and shows what came back.

import { copyButton, h, prose, replace } from './dom.mjs';
import { build, curl, supabase, target } from './request.mjs';
import { deref, exampleOf, parameters, pretty } from './spec.mjs';

const SHOWN = 200_000; // characters of a body that are shown

let serial = 0; // makes the ids of labels unique

/** renderTry is the form of one operation. */
export function renderTry({ doc, key }, entity, op, base) {
  const prefix = `f${++serial}`;
  const { filters, others } = parameters(doc, entity, op);
  const fields = [];
  const rows = (list) => list.map((p) => {
    const id = `${prefix}-${fields.length}`;
    const input = h('input', {
      id, type: 'text', autocomplete: 'off', spellcheck: 'false', required: p.filter && p.required === true,
      placeholder: p.example === undefined ? null : String(p.example), 'aria-describedby': `${id}-help`,
    });
    input.value = first(p, op);
    fields.push({ param: p, input });
    return h('div', { class: 'param' },
      h('label', { for: id }, h('code', null, p.name), h('span', { class: 'small' }, ` ${p.in}${p.required ? ', required' : ''}`)),
      input, h('p', { class: 'help', id: `${id}-help` }, prose(p.description)));
  });
  const content = contentOf(doc, op, prefix, entity);
  const accept = acceptOf(doc, op, prefix);
  const reveal = h('input', { type: 'checkbox', id: `${prefix}-reveal` });
  const result = h('div', { class: 'result', 'aria-live': 'polite' });
  const lines = { curl: h('code'), js: h('code') };

  const request = () => build({
    base, entity, method: op.method,
    values: fields.map((f) => [f.param, f.input.value]),
    accept: accept?.select.value,
    contentType: content?.select.value,
    body: content?.text.value,
  });
  const show = () => {
    const r = request();
    const k = reveal.checked ? key() : null;
    lines.curl.textContent = curl(r, origin(base), k);
    lines.js.textContent = supabase(r, origin(base), k, entity, accept?.select.value);
  };
  const form = h('form', { class: 'try', autocomplete: 'off', oninput: show, onchange: show },
    group('Filters', filters.length <= 12 || op.method === 'put', rows(filters)),
    group('Parameters', true, rows(others.filter((p) => p.in !== 'header'))),
    group('Request headers', false, rows(others.filter((p) => p.in === 'header'))),
    content?.element,
    h('div', { class: 'send' }, accept?.element, h('button', { type: 'submit', class: 'primary' }, `Send ${op.method.toUpperCase()}`)));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    send(request(), base, key(), result, form);
  });
  show();
  return h('section', null,
    h('h3', null, 'Try it'),
    form,
    result,
    h('h3', null, 'As a line to copy'),
    line('curl', 'curl', lines.curl),
    line('supabase-js', 'supabase-js', lines.js),
    h('p', null, h('label', { for: reveal.id, class: 'check' }, (reveal.addEventListener('change', show), reveal), ' show my key in these lines')));
}

// first is what a field holds before anybody has typed: a page of rows that
// does no harm, and a key to begin with where one is required.
function first(param, op) {
  if (param.name === 'limit' && op.method === 'get') return '10';
  if (param.filter && param.required) return String(param.example ?? 'eq.');
  return '';
}

function group(title, isOpen, children) {
  if (children.length === 0) return null;
  return h('details', { class: 'group', open: isOpen }, h('summary', null, title), h('div', { class: 'params' }, children));
}

function line(title, label, code) {
  return h('figure', { class: 'line' },
    h('figcaption', null, title, ' ', copyButton(() => code.textContent, `the ${label} line`)),
    h('pre', { tabindex: '0' }, code));
}

// contentOf makes the body's editor, or nothing where there is no body.
function contentOf(doc, op, prefix, entity) {
  const content = deref(doc, op.requestBody ?? {}).content;
  if (!content) return null;
  const select = h('select', { id: `${prefix}-type` }, Object.keys(content).map((t) => h('option', { value: t }, t)));
  const text = h('textarea', { id: `${prefix}-body`, rows: '8', spellcheck: 'false' });
  const fill = () => {
    const schema = op.method === 'patch' ? entity.update : entity.insert;
    let example = exampleOf(schema);
    if (op.method === 'put' && example) example = { [entity.primary]: exampleOf(entity.row)?.[entity.primary], ...example };
    text.value = select.value === 'application/json'
      ? pretty(JSON.stringify(example ?? {}))
      : String(content[select.value]?.example ?? '');
  };
  select.addEventListener('change', fill);
  fill();
  return {
    select, text,
    element: h('div', { class: 'body' },
      h('label', { for: text.id }, 'Body'), ' ', h('label', { for: select.id, class: 'small' }, 'as '), select, text),
  };
}

// acceptOf lets choose among the media types of the answer.
function acceptOf(doc, op, prefix) {
  const ok = deref(doc, op.responses?.['200'] ?? op.responses?.['201'] ?? {});
  const types = Object.keys(ok.content ?? {});
  if (types.length === 0) return null;
  const select = h('select', { id: `${prefix}-accept` }, types.map((t) => h('option', { value: t }, t)));
  return { select, element: h('span', null, h('label', { for: select.id }, 'Accept '), select) };
}

/** origin is where the server's URL points, for programs outside the page. */
function origin(base) {
  return new URL(base, location.href).origin;
}

async function send(request, base, key, result, form) {
  const button = form.querySelector('button[type=submit]');
  button.disabled = true;
  replace(result, h('p', null, 'Waiting for the answer…'));
  const started = performance.now();
  try {
    const response = await fetch(target(request), {
      method: request.method,
      headers: [...request.headers, ['apikey', key]],
      body: request.body,
      cache: 'no-store', credentials: 'omit', redirect: 'error',
    });
    const text = await response.text();
    showResult(result, response, text, performance.now() - started);
  } catch (err) {
    replace(result, h('p', { class: 'error', role: 'alert' }, `No answer: ${err.message}`));
  } finally {
    button.disabled = false;
  }
}

function showResult(result, response, text, ms) {
  const json = /json$/.test((response.headers.get('Content-Type') ?? '').split(';')[0].trim()) && text.length <= SHOWN * 5;
  let body = json ? pretty(text) : text;
  const cut = body.length > SHOWN;
  if (cut) body = body.slice(0, SHOWN);
  replace(result,
    h('p', { class: response.ok ? 'status ok' : 'status bad' },
      h('strong', null, `${response.status} ${response.statusText}`.trim()), ` in ${Math.round(ms)} ms, ${text.length} characters`),
    h('details', { class: 'headers' }, h('summary', null, 'Headers'),
      h('table', null, h('tbody', null, [...response.headers].map(([n, v]) => h('tr', null,
        h('th', { scope: 'row' }, h('code', null, n)), h('td', null, h('code', null, v))))))),
    text === '' ? h('p', { class: 'small' }, 'No body.') : h('pre', { tabindex: '0', class: 'answer' }, h('code', null, body)),
    cut && h('p', { class: 'small' }, `Only the first ${SHOWN} characters are shown.`));
}
