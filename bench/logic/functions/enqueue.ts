import { pando } from 'pando'

export default async ({ title }: { title: string }) => {
  await pando.from('plain').insert({ title })
  await pando.jobs.enqueue('work', { title })
}
