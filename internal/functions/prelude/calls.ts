// Calls of the host: each is a promise that the host's answer settles.

import { attempt, host } from "./host";
import { PandoError } from "./problem";

const { parse, stringify } = JSON;
const pending = new Map<number, { resolve: (v: any) => void; reject: (e: unknown) => void; from: Error }>();
let last = 0;

/** call asks the host; its problems are thrown as PandoErrors. */
export function call(method: string, body: unknown): Promise<any> {
  return new Promise((resolve, reject) => {
    const id = ++last;
    const text = stringify(body);
    attempt(() => host.call(id, method, text), (reason) => new PandoError(reason, { code: "limit_exceeded", status: 500 }));
    pending.set(id, { resolve, reject, from: new Error() });
  });
}

/** answered settles a call with what the host said. */
export function answered(id: number, ok: boolean, text: string): void {
  const asked = pending.get(id);
  if (!asked) return;
  pending.delete(id);
  if (ok) {
    asked.resolve(parse(text));
    return;
  }
  const p = parse(text);
  const error = new PandoError(p.message, p);
  // The stack of the one who asked: that of the answer leads nowhere.
  error.stack = asked.from.stack;
  asked.reject(error);
}
