// node dpop_client.mjs: a client with a key of its own, by npm's jose. Reads one command a line from standard input, as JSON, and
// answers each with one line of JSON:
//   { "token": ISSUER, "resource": R? }                              a bound access token
//   { "proof": { "method", "url", "token", "nonce"?, "iat"? } }      a proof for one request
import { createHash, randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'

const alg = 'ES256'
const { publicKey, privateKey } = await generateKeyPair(alg)
const jwk = await exportJWK(publicKey)

function proof({ method, url, token, nonce, iat }) {
  const claims = { jti: randomUUID(), htm: method, htu: url }
  if (token !== undefined) claims.ath = createHash('sha256').update(token).digest('base64url')
  if (nonce !== undefined) claims.nonce = nonce
  return new SignJWT(claims)
    .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk })
    .setIssuedAt(iat)
    .sign(privateKey)
}

async function accessToken(issuer, resource) {
  const url = `${issuer}/token`
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'read write' })
  if (resource !== undefined) body.set('resource', resource)
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('service:secret')}`, dpop: await proof({ method: 'POST', url }) },
    body,
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.status} ${text}`)
  return JSON.parse(text)
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  const answer =
    command.proof === undefined
      ? await accessToken(command.token, command.resource)
      : { proof: await proof(command.proof) }
  console.log(JSON.stringify(answer))
}
