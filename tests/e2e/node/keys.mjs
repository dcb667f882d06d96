// Signing keys and tokens, by jose.
import { exportJWK, generateKeyPair, generateSecret } from 'jose'

/** Every algorithm that jose can sign with and Doorward verifies. */
export const algorithms = [
  'RS256', 'RS384', 'RS512',
  'PS256', 'PS384', 'PS512',
  'ES256', 'ES384', 'ES512',
  'EdDSA', 'Ed25519',
  'HS256', 'HS384', 'HS512',
]

/** The algorithms that the OpenID provider signs with. */
export const signing = ['RS256', 'PS256', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** A fresh key for `alg`: `key` to sign with, `publicJwk` to publish, `privateJwk` for a server. */
export async function freshKey(alg, kid) {
  const meta = { kid, alg, use: 'sig' }
  if (alg.startsWith('HS')) {
    const key = await generateSecret(alg, { extractable: true })
    const jwk = { ...(await exportJWK(key)), ...meta }
    return { key, publicJwk: jwk, privateJwk: jwk }
  }
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, modulusLength: 2048 })
  return {
    key: privateKey,
    publicJwk: { ...(await exportJWK(publicKey)), ...meta },
    privateJwk: { ...(await exportJWK(privateKey)), ...meta },
  }
}
