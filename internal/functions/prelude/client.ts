// The client pando: everything that a function reaches of its application.

import { call } from "./calls";
import { send, Response } from "./fetch";
import { HTTPError, PandoError } from "./problem";
import { From } from "./query";
import { URL } from "./url";

/** names is an object whose every property, at depth levels, is what make says of the path. */
function names(depth: number, make: (path: string[]) => unknown, path: string[] = []): any {
  return new Proxy(Object.create(null), {
    get(_, name) {
      if (typeof name !== "string" || name === "then") return undefined;
      const here = [...path, name];
      return here.length === depth ? make(here) : names(depth, make, here);
    },
  });
}

function client(service: boolean) {
  const operation = (name: string, input: unknown = {}) => call("operation", { service, name, input });
  return {
    from: (entity: string) => new From({ service, module: "", entity }),
    schema: (module: string) => ({ from: (entity: string) => new From({ service, module, entity }) }),
    asService: () => asService,
    operations: new Proxy(Object.create(null), {
      get(_, name) {
        if (name === "call") return operation;
        if (typeof name !== "string" || name === "then") return undefined;
        return names(2, ([module, op]) => (input: unknown) => operation(`${module}.${op}`, input), [name]);
      },
    }),
    events: { publish: (name: string, data: unknown = null) => call("publish", { name, data }) },
    jobs: {
      enqueue: (name: string, input: unknown = null, options: { at?: Date | string; unique?: string; priority?: number } = {}) =>
        call("enqueue", {
          name, input, at: options.at === undefined ? null : new Date(options.at).toISOString(),
          unique: options.unique ?? null, priority: options.priority ?? null,
        }),
      progress: (fraction: number, message = "") => call("progress", { fraction, message }),
    },
    secrets: { get: (name: string) => call("secret", { name }) },
    files: names(1, ([name]) => () => {
      throw new PandoError(`pando.files.${name} is not there yet`, { code: "PGRST127", status: 501 });
    }),
    integrations: names(1, ([integration]) => ({
      fetch: (path: unknown, init?: unknown): Promise<Response> => send(new URL(String(path), `https://${integration}.integration.invalid/`).href, init, { integration, path: String(path) }),
    })),
  };
}

let asService: ReturnType<typeof client>;

export function install(): void {
  asService = client(true);
  const exported = Object.freeze({ pando: client(false), PandoError, HTTPError });
  Object.defineProperty(globalThis, Symbol.for("pando.client"), { value: exported });
}
