// node tls_get.mjs PORT FOLDER NAME TOKEN [PATH]: a GET over TLS, with the client certificate NAME of `certificates.py FOLDER`, or without
// one if NAME is `-`; without a token if TOKEN is `-`. Prints status, header fields and body.
import { readFileSync } from 'node:fs'
import { request } from 'node:https'

const [port, folder, name, token, path = '/'] = process.argv.slice(2)
const file = (end) => readFileSync(`${folder}/${end}`)
const own = name === '-' ? {} : { cert: file(`${name}.crt`), key: file(`${name}.key`) }
const authorization = token === '-' ? {} : { authorization: `Bearer ${token}` }
const options = {
  host: '127.0.0.1',
  port: Number(port),
  path,
  servername: 'login.example.com',
  ca: file('authority.crt'),
  headers: { host: 'login.example.com', ...authorization },
  ...own,
}
request(options, async (response) => {
  let body = ''
  for await (const chunk of response) body += chunk
  console.log(JSON.stringify({ status: response.statusCode, headers: response.headers, body }))
})
  .on('error', (error) => {
    console.error(error)
    process.exit(1)
  })
  .end()
