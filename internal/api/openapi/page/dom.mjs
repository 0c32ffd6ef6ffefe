// Builds elements. Every text goes in as a text node, never as markup, so that
// nothing an application or a server says can become part of the page.

/**
 * h makes an element. Properties are set as attributes, except `on…`, which
 * are listeners, and booleans, which are set when true. Children are nodes,
 * strings or arrays of them; null, undefined and false are left out.
 */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (value === true) el.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) el.setAttribute(name, String(value));
  }
  append(el, children);
  return el;
}

function append(el, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(el, child);
    else el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** prose renders a description: `code` as code, the rest as plain text. */
export function prose(text) {
  const plain = (s) => s.replaceAll('&lt;', '<').replaceAll('&#40;', '(');
  return String(text ?? '').split('`').map((part, i) => (i % 2 ? h('code', null, part) : plain(part)));
}

/** replace puts the children in the place of what el holds. */
export function replace(el, ...children) {
  el.replaceChildren();
  append(el, children);
  return el;
}

/** copyButton copies what text() returns and says so for a moment. */
export function copyButton(text, label) {
  const button = h('button', { type: 'button', class: 'copy', 'aria-label': `Copy ${label}` }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy by hand'; // no clipboard without TLS or permission
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  });
  return button;
}
