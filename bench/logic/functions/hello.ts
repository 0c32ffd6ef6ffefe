export default async () => Response.json({ hello: 'world' })
