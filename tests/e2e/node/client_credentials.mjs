// node client_credentials.mjs ISSUER RESOURCE [SCOPE]: prints the token response of the client credentials grant.
const [issuer, resource, scope = 'read write'] = process.argv.slice(2)
if (resource === undefined) {
  console.error('usage: node client_credentials.mjs ISSUER RESOURCE [SCOPE]')
  process.exit(2)
}

const response = await fetch(`${issuer}/token`, {
  method: 'POST',
  headers: { authorization: `Basic ${btoa('service:secret')}` },
  body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
})
const text = await response.text()
if (!response.ok) {
  console.error(`${response.status} ${text}`)
  process.exit(1)
}
console.log(JSON.stringify(JSON.parse(text)))
