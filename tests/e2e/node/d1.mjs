// Real D1 databases in a local workerd, for the store's tests: `node d1.mjs COUNT`. Prints `ready PORT`.
//
// POST / with { "database": 0, "statements": [{ "text": "…", "parameters": […] }] } does a batch; octets are arrays, as D1 has them. Answers
// { "outcomes": [{ "rows": [[…]], "changed": 0 }] } or { "error": "…" }.

import { Miniflare } from 'miniflare'

const worker = `
export default {
  async fetch(request, env) {
    const { database, statements } = await request.json()
    const d1 = env['D' + database]
    try {
      const prepared = statements.map(({ text, parameters }) => d1.prepare(text).bind(...parameters))
      const outcomes = await d1.batch(prepared)
      return Response.json({
        outcomes: outcomes.map(({ results, meta }) => ({ rows: results.map(Object.values), changed: meta.changes })),
      })
    } catch (error) {
      return Response.json({ error: error.message })
    }
  },
}
`

const count = Number(process.argv[2] ?? 1)
const names = Array.from({ length: count }, (_, number) => `D${number}`)
const miniflare = new Miniflare({
  script: worker,
  modules: true,
  compatibilityDate: '2026-07-01',
  // In memory, and nothing is asked of anyone.
  d1Databases: names,
  cf: false,
  telemetry: { enabled: false },
  host: '127.0.0.1',
  port: 0,
})
const url = await miniflare.ready
process.stdout.write(`ready ${url.port}\n`)
