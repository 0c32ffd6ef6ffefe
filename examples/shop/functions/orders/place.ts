import { pando } from 'pando'

interface Input {
  email: string
  name: string
  lines: { product_id: string; qty: number }[]
}

// Places an order: the customer, the order and its lines, and what they take from the
// stock, all of it or nothing.
export default async (input: Input) => {
  const shop = pando.asService()
  const known = await shop.from('customers').select('id').eq('email', input.email).maybeSingle()
  const customer = known ?? (await shop.from('customers').insert({ email: input.email, name: input.name }).select('id').single())

  const lines = []
  let cents = 0
  for (const line of input.lines) {
    const { price } = await pando.operations.call('catalog.reserve', line)
    cents += Math.round(Number(price) * 100) * line.qty
    lines.push({ ...line, price })
  }
  const last = await shop.from('orders').select('number').order('number', { ascending: false }).limit(1).maybeSingle()
  const order = await shop.from('orders').insert({ customer_id: customer.id, number: (last?.number ?? 0) + 1, total: cents / 100 }).select().single()
  await shop.from('lines').insert(lines.map(line => ({ ...line, order_id: order.id })))
  return order
}
