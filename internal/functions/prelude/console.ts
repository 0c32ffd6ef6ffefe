// console: each line goes to the node's log, with the request's id.

import { define, host } from "./host";

const most = 8192; // characters of a line

/** show writes a value as a reader wants to see it. */
export function show(value: unknown, depth = 0, above: unknown[] = []): string {
  switch (typeof value) {
    case "string":
      return depth === 0 ? value : JSON.stringify(value);
    case "function":
      return `[function ${value.name || "anonymous"}]`;
    case "bigint":
      return `${value}n`;
    case "object":
      break;
    default:
      return String(value);
  }
  if (value === null) return "null";
  if (value instanceof Error) {
    const head = String(value);
    const stack = String(value.stack ?? "").trimEnd();
    const cause = value.cause === undefined ? "" : `\n[cause]: ${show(value.cause, depth + 1, [...above, value])}`;
    return (stack.startsWith(head) ? stack : stack ? `${head}\n${stack}` : head) + cause;
  }
  if (above.includes(value)) return "[circular]";
  if (depth > 4) return Array.isArray(value) ? "[array]" : "[object]";
  const inside = [...above, value];
  const more = (list: string[], n: number) => (n > list.length ? [...list, `... ${n - list.length} more`] : list);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof RegExp) return String(value);
  if (value instanceof Promise) return "[promise]";
  if (Array.isArray(value)) {
    return `[${more(value.slice(0, 100).map((v) => show(v, depth + 1, inside)), value.length).join(", ")}]`;
  }
  if (value instanceof Map) {
    return `Map {${more([...value].slice(0, 100).map(([k, v]) => `${show(k, depth + 1, inside)} => ${show(v, depth + 1, inside)}`), value.size).join(", ")}}`;
  }
  if (value instanceof Set) {
    return `Set {${more([...value].slice(0, 100).map((v) => show(v, depth + 1, inside)), value.size).join(", ")}}`;
  }
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
  const keys = Object.keys(value);
  const name = value.constructor && value.constructor !== Object ? `${value.constructor.name} ` : "";
  return `${name}{${more(keys.slice(0, 100).map((k) => `${k}: ${show((value as any)[k], depth + 1, inside)}`), keys.length).join(", ")}}`;
}

function line(values: unknown[]): string {
  let text = "";
  for (const v of values) {
    if (text !== "") text += " ";
    try {
      text += show(v);
    } catch {
      text += "[a value that cannot be shown]";
    }
    if (text.length > most) return `${text.slice(0, most)}...`;
  }
  return text;
}

export function install(): void {
  const began = new Map<string, number>();
  const counts = new Map<string, number>();
  const at = (level: string) => (...values: unknown[]) => host.log(level, line(values));
  const console = {
    log: at("info"), info: at("info"), debug: at("debug"), warn: at("warn"), error: at("error"),
    trace: (...values: unknown[]) => host.log("debug", `${line(values)}\n${new Error().stack}`),
    dir: (value: unknown) => host.log("info", line([value])),
    table: (value: unknown) => host.log("info", line([value])),
    assert: (ok: unknown, ...values: unknown[]) => {
      if (!ok) host.log("error", `assertion failed: ${line(values)}`);
    },
    time: (label = "default") => void began.set(label, host.now()),
    timeEnd: (label = "default") => {
      host.log("info", `${label}: ${(host.now() - (began.get(label) ?? host.now())).toFixed(3)} ms`);
      began.delete(label);
    },
    timeLog: (label = "default") => host.log("info", `${label}: ${(host.now() - (began.get(label) ?? host.now())).toFixed(3)} ms`),
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      host.log("info", `${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    group: at("info"), groupCollapsed: at("info"), groupEnd: () => {},
  };
  define("console", console);
}
