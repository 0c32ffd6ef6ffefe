// Timers of the HTML standard, less code in texts.

import { attempt, define, host } from "./host";

interface Timer {
  run: (...args: any[]) => void;
  args: any[];
  every: number; // ms; 0: once
}

const timers = new Map<number, Timer>();
let last = 0;

function set(run: unknown, ms: unknown, args: any[], repeat: boolean): number {
  if (typeof run !== "function") throw new TypeError("a timer needs a function");
  const wait = Math.max(1, Number(ms) || 0);
  const id = ++last;
  attempt(() => host.timer(id, wait), (text) => new Error(text));
  timers.set(id, { run: run as Timer["run"], args, every: repeat ? wait : 0 });
  return id;
}

function clear(id: unknown): void {
  if (timers.delete(id as number)) host.untimer(id as number);
}

/** due runs a timer. */
export function due(id: number): void {
  const timer = timers.get(id);
  if (!timer) return;
  if (timer.every > 0) host.timer(id, timer.every);
  else timers.delete(id);
  timer.run(...timer.args);
}

export function install(): void {
  define("setTimeout", (run: unknown, ms?: unknown, ...args: any[]) => set(run, ms, args, false));
  define("setInterval", (run: unknown, ms?: unknown, ...args: any[]) => set(run, ms, args, true));
  define("clearTimeout", clear);
  define("clearInterval", clear);
}
