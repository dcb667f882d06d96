// node provider.mjs PORT: an OpenID provider at http://127.0.0.1:PORT, for tests. PORT 0 takes a free one.
//
// Prints `ready PORT` once it listens. For every algorithm ALG of `signing` below there is
// - a resource `urn:api:ALG` whose access tokens are JWTs (RFC 9068) signed with it, audience `api`, scopes `read write`,
// - a client `web-ALG` for the code flow whose ID tokens are signed with it.
// The client `service` may use the client credentials grant. The secret of every client is `secret`.
// Without a resource its access tokens are opaque, audience `api`. About those the clients `edge` (by its secret) and `edge-key` (by
// assertions that are signed with the Ed25519 key of RFC 8037) may ask. A token request with a DPoP proof gives a bound token.
// The code flow asks nobody: whoever comes is `alice`.
//
// POST /test/rotate   replaces every key; tokens signed with the old ones cannot be verified any more
// POST /test/revoke   with a token as its body: withdraws that opaque token
// POST /test/down     from now on every other request is answered with 503
// POST /test/up       ends that
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import Provider, { errors } from 'oidc-provider'
import { freshKey, signing } from './keys.mjs'

// The library's notices go to standard output, which is for `ready` alone.
console.info = console.log = console.error
console.warn = console.error

const account = {
  sub: 'alice',
  email: 'alice@example.com',
  email_verified: true,
  name: 'Alice Example',
  groups: ['admins', 'engineering'],
}
const scopes = 'read write'
// RFC 8037, appendix A.1: the public half.
const edgeKey = { kty: 'OKP', crv: 'Ed25519', kid: 'edge', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
const cookieKeys = [randomBytes(32).toString('base64url')]

function algorithmOf(resource) {
  const alg = resource.startsWith('urn:api:') ? resource.slice('urn:api:'.length) : ''
  return signing.includes(alg) ? alg : undefined
}

async function build(issuer, generation) {
  const keys = []
  for (const alg of signing) {
    const { privateJwk } = await freshKey(alg, `${alg}-${generation}`)
    keys.push(privateJwk)
  }
  const web = (alg) => ({
    client_id: `web-${alg}`,
    client_secret: 'secret',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [`${issuer}/callback`],
    id_token_signed_response_alg: alg,
  })
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: 'service',
        client_secret: 'secret',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
      ...['edge', 'edge-key'].map((client_id) => ({
        client_id,
        grant_types: [],
        response_types: [],
        redirect_uris: [],
        ...(client_id === 'edge'
          ? { client_secret: 'secret' }
          : { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [edgeKey] } }),
      })),
      ...signing.map(web),
    ],
    cookies: { keys: cookieKeys },
    scopes: ['openid'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name'],
      groups: ['groups'],
    },
    // The claims that belong to the granted scopes stand in the ID token itself.
    conformIdTokenClaims: false,
    enabledJWA: {
      idTokenSigningAlgValues: signing,
      clientAuthSigningAlgValues: ['EdDSA', 'ES256'],
      dPoPSigningAlgValues: ['EdDSA', 'ES256'],
    },
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      Grant: 3600,
      IdToken: 600,
      Interaction: 600,
      Session: 3600,
    },
    findAccount: async (_ctx, sub) => ({ accountId: sub, claims: async () => ({ ...account, sub }) }),
    extraTokenClaims: async (_ctx, token) =>
      token.accountId === undefined ? undefined : { email: account.email, groups: account.groups },
    // Everything that a client asks for is granted already, so that there is no prompt for consent.
    loadExistingGrant: async (ctx) => {
      const { client, session } = ctx.oidc
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
      grant.addOIDCScope('openid email profile groups')
      for (const alg of signing) grant.addResourceScope(`urn:api:${alg}`, scopes)
      await grant.save()
      return grant
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: {
        enabled: true,
        allowedPolicy: async (_ctx, client) => client.clientId.startsWith('edge'),
      },
      resourceIndicators: {
        enabled: true,
        // Without a resource a token is opaque.
        defaultResource: async () => 'urn:api:opaque',
        getResourceServerInfo: async (_ctx, resource) => {
          if (resource === 'urn:api:opaque') return { scope: scopes, audience: 'api', accessTokenFormat: 'opaque' }
          const alg = algorithmOf(resource)
          if (alg === undefined) throw new errors.InvalidTarget()
          return { scope: scopes, audience: 'api', accessTokenFormat: 'jwt', jwt: { sign: { alg } } }
        },
      },
    },
  })
  return { provider, callback: provider.callback() }
}

let current
let generation = 0
let down = false

async function handle(req, res) {
  const { pathname } = new URL(req.url, 'http://localhost')
  if (req.method === 'POST' && pathname.startsWith('/test/')) {
    switch (pathname) {
      case '/test/rotate':
        generation += 1
        current = await build(issuer, generation)
        break
      case '/test/revoke': {
        let token = ''
        for await (const chunk of req) token += chunk
        const found = await current.provider.ClientCredentials.find(token)
        await found.destroy()
        break
      }
      case '/test/down':
        down = true
        break
      case '/test/up':
        down = false
        break
      default:
        res.writeHead(404).end()
        return
    }
    res.writeHead(204).end()
  } else if (down) {
    res.writeHead(503).end()
  } else if (pathname.startsWith('/interaction/')) {
    // The only prompt is for a login.
    await current.provider.interactionFinished(req, res, { login: { accountId: account.sub } })
  } else {
    current.callback(req, res)
  }
}

const server = createServer((req, res) => {
  handle(req, res).catch((error) => {
    console.error(error)
    if (!res.headersSent) res.writeHead(500)
    res.end()
  })
})
await new Promise((resolve, reject) => {
  server.once('error', reject)
  server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', resolve)
})
const { port } = server.address()
const issuer = `http://127.0.0.1:${port}`
current = await build(issuer, generation)
process.stdout.write(`ready ${port}\n`)
