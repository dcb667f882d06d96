// The edge worker that takes SCIM calls, in a local workerd with a D1 database `DB` that has the store's tables:
// `node scim_worker.mjs DOCUMENT PORT`. Prints `ready` when it listens, and what the worker logs.

import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Miniflare } from 'miniflare'

const root = new URL('../../../', import.meta.url)
const worker = new URL('dist/scim-worker/', root)
const migrations = new URL('store/src/database/migrations/', root)
const module = (type, name) => ({ type, path: fileURLToPath(new URL(name, worker)) })

const [document, port] = process.argv.slice(2)
const miniflare = new Miniflare({
  modules: [
    ...['cloudflare.js', 'handler.js', 'rehearsal.js', 'doorward.js', 'web.js'].map((name) => module('ESModule', name)),
    module('CompiledWasm', 'doorward.wasm'),
  ],
  modulesRoot: fileURLToPath(worker),
  compatibilityDate: '2026-07-01',
  bindings: { DOORWARD: readFileSync(document, 'utf8') },
  // In memory, and nothing is asked of anyone.
  d1Databases: ['DB'],
  cf: false,
  telemetry: { enabled: false },
  host: '127.0.0.1',
  port: Number(port),
})
await miniflare.ready
const database = await miniflare.getD1Database('DB')
// As `wrangler d1 migrations apply` does it.
for (const name of readdirSync(migrations).filter((name) => name.endsWith('.sql')).sort()) {
  const text = readFileSync(new URL(name, migrations), 'utf8').replaceAll(/--.*$/gm, '')
  const statements = text.split(';').filter((statement) => statement.trim() !== '')
  await database.batch(statements.map((statement) => database.prepare(statement)))
}
process.stdout.write('ready\n')
