// node h2_post.mjs PORT PATH TOKEN PIECES: a POST over HTTP/2 without TLS. PIECES is a JSON array of texts, each written by itself, or an object
// that says how many TIMES and OF which text; trailers follow. Prints status, header fields and body.
import { connect } from 'node:http2'

const [port, path, token, pieces] = process.argv.slice(2)
const session = connect(`http://127.0.0.1:${port}`)
session.on('error', (error) => {
  console.error(error)
  process.exit(1)
})
const call = session.request(
  {
    ':method': 'POST',
    ':path': path,
    authorization: `Bearer ${token}`,
    'content-type': 'application/scim+json',
  },
  { endStream: false, waitForTrailers: true },
)
// It may be answered, and closed, before all is said.
call.on('error', () => {})
call.on('wantTrailers', () => call.sendTrailers({ 'x-note': 'a', authorization: 'Bearer other', 'x-doorward-tenant': 'other' }))
call.on('response', async (headers) => {
  let body = ''
  for await (const chunk of call) body += chunk
  console.log(JSON.stringify({ status: headers[':status'], headers, body }))
  session.close()
})
const body = JSON.parse(pieces)
const all = Array.isArray(body) ? body : Array(body.times).fill(body.of)
for (const piece of all) await new Promise((resolve) => call.write(piece, resolve))
call.end()
