// Uses the example shop through the client that `pando client ts` writes for it. The
// Go test compiles this with the client in ./shop, and runs it against the binary.

import assert from "node:assert/strict";
import test from "node:test";
import { createClient } from "@supabase/supabase-js";
import { createPando, type Pando, type Tables } from "./shop/index.js";

const url = process.env["PANDO_URL"]!;
const service = createPando({ url: url + "/", key: process.env["PANDO_KEY"]! });
const visitor = createPando({ url, key: process.env["PANDO_PUBLISHABLE"]! });

/** What the tests make, deleted at their end. */
const shelf: Tables<"categories"> = await service.from.catalog.categories.insert({ slug: "kites", name: "Kites" }).select().single().throwOnError().then(({ data }) => data);
test.after(async () => {
  await service.from.catalog.products.delete().eq("category_id", shelf.id).throwOnError();
  await service.from.catalog.categories.delete().eq("id", shelf.id).throwOnError();
});

async function product(of: Pando, sku: string) {
  return of.from.catalog.products.insert({ sku, name: sku, price: 12.5, stock: 10, category_id: shelf.id }).select("id, price, status").single().throwOnError();
}

test("select with relations", async () => {
  await product(service, "KITE-1");
  const { data } = await visitor.from.catalog.products.select("sku, price, status, category(name, parent(name))").eq("sku", "KITE-1").throwOnError();
  const price: number | undefined = data[0]?.price;
  const of: string | undefined = data[0]?.category.name;
  const above: string | undefined = data[0]?.category.parent?.name;
  assert.deepEqual([data.length, price, of, above], [1, 12.5, "Kites", undefined]);

  const { data: orders } = await service.from.orders.orders.select("number, customer(email), lines(qty, product(sku, category(name)))").gt("total", 0).order("number").limit(1).throwOnError();
  const line = orders[0]!.lines[0]!;
  assert.equal(typeof line.product!.category.name, "string");
  assert.match(orders[0]!.customer!.email, /@/);
});

test("insert, update, upsert and delete", async () => {
  const { data: made } = await product(service, "KITE-2");
  assert.deepEqual([made.price, made.status], [12.5, "listed"]);
  const { data: changed } = await service.from.catalog.products.update({ status: "retired", tags: ["old"] }).eq("id", made.id).select("status, tags").single().throwOnError();
  assert.deepEqual(changed, { status: "retired", tags: ["old"] });
  await service.from.catalog.products.upsert({ id: made.id, sku: "KITE-2", name: "Kite", price: 1, category_id: shelf.id }).throwOnError();
  const { count } = await service.from.catalog.products.delete({ count: "exact" }).eq("id", made.id).throwOnError();
  assert.equal(count, 1);
});

test("errors are returned, or thrown", async () => {
  const { data, error } = await visitor.from.catalog.categories.insert({ slug: "mine", name: "Mine" });
  assert.equal(data, null);
  assert.equal(error?.code, "42501");
  await assert.rejects(async () => visitor.from.catalog.categories.insert({ slug: "mine", name: "Mine" }).throwOnError(), { code: "42501" });
  const { error: denied } = await visitor.rpc.catalog.reserve({ product_id: shelf.id, qty: 1 });
  assert.equal(denied?.code, "42501");
  const { error: wrong } = await visitor.rest.from("orders").select().eq("number", "x" as never);
  assert.notEqual(wrong, null);
});

test("operations, as a user who has signed in with supabase-js", async () => {
  const options = { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: class { constructor() { throw new Error("no channel is opened"); } } as never } };
  const server = createClient(url, process.env["PANDO_KEY"]!, options);
  const account = { email: "kim@example.test", password: "seven herons over the weir" };
  const { data: made } = await server.auth.admin.createUser({ ...account, email_confirm: true });
  const browser = createClient(url, process.env["PANDO_PUBLISHABLE"]!, options);
  await browser.auth.signInWithPassword(account);
  const user = createPando({ url, key: process.env["PANDO_PUBLISHABLE"]!, accessToken: async () => (await browser.auth.getSession()).data.session?.access_token });

  const { data: kite } = await product(service, "KITE-3");
  const { data: order, error } = await user.rpc.orders.place({ email: account.email, name: "Kim", lines: [{ product_id: kite.id, qty: 2 }] });
  assert.equal(error, null);
  const total: number = order!.total;
  assert.deepEqual([total, order!.status], [25, "open"]);
  const { data: left } = await service.from.catalog.products.select("stock").eq("id", kite.id).single().throwOnError();
  assert.equal(left.stock, 8);
  const { error: none } = await user.rpc.catalog.reserve({ product_id: kite.id, qty: 100 });
  assert.notEqual(none, null);
  const { data: reserved } = await user.rpc.catalog.reserve({ product_id: kite.id, qty: 1 }).throwOnError();
  assert.equal(reserved.price, 12.5);

  await service.from.orders.orders.delete().eq("id", order!.id).throwOnError();
  await server.auth.admin.deleteUser(made.user!.id);
});

export async function wrong() {
  // @ts-expect-error no such field
  await service.from.catalog.products.select().eq("colour", "red");
  // @ts-expect-error no such entity
  service.from.catalog.kites;
  // @ts-expect-error price is missing
  await service.from.catalog.products.insert({ sku: "x", name: "x", category_id: shelf.id });
  // @ts-expect-error the input is missing
  await service.rpc.orders.place();
  // @ts-expect-error qty is a number
  await service.rpc.catalog.reserve({ product_id: shelf.id, qty: "1" });
  // @ts-expect-error no such member
  (await service.rpc.catalog.reserve({ product_id: shelf.id, qty: 1 }).throwOnError()).data.cost;
}
