/** A relation by its name, for select. It is no operation. */
type Relation<
  From extends string,
  To extends string,
  Kind extends "one" | "one or none" | "many",
> = {
  Args: { "": unknown };
  Returns: { error: true } & `A relation of ${From} is selected, not called`;
  SetofOptions: {
    from: From;
    to: To;
    isOneToOne: Kind extends "many" ? false : true;
    isSetofReturn: true;
    isNotNullable: Kind extends "one" ? true : false;
  };
};

type Schemas = Omit<Database, "__InternalSupabase">;
type InSchema = { schema: keyof Schemas };
type Get<T, K> = K extends keyof T ? T[K] : never;
type Readable<S extends keyof Schemas> = Schemas[S]["Tables"] &
  Schemas[S]["Views"];
type Named<N, T, Kind extends "Tables" | "Views" | "Enums"> = N extends InSchema
  ? Get<Schemas[N["schema"]][Kind], T>
  : Get<Schemas["public"][Kind], N>;

/** A row: Tables<"orders">, or Tables<{ schema: "shop" }, "orders">. */
export type Tables<
  N extends keyof Readable<"public"> | InSchema,
  T extends (N extends InSchema ? keyof Readable<N["schema"]> : never) = never,
> = Get<Named<N, T, "Tables"> | Named<N, T, "Views">, "Row">;

/** What is inserted. */
export type TablesInsert<
  N extends keyof Schemas["public"]["Tables"] | InSchema,
  T extends (N extends InSchema
    ? keyof Schemas[N["schema"]]["Tables"]
    : never) = never,
> = Get<Named<N, T, "Tables">, "Insert">;

/** What is changed. */
export type TablesUpdate<
  N extends keyof Schemas["public"]["Tables"] | InSchema,
  T extends (N extends InSchema
    ? keyof Schemas[N["schema"]]["Tables"]
    : never) = never,
> = Get<Named<N, T, "Tables">, "Update">;

/** One word of an enum, which is called entity_field. */
export type Enums<
  N extends keyof Schemas["public"]["Enums"] | InSchema,
  T extends (N extends InSchema ? keyof Schemas[N["schema"]]["Enums"] : never) =
    never,
> = Named<N, T, "Enums">;
