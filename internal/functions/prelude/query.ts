// The builder of queries: postgrest-js's, but it resolves to rows and throws
// problems.

import { call } from "./calls";
import { PandoError } from "./problem";

const reserved = /[,()"\\:]|^\s|\s$|^$/;

/** literal is a value inside of a list or a condition. */
function literal(value: unknown): string {
  const text = write(value);
  return reserved.test(text) || text === "null" ? `"${text.replace(/[\\"]/g, "\\$&")}"` : text;
}

function write(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "object" && value !== null) return JSON.stringify(value);
  return String(value);
}

const escape = encodeURIComponent;

interface Target {
  service: boolean;
  module: string;
  entity: string;
}

interface CountOption {
  count?: "exact" | "planned" | "estimated";
}

/** Query is one read or write; it runs when it is awaited, once. */
export class Query {
  #target: Target;
  #method = "GET";
  #query: [string, string][] = [];
  #prefer: string[] = [];
  #body: unknown = undefined;
  #single: "" | "one" | "maybe" = "";
  #counts = false;
  #returns = true;
  #running: Promise<any> | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  // What to do.

  select(columns = "*", options: CountOption & { head?: boolean } = {}): this {
    let quoted = false;
    const clean = [...columns].map((c) => {
      if (c === '"') quoted = !quoted;
      return /\s/.test(c) && !quoted ? "" : c;
    }).join("");
    this.#set("select", clean);
    if (this.#method === "GET") {
      if (options.head) this.#method = "HEAD";
    } else {
      this.#returns = true;
    }
    return this.#count(options);
  }

  insert(rows: unknown, options: CountOption & { defaultToNull?: boolean } = {}): this {
    return this.#write("POST", rows, options).#columns(rows, options.defaultToNull);
  }

  upsert(rows: unknown, options: CountOption & { onConflict?: string; ignoreDuplicates?: boolean; defaultToNull?: boolean } = {}): this {
    this.#prefer.push(`resolution=${options.ignoreDuplicates ? "ignore" : "merge"}-duplicates`);
    if (options.onConflict !== undefined) this.#set("on_conflict", options.onConflict);
    return this.#write("POST", rows, options).#columns(rows, options.defaultToNull);
  }

  update(values: unknown, options: CountOption = {}): this {
    return this.#write("PATCH", values, options);
  }

  delete(options: CountOption = {}): this {
    return this.#write("DELETE", undefined, options);
  }

