package gen_test

import (
	"testing"

	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/test/types/tstest"
)

// TestTypeScriptClient uses the client of each version of an application.
func TestTypeScriptClient(t *testing.T) {
	for version, use := range map[string]string{
		"v2": `import { createPando } from "./index.js";
const app = createPando({ url: "http://127.0.0.1", key: "key" });
export const url: string = app.rest.url;
export async function reads() {
  const note: string | null = (await app.from.orders.orders.select("note").single().throwOnError()).data.note;
  // Of two entities of one name each is in its module.
  const hash: string = (await app.from.orders.tokens.select("hash").single().throwOnError()).data.hash;
  const name: string = (await app.from.catalog.tokens.select("name").single().throwOnError()).data.name;
  const text: string = (await app.from.orders.receipts.select("text").single().throwOnError()).data.text;
  // An operation, and a relation of its name.
  const seller: string = (await app.rpc.orders.seller({ id: "x" }).throwOnError()).data.name;
  const sold: string | undefined = (await app.from.orders.orders.select("seller(name)").single().throwOnError()).data.seller?.name;
  const none: null = (await app.rpc.orders.clear().throwOnError()).data;
  return [note, hash, name, text, seller, sold, none];
}
export async function wrong() {
  // @ts-expect-error the new name
  (await app.from.orders.orders.select("remark").single().throwOnError()).data.remark;
  // @ts-expect-error it takes nothing
  await app.rpc.orders.clear({});
  // @ts-expect-error not what a relation is called with
  await app.rpc.orders.seller({ "": 1 });
}
`,
		"v1": `import { createPando } from "./index.js";
const app = createPando({ url: "http://127.0.0.1", key: "key" });
export const remark = async (): Promise<string | null> => (await app.from.orders.orders.select("remark").single().throwOnError()).data.remark;
// @ts-expect-error it came with v2
export const receipts = app.from.orders.receipts;
`,
	} {
		files := map[string]string{"use.ts": use, "tsconfig.json": tstest.Strict}
		for _, f := range gen.TypeScriptClient(market(t).View(version)) {
			files[f.Name] = string(f.Text)
		}
		tstest.Check(t, files)
	}
}
