// A made-up request, judged before there is a real one: a platform compiles each function of a module when it is called first, and what a
// request needs takes longer to compile than to do.

import { Doorward } from "./doorward.js";

/** They protect nothing: nobody has the private ones. */
const KEYS = JSON.stringify({
  keys: [
    { kty: "RSA", kid: "RS256", alg: "RS256", n: "tRO7N002ekBmCBf5oztuUoI1vObifnUiCgKqoO6tzijEhVeZUN0mpdar8euKMzQZuXYqdvp-tDAb_saMuCl7DN68Cm1gd0TPiv1eZl5WN0gv0HJcYvhqeDoI3sr5yEyWD3ItbjbzvwIYqWigCbpEv9asff5HFCsAUeMkOzCVL9y6tJ1JQeyYnRZxWZBAzPgFha81cXdEomqMnPU0mDkxFGmoCF73c3mPnXKLi-y4Ets-JhHULAVKaLtSliHxFC9jiv_oK6XCA9zMPCwDbppv7vxDAO7SqjwzL-P0M0Od_tQJ9U7lOHF0-y5Y0cVDzavZtz8BPYRDF7situ-jEhQHyQ", e: "AQAB" },
    { kty: "EC", crv: "P-256", kid: "ES256", alg: "ES256", x: "Fqge7MtA0Yl3-GuUK5SF7LfwSwK7ApJ7wdvFkq2dYe4", y: "PXMKy3mgrbb6RrT_JlZ35C2wITnVqFv8uFXTsOCnS3Y" },
    { kty: "OKP", crv: "Ed25519", kid: "EdDSA", alg: "EdDSA", x: "plen8cJMua5YJ-uvsZtLJ9vPmSgHy7v2iMcI-PSWdSo" },
  ],
});

const DOCUMENT = JSON.stringify({
  providers: {
    rehearsal: {
      issuer: "https://rehearsal.invalid",
      audiences: ["rehearsal"],
      algorithms: ["RS256", "ES256", "EdDSA"],
      jwks: { remote: { uri: "https://rehearsal.invalid/keys", cluster: "rehearsal" } },
    },
  },
  rules: [{ match: { path: { prefix: "/" } }, require: { provider: "rehearsal" } }],
  identity_headers: [{ header: "x-user", claim: ["sub"] }],
  worker: { origin: { binding: "ORIGIN" } },
});

const TOKEN = [
  "eyJhbGciOiJSUzI1NiIsImtpZCI6IlJTMjU2IiwidHlwIjoiSldUIn0",
  "eyJpc3MiOiJodHRwczovL3JlaGVhcnNhbC5pbnZhbGlkIiwic3ViIjoibm9ib2R5IiwiYXVkIjoicmVoZWFyc2FsIiwiZXhwIjoyNTM0MDIzMDA3OTl9",
  "SJlYeY4gTO7-pEjDxnm6Xauf1tKg4aGG0BV7oC0TuTGx3eCbKVi1ilZr_erGe-vfYIbxEe3tmSeCnpB2BlL5BmaHxYhk_rmanM_AbYVtg6_5np8p75uYazxTV1mnTMyWqIo9jFyoNyWV9eVAjvO3UuFMI2UH5glsZ1POLCZkwaMcu5EUnUnp57Ibcc0fRE28wd-Yem4Pn6ZwDu9QVO8xOO2fq4wq_lSR_atmjY-f1SlTYCuW7GN1Wzij5ju00rUdS3CruaUkMJKmh-vkz5CMhyPsom7QhBnlycyKMvxe4vJ_uWtu-vCyKF9wS-bdlwXV0mu4fGeBMwxjvYkLfahN4A",
].join(".");

/** Resolves to what was sent on; nobody need wait for it. */
export async function rehearse() {
  let sent;
  const origin = {
    fetch: async (request) => {
      sent = request;
      return new Response();
    },
  };
  const context = { waitUntil() {}, call: async () => ({ status: 200, headers: new Headers(), body: stream(KEYS) }) };
  const doorward = Doorward.rehearsal(DOCUMENT, { ORIGIN: origin });
  const request = new Request("https://rehearsal.invalid/", { headers: { authorization: `Bearer ${TOKEN}` } });
  await doorward.fetch(request, context);
  doorward.free();
  return sent;
}

/** What is read of a response's body. Cloudflare has no body of its own before there is a request. */
function stream(text) {
  let rest = new TextEncoder().encode(text);
  const read = async () => {
    const value = rest;
    rest = undefined;
    return { done: value === undefined, value };
  };
  return { getReader: () => ({ read }) };
}
