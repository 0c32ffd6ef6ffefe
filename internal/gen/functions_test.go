package gen_test

import (
	"testing"
	"testing/fstest"

	"github.com/pandobase/pando/examples"
	"github.com/pandobase/pando/internal/functions"
	"github.com/pandobase/pando/internal/gen"
	"github.com/pandobase/pando/internal/model"
	"github.com/pandobase/pando/test/types/tstest"
)

const typedModule = `module: orders
entities:
  orders:
    fields:
      number:  { type: int, doc: "Counts up. */ }" }
      status:  { type: enum, values: [open, paid], default: open }
      total:   { type: decimal, scale: 2 }
      note:    { type: text, optional: true }
      tags:    { type: text, list: true, optional: true }
      meta:    { type: json, optional: true }
      secret:  { type: text, optional: true, hidden: true }
    policy: { read: "true" }
operations:
  place:
    input:  { lines: { list: true, fields: { product_id: uuid, qty: int } }, note: { type: text, optional: true } }
    output: orders
    allow:  "true"
    run:    functions/orders/place.ts
  list:
    input:  {}
    output: { list: true, of: orders }
    allow:  "true"
    run:    functions/orders/list.ts
events:
  order_paid: { on: orders.update, when: "old.status != 'paid' && row.status == 'paid'" }
jobs:
  send_receipt: { on: order_paid, run: functions/orders/receipt.ts }
  greet:        { on: auth.users.create, run: functions/orders/greet.ts }
  close_stale:  { cron: "0 3 * * *", run: functions/orders/close.ts }
integrations:
  payments: { url: https://api.payments.example }
`

const typedFunctions = `import { pando, HTTPError, PandoError } from 'pando';
import type { OperationHandler, JobHandler, HTTPHandler, Context } from 'pando';

export const place: OperationHandler<'orders.place'> = async (input, ctx) => {
  const qty: number = input.lines[0]!.qty;
  const note: string | null | undefined = input.note;
  if (!ctx.auth.uid) throw new HTTPError(401, 'sign in', { hint: 'first' });
  const row = await pando.from('orders').insert({ number: qty, total: 1, note: note ?? null }).select().single();
  const status: 'open' | 'paid' = row.status;
  const rows = await pando.schema('orders').from('orders').select('id, total').eq('status', status).gt('total', 5).order('number').limit(3);
  const total: number | undefined = rows[0]?.total;
  const one = await pando.asService().from('orders').select('number').eq('id', row.id).maybeSingle();
  const n: number | undefined = one?.number;
  const { rows: none, count } = await pando.from('orders').select('*', { count: 'exact', head: true });
  const counted: number | null = count;
  const embedded = await pando.from('orders').select('id, lines(qty)').returns<{ id: string; lines: { qty: number }[] }[]>();
  const inner: number = embedded[0]!.lines[0]!.qty;
  await pando.from('orders').update({ status: 'paid' }).eq('id', row.id);
  const placed = await pando.operations.orders.place({ lines: [{ product_id: 'x', qty: 1 }] });
  const listed = await pando.operations.call('orders.list', {});
  const again = await pando.operations.orders.list();
  await pando.jobs.enqueue('orders.send_receipt', {}, { at: new Date(), unique: 'u', priority: 1 });
  const { id } = await pando.events.publish('orders.noted', { a: 1 });
  const secret: string = await pando.secrets.get('x');
  const answer: Response = await pando.integrations.payments.fetch('/v1/charges', { method: 'POST', body: secret });
  void [total, n, none, counted, inner, placed.tags?.[0], listed[0]?.total, again.length, id, answer.status];
  return row;
};

export const receipt: JobHandler<'orders.send_receipt'> = async (event, ctx: Context) => {
  const before: 'open' | 'paid' = event.data.old.status;
  await pando.jobs.progress(0.5, before + ctx.attempt);
};
export const greet: JobHandler<'orders.greet'> = (event) => { const none: null = event.data.old; return [none, event.data.row.id]; };
export const http: HTTPHandler = async (request) => Response.json(await request.json());

export const wrong = async () => {
  // @ts-expect-error no such entity
  await pando.from('order').select();
  // @ts-expect-error no such module
  await pando.schema('order');
  // @ts-expect-error no such column
  await pando.from('orders').select().eq('nope', 1);
  // @ts-expect-error another type
  await pando.from('orders').select().eq('total', 'x');
  // @ts-expect-error not a word of the enum
  await pando.from('orders').update({ status: 'lost' });
  // @ts-expect-error number is missing
  await pando.from('orders').insert({ total: 1 });
  // @ts-expect-error hidden
  (await pando.from('orders').select().single()).secret;
  // @ts-expect-error not selected
  (await pando.from('orders').select('id').single()).total;
  // @ts-expect-error no rows without select
  (await pando.from('orders').insert({ number: 1, total: 1 })).length;
  // @ts-expect-error no such operation
  await pando.operations.orders.cancel({});
  // @ts-expect-error the input is missing
  await pando.operations.orders.place();
  // @ts-expect-error users are read only
  await pando.schema('auth').from('users').insert({ email: 'x' });
  // @ts-expect-error no such integration
  await pando.integrations.other.fetch('/');
  // @ts-expect-error no such job
  await pando.jobs.enqueue('orders.none');
  // @ts-expect-error another output
  const bad: OperationHandler<'orders.place'> = async () => 1;
  const e = new PandoError('x', { code: 'y' });
  void [bad, e.code.length];
};
`

const tsconfig = `{ "compilerOptions": { "strict": true, "noEmit": true, "target": "ES2023", "lib": ["ES2023", "DOM"], "module": "ESNext", "moduleResolution": "Bundler", "noUncheckedIndexedAccess": true, "types": [], "skipLibCheck": false }, "include": ["."] }`

// TestFunctionTypes compiles functions against the types of an application with the
// TypeScript compiler: what is right passes, what is wrong does not.
func TestFunctionTypes(t *testing.T) {
	fsys := fstest.MapFS{"pando.yaml": {Data: []byte("app: typed\n")}, "modules/orders.yaml": {Data: []byte(typedModule)}}
	for _, name := range []string{"place", "list", "receipt", "greet", "close"} {
		fsys["functions/orders/"+name+".ts"] = &fstest.MapFile{}
	}
	app, problems := model.Load(fsys, nil, model.Features{})
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	tstest.Check(t, map[string]string{"pando.d.ts": string(gen.FunctionTypes(app, functions.ClientTypes)), "all.ts": typedFunctions, "tsconfig.json": tsconfig})
	shop, problems := model.Load(examples.Shop(), nil, model.Features{})
	if len(problems) > 0 {
		t.Fatalf("problems: %+v", problems)
	}
	tstest.Check(t, map[string]string{"pando.d.ts": string(gen.FunctionTypes(shop, functions.ClientTypes)), "tsconfig.json": tsconfig})
	if first, again := string(gen.FunctionTypes(shop, functions.ClientTypes)), string(gen.FunctionTypes(shop, functions.ClientTypes)); first != again {
		t.Error("the same application gave other types")
	}
}
