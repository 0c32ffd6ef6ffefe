// Uses one application through the clients of two versions of its API. The Go test
// compiles this with them in ./v1 and ./v2, and runs it against the binary.

import assert from "node:assert/strict";
import test from "node:test";
import { createPando as createV1 } from "./v1/index.js";
import { createPando as createV2 } from "./v2/index.js";

const options = { url: process.env["PANDO_URL"]!, key: process.env["PANDO_KEY"]! };
const v1 = createV1(options);
const v2 = createV2(options);

test("each client speaks its version", async () => {
  const { data: made } = await v1.from.notes.notes.insert({ remark: "by v1" }).select().single().throwOnError();
  assert.deepEqual(Object.keys(made), ["id", "remark"]);
  const { data: read } = await v2.from.notes.notes.select("text, stars").eq("id", made.id).single().throwOnError();
  const text: string | null = read.text;
  assert.deepEqual([text, read.stars], ["by v1", 1]);
  await v2.from.notes.notes.update({ text: "by v2" }).eq("id", made.id).throwOnError();
  const { data: back } = await v1.from.notes.notes.select("remark").eq("id", made.id).single().throwOnError();
  assert.equal(back.remark, "by v2");
});

export async function wrong() {
  // @ts-expect-error it came with v2
  await v1.from.notes.notes.insert({ stars: 2 });
  // @ts-expect-error its former name
  await v2.from.notes.notes.insert({ remark: "x" });
}