  #write(method: string, body: unknown, options: CountOption): this {
    this.#method = method;
    this.#body = body;
    this.#returns = false;
    return this.#count(options);
  }

  #columns(rows: unknown, defaultToNull = true): this {
    if (!defaultToNull) this.#prefer.push("missing=default");
    if (Array.isArray(rows)) {
      const names = [...new Set(rows.flatMap((row) => Object.keys(row ?? {})))];
      if (names.length > 0) this.#set("columns", names.map((n) => `"${n}"`).join(","));
    }
    return this;
  }

  #count(options: CountOption): this {
    if (options.count) {
      this.#prefer.push(`count=${options.count}`);
      this.#counts = true;
    }
    return this;
  }

  #set(name: string, value: string): this {
    this.#query = this.#query.filter(([n]) => n !== name);
    this.#query.push([name, value]);
    return this;
  }

  #where(column: string, condition: string): this {
    this.#query.push([column, condition]);
    return this;
  }

  // Which rows.

  eq(column: string, value: unknown): this { return this.#where(column, `eq.${write(value)}`); }
  neq(column: string, value: unknown): this { return this.#where(column, `neq.${write(value)}`); }
  gt(column: string, value: unknown): this { return this.#where(column, `gt.${write(value)}`); }
  gte(column: string, value: unknown): this { return this.#where(column, `gte.${write(value)}`); }
  lt(column: string, value: unknown): this { return this.#where(column, `lt.${write(value)}`); }
  lte(column: string, value: unknown): this { return this.#where(column, `lte.${write(value)}`); }
  like(column: string, pattern: string): this { return this.#where(column, `like.${pattern}`); }
  ilike(column: string, pattern: string): this { return this.#where(column, `ilike.${pattern}`); }
  likeAllOf(column: string, patterns: string[]): this { return this.#where(column, `like(all).{${patterns.join(",")}}`); }
  likeAnyOf(column: string, patterns: string[]): this { return this.#where(column, `like(any).{${patterns.join(",")}}`); }
  ilikeAllOf(column: string, patterns: string[]): this { return this.#where(column, `ilike(all).{${patterns.join(",")}}`); }
  ilikeAnyOf(column: string, patterns: string[]): this { return this.#where(column, `ilike(any).{${patterns.join(",")}}`); }
  is(column: string, value: boolean | null): this { return this.#where(column, `is.${value}`); }
  in(column: string, values: readonly unknown[]): this { return this.#where(column, `in.(${[...new Set(values)].map(literal).join(",")})`); }
  contains(column: string, value: unknown): this { return this.#where(column, `cs.${container(value)}`); }
  containedBy(column: string, value: unknown): this { return this.#where(column, `cd.${container(value)}`); }
  overlaps(column: string, value: unknown): this { return this.#where(column, `ov.${container(value)}`); }
  match(values: Record<string, unknown>): this {
    for (const [column, value] of Object.entries(values)) this.eq(column, value);
    return this;
  }
  not(column: string, operator: string, value: unknown): this { return this.#where(column, `not.${operator}.${write(value)}`); }
  or(conditions: string, options: { referencedTable?: string } = {}): this {
    return this.#where(options.referencedTable ? `${options.referencedTable}.or` : "or", `(${conditions})`);
  }
  filter(column: string, operator: string, value: unknown): this { return this.#where(column, `${operator}.${write(value)}`); }
  textSearch(column: string, query: string, options: { config?: string; type?: "plain" | "phrase" | "websearch" } = {}): this {
    const type = { plain: "pl", phrase: "ph", websearch: "w" }[options.type as "plain"] ?? "";
    return this.#where(column, `${type}fts${options.config ? `(${options.config})` : ""}.${query}`);
  }

  // How many, and in which order.

  order(column: string, options: { ascending?: boolean; nullsFirst?: boolean; referencedTable?: string } = {}): this {
    const name = options.referencedTable ? `${options.referencedTable}.order` : "order";
    const before = this.#query.find(([n]) => n === name)?.[1];
    const nulls = options.nullsFirst === undefined ? "" : options.nullsFirst ? ".nullsfirst" : ".nullslast";
    const term = `${column}.${options.ascending === false ? "desc" : "asc"}${nulls}`;
    return this.#set(name, before ? `${before},${term}` : term);
  }
  limit(count: number, options: { referencedTable?: string } = {}): this {
    return this.#set(options.referencedTable ? `${options.referencedTable}.limit` : "limit", String(count));
  }
  offset(count: number): this { return this.#set("offset", String(count)); }
  range(from: number, to: number, options: { referencedTable?: string } = {}): this {
    const prefix = options.referencedTable ? `${options.referencedTable}.` : "";
    return this.#set(`${prefix}offset`, String(from)).#set(`${prefix}limit`, String(to - from + 1));
  }
  single(): this {
    this.#single = "one";
    return this;
  }
  maybeSingle(): this {
    this.#single = "maybe";
    return this;
  }

  /** returns says which type the rows have; it does nothing. */
  returns(): this { return this; }

  // The answer.

  then<A, B>(resolve?: ((rows: any) => A | PromiseLike<A>) | null, reject?: ((e: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return (this.#running ??= this.#run()).then(resolve, reject);
  }
  catch<B>(reject?: ((e: unknown) => B | PromiseLike<B>) | null): Promise<any> { return this.then(undefined, reject); }
  finally(done?: (() => void) | null): Promise<any> { return this.then().finally(done); }

  async #run(): Promise<any> {
    const reads = this.#method === "GET" || this.#method === "HEAD";
    const prefer = reads ? this.#prefer : [`return=${this.#returns ? "representation" : "minimal"}`, ...this.#prefer];
    const answer = await call("rows", {
      service: this.#target.service, method: this.#method, module: this.#target.module, entity: this.#target.entity,
      query: this.#query.map(([n, v]) => `${escape(n)}=${escape(v)}`).join("&"),
      prefer: prefer.join(","), single: this.#single === "one", body: this.#body,
    });
    let rows = this.#method === "HEAD" || !this.#returns ? null : answer.body;
    if (this.#single === "maybe" && Array.isArray(rows)) {
      if (rows.length > 1) {
        throw new PandoError("Cannot coerce the result to a single JSON object", {
          code: "PGRST116", details: `The result contains ${rows.length} rows`, hint: "add a filter, or .limit(1)", status: 406,
        });
      }
      rows = rows[0] ?? null;
    }
    return this.#counts ? { rows, count: answer.count } : rows;
  }
}

function container(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return JSON.stringify(value);
  return `{${value.map((v) => (/[,{}"\\\s]|^$|^null$/i.test(write(v)) ? `"${write(v).replace(/[\\"]/g, "\\$&")}"` : write(v))).join(",")}}`;
}

/** From is an entity before it is said what to do with it. */
export class From {
  #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  select(columns?: string, options?: CountOption & { head?: boolean }): Query { return new Query(this.#target).select(columns, options); }
  insert(rows: unknown, options?: any): Query { return new Query(this.#target).insert(rows, options); }
  upsert(rows: unknown, options?: any): Query { return new Query(this.#target).upsert(rows, options); }
  update(values: unknown, options?: any): Query { return new Query(this.#target).update(values, options); }
  delete(options?: any): Query { return new Query(this.#target).delete(options); }
}
