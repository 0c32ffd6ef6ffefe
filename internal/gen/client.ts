/**
 * The client of APPLICATION: VERSION of its API. Written by `pando client ts`; do
 * not edit, run it again when a module changes.
 *
 *     import { createPando } from "./index.js";
 *
 *     const app = createPando({ url: "http://127.0.0.1:7263", key });
 *     const { data, error } = await app.from.ENTITY.select();
 *     const answer = await app.rpc.OPERATION({ ... });
 *
 * An entity is postgrest-js's builder: select, insert, update, upsert and delete,
 * with filters. An operation takes its input and answers its output. Both resolve
 * to { data, error }; with .throwOnError() they throw the error.
 *
 * The users of an application sign in with supabase-js, whose session this takes:
 *
 *     createPando({ url, key, accessToken: async () =>
 *       (await supabase.auth.getSession()).data.session?.access_token });
 */

import { PostgrestClient } from "@supabase/postgrest-js";

// --- the types ---

type Input<
  M extends keyof Schemas,
  O extends keyof Schemas[M]["Functions"],
> = Exclude<Get<Schemas[M]["Functions"][O], "Args">, { "": unknown }>;

export interface PandoOptions {
  /** Where the API is served. */
  url: string;
  /** A publishable key, or on a server a secret one. */
  key: string;
  /** The token of the user who calls, asked for at each request. */
  accessToken?: () => Promise<string | null | undefined>;
  /** Sends the requests; default: the global fetch. */
  fetch?: typeof fetch;
}

export type Pando = ReturnType<typeof createPando>;

export function createPando(options: PandoOptions) {
  const rest = new PostgrestClient<Database>(
    options.url.replace(/\/$/, "") + "/rest/VERSION",
    {
      headers: { apikey: options.key },
      fetch: async (input, init) => {
        const headers = new Headers(init?.headers);
        const token = await options.accessToken?.();
        if (token) headers.set("Authorization", `Bearer ${token}`);
        return (options.fetch ?? fetch)(input, { ...init, headers });
      },
    },
  );
  return {
    /** The client beneath, for what has no name here. */
    rest,
    // --- the members ---
  };
}
