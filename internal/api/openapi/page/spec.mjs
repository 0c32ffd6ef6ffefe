// Reads an OpenAPI document: what the page shows of it, without the DOM.

const METHODS = ['get', 'head', 'post', 'patch', 'put', 'delete'];

/** deref follows a reference inside the document. */
export function deref(doc, node) {
  let seen = 0;
  while (node && typeof node.$ref === 'string') {
    if (++seen > 20) return {};
    node = node.$ref.slice(2).split('/')
      .reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], doc);
  }
  return node ?? {};
}

/** entities lists every entity of the document with what its page needs. */
export function entities(doc) {
  const out = [];
  for (const module of doc['x-pando']?.modules ?? []) {
    for (const entity of module.entities) {
      const row = doc.components.schemas[entity.schema] ?? {};
      const insert = doc.components.schemas[`${entity.schema}.insert`] ?? {};
      out.push({
        ...entity,
        module: module.name,
        id: `${module.name}/${entity.name}`,
        row,
        insert,
        update: doc.components.schemas[`${entity.schema}.update`] ?? {},
        words: [`${module.name}.${entity.name}`, ...Object.keys(row.properties ?? {})].join(' ').toLowerCase(),
      });
    }
  }
  return out;
}

/** operations lists what can be done with an entity. */
export function operations(doc, entity) {
  const item = doc.paths[entity.path] ?? {};
  return METHODS.filter((m) => item[m]).map((m) => ({ method: m, ...item[m] }));
}

/**
 * parameters lists an operation's parameters for one entity. A path that
 * several modules share has the filters of all of them; the others' are left
 * out, and so is the profile, which follows from the entity.
 */
export function parameters(doc, entity, operation) {
  const filters = [];
  const others = [];
  const refs = operation.parameters ?? [];
  for (const ref of refs) {
    const p = deref(doc, ref);
    if (/-profile$/i.test(p.name)) continue;
    const filter = isFilter(ref, p);
    if (filter && !(p.name in (entity.row.properties ?? {}))) continue;
    (filter ? filters : others).push({ ...p, filter });
  }
  return { filters, others };
}

// A filter's component is named module.entity.field; the parameters that all
// entities share have no entity. A filter written in place is PUT's key.
function isFilter(ref, p) {
  return p.in === 'query' && (ref.$ref === undefined || /\/[^/.]+\.[^/]+$/.test(ref.$ref) && !/\/not\.(and|or)$/.test(ref.$ref));
}

/** typeText says a schema's type in a few words. */
export function typeText(schema) {
  const types = [schema.type ?? 'any'].flat();
  const name = types.filter((t) => t !== 'null').join(' or ');
  let text = name;
  if (name === 'array') text = `list of ${typeText(schema.items ?? {})}`;
  else if (schema.enum) text = schema.enum.filter((v) => v !== null).join(' | ');
  else if (schema.format) text = `${name} (${schema.format})`;
  return types.includes('null') ? `${text} or null` : text;
}

/** rules lists a schema's limits in words. */
export function rules(schema) {
  const s = schema.type === 'array' ? { ...schema.items, default: schema.default } : schema;
  const out = [];
  if (s.minLength !== undefined) out.push(`at least ${s.minLength} characters`);
  if (s.maxLength !== undefined) out.push(`at most ${s.maxLength} characters`);
  if (s.minimum !== undefined) out.push(`from ${s.minimum}`);
  if (s.maximum !== undefined) out.push(`up to ${s.maximum}`);
  if (s.default !== undefined) out.push(`default ${JSON.stringify(s.default)}`);
  if (s.writeOnly) out.push('never answered');
  if (s.deprecated) out.push('deprecated');
  return out;
}

/** exampleOf is the first example of a schema, or undefined. */
export function exampleOf(schema) {
  return schema.examples?.[0];
}

/**
 * pretty indents JSON text without reading its numbers, so that what is shown
 * is what was sent, 64-bit integers and trailing zeros included. Text that is
 * no JSON comes back as it is.
 */
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = '';
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g)) {
    if (token === '{' || token === '[') {
      depth++;
      out += token + line();
    } else if (token === '}' || token === ']') {
      depth--;
      const open = out.trimEnd();
      const empty = open.endsWith(token === '}' ? '{' : '[') && !open.endsWith('"');
      out = empty ? open + token : out + line() + token;
    } else if (token === ',') out += token + line();
    else if (token === ':') out += ': ';
    else out += token;
  }
  return out;
}
