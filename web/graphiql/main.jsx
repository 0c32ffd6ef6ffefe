// GraphiQL with a line above it that says who asks: the key and the token stay in
// this browser tab until it is closed.
import { createRoot } from 'react-dom/client'
import { GraphiQL } from 'graphiql'
import 'graphiql/graphiql.css'
import './page.css'

const form = document.getElementById('caller')
const { version, key, token } = form.elements
const root = createRoot(document.getElementById('graphiql'))

async function ask(params, { headers } = {}) {
  const caller = { ...(key.value && { apikey: key.value }), ...(token.value && { authorization: `Bearer ${token.value}` }) }
  const res = await fetch(`/graphql/${version.value}`, {
    method: 'POST', credentials: 'omit', body: JSON.stringify(params),
    headers: { accept: 'application/graphql-response+json', 'content-type': 'application/json', ...caller, ...headers },
  })
  return res.json()
}

// Another caller has another schema: the editor begins anew with it, and keeps its
// tabs, which are in the browser's storage.
let callers = 0
function show() {
  root.render(<GraphiQL key={callers++} fetcher={ask} shouldPersistHeaders={false} />)
}

const { versions } = await (await fetch('/graphql/versions.json')).json()
version.replaceChildren(...versions.map((v) => new Option(v)))
version.value = versions.at(-1)
for (const field of [key, token]) {
  field.value = sessionStorage.getItem('pando.' + field.name) ?? ''
}
form.addEventListener('submit', (event) => event.preventDefault())
form.addEventListener('change', () => {
  for (const field of [key, token]) {
    sessionStorage.setItem('pando.' + field.name, field.value)
  }
  show()
})
show()
