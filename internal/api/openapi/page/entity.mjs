// Renders the overview, the clients, and one entity: its fields, its relations, and its operations, whose
// details are made when they are opened for the first time.

import { clients } from './clients.mjs';
import { copyButton, h, prose } from './dom.mjs';
import { deref, exampleOf, operations, pretty, rules, typeText } from './spec.mjs';
import { renderTry } from './try.mjs';

const link = (module, entity) => `#/${encodeURIComponent(module)}/${encodeURIComponent(entity)}`;

/** renderOverview is what stands there while no entity is chosen. */
export function renderOverview({ doc }, all) {
  const first = all[0];
  return [
    h('h1', null, doc.info.title),
    h('p', { class: 'lead' }, `${doc.info.summary ?? ''} Version ${doc.info.version}.`),
    String(doc.info.description ?? '').split('\n\n').map((p) => h('p', null, prose(p))),
    first
      ? h('p', null, 'Choose an entity on the left, or begin with ', h('a', { href: link(first.module, first.name) }, `${first.module}.${first.name}`), '.')
      : h('p', null, 'The application has no entities yet: write one into a file of modules/.'),
    h('p', null, 'From a program, use one of the ', h('a', { href: '#/clients' }, 'clients that exist'), '.'),
  ];
}

/** renderClients says which existing client to use from which language. */
export function renderClients(all, version) {
  const entity = all.find((e) => !e.profile) ?? all[0] ?? { module: 'module', name: 'entity' };
  return [
    h('h1', null, 'Clients'),
    h('p', { class: 'lead' }, 'Existing clients work unchanged. ', h('code', null, 'key'), ' and ', h('code', null, 'PANDO_KEY'), ' are an API key.'),
    clients(location.origin, entity, version).map(({ language, client, install, lines }) => h('section', { class: 'line' },
      h('h2', null, language),
      h('p', null, `${client}: `, h('code', null, install), ' ', copyButton(() => lines.join('\n'), `the lines of ${client}`)),
      h('pre', { tabindex: '0' }, h('code', null, lines.join('\n'))))),
    h('h2', null, 'Typed clients'),
    h('p', null, h('code', null, 'pando types --supabase'), ' writes the types that supabase-js takes; ', h('code', null, 'pando client ts'), ' and ',
      h('code', null, 'pando client go'), ' write clients of this application, in which a name that a module no longer has does not compile.'),
  ];
}

/** renderEntity is an entity's page. */
export function renderEntity(context, entity) {
  const { doc } = context;
  const base = doc.servers?.[0]?.url ?? '/rest/v1';
  return [
    h('h1', null, h('span', { class: 'module' }, `${entity.module}.`), entity.name),
    entity.doc && h('p', { class: 'lead' }, prose(entity.doc)),
    h('p', null, h('code', null, base + entity.path),
      entity.profile && [' with the header ', h('code', null, `Accept-Profile: ${entity.profile}`), ' or ', h('code', null, `Content-Profile: ${entity.profile}`)]),
    h('h2', null, 'Fields'),
    fieldTable(entity),
    relationList(entity),
    h('h2', null, 'Calls'),
    operations(doc, entity).map((op) => operationDetails(context, entity, op, base)),
  ];
}

function fieldTable(entity) {
  const row = entity.row.properties ?? {};
  const input = entity.insert.properties ?? {};
  const needed = new Set(entity.insert.required ?? []);
  const names = [...new Set([...Object.keys(row), ...Object.keys(input)])];
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Fields' }, h('table', { class: 'fields' },
    h('thead', null, h('tr', null, ['Name', 'Type', 'Rules', 'Description'].map((t) => h('th', { scope: 'col' }, t)))),
    h('tbody', null, names.map((name) => {
      const schema = { ...row[name], ...input[name] };
      const notes = [name === entity.primary && 'primary key', needed.has(name) && 'required', ...rules(schema)].filter(Boolean);
      return h('tr', null,
        h('th', { scope: 'row' }, h('code', null, name)),
        h('td', null, typeText(schema)),
        h('td', null, notes.join(', ')),
        h('td', null, prose(schema.description)));
    }))));
}

function relationList(entity) {
  if (!entity.relations?.length) return null;
  return [
    h('h2', null, 'Relations'),
    h('p', null, 'Embed them with ', h('code', null, `select=*,${entity.relations[0].name}(*)`), '.'),
    h('ul', { class: 'relations' }, entity.relations.map((r) => h('li', null,
      h('code', null, r.name), ` (${r.rows}) `, h('a', { href: link(r.module, r.entity) }, `${r.module}.${r.entity}`)))),
  ];
}

function operationDetails(context, entity, op, base) {
  const body = h('div', { class: 'operation' });
  const details = h('details', { class: `call ${op.method}` },
    h('summary', null, h('span', { class: 'method' }, op.method.toUpperCase()), ' ',
      h('span', { class: 'title' }, op.summary), op.deprecated && h('em', null, ' deprecated')),
    body);
  details.addEventListener('toggle', () => {
    if (details.open && !body.hasChildNodes()) {
      body.append(
        h('p', null, prose(op.description)),
        renderTry(context, entity, op, base),
        answers(context.doc, entity, op));
    }
  });
  return details;
}

// answers lists the statuses, with an example of the rows and of a problem.
function answers(doc, entity, op) {
  const list = Object.entries(op.responses ?? {}).map(([status, ref]) => [status, deref(doc, ref)]);
  const example = exampleOf(entity.row);
  const hasRows = list.some(([s, r]) => s.startsWith('2') && r.content?.['application/json']);
  return h('section', null,
    h('h3', null, 'Answers'),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Answers' }, h('table', null,
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Status'), h('th', { scope: 'col' }, 'Meaning'))),
      h('tbody', null, list.map(([status, r]) => h('tr', null,
        h('th', { scope: 'row' }, h('code', null, status)), h('td', null, prose(r.description))))))),
    hasRows && example && exampleBlock('Example of rows', [example]),
    exampleBlock('Example of a problem', exampleOf(deref(doc, doc.components?.schemas?.Problem ?? {})) ?? {}));
}

function exampleBlock(title, value) {
  return h('details', { class: 'example' }, h('summary', null, title),
    h('pre', { tabindex: '0' }, h('code', null, pretty(JSON.stringify(value)))));
}
