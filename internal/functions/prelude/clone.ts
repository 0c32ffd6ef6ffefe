// structuredClone (HTML), for the types that the language has.

import { define } from "./host";

function clone(value: any, seen: Map<object, unknown>): any {
  if (typeof value === "symbol" || typeof value === "function") {
    throw new DOMException(`a ${typeof value} cannot be cloned`, "DataCloneError");
  }
  if (typeof value !== "object" || value === null) return value;
  const had = seen.get(value);
  if (had !== undefined) return had;
  const keep = <T extends object>(made: T): T => {
    seen.set(value, made);
    return made;
  };
  if (value instanceof Boolean || value instanceof Number || value instanceof String) return keep(Object(value.valueOf()));
  if (value instanceof Date) return keep(new Date(value.getTime()));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (value instanceof DataView) return keep(new DataView(clone(value.buffer, seen), value.byteOffset, value.byteLength));
  if (ArrayBuffer.isView(value)) {
    const view = value as Uint8Array;
    return keep(new (view.constructor as any)(clone(view.buffer, seen), view.byteOffset, view.length));
  }
  if (value instanceof Map) {
    const out = keep(new Map());
    for (const [k, v] of [...value]) out.set(clone(k, seen), clone(v, seen));
    return out;
  }
  if (value instanceof Set) {
    const out = keep(new Set());
    for (const v of [...value]) out.add(clone(v, seen));
    return out;
  }
  if (value instanceof Error) {
    const types: Record<string, ErrorConstructor> = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
    const out = keep(new (types[value.name] ?? Error)(value.message));
    out.stack = value.stack;
    if ("cause" in value) out.cause = clone(value.cause, seen);
    return out;
  }
  if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet || value instanceof WeakRef) {
    throw new DOMException(`a ${value.constructor.name} cannot be cloned`, "DataCloneError");
  }
  const out: any = keep(Array.isArray(value) ? new Array(value.length) : {});
  for (const key of Object.keys(value)) {
    Object.defineProperty(out, key, { value: clone(value[key], seen), writable: true, enumerable: true, configurable: true });
  }
  return out;
}

export function install(): void {
  define("structuredClone", (value: unknown, options: { transfer?: unknown[] } = {}) => {
    const out = clone(value, new Map());
    for (const buffer of options.transfer ?? []) (buffer as any).transfer?.();
    return out;
  });
}
