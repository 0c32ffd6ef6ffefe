// graphql-http's audits of the GraphQL over HTTP specification, each one a test.
import test from 'node:test'
import assert from 'node:assert/strict'
import { serverAudits } from 'graphql-http'

const { PANDO_URL: url, PANDO_KEY: key } = process.env
const fetchFn = (at, init = {}) => fetch(at, { ...init, headers: { ...init.headers, apikey: key } })
const audits = serverAudits({ url: url + '/graphql/v1', fetchFn })

test('there are 61 audits', () => assert.equal(audits.length, 61))

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn()
    assert.equal(result.status, 'ok', `${result.reason}\n${result.response && (await result.response.text().catch(() => ''))}`)
  })
}
