package clients_test

import (
	"os"
	"path/filepath"
	"testing"
)

// callsApp is what the tests of operations and functions call.
func callsApp() map[string]string {
	return map[string]string{
		"pando.yaml": "app: calls\n",
		"modules/calls.yaml": `
module: calls
entities:
  notes:
    fields: { id: { type: int, primary: true }, text: { type: text, optional: true }, tags: { type: text, list: true, optional: true } }
    policy: { read: true }
operations:
  echo:
    run: functions/echo.ts
    allow: "true"
    reads: true
    input: { n: { type: int, optional: true }, tags: { type: text, list: true, optional: true }, at: { type: timestamp, optional: true }, meta: { type: json, optional: true } }
    output: { fields: { given: json } }
  note:  { run: functions/note.ts, allow: "true", input: { id: int, text: { type: text, optional: true } }, output: notes }
  notes: { run: functions/notes.ts, allow: "true", reads: true, output: { list: true, of: notes } }
  clear: { run: functions/clear.ts, allow: "true" }
  mine:  { run: functions/clear.ts, allow: "auth.uid != null" }
functions:
  hello: { run: functions/hello.ts, allow: "true" }
`,
		"functions/echo.ts":  "export default async (given: unknown) => ({ given })\n",
		"functions/notes.ts": "import { pando } from 'pando'\nexport default async () => pando.from('notes').select().order('id')\n",
		"functions/clear.ts": "import { pando } from 'pando'\nexport default async () => { await pando.asService().from('notes').delete().gte('id', 0) }\n",
		"functions/note.ts": `import { HTTPError, pando } from 'pando'
export default async (input: { id: number; text?: string }) => {
  if (input.id < 0) throw new HTTPError(409, 'notes begin with 0', { code: 'no_such_day', hint: 'count upwards' })
  return pando.asService().from('notes').insert(input).select().single()
}
`,
		"functions/hello.ts": `export default async (request: Request) => {
  const body = request.method === 'POST' ? await request.json() : null
  return Response.json({ method: request.method, path: new URL(request.url).pathname, body, key: request.headers.get('apikey'), token: request.headers.get('authorization') }, { status: body?.status ?? 200 })
}
`,
	}
}

// TestCalls calls operations and functions through supabase-js.
func TestCalls(t *testing.T) {
	node := findNode(t)
	app := t.TempDir()
	for name, text := range callsApp() {
		path := filepath.Join(app, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url := serve(t, build(t), app, "PANDO_SECRET_KEY="+key, "PANDO_PUBLISHABLE_KEY="+publishable, "PANDO_DATA="+t.TempDir())
	play(t, node, "calls/*.test.mjs", "PANDO_URL="+url, "PANDO_KEY="+publishable)
}
