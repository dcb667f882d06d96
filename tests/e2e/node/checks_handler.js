// In the place of the worker's handler.js: answers a list of signature checks, [[algorithm, JWK, input, signature], …], the last two in
// base64url, with what is said of each: by WebCrypto, by pure Rust, and what requests are judged by.

import { Checks, initSync } from "./doorward.js";

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));

export function handler(module) {
  initSync({ module });
  let checks;
  const handle = async (request) => {
    checks ??= new Checks();
    const answers = [];
    for (const [algorithm, jwk, input, signature] of await request.json()) {
      answers.push(await checks.check(algorithm, jwk, bytes(input), bytes(signature)));
    }
    return Response.json(answers);
  };
  return Object.assign(handle, { prepare() {} });
}
