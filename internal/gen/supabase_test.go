package gen_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/test/types/tstest"
)

// marketModules is an application with every kind of relation.
func marketModules() map[string]string {
	return map[string]string{
		"modules/catalog.yaml": `module: catalog
entities:
  products:
    doc: What is sold.
    fields:
      id:     { type: int, primary: true }
      name:   { type: text, doc: As on the label. }
      price:  { type: decimal, scale: 2 }
      rating: { type: float, optional: true }
      status: { type: enum, values: [draft, listed], default: draft }
      colours: { type: enum, values: [red, "light blue"], list: true, optional: true }
      tags:   { type: text, list: true, default: [] }
      meta:   { type: json, optional: true }
      data:   { type: json, default: {} }
      cost:   { type: decimal, scale: 2, default: 0, read: "'boss' in auth.roles" }
      pin:    { type: text, optional: true, hidden: true }
      live:   { type: bool, default: true }
      parent_id: { ref: products, optional: true, inverse: variants }
    policy: { read: "true", create: "true", update: "true" }
  tokens:
    fields: { name: { type: text } }
`,
		"modules/orders.yaml": `module: orders
entities:
  customers:
    fields: { name: { type: text } }
    policy: { read: "true" }
  orders:
    fields:
      buyer_id:  { ref: customers, inverse: bought }
      seller_id: { ref: customers, inverse: sold, optional: true }
      user_id:   { ref: auth.users, on_delete: restrict }
      note:      { type: text, optional: true, was: remark }
    policy: { read: "true", create: "true" }
  lines:
    fields:
      order_id:   { ref: orders }
      product_id: { ref: catalog.products }
      qty:        { type: int }
    unique: [[order_id, product_id]]
    policy: { read: "true" }
  invoices:
    fields: { order_id: { ref: orders }, number: { type: int } }
    unique: [[order_id]]
    policy: { read: "true" }
  tokens:
    fields: { hash: { type: text }, order_id: { ref: orders } }
    policy: { read: "true" }
  receipts:
    since: v2
    fields: { text: { type: text } }
    policy: { read: "true" }
operations:
  place:
    doc: Places an order.
    input:  { lines: { list: true, fields: { product_id: { ref: catalog.products }, qty: int } }, note: { type: text, optional: true }, how: { type: enum, values: [now, later] } }
    output: orders
    allow:  "true"
    run:    go
  recent: { output: { of: orders, list: true }, allow: "true", reads: true, run: go }
  total:  { output: { fields: { sum: { type: decimal, scale: 2 }, at: { type: timestamp, optional: true } } }, allow: "true", run: go }
  clear:  { allow: "true", run: go }
  seller: { input: { id: uuid }, allow: "true", run: go, output: customers }
`,
	}
}

// market loads it, with changes to its files: pairs of old and new text.
func market(t *testing.T, changes ...string) *model.App {
	t.Helper()
	fsys := fstest.MapFS{"pando.yaml": {Data: []byte("app: market\nversions: [v1, v2]\n")}}
	for name, text := range marketModules() {
		fsys[name] = &fstest.MapFile{Data: []byte(strings.NewReplacer(changes...).Replace(text))}
	}
	app, problems := model.Load(fsys, nil, model.Features{FieldPolicies: true})
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	return app
}

