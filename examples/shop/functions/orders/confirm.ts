import { pando } from 'pando'

// Notes on a new order that it was confirmed; here a mail would go out.
export default async (event: { data: { row: { id: string; number: number } } }) => {
  const { id, number } = event.data.row
  await pando.from('orders').update({ note: `order ${number} is confirmed` }).eq('id', id)
}
