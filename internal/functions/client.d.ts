  export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

  /** A problem: what the client throws, and what a function may throw for its caller. */
  export interface ProblemInit {
    code?: string;
    details?: string;
    hint?: string;
    status?: number;
    cause?: unknown;
  }
  export class PandoError extends Error {
    constructor(message: string, init?: ProblemInit);
    readonly code: string;
    readonly details: string;
    readonly hint: string;
    readonly status: number;
  }
  /** Chooses the HTTP status that the caller gets. */
  export class HTTPError extends PandoError {
    constructor(status: number, message: string, init?: ProblemInit);
  }

  /** Who and what a call is for. */
  export interface Context {
    readonly auth: {
      readonly uid: string | null;
      readonly role: "anon" | "authenticated" | "service";
      readonly roles: readonly string[];
      readonly email: string | null;
    };
    readonly requestId: string;
    readonly deadline: Date | null;
    readonly name: string;
    /** Of a job: the first try is 1. */
    readonly attempt: number;
    /** Aborted shortly before the deadline. */
    readonly signal: AbortSignal;
  }

  /** An event as CloudEvents 1.0 has it. */
  export interface CloudEvent<Data> {
    readonly specversion: string;
    readonly id: string;
    readonly source: string;
    readonly type: string;
    readonly subject?: string;
    readonly time?: string;
    readonly data: Data;
  }

  type Awaitable<T> = T | Promise<T>;
  export type OperationHandler<Name extends keyof Operations> =
    (input: Operations[Name]["input"], ctx: Context) => Awaitable<Operations[Name]["output"]>;
  export type JobHandler<Name extends keyof Jobs> = (input: Jobs[Name], ctx: Context) => Awaitable<unknown>;
  export type EventHandler<Name extends keyof Events> = (event: CloudEvent<Events[Name]>, ctx: Context) => Awaitable<unknown>;
  export type HTTPHandler = (request: Request, ctx: Context) => Awaitable<Response>;

  // Reading and writing rows.

  interface EntityType {
    Row: object;
    Insert: object;
    Update: object;
  }
  type Trim<S extends string> = S extends ` ${infer R}` ? Trim<R> : S extends `${infer R} ` ? Trim<R> : S;
  type Names<S extends string> = S extends `${infer A},${infer B}` ? Trim<A> | Names<B> : Trim<S>;
  type Embeds = `${string}${"(" | ":" | ">" | "."}${string}`;
  /** The rows of a select: its columns; with relations, casts or paths, whatever they are. */
  type Selected<Row, S extends string> = string extends S ? any
    : Trim<S> extends "*" | "" ? Row
    : S extends Embeds ? any
    : Names<S> extends keyof Row ? Pick<Row, Names<S>>
    : never;

  interface CountOption {
    count?: "exact" | "planned" | "estimated";
  }
  type Counted<O, Rows> = O extends { count: string } ? { rows: Rows; count: number | null } : Rows;
  type Path = `${string}.${string}` | `${string}->${string}`;
  interface Referenced {
    referencedTable?: string;
  }

  /** A read or write with its conditions. It runs when it is awaited, and throws problems. */
  export interface Query<E extends EntityType, One, Result> extends PromiseLike<Result> {
    eq<K extends keyof E["Row"] & string>(column: K, value: E["Row"][K]): this;
    eq(column: Path, value: unknown): this;
    neq<K extends keyof E["Row"] & string>(column: K, value: E["Row"][K]): this;
    neq(column: Path, value: unknown): this;
    gt(column: Column<E>, value: unknown): this;
    gte(column: Column<E>, value: unknown): this;
    lt(column: Column<E>, value: unknown): this;
    lte(column: Column<E>, value: unknown): this;
    like(column: Column<E>, pattern: string): this;
    ilike(column: Column<E>, pattern: string): this;
    likeAllOf(column: Column<E>, patterns: string[]): this;
    likeAnyOf(column: Column<E>, patterns: string[]): this;
    ilikeAllOf(column: Column<E>, patterns: string[]): this;
    ilikeAnyOf(column: Column<E>, patterns: string[]): this;
    is(column: Column<E>, value: boolean | null): this;
    in<K extends keyof E["Row"] & string>(column: K, values: readonly E["Row"][K][]): this;
    in(column: Path, values: readonly unknown[]): this;
    contains(column: Column<E>, value: unknown): this;
    containedBy(column: Column<E>, value: unknown): this;
    overlaps(column: Column<E>, value: unknown): this;
    match(values: Partial<E["Row"]>): this;
    not(column: Column<E>, operator: string, value: unknown): this;
    or(conditions: string, options?: Referenced): this;
    filter(column: Column<E>, operator: string, value: unknown): this;
    textSearch(column: Column<E>, query: string, options?: { config?: string; type?: "plain" | "phrase" | "websearch" }): this;
    order(column: Column<E>, options?: { ascending?: boolean; nullsFirst?: boolean } & Referenced): this;
    limit(count: number, options?: Referenced): this;
    offset(count: number): this;
    range(from: number, to: number, options?: Referenced): this;
    /** Exactly one row; none or many are a problem. */
    single(): Query<E, One, One>;
    /** One row or null; many are a problem. */
    maybeSingle(): Query<E, One, One | null>;
    /** Says which type the rows have, where it cannot be read off the select. */
    returns<T>(): Query<E, T extends (infer R)[] ? R : T, T>;
    catch<T>(reject: (problem: any) => T | PromiseLike<T>): Promise<Result | T>;
    finally(done: () => void): Promise<Result>;
  }
  type Column<E extends EntityType> = (keyof E["Row"] & string) | Path;

  /** A write: it answers no rows unless select says which. */
  export interface Write<E extends EntityType, Result> extends Query<E, null, Result> {
    select(): Query<E, E["Row"], E["Row"][]>;
    select<S extends string>(columns: S): Query<E, Selected<E["Row"], S>, Selected<E["Row"], S>[]>;
  }

  export interface From<E extends EntityType> {
    select(): Query<E, E["Row"], E["Row"][]>;
    select<S extends string, const O extends CountOption & { head?: boolean } = {}>(
      columns: S, options?: O,
    ): Query<E, Selected<E["Row"], S>, Counted<O, O extends { head: true } ? null : Selected<E["Row"], S>[]>>;
    insert<const O extends CountOption & { defaultToNull?: boolean } = {}>(
      rows: E["Insert"] | E["Insert"][], options?: O,
    ): Write<E, Counted<O, null>>;
    upsert<const O extends CountOption & { onConflict?: string; ignoreDuplicates?: boolean; defaultToNull?: boolean } = {}>(
      rows: E["Insert"] | E["Insert"][], options?: O,
    ): Write<E, Counted<O, null>>;
    update<const O extends CountOption = {}>(values: E["Update"], options?: O): Write<E, Counted<O, null>>;
    delete<const O extends CountOption = {}>(options?: O): Write<E, Counted<O, null>>;
  }

  type Call<O extends { input: unknown; output: unknown }> = {} extends O["input"]
    ? (input?: O["input"]) => Promise<O["output"]>
    : (input: O["input"]) => Promise<O["output"]>;

  export interface Client {
    /** An entity by a name that is unique in the application. */
    from<Name extends keyof Entities>(entity: Name): From<Entities[Name]>;
    /** A module's entities. */
    schema<Module extends keyof Modules>(module: Module): {
      from<Name extends keyof Modules[Module]>(entity: Name): From<Modules[Module][Name] & EntityType>;
    };
    /** The same client with the application's own rights. */
    asService(): Client;
    operations: { call<Name extends keyof Operations>(name: Name, input: Operations[Name]["input"]): Promise<Operations[Name]["output"]> } & OperationsByModule;
    events: { publish(name: keyof Events | (string & {}), data?: unknown): Promise<{ id: string }> };
    jobs: {
      enqueue(name: keyof Jobs, input?: unknown, options?: { at?: Date | string; unique?: string; priority?: number }): Promise<{ id: string }>;
      progress(fraction: number, message?: string): Promise<null>;
    };
    secrets: { get(name: string): Promise<string> };
    /** Reserved. */
    files: { [name: string]: (...args: unknown[]) => never };
    integrations: { [Name in Integrations]: { fetch(path: string, init?: RequestInit): Promise<Response> } };
  }

  /** The application, with the caller's rights. */
  export const pando: Client;
  export default pando;
