// node scim_patch.mjs BASE TOKEN CASES: each case, a user and PATCH operations, once by scim-patch in memory and once by the SCIM service at BASE.
// CASES is a JSON array of [user, operations].
import assert from 'node:assert/strict'
import scim from 'scim-patch'

const [base, token, cases] = process.argv.slice(2)
assert(cases, 'usage: node scim_patch.mjs BASE TOKEN CASES')

const call = async (method, path, body) => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json' }
  const response = await fetch(base + path, { method, headers, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}

/** What the library makes of the resource, or why it refuses. */
const byLibrary = (resource, patch) => {
  try {
    scim.patchBodyValidation(patch)
    return { resource: scim.scimPatch(resource, patch.Operations, { mutateDocument: false, treatMissingAsAdd: true }) }
  } catch (error) {
    return { refused: `${error.name ?? 'Error'}: ${error.message}` }
  }
}

const results = []
for (const [user, Operations] of JSON.parse(cases)) {
  const created = await call('POST', '/Users', user)
  assert.equal(created.status, 201, JSON.stringify(created))
  const patch = { schemas: [scim.PATCH_OPERATION_SCHEMA], Operations }
  // First the library: the service must not see what it does to the operations.
  const library = byLibrary(created.body, structuredClone(patch))
  const { status, body } = await call('PATCH', `/Users/${created.body.id}`, patch)
  results.push({ created: created.body, library, status, body })
}
console.log(JSON.stringify({ tool: 'scim-patch', results }))
