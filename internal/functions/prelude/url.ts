// URL and URLSearchParams (WHATWG URL): its basic parser, section 4.4.

import { attempt, define, host } from "./host";
import { decode, encode } from "./text";

const ports: Record<string, string> = { "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const special = (protocol: string) => Object.hasOwn(ports, protocol);

// The percent-encode sets, beyond C0 controls and everything from 0x7f on.
const fragmentSet = ' "<>`';
const querySet = ' "#<>';
const specialQuerySet = querySet + "'";
const pathSet = querySet + "?^`{}";
const userSet = pathSet + "/:;=@[\\]|";
const formKeeps = /[A-Za-z0-9*\-._]/;

function hex(byte: number): string {
  return `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
}

function escape(text: string, set: string): string {
  let out = "";
  for (const c of text) {
    const code = c.codePointAt(0)!;
    if (code > 0x1f && code < 0x7f && !set.includes(c)) out += c;
    else for (const b of encode(c)) out += hex(b);
  }
  return out;
}

function unescapeBytes(text: string): Uint8Array {
  const bytes = encode(text);
  let n = 0;
  for (let i = 0; i < bytes.length; i++) {
    let b = bytes[i]!;
    if (b === 0x25 && i + 2 < bytes.length) {
      const pair = String.fromCharCode(bytes[i + 1]!, bytes[i + 2]!);
      if (/^[0-9a-f]{2}$/i.test(pair)) {
        b = parseInt(pair, 16);
        i += 2;
      }
    }
    bytes[n++] = b;
  }
  return bytes.subarray(0, n);
}

interface Parts {
  protocol: string;
  username: string;
  password: string;
  host: string | null;
  port: string;
  path: string[];
  opaque: string | null;
  query: string | null;
  fragment: string | null;
}

class Invalid extends Error {}

function parseNumber(text: string): number {
  if (text === "") throw new Invalid();
  let digits = text;
  let radix = 10;
  if (/^0x/i.test(digits)) [digits, radix] = [digits.slice(2), 16];
  else if (digits.length > 1 && digits[0] === "0") [digits, radix] = [digits.slice(1), 8];
  if (digits === "") return 0;
  if (!(radix === 16 ? /^[0-9a-f]+$/i : radix === 8 ? /^[0-7]+$/ : /^[0-9]+$/).test(digits)) return NaN;
  return parseInt(digits, radix);
}

/** ipv4 is a host that ends in a number; null: it does not. */
function ipv4(text: string): string | null {
  const parts = text.split(".");
  if (parts.at(-1) === "" && parts.length > 1) parts.pop();
  const last = parts.at(-1)!;
  if (!/^[0-9]+$/.test(last) && !/^0x[0-9a-f]*$/i.test(last)) return null;
  if (parts.length > 4) throw new Invalid();
  const numbers = parts.map(parseNumber);
  if (numbers.some(Number.isNaN)) throw new Invalid();
  let address = numbers.pop()!;
  if (numbers.some((n) => n > 255) || address >= 256 ** (4 - numbers.length)) throw new Invalid();
  numbers.forEach((n, i) => (address += n * 256 ** (3 - i)));
  return [24, 16, 8, 0].map((bits) => Math.floor(address / 2 ** bits) % 256).join(".");
}

function ipv6(text: string): string {
  const double = text.split("::");
  if (double.length > 2) throw new Invalid();
  const pieces = (part: string): number[] => {
    if (part === "") return [];
    const list = part.split(":");
    return list.flatMap((piece, i) => {
      if (i === list.length - 1 && piece.includes(".")) {
        const quad = piece.split(".");
        if (quad.length !== 4 || !quad.every((q) => /^(0|[1-9][0-9]{0,2})$/.test(q) && Number(q) < 256)) throw new Invalid();
        return [Number(quad[0]) * 256 + Number(quad[1]), Number(quad[2]) * 256 + Number(quad[3])];
      }
      if (!/^[0-9a-f]{1,4}$/i.test(piece)) throw new Invalid();
      return [parseInt(piece, 16)];
    });
  };
  const head = pieces(double[0]!);
  const tail = double.length === 2 ? pieces(double[1]!) : [];
  const gap = 8 - head.length - tail.length;
  if (double.length === 2 ? gap < 1 : gap !== 0) throw new Invalid();
  const all = [...head, ...new Array<number>(gap).fill(0), ...tail];
  let best = { at: -1, n: 1 };
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && all[i + n] === 0) n++;
    if (n > best.n) best = { at: i, n };
    i += n;
  }
  if (best.at < 0) return all.map((n) => n.toString(16)).join(":");
  const side = (list: number[]) => list.map((n) => n.toString(16)).join(":");
  return `${side(all.slice(0, best.at))}::${side(all.slice(best.at + best.n))}`;
}

function parseHost(text: string, isSpecial: boolean): string {
  if (text.startsWith("[")) {
    if (!text.endsWith("]")) throw new Invalid();
    return `[${ipv6(text.slice(1, -1))}]`;
  }
  if (!isSpecial) {
    if (/[\0\t\n\r #/:<>?@[\\\]^|]/.test(text)) throw new Invalid();
    return escape(text, "");
  }
  let domain = decode(unescapeBytes(text));
  if (/[^\0-\x7f]|xn--/i.test(domain)) domain = attempt(() => host.ascii(domain), () => new Invalid());
  domain = domain.toLowerCase();
  if (domain === "" || /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f]/.test(domain)) throw new Invalid();
  return ipv4(domain) ?? domain;
}

const dot = (s: string) => s === "." || /^%2e$/i.test(s);
const dots = (s: string) => /^(\.|%2e)(\.|%2e)$/i.test(s);
const drive = (s: string) => /^[a-z][:|]$/i.test(s);

function pushPath(p: Parts, text: string): void {
  const isSpecial = special(p.protocol);
  const segments = (isSpecial ? text.replace(/\\/g, "/") : text).split("/");
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (dots(segment)) {
      if (!(p.protocol === "file:" && p.path.length === 1 && /^[a-z]:$/i.test(p.path[0]!))) p.path.pop();
      if (last) p.path.push("");
    } else if (dot(segment)) {
      if (last) p.path.push("");
    } else {
      if (p.protocol === "file:" && p.path.length === 0 && drive(segment)) segment = `${segment[0]}:`;
      p.path.push(escape(segment, pathSet));
    }
  });
}

function parseAuthority(p: Parts, text: string): void {
  const at = text.lastIndexOf("@");
  if (at >= 0) {
    const user = text.slice(0, at);
    const colon = user.indexOf(":");
    p.username = escape(colon < 0 ? user : user.slice(0, colon), userSet);
    p.password = colon < 0 ? "" : escape(user.slice(colon + 1), userSet);
    text = text.slice(at + 1);
    if (text === "") throw new Invalid();
  }
  const port = /:([0-9]*)$/.exec(text);
  if (port && !text.endsWith("]")) {
    text = text.slice(0, port.index);
    setPort(p, port[1]!);
  } else if (/:[^\]]*$/.test(text) && !text.endsWith("]")) {
    throw new Invalid();
  }
  if (text === "" && (special(p.protocol) || at >= 0 || port)) throw new Invalid();
  p.host = text === "" ? "" : parseHost(text, special(p.protocol));
}

function setPort(p: Parts, text: string): void {
  if (text === "") {
    p.port = "";
    return;
  }
  const n = Number(text);
  if (n > 65535) throw new Invalid();
  p.port = String(n) === ports[p.protocol] ? "" : String(n);
}

function parse(input: string, base?: Parts): Parts {
  let text = input.toWellFormed().replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
  let fragment: string | null = null;
  const sharp = text.indexOf("#");
  if (sharp >= 0) [text, fragment] = [text.slice(0, sharp), escape(text.slice(sharp + 1), fragmentSet)];
  const scheme = /^([a-z][a-z0-9+\-.]*):/i.exec(text);
  const p: Parts = { protocol: "", username: "", password: "", host: null, port: "", path: [], opaque: null, query: null, fragment };
  let rest = text;
  let relative = !scheme;
  if (scheme) {
    p.protocol = scheme[0].toLowerCase();
    rest = text.slice(scheme[0].length);
    if (special(p.protocol) && base?.protocol === p.protocol && !/^[/\\]/.test(rest) && (p.protocol !== "file:" || true)) relative = base.opaque === null;
  } else if (!base) {
    throw new Invalid();
  } else {
    p.protocol = base.protocol;
    if (base.opaque !== null) {
      if (rest !== "" || fragment === null) throw new Invalid();
      return { ...base, fragment };
    }
  }
  const isSpecial = special(p.protocol);
  const question = rest.indexOf("?");
  if (question >= 0) {
    p.query = escape(rest.slice(question + 1), isSpecial ? specialQuerySet : querySet);
    rest = rest.slice(0, question);
  }
  const slashes = isSpecial ? /^[/\\]/ : /^\//;
  if (relative && base && !slashes.test(rest)) {
    Object.assign(p, { username: base.username, password: base.password, host: base.host, port: base.port, path: [...base.path] });
    if (rest === "") {
      if (question < 0) p.query = base.query;
      return p;
    }
    p.path.pop();
    pushPath(p, rest);
    return p;
  }
  const two = isSpecial ? /^[/\\]{2}/ : /^\/\//;
  if (p.protocol === "file:") {
    p.host = "";
    if (two.test(rest)) {
      rest = rest.slice(2);
      const end = /[/\\]/.exec(rest)?.index ?? rest.length;
      const name = rest.slice(0, end);
      if (!drive(name)) {
        rest = rest.slice(end);
        if (name !== "") p.host = parseHost(name, true);
        if (p.host === "localhost") p.host = "";
      } else {
        rest = `/${rest}`;
      }
    } else if (base?.protocol === "file:" && !scheme) {
      p.host = base.host;
    }
    pushPath(p, rest.replace(/^[/\\]/, ""));
    return p;
  }
  if (!scheme && base && !two.test(rest)) {
    Object.assign(p, { username: base.username, password: base.password, host: base.host, port: base.port });
    pushPath(p, rest.slice(1));
    return p;
  }
  if (two.test(rest) || (isSpecial && scheme)) {
    rest = isSpecial ? rest.replace(/^[/\\]+/, "") : rest.slice(2);
    const end = (isSpecial ? /[/\\]/ : /\//).exec(rest)?.index ?? rest.length;
    parseAuthority(p, rest.slice(0, end));
    rest = rest.slice(end);
    if (rest !== "") pushPath(p, rest.slice(1));
    else if (isSpecial) p.path.push("");
    return p;
  }
  if (rest.startsWith("/")) {
    pushPath(p, rest.slice(1));
    return p;
  }
  p.opaque = escape(rest, "");
  return p;
}

function pathOf(p: Parts): string {
  if (p.opaque !== null) return p.opaque;
  return p.path.map((s) => `/${s}`).join("");
}

function write(p: Parts): string {
  let out = p.protocol;
  if (p.host !== null) {
    out += "//";
    if (p.username !== "" || p.password !== "") out += `${p.username}${p.password === "" ? "" : `:${p.password}`}@`;
    out += p.host + (p.port === "" ? "" : `:${p.port}`);
  } else if (p.opaque === null && p.path.length > 1 && p.path[0] === "") {
    out += "/.";
  }
  return out + pathOf(p) + (p.query === null ? "" : `?${p.query}`) + (p.fragment === null ? "" : `#${p.fragment}`);
}

export class URL {
  #p: Parts;
  #params: URLSearchParams;

  constructor(url: unknown, base?: unknown) {
    try {
      this.#p = parse(String(url), base === undefined ? undefined : parse(String(base)));
    } catch (e) {
      if (e instanceof Invalid) throw new TypeError(`Invalid URL: ${String(url).slice(0, 200)}`);
      throw e;
    }
    this.#params = params(this.#p.query ?? "", (text) => (this.#p.query = text === "" ? null : text));
  }

  static canParse(url: unknown, base?: unknown): boolean {
    return URL.parse(url, base) !== null;
  }

  static parse(url: unknown, base?: unknown): URL | null {
    try {
      return new URL(url, base);
    } catch {
      return null;
    }
  }

  #try(change: (p: Parts) => void): void {
    const p = { ...this.#p, path: [...this.#p.path] };
    try {
      change(p);
      this.#p = p;
    } catch (e) {
      if (!(e instanceof Invalid)) throw e;
    }
  }

  get href(): string { return write(this.#p); }
  set href(v: string) {
    this.#p = new URL(v).#p;
    reset(this.#params, this.#p.query ?? "");
  }
  get origin(): string {
    return special(this.#p.protocol) && this.#p.protocol !== "file:" ? `${this.#p.protocol}//${this.host}` : "null";
  }
  get protocol(): string { return this.#p.protocol; }
  set protocol(v: string) {
    const scheme = /^([a-z][a-z0-9+\-.]*):?/i.exec(String(v));
    if (scheme && special(`${scheme[1]!.toLowerCase()}:`) === special(this.#p.protocol)) {
      this.#try((p) => {
        p.protocol = `${scheme[1]!.toLowerCase()}:`;
        if (p.port === ports[p.protocol]) p.port = "";
      });
    }
  }
  get username(): string { return this.#p.username; }
  set username(v: string) { if (this.#p.host) this.#p.username = escape(String(v), userSet); }
  get password(): string { return this.#p.password; }
  set password(v: string) { if (this.#p.host) this.#p.password = escape(String(v), userSet); }
  get host(): string { return (this.#p.host ?? "") + (this.#p.port === "" ? "" : `:${this.#p.port}`); }
  set host(v: string) {
    if (this.#p.opaque !== null) return;
    this.#try((p) => {
      const text = /^[^/?#\\@]*/.exec(String(v))![0];
      const port = p.port;
      p.port = "";
      const { username, password } = p;
      parseAuthority(p, text);
      Object.assign(p, { username, password });
      if (!/:[0-9]+$/.test(text)) p.port = port;
    });
  }
  get hostname(): string { return this.#p.host ?? ""; }
  set hostname(v: string) {
    if (this.#p.opaque !== null) return;
    this.#try((p) => {
      const text = /^[^/?#\\@:]*|^\[[^\]]*\]/.exec(String(v))![0];
      if (text !== "" || !special(p.protocol)) p.host = parseHost(text, special(p.protocol));
    });
  }
  get port(): string { return this.#p.port; }
  set port(v: string) {
    if (!this.#p.host || this.#p.protocol === "file:") return;
    const digits = /^[0-9]*/.exec(String(v))![0];
    if (digits !== "" || String(v) === "") this.#try((p) => setPort(p, digits));
  }
  get pathname(): string { return pathOf(this.#p); }
  set pathname(v: string) {
    if (this.#p.opaque !== null) return;
    this.#try((p) => {
      p.path = [];
      pushPath(p, String(v).replace(special(p.protocol) ? /^[/\\]/ : /^\//, "").replace(/[?#]/g, (c) => hex(c.charCodeAt(0))));
    });
  }
  get search(): string { return this.#p.query ? `?${this.#p.query}` : ""; }
  set search(v: string) {
    const text = String(v).replace(/^\?/, "");
    this.#p.query = String(v) === "" ? null : escape(text, special(this.#p.protocol) ? specialQuerySet : querySet);
    reset(this.#params, text);
  }
  get searchParams(): URLSearchParams { return this.#params; }
  get hash(): string { return this.#p.fragment ? `#${this.#p.fragment}` : ""; }
  set hash(v: string) {
    this.#p.fragment = String(v) === "" ? null : escape(String(v).replace(/^#/, ""), fragmentSet);
  }
  toString(): string { return this.href; }
  toJSON(): string { return this.href; }
}

const unform = (text: string) => host.decode(unescapeBytes(text.replace(/\+/g, " ")), 0);

function form(text: string): string {
  let out = "";
  for (const b of encode(text)) {
    const c = String.fromCharCode(b);
    out += b === 0x20 ? "+" : formKeeps.test(c) ? c : hex(b);
  }
  return out;
}

function pairsOf(text: string): [string, string][] {
  return text.split("&").filter((s) => s !== "").map((s) => {
    const i = s.indexOf("=");
    return i < 0 ? [unform(s), ""] : [unform(s.slice(0, i)), unform(s.slice(i + 1))];
  });
}

let params: (text: string, changed: (text: string) => void) => URLSearchParams;
let reset: (p: URLSearchParams, text: string) => void;

export class URLSearchParams {
  #list: [string, string][] = [];
  #changed: (text: string) => void = () => {};

  static {
    params = (text, changed) => {
      const p = new URLSearchParams(text);
      p.#changed = changed;
      return p;
    };
    reset = (p, text) => void (p.#list = pairsOf(text));
  }

  constructor(init: any = "") {
    if (typeof init === "object" && init !== null) {
      const entries = typeof init[Symbol.iterator] === "function" ? [...init] : Object.entries(init);
      for (const pair of entries) {
        if ([...pair].length !== 2) throw new TypeError("each pair needs a name and a value");
        this.#list.push([String(pair[0]).toWellFormed(), String(pair[1]).toWellFormed()]);
      }
    } else {
      this.#list = pairsOf(String(init).replace(/^\?/, ""));
    }
  }

  get size(): number { return this.#list.length; }
  append(name: unknown, value: unknown): void {
    this.#list.push([String(name).toWellFormed(), String(value).toWellFormed()]);
    this.#changed(this.toString());
  }
  delete(name: unknown, value?: unknown): void {
    this.#list = this.#list.filter(([n, v]) => n !== String(name) || (value !== undefined && v !== String(value)));
    this.#changed(this.toString());
  }
  get(name: unknown): string | null { return this.#list.find(([n]) => n === String(name))?.[1] ?? null; }
  getAll(name: unknown): string[] { return this.#list.filter(([n]) => n === String(name)).map(([, v]) => v); }
  has(name: unknown, value?: unknown): boolean {
    return this.#list.some(([n, v]) => n === String(name) && (value === undefined || v === String(value)));
  }
  set(name: unknown, value: unknown): void {
    const i = this.#list.findIndex(([n]) => n === String(name));
    if (i < 0) return this.append(name, value);
    this.#list[i]![1] = String(value).toWellFormed();
    this.#list = this.#list.filter(([n], at) => at <= i || n !== String(name));
    this.#changed(this.toString());
  }
  sort(): void {
    this.#list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    this.#changed(this.toString());
  }
  forEach(f: (value: string, name: string, all: URLSearchParams) => void): void {
    for (const [n, v] of this.#list) f(v, n, this);
  }
  *entries(): IterableIterator<[string, string]> { for (const [n, v] of this.#list) yield [n, v]; }
  *keys(): IterableIterator<string> { for (const [n] of this.#list) yield n; }
  *values(): IterableIterator<string> { for (const [, v] of this.#list) yield v; }
  [Symbol.iterator](): IterableIterator<[string, string]> { return this.entries(); }
  toString(): string { return this.#list.map(([n, v]) => `${form(n)}=${form(v)}`).join("&"); }
}

export function install(): void {
  define("URL", URL);
  define("URLSearchParams", URLSearchParams);
}
