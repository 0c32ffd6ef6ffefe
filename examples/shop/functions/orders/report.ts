import { pando } from 'pando'

// GET /functions/v1/report: how many orders there are of each status.
export default async (request: Request) => {
  const counts: Record<string, number> = {}
  for (const order of await pando.from('orders').select('status')) counts[order.status] = (counts[order.status] ?? 0) + 1
  return Response.json({ path: new URL(request.url).pathname, counts })
}
