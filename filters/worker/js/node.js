// Node.js: `node dist/worker/node.js`, with the configuration document in the file that `DOORWARD` names.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { handler } from "./handler.js";

const module = new WebAssembly.Module(readFileSync(new URL("./doorward.wasm", import.meta.url)));
const handle = handler(module, () => readFileSync(process.env.DOORWARD, "utf8"));
const context = { waitUntil() {} };

/** Fields of a connection, not of a request (RFC 9110 section 7.6.1): a proxy does not send them on. */
const HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "expect", "content-length", "host"]);

const server = createServer(async (incoming, outgoing) => {
  const headers = new Headers();
  for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
    if (!HOP.has(incoming.rawHeaders[at].toLowerCase())) headers.append(incoming.rawHeaders[at], incoming.rawHeaders[at + 1]);
  }
  const hasBody = incoming.method !== "GET" && incoming.method !== "HEAD";
  const request = new Request(`http://${incoming.headers.host}${incoming.url}`, {
    method: incoming.method,
    headers,
    ...(hasBody ? { body: Readable.toWeb(incoming), duplex: "half" } : {}),
  });
  const response = await handle(request, process.env, context);
  outgoing.writeHead(response.status, [...response.headers].flat());
  if (response.body) Readable.fromWeb(response.body).pipe(outgoing);
  else outgoing.end();
});
server.listen(Number(process.env.PORT ?? 8787), process.env.HOST ?? "127.0.0.1");
