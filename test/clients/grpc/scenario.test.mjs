// The scenario of the gRPC door through @connectrpc/connect-web, over Connect, as
// JSON too, and over gRPC-Web.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web'

const { PANDO_URL, PANDO_KEY, PANDO_GENERATED } = process.env
const { CatalogService } = await import(pathToFileURL(`${PANDO_GENERATED}/pando/app/catalog/v1/catalog_service_pb.js`))
const { Products_Status } = await import(pathToFileURL(`${PANDO_GENERATED}/pando/app/catalog/v1/catalog_pb.js`))

const key = next => req => {
  req.header.set('apikey', PANDO_KEY)
  return next(req)
}
const options = { baseUrl: PANDO_URL, interceptors: [key] }
const transports = {
  connect: createConnectTransport({ ...options, useBinaryFormat: true }),
  'connect-json': createConnectTransport(options),
  'connect-get': createConnectTransport({ ...options, useHttpGet: true }),
  'grpc-web': createGrpcWebTransport(options),
}

const fails = (promise, code) => assert.rejects(promise, err => ConnectError.from(err).code === code)

for (const [name, transport] of Object.entries(transports)) {
  test(`${name} plays the scenario`, async () => {
    const client = createClient(CatalogService, transport)
    const slug = `web-${name}`
    const { id } = await client.createCategories({ row: { slug, name: 'One' } })
    const got = await client.getCategories({ id })
    assert.equal(got.name, 'One')
    assert.equal(got.parentId, undefined)
    const list = await client.listCategories({ filter: { slug: { eq: slug } } })
    assert.deepEqual(list.rows.map(r => r.id), [id])
    const changed = await client.updateCategories({ row: { id, name: 'Two', slug: 'other' }, updateMask: { paths: ['name'] } })
    assert.deepEqual([changed.name, changed.slug], ['Two', slug])

    const { totalSize } = await client.listProducts({ pageSize: 1n, count: true })
    let streamed = 0n
    for await (const product of client.streamProducts({ orderBy: 'price desc' })) {
      assert.notEqual(product.status, Products_Status.UNSPECIFIED)
      assert.match(product.price, /^\d+\.\d\d$/)
      streamed++
    }
    assert.equal(streamed, totalSize)
    assert.ok(streamed > 2n)

    await fails(client.createCategories({ row: { slug, name: 'Again' } }), Code.AlreadyExists)
    await client.deleteCategories({ id })
    await fails(client.getCategories({ id }), Code.NotFound)
  })
}