// supabaseUse is code that must compile, and whose marked lines must not.
const supabaseUse = `import { createClient } from "@supabase/supabase-js";
import { PostgrestClient } from "@supabase/postgrest-js";
import { Constants, type Database, type Enums, type Json, type Tables, type TablesInsert, type TablesUpdate } from "./database";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A>() { return <B>(_: B, ..._is: Same<A, B> extends true ? [] : [never]) => {}; }

const client = createClient<Database>("http://127.0.0.1", "key");
const orders = client.schema("orders");
const catalog = client.schema("catalog");

export async function reads() {
  const { data: product } = await client.from("products").select().single().throwOnError();
  same<{
    id: number; name: string; price: number; rating: number | null; status: "draft" | "listed";
    colours: ("red" | "light blue")[] | null; tags: string[]; meta: Json | null; data: Json;
    cost: number | null; live: boolean; parent_id: number | null;
  }>()(product);
  const { data: some } = await client.from("products").select("name, status, count:price.sum()").throwOnError();
  same<{ name: string; status: "draft" | "listed"; count: number }[]>()(some);

  // To one: by the relation's name, by the entity's, with two ways to one entity.
  const { data: lines } = await client.from("lines").select("qty, order(note), product(name, price), products(id)").throwOnError();
  same<{ qty: number; order: { note: string | null }; product: { name: string; price: number }; products: { id: number } }[]>()(lines);
  const { data: parties } = await client.from("orders").select("buyer(name), seller(name), sure:seller!inner(name)").throwOnError();
  same<{ buyer: { name: string }; seller: { name: string } | null; sure: { name: string } }[]>()(parties);
  const { data: hinted } = await client.from("orders").select("customers!orders_buyer_id_fkey(name)").throwOnError();
  same<{ customers: { name: string } }[]>()(hinted);

  // To many, at most one, many to many, and to itself; at any depth.
  const { data: order } = await client.from("orders").select("id, lines(qty, product(name)), invoices(number), products(name)").throwOnError();
  same<{ id: string; lines: { qty: number; product: { name: string } }[]; invoices: { number: number } | null; products: { name: string }[] }[]>()(order);
  const { data: way } = await client.from("customers").select("bought(note), sold(lines(qty))").throwOnError();
  same<{ bought: { note: string | null }[]; sold: { lines: { qty: number }[] }[] }[]>()(way);
  const { data: tree } = await client.from("products").select("parent(name, parent(id)), variants(name)").throwOnError();
  same<{ parent: { name: string; parent: { id: number } | null } | null; variants: { name: string }[] }[]>()(tree);

  // Who a policy may hide can be missing.
  const { data: who } = await client.from("orders").select("user(email)").throwOnError();
  same<{ user: { email: string | null } | null }[]>()(who);

  // A module as the schema, and relations out of it.
  const { data: across } = await orders.from("lines").select("product(name, parent(name)), order(buyer(name))").throwOnError();
  same<{ product: { name: string; parent: { name: string } | null }; order: { buyer: { name: string } } }[]>()(across);
  const { data: back } = await catalog.from("products").select("lines(qty), orders(note)").throwOnError();
  same<{ lines: { qty: number }[]; orders: { note: string | null }[] }[]>()(back);
  const { data: hash } = await orders.from("tokens").select("hash, order(id)").throwOnError();
  same<{ hash: string; order: { id: string } }[]>()(hash);
  // Of two entities of a name neither is found by it; where another leads to one, it is.
  const { data: token } = await client.from("orders").select("tokens(hash)").throwOnError();
  same<{ tokens: { hash: string }[] }[]>()(token);

  const rest = new PostgrestClient<Database>("http://127.0.0.1");
  const { data: plain } = await rest.from("orders").select("lines(qty)").throwOnError();
  same<{ lines: { qty: number }[] }[]>()(plain);
}

export async function writes() {
  await client.from("products").insert({ id: 1, name: "x", price: 1.5, colours: ["light blue"], pin: "1234" });
  await client.from("products").update({ status: "listed", parent_id: null }).eq("id", 1).gte("price", 2);
  await catalog.from("products").upsert([{ id: 1, name: "x", price: 1, meta: { a: [1, null] } }]);
}

export async function calls() {
  const { data: placed } = await client.rpc("place", { lines: [{ product_id: 1, qty: 2 }], how: "now" }).throwOnError();
  same<string>()(placed.id);
  const { data: recent } = await orders.rpc("recent").throwOnError();
  same<Tables<"orders">[]>()(recent);
  const { data: total } = await client.rpc("total").throwOnError();
  same<{ sum: number; at?: string | null }>()(total);
  const { data: none } = await client.rpc("clear").throwOnError();
  same<null>()(none);
  const { data: customer } = await client.rpc("seller", { id: "x" }).throwOnError(); // also the name of a relation
  same<string>()(customer.name);
}

export const named: [Tables<"orders">["note"], Tables<{ schema: "auth" }, "users">["email"], Enums<"products_status">, Enums<{ schema: "catalog" }, "products_colours">] = [null, null, "draft", "red"];
export const insert: TablesInsert<"lines"> = { order_id: "x", product_id: 1, qty: 1 };
export const update: TablesUpdate<{ schema: "orders" }, "lines"> = { qty: 2 };
export const drafts: "draft" = Constants.public.Enums.products_status[0];

export async function wrong() {
  // @ts-expect-error no such entity
  client.from("product");
  // @ts-expect-error it is found in its module only
  client.from("tokens");
  // @ts-expect-error no such module
  client.schema("stock");
  // @ts-expect-error no such field
  client.from("products").select().eq("names", "x");
  // @ts-expect-error not a word of the enum
  client.from("products").update({ status: "lost" });
  // @ts-expect-error price is missing
  client.from("products").insert({ id: 1, name: "x" });
  // @ts-expect-error no such field
  client.from("products").insert({ id: 1, name: "x", price: 1, colour: "red" });
  // @ts-expect-error null in a required field
  client.from("products").update({ name: null });
  // @ts-expect-error hidden
  (await client.from("products").select().single().throwOnError()).data.pin;
  // @ts-expect-error hidden
  (await client.from("products").select("pin").single().throwOnError()).data.pin;
  // @ts-expect-error no such relation
  (await client.from("products").select("makers(name)").throwOnError()).data[0]!.makers[0]!.name;
  // @ts-expect-error users are read only
  client.schema("auth").from("users").insert({ email: "x" });
  // @ts-expect-error no such operation
  client.rpc("cancel");
  // @ts-expect-error how is missing
  client.rpc("place", { lines: [] });
  // @ts-expect-error a relation is not called
  (await client.rpc("buyer").throwOnError()).data.name;
  // @ts-expect-error receipts came with the newest version
  const r: Tables<"receipts"> = { id: "x", text: "x", more: 1 };
  void r;
}
`

