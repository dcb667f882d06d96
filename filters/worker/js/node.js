// Node.js: `node dist/worker/node.js`, with the configuration document in `DOORWARD` or in the file that `DOORWARD_FILE` names, at `HOST`
// and `PORT`; or `serve(document)` in a module of yours.

import { realpathSync } from "node:fs";
import { createServer, ServerResponse } from "node:http";
import { Readable, pipeline } from "node:stream";
import { fileURLToPath } from "node:url";
import { handler } from "./handler.js";
import { carry, compiled, document, isWebSocket, lasting } from "./process.js";

/**
 * A server by a document: an object, JSON text, or a function that tells it by the environment. Throws what is wrong with it. It does not listen
 * yet.
 */
export function serve(document) {
  const handle = handler(compiled(), document);
  handle.prepare(process.env);

  async function answer(incoming, outgoing, upgraded) {
    const aborted = new AbortController();
    outgoing.on("close", () => aborted.abort());
    const request = received(incoming, aborted.signal, upgraded !== undefined);
    if (request === undefined) return outgoing.writeHead(400, { connection: "close" }).end();
    const send = (sent) => carry(sent, upgraded !== undefined && isWebSocket(sent) ? upgraded : undefined);
    const response = await handle(request, process.env, { waitUntil() {}, send });
    if (response === undefined) return undefined;
    outgoing.writeHead(response.status, [...response.headers].flat());
    if (response.body === null) return outgoing.end();
    // If it fails, the client's connection ends in the middle of the body, as the origin's did.
    return pipeline(Readable.fromWeb(response.body), outgoing, () => {});
  }

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error) => {
      console.error(`doorward: ${error.message}`);
      outgoing.destroy();
    });
  });
  server.on("upgrade", (incoming, socket, rest) => {
    // It is an ordinary request until the origin agrees.
    const outgoing = new ServerResponse(incoming);
    outgoing.shouldKeepAlive = false;
    outgoing.assignSocket(socket);
    outgoing.on("finish", () => socket.end());
    socket.on("error", () => socket.destroy());
    const upgraded = (agreed, origin, first) => {
      outgoing.detachSocket(socket);
      const lines = [`HTTP/1.1 101 ${agreed.statusMessage}`];
      for (let at = 0; at < agreed.rawHeaders.length; at += 2) lines.push(`${agreed.rawHeaders[at]}: ${agreed.rawHeaders[at + 1]}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
      socket.write(first);
      origin.write(rest);
      pipeline(socket, origin, socket, () => {});
    };
    answer(incoming, outgoing, upgraded).catch(() => socket.destroy());
  });
  return server;
}

/** A request as the web platform has it; nothing if it cannot have it. */
function received(incoming, signal, upgrades) {
  const { method, rawHeaders, url } = incoming;
  const pairs = [];
  for (let at = 0; at < rawHeaders.length; at += 2) pairs.push([rawHeaders[at], rawHeaders[at + 1]]);
  try {
    const headers = lasting(pairs);
    if (upgrades) headers.set("upgrade", incoming.headers.upgrade);
    const host = incoming.headers.host ?? "localhost";
    if (!/^[\w.:[\]~-]+$/.test(host)) return undefined;
    headers.set("host", host);
    const body = method === "GET" || method === "HEAD" ? {} : { body: Readable.toWeb(incoming), duplex: "half" };
    const whole = url.startsWith("/") ? `http://${host}${url}` : url;
    return new Request(whole, { method, headers, signal, ...body });
  } catch {
    return undefined;
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const server = serve(document);
  server.listen(Number(process.env.PORT ?? 8787), process.env.HOST ?? "127.0.0.1", () => {
    const { address, port } = server.address();
    console.log(`doorward: listening on ${address} ${port}`);
  });
}
