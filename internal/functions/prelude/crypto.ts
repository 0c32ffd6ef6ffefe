// crypto (Web Cryptography): randomness, digests and HMAC. The host computes;
// Math.random is seeded by the host at the beginning of each call, since all
// calls begin with the same memory.

import { attempt, define, host } from "./host";
import { bytesOf } from "./text";

const state = new Uint32Array([0x9e3779b9, 0x243f6a88, 0xb7e15162, 1]);

/** seed gives Math.random 16 bytes. */
export function seed(bytes: number[]): void {
  for (let i = 0; i < 4; i++) {
    state[i] = (bytes[4 * i]! | (bytes[4 * i + 1]! << 8) | (bytes[4 * i + 2]! << 16) | (bytes[4 * i + 3]! << 24)) >>> 0;
  }
  for (let i = 0; i < 12; i++) next();
}

/** next is sfc32 (PractRand). */
function next(): number {
  const t = (state[0]! + state[1]! + state[3]!) | 0;
  state[3] = state[3]! + 1;
  state[0] = state[1]! ^ (state[1]! >>> 9);
  state[1] = state[2]! + (state[2]! << 3);
  state[2] = ((state[2]! << 21) | (state[2]! >>> 11)) + t;
  return t >>> 0;
}

const random = (n: number) => attempt(() => host.random(n), (text) => new Error(text));

function getRandomValues<T extends ArrayBufferView>(into: T): T {
  if (!ArrayBuffer.isView(into) || into instanceof Float32Array || into instanceof Float64Array || into instanceof DataView) {
    throw new DOMException("expected an array of integers", "TypeMismatchError");
  }
  if (into.byteLength > 65536) throw new DOMException("at most 65536 bytes at a time", "QuotaExceededError");
  bytesOf(into).set(random(into.byteLength));
  return into;
}

function randomUUID(): string {
  const b = random(16);
  b[6] = (b[6]! & 0x0f) | 0x40;
  b[8] = (b[8]! & 0x3f) | 0x80;
  const hex = (b as any).toHex() as string;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const hashes: Record<string, { bits: number; block: number }> = {
  "SHA-1": { bits: 160, block: 64 },
  "SHA-256": { bits: 256, block: 64 },
  "SHA-384": { bits: 384, block: 128 },
  "SHA-512": { bits: 512, block: 128 },
};

function hashOf(algorithm: any): string {
  const name = String(typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm).toUpperCase();
  if (!Object.hasOwn(hashes, name)) throw new DOMException(`${name} is not supported`, "NotSupportedError");
  return name;
}

function hmacOf(algorithm: any): void {
  const name = String(typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm).toUpperCase();
  if (name !== "HMAC") throw new DOMException(`${name} is not supported: HMAC is`, "NotSupportedError");
}

const secrets = new WeakMap<CryptoKey, Uint8Array>();

class CryptoKey {
  readonly type = "secret";
  readonly extractable: boolean;
  readonly usages: string[];
  readonly algorithm: { name: "HMAC"; hash: { name: string }; length: number };

  constructor(secret: Uint8Array, hash: string, extractable: boolean, usages: string[]) {
    secrets.set(this, secret);
    this.extractable = extractable;
    this.usages = usages;
    this.algorithm = { name: "HMAC", hash: { name: hash }, length: secret.length * 8 };
  }
}

function secretOf(key: CryptoKey, usage?: string): Uint8Array {
  const secret = secrets.get(key);
  if (!secret) throw new TypeError("expected a CryptoKey");
  if (usage && !key.usages.includes(usage)) throw new DOMException(`the key is not for ${usage}`, "InvalidAccessError");
  return secret;
}

const exact = (bytes: Uint8Array) => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const url = { alphabet: "base64url", omitPadding: true };

const subtle = {
  async digest(algorithm: unknown, data: unknown) {
    const name = hashOf(algorithm);
    const bytes = bytesOf(data);
    return exact(host.digest(name, bytes));
  },

  async importKey(format: string, data: any, algorithm: any, extractable: boolean, usages: string[]) {
    hmacOf(algorithm);
    const hash = hashOf(algorithm.hash);
    let secret: Uint8Array;
    if (format === "raw") secret = bytesOf(data).slice();
    else if (format === "jwk" && data?.kty === "oct") secret = (Uint8Array as any).fromBase64(data.k, { alphabet: "base64url" });
    else throw new DOMException(`keys of the format ${format} are not supported: raw and jwk are`, "NotSupportedError");
    if (secret.length === 0) throw new DOMException("the key is empty", "DataError");
    return new CryptoKey(secret, hash, Boolean(extractable), [...usages]);
  },

  async exportKey(format: string, key: CryptoKey) {
    const secret = secretOf(key);
    if (!key.extractable) throw new DOMException("the key is not extractable", "InvalidAccessError");
    if (format === "raw") return exact(secret);
    if (format !== "jwk") throw new DOMException(`keys of the format ${format} are not supported: raw and jwk are`, "NotSupportedError");
    return { kty: "oct", k: (secret as any).toBase64(url), alg: `HS${key.algorithm.hash.name.slice(4)}`, ext: true, key_ops: key.usages };
  },

  async generateKey(algorithm: any, extractable: boolean, usages: string[]) {
    hmacOf(algorithm);
    const hash = hashOf(algorithm.hash);
    return new CryptoKey(random((algorithm.length ?? hashes[hash]!.block * 8) / 8), hash, Boolean(extractable), [...usages]);
  },

  async sign(algorithm: unknown, key: CryptoKey, data: unknown) {
    hmacOf(algorithm);
    const secret = secretOf(key, "sign");
    const bytes = bytesOf(data);
    return exact(host.hmac(key.algorithm.hash.name, secret, bytes));
  },

  async verify(algorithm: unknown, key: CryptoKey, signature: unknown, data: unknown) {
    hmacOf(algorithm);
    const secret = secretOf(key, "verify");
    const bytes = bytesOf(data);
    const want = host.hmac(key.algorithm.hash.name, secret, bytes);
    const got = bytesOf(signature);
    if (got.length !== want.length) return false;
    let different = 0;
    for (let i = 0; i < want.length; i++) different |= want[i]! ^ got[i]!;
    return different === 0;
  },
};

export function install(): void {
  Object.defineProperty(Math, "random", { value: () => (next() * 0x200000 + (next() >>> 11)) / 0x20000000000000, writable: true, configurable: true });
  define("CryptoKey", CryptoKey);
  define("crypto", { getRandomValues, randomUUID, subtle });
}
