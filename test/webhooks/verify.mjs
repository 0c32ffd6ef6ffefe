// Reads messages that Pando has signed, has the official library of Standard
// Webhooks verify each, and prints them signed by it. It ends with an error at
// the first that does not verify, and at the first that does and should not.
import { Webhook } from 'standardwebhooks'

let input = ''
for await (const chunk of process.stdin) input += chunk
const out = []
for (const m of JSON.parse(input)) {
  const webhook = new Webhook(m.secret, m.format ? { format: m.format } : undefined)
  const headers = { 'webhook-id': m.id, 'webhook-timestamp': String(m.timestamp), 'webhook-signature': m.signature }
  webhook.verify(m.body, headers)
  let refused = false
  try {
    webhook.verify(m.body + ' ', headers)
  } catch {
    refused = true
  }
  if (!refused) throw new Error('a changed body is verified')
  out.push({ ...m, signature: webhook.sign(m.id, new Date(m.timestamp * 1000), m.body) })
}
console.log(JSON.stringify(out))
