// Node.js: `node dist/worker/node.js`, with the configuration document in `DOORWARD` or in the file that `DOORWARD_FILE` names, at `HOST`
// and `PORT`; or `serve(document)` in a module of yours.

import { realpathSync } from "node:fs";
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import { Readable, pipeline } from "node:stream";
import { fileURLToPath } from "node:url";
import { handler } from "./handler.js";
import { announcesBody, carry, compiled, document, isWebSocket, lasting } from "./process.js";

/**
 * A request that is upgraded only as a handshake for a WebSocket: of what it upgrades Node.js reads no body, and any other wish for a protocol
 * can be ignored (RFC 9110 section 7.8). Node.js asks once the fields are read.
 */
class Incoming extends IncomingMessage {
  set upgrade(wanted) {
    this.wanted = wanted;
  }

  get upgrade() {
    if (!this.wanted || !isWebSocket(this.method, this.headers.upgrade)) return false;
    return !announcesBody(this.headers["content-length"], this.headers["transfer-encoding"]);
  }
}

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
    const request = received(incoming, aborted.signal);
    if (request === undefined) return outgoing.writeHead(400, { connection: "close" }).end();
    // What came with it in one packet Node.js has not read.
    if (incoming.wanted) outgoing.shouldKeepAlive = false;
    const send = (sent) => carry(sent, upgraded);
    const response = await handle(request, process.env, { waitUntil() {}, send });
    if (response === undefined) return undefined;
    outgoing.writeHead(response.status, [...response.headers].flat());
    if (response.body === null) return outgoing.end();
    // If it fails, the client's connection ends in the middle of the body, as the origin's did.
    return pipeline(Readable.fromWeb(response.body), outgoing, () => {});
  }

  const server = createServer({ IncomingMessage: Incoming }, (incoming, outgoing) => {
    answer(incoming, outgoing).catch((error) => {
      console.error(`doorward: ${error.message}`);
      outgoing.destroy();
    });
  });
  server.on("upgrade", (incoming, socket, rest) => {
    socket.on("error", () => socket.destroy());
    // It is an ordinary request until the origin agrees.
    const outgoing = new ServerResponse(incoming);
    outgoing.shouldKeepAlive = false;
    try {
      outgoing.assignSocket(socket);
    } catch {
      // The socket is still an earlier request's, and nobody sends a handshake without waiting for that.
      return socket.destroy();
    }
    outgoing.on("finish", () => socket.end());
    // Nobody else reads it meanwhile, so nobody else would notice that the client leaves. It must not send anything yet (RFC 6455 section 4.1).
    const leave = () => socket.destroy();
    socket.unshift(rest);
    socket.on("data", leave).on("end", leave);
    const upgraded = (agreed, origin, first) => {
      outgoing.detachSocket(socket);
      socket.off("data", leave).off("end", leave);
      const lines = [`HTTP/1.1 101 ${agreed.statusMessage}`];
      for (let at = 0; at < agreed.rawHeaders.length; at += 2) lines.push(`${agreed.rawHeaders[at]}: ${agreed.rawHeaders[at + 1]}`);
      socket.write(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
      socket.write(first);
      pipeline(socket, origin, socket, () => {});
    };
    answer(incoming, outgoing, upgraded).catch(() => socket.destroy());
  });
  return server;
}

/** A request as the web platform has it; nothing if it cannot have it. */
function received(incoming, signal) {
  const { method, rawHeaders, url } = incoming;
  const pairs = [];
  for (let at = 0; at < rawHeaders.length; at += 2) pairs.push([rawHeaders[at], rawHeaders[at + 1]]);
  try {
    const headers = lasting(pairs);
    if (incoming.upgrade) headers.set("upgrade", incoming.headers.upgrade);
    else if (incoming.wanted && isWebSocket(method, incoming.headers.upgrade)) return undefined;
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
