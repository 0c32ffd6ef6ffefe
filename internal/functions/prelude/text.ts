// TextEncoder and TextDecoder (WHATWG Encoding) for UTF-8.

import { attempt, define, host } from "./host";

export function bytesOf(source: any): Uint8Array {
  if (source instanceof Uint8Array) return source;
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  throw new TypeError("expected an ArrayBuffer or a view of one");
}

export function encode(text: string): Uint8Array {
  return host.encode(text.toWellFormed());
}

export function decode(bytes: Uint8Array): string {
  const text = host.decode(bytes, 0);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

class TextEncoder {
  get encoding(): string {
    return "utf-8";
  }

  encode(text: unknown = ""): Uint8Array {
    return encode(String(text));
  }

  encodeInto(text: string, into: Uint8Array): { read: number; written: number } {
    let read = 0;
    let written = 0;
    for (const char of String(text)) {
      const bytes = encode(char);
      if (written + bytes.length > into.length) break;
      into.set(bytes, written);
      read += char.length;
      written += bytes.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  #rest = new Uint8Array(0);
  #begun = false;

  constructor(label: unknown = "utf-8", options: { fatal?: boolean; ignoreBOM?: boolean } = {}) {
    if (!/^(?:unicode-1-1-|x-)?utf-?8$/i.test(String(label).trim())) {
      throw new RangeError(`The encoding ${label} is not supported: utf-8 is`);
    }
    this.fatal = Boolean(options.fatal);
    this.ignoreBOM = Boolean(options.ignoreBOM);
  }

  get encoding(): string {
    return "utf-8";
  }

  decode(source?: unknown, options: { stream?: boolean } = {}): string {
    let bytes = source === undefined ? new Uint8Array(0) : bytesOf(source);
    if (this.#rest.length > 0) {
      const joined = new Uint8Array(this.#rest.length + bytes.length);
      joined.set(this.#rest);
      joined.set(bytes, this.#rest.length);
      bytes = joined;
    }
    let end = bytes.length;
    if (options.stream) end -= unfinished(bytes);
    this.#rest = bytes.slice(end);
    let text = attempt(() => host.decode(bytes.subarray(0, end), this.fatal ? 1 : 0));
    if (!this.#begun && !this.ignoreBOM && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    this.#begun = options.stream === true && (this.#begun || text.length > 0);
    return text;
  }
}

/** unfinished is how many bytes at the end begin a character without ending it. */
function unfinished(bytes: Uint8Array): number {
  for (let n = 1; n <= 3 && n <= bytes.length; n++) {
    const b = bytes[bytes.length - n]!;
    if (b >= 0xc0) {
      const needs = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2;
      return needs > n ? n : 0;
    }
    if (b < 0x80) return 0;
  }
  return 0;
}

export function install(): void {
  define("TextEncoder", TextEncoder);
  define("TextDecoder", TextDecoder);
}
