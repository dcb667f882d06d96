// node scenario_tokens.mjs FILE: keys and tokens for a scenario. FILE is JSON, { claims, tokens: { NAME: { key, kid, typ, alg, claims, broken } } }.
//
// `key` is an algorithm, and perhaps `/` with a name for another key of it. `exp`, `nbf` and `iat` are seconds from now. `claims` of a
// token change the common ones, `null` removes one. `broken` tokens have a byte of their signature changed. `alg` is what the header says
// instead. Prints { keys: { KEY: JWK }, tokens: { NAME: TOKEN } }.
import { readFileSync } from 'node:fs'
import { CompactSign } from 'jose'
import { freshKey } from './keys.mjs'

const { claims: common, tokens } = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const now = Math.floor(Date.now() / 1000)
const made = new Map()

async function keyOf(name) {
  if (!made.has(name)) made.set(name, await freshKey(name.split('/')[0], `key-${name}`))
  return made.get(name)
}

async function mint({ key: name = 'ES256', kid, typ = 'JWT', alg, claims: changes = {}, broken = false }) {
  const { key, publicJwk } = await keyOf(name)
  const claims = { ...common, ...changes }
  for (const [claim, value] of Object.entries(claims)) {
    if (value === null) delete claims[claim]
    else if (['exp', 'nbf', 'iat'].includes(claim)) claims[claim] = now + value
  }
  const header = { alg: publicJwk.alg, typ, kid: kid === undefined ? publicJwk.kid : kid }
  if (kid === null) delete header.kid
  const token = await new CompactSign(new TextEncoder().encode(JSON.stringify(claims))).setProtectedHeader(header).sign(key)
  const [head, payload, signature] = token.split('.')
  const said = alg === undefined ? head : Buffer.from(JSON.stringify({ ...header, alg })).toString('base64url')
  const bytes = Buffer.from(signature, 'base64url')
  if (broken) bytes[8] ^= 1
  return `${said}.${payload}.${bytes.toString('base64url')}`
}

const minted = {}
for (const [name, token] of Object.entries(tokens)) minted[name] = await mint(token)
const keys = Object.fromEntries([...made].map(([name, { publicJwk }]) => [name, publicJwk]))
console.log(JSON.stringify({ keys, tokens: minted }))
