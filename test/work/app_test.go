package work

import (
	"os"
	"path/filepath"
	"testing"
)

const secretKey = "a-secret-key-of-the-work-test-and-of-nothing-else"

const config = `app: works
queues: { default: 20 }
log: { access: false }
`

// module is what the writers write to. An update of an item is an event, which
// starts a job, which stores one effect with the event's id. An order is placed
// with its job in one transaction, and paid is counted up once for each payment.
const module = `module: works
entities:
  items:
    fields:
      id:     { type: int, primary: true }
      number: { type: int, default: 0 } # of the last write
  effects:
    fields:
      id:     { type: uuid, primary: true } # of the event
      item:   { type: int }
      number: { type: int }
  orders:
    fields:
      id:   { type: int, primary: true }
      paid: { type: int, default: 0 }
  payments:
    fields:
      id: { type: int, primary: true } # of the order
  starts:
    fields:
      id:  { type: uuid, primary: true, default: uuid() }
      try: { type: int }
events:
  moved: { on: items.update }
jobs:
  note: { on: moved, run: functions/note.ts, retry: 1000 }
  pay:  { input: { order: int }, run: functions/pay.ts, retry: 1000 }
  tick: { cron: "* * * * *", run: functions/tick.ts, retry: 1000 }
  long: { input: {}, run: functions/long.ts, timeout: 10m }
operations:
  place:  { input: { orders: { type: int, list: true } }, run: functions/place.ts }
  settle: { input: { order: int }, run: functions/settle.ts }
  begin:  { run: functions/begin.ts }
`

//nolint:gochecknoglobals // a constant table
var files = map[string]string{
	"pando.yaml":         config,
	"modules/works.yaml": module,
	"functions/note.ts": `import { pando } from 'pando';
export default async (event: any) => {
  const { row } = event.data;
  await pando.from('effects').upsert({ id: event.id, item: row.id, number: row.number }, { ignoreDuplicates: true });
};
`,
	"functions/place.ts": `import { pando } from 'pando';
export default async ({ orders }: { orders: number[] }) => {
  await pando.from('orders').insert(orders.map((id) => ({ id })));
  await Promise.all(orders.map((order) => pando.jobs.enqueue('pay', { order }, { unique: String(order) })));
};
`,
	"functions/pay.ts": `import { pando } from 'pando';
export default async ({ order }: { order: number }) => {
  await pando.operations.works.settle({ order });
};
`,
	"functions/settle.ts": `import { pando } from 'pando';
export default async ({ order }: { order: number }) => {
  const [payment] = await pando.from('payments').select('id').eq('id', order);
  if (payment) return;
  const [row] = await pando.from('orders').select('paid').eq('id', order);
  await pando.from('payments').insert({ id: order });
  await pando.from('orders').update({ paid: row.paid + 1 }).eq('id', order);
};
`,
	"functions/tick.ts": `export default async () => {};
`,
	// The first try never ends by itself.
	"functions/long.ts": `import { pando } from 'pando';
export default async (_: unknown, ctx: any) => {
  await pando.from('starts').insert({ try: ctx.attempt });
  if (ctx.attempt === 1) await new Promise((done) => setTimeout(done, 9 * 60 * 1000));
};
`,
	"functions/begin.ts": `import { pando } from 'pando';
export default async () => { await pando.jobs.enqueue('long', {}, { unique: 'long' }); };
`,
}

// writeApp writes the application into a folder of its own.
func writeApp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}