func TestSupabase(t *testing.T) {
	text := gen.Supabase(market(t).Latest())
	tstest.Check(t, map[string]string{"database.ts": string(text), "use.ts": supabaseUse, "tsconfig.json": tstest.Strict})
	if again := gen.Supabase(market(t).Latest()); !bytes.Equal(text, again) {
		t.Error("the second time is not as the first")
	}
}

// TestSupabaseVersion compiles against an older version: it has the field by its
// former name, and not what came later.
func TestSupabaseVersion(t *testing.T) {
	const use = `import type { Database, Tables } from "./database";
export const remark: Tables<"orders">["remark"] = null;
// @ts-expect-error it is called remark
export const note: Tables<"orders">["note"] = null;
// @ts-expect-error it came with v2
export type Receipt = Tables<"receipts">;
// @ts-expect-error the same
export type InModule = Database["orders"]["Tables"]["receipts"];
`
	tstest.Check(t, map[string]string{"database.ts": string(gen.Supabase(market(t).View("v1"))), "use.ts": use, "tsconfig.json": tstest.Strict})
}

// TestSupabaseRenamed renames a field, a relation and an operation: code that uses
// the former name does not compile.
func TestSupabaseRenamed(t *testing.T) {
	const use = `import { createClient } from "@supabase/supabase-js";
import type { Database } from "./database";
const client = createClient<Database>("http://127.0.0.1", "key");
export const name = async () => (await client.from("products").select("name").single().throwOnError()).data.name.length;
export const filtered = async () => client.from("products").select().eq("name", "x");
export const changed = async () => client.from("products").update({ name: "x" });
export const order = async () => (await client.from("lines").select("order(note)").single().throwOnError()).data.order.note?.length;
export const place = async () => client.rpc("place", { lines: [], how: "now" });
`
	dir := tstest.Folder(t, map[string]string{"database.ts": string(gen.Supabase(market(t).Latest())), "use.ts": use, "tsconfig.json": tstest.Strict})
	if wrong := tstest.Compile(t, dir); wrong != "" {
		t.Fatalf("before anything is renamed:\n%s", wrong)
	}
	renamed := gen.Supabase(market(t, "name:   { type: text", "title:  { type: text", "order_id:   { ref: orders }", "purchase_id: { ref: orders }", "[order_id, product_id]", "[purchase_id, product_id]", "place:\n", "buy:\n").Latest())
	if err := os.WriteFile(filepath.Join(dir, "database.ts"), renamed, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := tstest.Compile(t, dir)
	for _, line := range []string{"use.ts(4,", "use.ts(5,", "use.ts(6,", "use.ts(7,", "use.ts(8,"} {
		if !strings.Contains(wrong, line) {
			t.Errorf("%s compiles although what it names is gone; tsc says:\n%s", line, wrong)
		}
	}
}

// TestPretty formats what is written with prettier, which changes nothing.
func TestPretty(t *testing.T) {
	for _, app := range []*model.App{market(t), load(t, "../../test/everything"), load(t, "../../examples/shop"), load(t, "../../examples/airports")} {
		for _, version := range app.Config.Versions {
			text := gen.Supabase(app.View(version))
			if pretty := tstest.Pretty(t, "database.ts", text); !bytes.Equal(text, pretty) {
				t.Errorf("%s %s: prettier changes\n%s\nto\n%s", app.Config.App, version, text, pretty)
			}
			for _, f := range gen.TypeScriptClient(app.View(version)) {
				if pretty := tstest.Pretty(t, f.Name, f.Text); !bytes.Equal(f.Text, pretty) {
					t.Errorf("%s %s: prettier changes\n%s\nto\n%s", app.Config.App, version, f.Text, pretty)
				}
			}
		}
	}
}
