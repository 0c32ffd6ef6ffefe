import { HTTPError, pando } from 'pando'

// Takes products from the stock, and tells what they cost.
export default async (input: { product_id: string; qty: number }) => {
  const products = pando.asService().from('products')
  const product = await products.select('name,price,stock').eq('id', input.product_id).eq('status', 'listed').maybeSingle()
  if (!product) throw new HTTPError(404, 'there is no such product', { code: 'no_product' })
  if (product.stock < input.qty) {
    throw new HTTPError(409, `only ${product.stock} of ${product.name} are left`, { code: 'out_of_stock' })
  }
  await products.update({ stock: product.stock - input.qty }).eq('id', input.product_id)
  return { price: product.price }
}
