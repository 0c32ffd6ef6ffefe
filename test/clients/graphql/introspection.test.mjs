// What introspection tells is a schema that graphql-js accepts, and documents that
// it finds valid are.
import test from 'node:test'
import assert from 'node:assert/strict'
import { buildClientSchema, getIntrospectionQuery, parse, printSchema, validate, validateSchema } from 'graphql'

const { PANDO_URL: url, PANDO_KEY: key } = process.env

async function ask(query, variables, headers = { apikey: key }) {
  const res = await fetch(url + '/graphql/v1', {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify({ query, variables }),
  })
  return res.json()
}

const full = getIntrospectionQuery({ descriptions: true, specifiedByUrl: true, directiveIsRepeatable: true, schemaDescription: true, inputValueDeprecation: true, oneOf: true })

test('the schema', async () => {
  const { data, errors } = await ask(full)
  assert.equal(errors, undefined)
  const schema = buildClientSchema(data)
  assert.deepEqual(validateSchema(schema), [])
  const sdl = printSchema(schema)
  for (const line of ['scalar UUID @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc9562")', 'type catalog_products {', 'input catalog_productsOrder @oneOf {', '"""The stock keeping unit."""']) {
    assert.ok(sdl.includes(line), `${line} is not in\n${sdl}`)
  }
  const query = '{ catalog_products(first: 1, where: { price: { gt: "1" } }) { nodes { sku category { name } } } }'
  assert.deepEqual(validate(schema, parse(query)), [])
  assert.equal((await ask(query)).errors, undefined)
})

test('a type by its name', async () => {
  const { data } = await ask(`query($n: String!) {
    one: __type(name: $n) { kind name fields { name } ...T }
    none: __type(name: "nothing") { name }
    list: __type(name: "catalog_products") { fields { name type { ...T ofType { ...T ofType { ...T ofType { ...T } } } } } }
  } fragment T on __Type { __typename kind name }`, { n: 'UUID' })
  assert.deepEqual(data.one, { kind: 'SCALAR', name: 'UUID', fields: null, __typename: '__Type' })
  assert.equal(data.none, null)
  assert.deepEqual(data.list.fields.find((f) => f.name === 'tags').type, {
    __typename: '__Type', kind: 'LIST', name: null, ofType: { __typename: '__Type', kind: 'NON_NULL', name: null, ofType: { __typename: '__Type', kind: 'SCALAR', name: 'String', ofType: null } },
  })
})

test('a stranger is told nothing of the schema', async () => {
  const { data, errors } = await ask('{ __schema { types { name } } }', {}, { apikey: process.env.PANDO_PUBLIC_KEY })
  assert.equal(data, undefined)
  assert.equal(errors[0].extensions.code, 'INTROSPECTION_DISABLED')
  assert.deepEqual((await ask('{ __typename }', {}, { apikey: process.env.PANDO_PUBLIC_KEY })).data, { __typename: 'Query' })
})
