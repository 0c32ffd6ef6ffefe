// fetch, Headers, Request and Response (WHATWG Fetch) with whole bodies. Where a
// request may go is the host's to say.

import type { AbortSignal } from "./abort";
import { call } from "./calls";
import { define } from "./host";
import { bytesOf, decode, encode } from "./text";
import { URL, URLSearchParams } from "./url";

const nameOf = (name: unknown): string => {
  const text = String(name).toLowerCase();
  if (!/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(text)) throw new TypeError(`not a header's name: ${text}`);
  return text;
};

const valueOf = (value: unknown): string => {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\n\r]/.test(text)) throw new TypeError("a header's value has no line breaks");
  return text;
};

export class Headers {
  #list: [string, string][] = [];

  constructor(init: any = undefined) {
    if (init === undefined || init === null) return;
    const entries = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
    for (const [name, value] of entries) this.append(name, value);
  }

  append(name: unknown, value: unknown): void {
    this.#list.push([nameOf(name), valueOf(value)]);
  }
  delete(name: unknown): void {
    const n = nameOf(name);
    this.#list = this.#list.filter(([have]) => have !== n);
  }
  get(name: unknown): string | null {
    const n = nameOf(name);
    const values = this.#list.filter(([have]) => have === n).map(([, v]) => v);
    return values.length === 0 ? null : values.join(", ");
  }
  getSetCookie(): string[] {
    return this.#list.filter(([have]) => have === "set-cookie").map(([, v]) => v);
  }
  has(name: unknown): boolean {
    const n = nameOf(name);
    return this.#list.some(([have]) => have === n);
  }
  set(name: unknown, value: unknown): void {
    this.delete(name);
    this.append(name, value);
  }
  forEach(f: (value: string, name: string, all: Headers) => void): void {
    for (const [n, v] of this.entries()) f(v, n, this);
  }
  *entries(): IterableIterator<[string, string]> {
    const names = [...new Set(this.#list.map(([n]) => n))].sort();
    for (const n of names) {
      if (n === "set-cookie") for (const v of this.getSetCookie()) yield [n, v];
      else yield [n, this.get(n)!];
    }
  }
  *keys(): IterableIterator<string> {
    for (const [n] of this.entries()) yield n;
  }
  *values(): IterableIterator<string> {
    for (const [, v] of this.entries()) yield v;
  }
  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
}

/** bodyOf is a body's bytes and the type that it has by itself. */
function bodyOf(body: any): { bytes: Uint8Array | null; type: string } {
  if (body === undefined || body === null) return { bytes: null, type: "" };
  if (body instanceof URLSearchParams) return { bytes: encode(String(body)), type: "application/x-www-form-urlencoded;charset=UTF-8" };
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return { bytes: bytesOf(body).slice(), type: "" };
  return { bytes: encode(String(body)), type: "text/plain;charset=UTF-8" };
}

const toBase64 = (bytes: Uint8Array | null): string | null => (bytes === null ? null : (bytes as any).toBase64());
const fromBase64 = (text: string | null): Uint8Array | null => (text === null || text === undefined ? null : (Uint8Array as any).fromBase64(text));

class Body {
  readonly headers: Headers;
  protected bytesHeld: Uint8Array | null;
  #used = false;

  constructor(body: unknown, headers: unknown) {
    const { bytes, type } = bodyOf(body);
    this.bytesHeld = bytes;
    this.headers = new Headers(headers);
    if (type !== "" && !this.headers.has("content-type")) this.headers.set("content-type", type);
  }

  get bodyUsed(): boolean {
    return this.#used;
  }

  /** held are the bytes, for those who send them on. */
  static held(of: Body): Uint8Array | null {
    return of.bytesHeld;
  }

  async bytes(): Promise<Uint8Array> {
    if (this.#used) throw new TypeError("the body was read before");
    this.#used = this.bytesHeld !== null;
    return this.bytesHeld ?? new Uint8Array(0);
  }
  async arrayBuffer(): Promise<ArrayBuffer> {
    const b = await this.bytes();
    return b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength) as ArrayBuffer;
  }
  async text(): Promise<string> {
    return decode(await this.bytes());
  }
  async json(): Promise<any> {
    return JSON.parse(await this.text());
  }
}

export class Request extends Body {
  readonly method: string;
  readonly url: string;
  readonly signal: AbortSignal | null;
  readonly redirect: string;

  constructor(input: any, init: any = {}) {
    const from = input instanceof Request ? input : null;
    const method = String(init.method ?? from?.method ?? "GET");
    const body = init.body !== undefined ? init.body : from ? Body.held(from) : null;
    if (body !== null && body !== undefined && /^(GET|HEAD)$/i.test(method)) throw new TypeError("GET and HEAD have no body");
    super(body, init.headers ?? from?.headers);
    this.method = /^(delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method;
    this.url = from ? from.url : new URL(String(input)).href;
    this.signal = init.signal ?? from?.signal ?? null;
    this.redirect = init.redirect ?? from?.redirect ?? "follow";
  }

  clone(): Request {
    return new Request(this);
  }
}

export class Response extends Body {
  readonly status: number;
  readonly statusText: string;
  readonly url: string = "";
  readonly redirected: boolean = false;

  constructor(body: unknown = null, init: any = {}) {
    super(body, init.headers);
    const status = init.status ?? 200;
    if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError(`not a response's status: ${status}`);
    if (body !== null && body !== undefined && (status === 204 || status === 205 || status === 304)) throw new TypeError(`${status} has no body`);
    this.status = status;
    this.statusText = String(init.statusText ?? "");
  }

  get ok(): boolean {
    return this.status >= 200 && this.status <= 299;
  }

  clone(): Response {
    return made(new Response(Body.held(this), this), this.url);
  }

  static json(value: unknown, init: any = {}): Response {
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(JSON.stringify(value), { ...init, headers });
  }

  static redirect(url: unknown, status = 302): Response {
    if (![301, 302, 303, 307, 308].includes(status)) throw new RangeError(`not a redirect's status: ${status}`);
    return new Response(null, { status, headers: { location: String(url) } });
  }

  static error(): Response {
    throw new TypeError("Response.error is not supported");
  }
}

function made(r: Response, url: string): Response {
  Object.defineProperty(r, "url", { value: url });
  return r;
}

function responseOf(answer: { status: number; headers: [string, string][]; body: string | null; url: string }): Response {
  const bodyless = answer.status === 204 || answer.status === 205 || answer.status === 304;
  return made(new Response(bodyless ? null : fromBase64(answer.body), { status: answer.status, headers: answer.headers }), answer.url);
}

/** send asks the host; an integration's name goes along where the call names one. */
export async function send(input: unknown, init: any, more: Record<string, unknown> = {}): Promise<Response> {
  const request = input instanceof Request && init === undefined ? input : new Request(input, init);
  const signal = request.signal;
  signal?.throwIfAborted();
  const answer = call("fetch", {
    ...more, url: request.url, method: request.method, headers: [...request.headers], body: toBase64(Body.held(request)),
  }).then(responseOf);
  if (!signal) return answer;
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    answer.then(resolve, reject);
  });
}

/** requestOf is the Request of an HTTP function. */
export function requestOf(input: { method: string; url: string; headers: [string, string][]; body: string | null }, signal: AbortSignal): Request {
  const bodyless = /^(GET|HEAD)$/.test(input.method);
  return new Request(input.url, { method: input.method, headers: input.headers ?? [], body: bodyless ? undefined : fromBase64(input.body), signal });
}

/** responseOut is what an HTTP function answers, for the host. */
export async function responseOut(response: unknown): Promise<unknown> {
  if (!(response instanceof Response)) throw new TypeError("an HTTP function returns a Response");
  return { status: response.status, headers: [...response.headers], body: toBase64(Body.held(response)) };
}

export function install(): void {
  define("Headers", Headers);
  define("Request", Request);
  define("Response", Response);
  define("fetch", (input: unknown, init?: unknown) => send(input, init));
}
