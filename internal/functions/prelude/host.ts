// The host's functions. They are found once, while the engine is started, and
// kept here: code of the application never sees them.

interface Host {
  call(id: number, method: string, body: string): void;
  log(level: string, text: string): void;
  timer(id: number, ms: number): void;
  untimer(id: number): void;
  random(n: number): Uint8Array;
  digest(algorithm: string, data: Uint8Array): Uint8Array;
  hmac(algorithm: string, key: Uint8Array, data: Uint8Array): Uint8Array;
  encode(text: string): Uint8Array;
  decode(bytes: Uint8Array, fatal: number): string;
  now(): number;
  ascii(host: string): string;
  settle(ok: number, text: string): void;
}

export const host = (globalThis as any).__host as Host;

/** attempt calls a function of the host, whose failures are texts, and throws what wrap makes of one. */
export function attempt<T>(f: () => T, wrap: (text: string) => unknown = (text) => new TypeError(text)): T {
  try {
    return f();
  } catch (e) {
    throw typeof e === "string" ? wrap(e) : e;
  }
}

/** define puts a name of the web into the global scope, as the engine's own are. */
export function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}
