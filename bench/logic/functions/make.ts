import { pando } from 'pando'

// One read and one write.
export default async ({ title }: { title: string }) => {
  const plain = pando.from('plain')
  await plain.select('id').eq('id', '00000000-0000-7000-8000-000000000000').maybeSingle()
  return plain.insert({ title }).select('id').single()
}
