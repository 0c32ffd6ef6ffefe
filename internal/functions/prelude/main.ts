// What the host calls: dispatch takes every event of a call's life.

import { install as installAbort, AbortController } from "./abort";
import { answered } from "./calls";
import { install as installClone } from "./clone";
import { install as installConsole } from "./console";
import { install as installCrypto, seed } from "./crypto";
import { install as installFetch, requestOf, responseOut } from "./fetch";
import { define, host } from "./host";
import { install as installClient } from "./client";
import { PandoError } from "./problem";
import { due, install as installTimers } from "./timers";
import { install as installText } from "./text";
import { install as installURL } from "./url";

const { parse, stringify } = JSON;
let entry: Record<string, unknown> = {};
const deadline = new AbortController();

interface About {
  export: string;
  kind: string;
  entry: string;
  context: Record<string, unknown>;
  deadline: number;
  seed: number[];
  output: number;
}

export function dispatch(kind: string, a: any, b: any, c: any): void {
  switch (kind) {
    case "entry":
      entry = a;
      return;
    case "start":
      void start(a, b);
      return;
    case "result":
      answered(Number(a), b !== "", c);
      return;
    case "timer":
      try {
        due(Number(a));
      } catch (e) {
        fail(e);
      }
      return;
    case "abort":
      deadline.abort(new DOMException("the call's deadline is near", "TimeoutError"));
      return;
  }
}

async function start(aboutText: string, inputText: string): Promise<void> {
  try {
    const about = parse(aboutText) as About;
    seed(about.seed);
    const handler = entry[about.export];
    if (typeof handler !== "function") {
      throw new TypeError(`${about.entry} exports no function ${about.export}`);
    }
    const context = { ...about.context, deadline: about.deadline ? new Date(about.deadline) : null, signal: deadline.signal };
    const http = about.kind === "http";
    const input = parse(inputText);
    const output = await handler(http ? requestOf(input, deadline.signal) : input, context);
    const text = write(http ? await responseOut(output) : output);
    if (text.length > about.output) {
      throw new OutputError(`the function returned ${text.length} bytes, and ${about.output} is the limit`);
    }
    host.settle(1, text);
  } catch (e) {
    fail(e);
  }
}

/** OutputError is what is wrong with a result. */
class OutputError extends Error {}

/** write is the result as JSON, and nothing that JSON would change silently. */
function write(value: unknown): string {
  if (value === undefined) return "null";
  let text: string | undefined;
  try {
    text = stringify(value, function (this: unknown, key: string, v: unknown) {
      if (typeof v === "number" && !Number.isFinite(v)) {
        throw new OutputError(`the function returned ${v}${key === "" ? "" : ` in ${JSON.stringify(key)}`}, which JSON does not have`);
      }
      if (typeof v === "bigint") {
        throw new OutputError(`the function returned a BigInt${key === "" ? "" : ` in ${JSON.stringify(key)}`}, which JSON does not have: return Number(it) or String(it)`);
      }
      return v;
    });
  } catch (e) {
    if (e instanceof TypeError && /circular/i.test(e.message)) {
      throw new OutputError("the function returned a value that contains itself, which JSON does not have");
    }
    throw e;
  }
  if (text === undefined) throw new OutputError(`the function returned a ${typeof value}, which JSON does not have`);
  return text;
}

/** fail ends the call with what was thrown. */
function fail(thrown: unknown): void {
  let text: string;
  try {
    text = stringify(describe(thrown));
  } catch {
    text = '{"message":"an exception that cannot be read"}';
  }
  host.settle(0, text);
}

const string = (v: unknown) => (typeof v === "string" ? v.slice(0, 8192) : "");

function describe(thrown: unknown): Record<string, unknown> {
  if (thrown instanceof OutputError) return { output: true, message: string(thrown.message) };
  if (thrown instanceof PandoError) {
    return {
      public: true, message: string(thrown.message), code: string(thrown.code), details: string(thrown.details),
      hint: string(thrown.hint), status: Number.isInteger(thrown.status) ? thrown.status : 0,
    };
  }
  if (thrown instanceof Error) {
    return { name: string(thrown.name), message: string(thrown.message), stack: string(thrown.stack) };
  }
  return { name: "Error", message: `threw ${typeof thrown === "object" ? "an object that is no Error" : String(thrown)}` };
}

installTimers();
installText();
installAbort();
installClone();
installConsole();
installCrypto();
installURL();
installFetch();
installClient();
define("performance", { now: () => host.now(), get timeOrigin() { return Date.now() - host.now(); } });
define("self", globalThis);
