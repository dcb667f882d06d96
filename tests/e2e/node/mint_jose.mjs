// node mint_jose.mjs CLAIMS: one token for each algorithm with the JSON object CLAIMS as its claims, and the keys.
import { CompactSign } from 'jose'
import { readFileSync } from 'node:fs'
import { algorithms, freshKey } from './keys.mjs'

const claims = process.argv[2]
if (claims === undefined) {
  console.error('usage: node mint_jose.mjs CLAIMS')
  process.exit(2)
}
JSON.parse(claims)

const cases = []
for (const alg of algorithms) {
  const { key, publicJwk } = await freshKey(alg, `jose-${alg}`)
  const token = await new CompactSign(new TextEncoder().encode(claims))
    .setProtectedHeader({ alg, typ: 'JWT', kid: publicJwk.kid })
    .sign(key)
  cases.push({ alg, jwk: publicJwk, token })
}

const manifest = new URL('./node_modules/jose/package.json', import.meta.url)
const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
console.log(JSON.stringify({ tool: 'jose', version, cases }))
