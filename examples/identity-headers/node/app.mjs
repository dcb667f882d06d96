// node app.mjs PORT: a service behind Doorward. It answers with what it understood of the identity headers.

import { createServer } from "node:http";
import * as identity from "./identity.mjs";

function understood(request) {
  const payload = identity.payload(request, "x-jwt-payload");
  const userId = identity.text(request, "x-user-id");
  return {
    // No x-user-id, no user: the document says `when_missing: reject` for it.
    anonymous: userId === null,
    user_id: userId,
    name: identity.text(request, "x-user-name"),
    groups: identity.items(request, "x-user-groups"),
    roles: identity.items(request, "x-user-roles", " "),
    permissions: identity.items(request, "x-user-permissions"),
    address: identity.jsonValue(request, "x-user-address"),
    motto: identity.base64urlText(request, "x-user-motto"),
    // As text: JSON.stringify cannot write a BigInt, and a reader in JavaScript would take digits away.
    employee_number: identity.integer(request, "x-employee-number")?.toString() ?? null,
    issuer: payload === null ? null : JSON.parse(payload).iss,
    payload,
  };
}

function answer(request, response) {
  if (request.url === "/healthz") return response.end("ok\n");
  let body;
  try {
    body = understood(request);
  } catch (error) {
    // Not the user's fault: this service and the proxy's document do not agree. Nobody is let in by half an identity.
    console.error(`identity headers not understood: ${error}`);
    response.statusCode = 500;
    body = { error: "identity headers not understood" };
  }
  response.setHeader("content-type", "application/json");
  response.end(`${JSON.stringify(body, null, 2)}\n`);
}

// Each identity header may be 8 KiB, and Node refuses 16 KiB of headers unless told otherwise.
const server = createServer({ maxHeaderSize: 64 * 1024 }, answer);
// On loopback only, where the proxy is: whoever can reach this port can write identity headers.
server.listen(Number(process.argv[2]), "127.0.0.1");
