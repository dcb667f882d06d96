// node login.mjs ISSUER [ALG]: the code flow with PKCE, as a browser would do it. Prints the ID token, and the access token for
// the resource `urn:api:ALG`, both signed with ALG (RS256).
import { createHash, randomBytes } from 'node:crypto'

const [issuer, alg = 'RS256'] = process.argv.slice(2)
if (issuer === undefined) {
  console.error('usage: node login.mjs ISSUER [ALG]')
  process.exit(2)
}
const clientId = `web-${alg}`
const redirectUri = `${issuer}/callback`
const resource = `urn:api:${alg}`
const verifier = randomBytes(32).toString('base64url')
const state = randomBytes(16).toString('base64url')
const nonce = randomBytes(16).toString('base64url')

// Cookies by name: one host, and no path has a cookie of the same name as another's.
const cookies = new Map()

async function get(url) {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split(';')
    const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
    const expires = attributes.map((a) => a.trim()).find((a) => a.toLowerCase().startsWith('expires='))
    const gone = expires !== undefined && Date.parse(expires.slice('expires='.length)) <= Date.now()
    if (gone) cookies.delete(name)
    else cookies.set(name, value)
  }
  return response
}

async function fail(what, response) {
  console.error(`${what}: ${response.status} ${await response.text()}`)
  process.exit(1)
}

const authorization = new URL(`${issuer}/auth`)
authorization.search = new URLSearchParams({
  client_id: clientId,
  response_type: 'code',
  redirect_uri: redirectUri,
  scope: 'openid email profile groups read write',
  resource,
  state,
  nonce,
  code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  code_challenge_method: 'S256',
}).toString()

let url = authorization
for (let hops = 0; !url.href.startsWith(redirectUri); hops += 1) {
  const response = await get(url)
  const location = response.headers.get('location')
  if (location === null || hops > 10) await fail(url.pathname, response)
  url = new URL(location, url)
}
const code = url.searchParams.get('code')
if (code === null || url.searchParams.get('state') !== state) {
  console.error(`no code: ${url.search}`)
  process.exit(1)
}

const response = await fetch(`${issuer}/token`, {
  method: 'POST',
  headers: { authorization: `Basic ${btoa(`${clientId}:secret`)}` },
  body: new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier,
    resource,
  }),
})
if (!response.ok) await fail('/token', response)
const { id_token, access_token } = await response.json()
console.log(JSON.stringify({ id_token, access_token }))
