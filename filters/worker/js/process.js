// What Node.js, Deno and Bun share: a process with an environment and files, which carries requests on itself. Their `fetch` unpacks
// bodies, adds fields of its own, and upgrades no connection.

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";

/** Fields of a connection, not of a message (RFC 9110 section 7.6.1), and what is told anew on the next one. */
const HOP = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"];
/** What a WebSocket client writes itself. */
const HANDSHAKE = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol"];
/** Methods of requests that may be sent twice (RFC 9110 section 9.2.1). */
const SAFE = ["GET", "HEAD", "OPTIONS"];
/** Methods that no `Request` can have (Fetch Standard). */
const FORBIDDEN = ["CONNECT", "TRACE", "TRACK"];
/** How many milliseconds an origin has to agree to a WebSocket: nothing else bounds that wait. */
export const AGREEMENT = 30_000;
/** Responses that cannot have a body. */
const BODILESS = [204, 205, 304];

/** The compiled module. */
export function compiled() {
  return new WebAssembly.Module(readFileSync(new URL("./doorward.wasm", import.meta.url)));
}

/** The configuration document: the variable `DOORWARD` has its text, or `DOORWARD_FILE` the name of its file. */
export function document({ DOORWARD, DOORWARD_FILE }) {
  return DOORWARD ?? (DOORWARD_FILE === undefined ? undefined : readFileSync(DOORWARD_FILE, "utf8"));
}

/** The fields of a message that go on. What its `Connection` names does not: it must go before anything is decided by it. */
export function lasting(pairs) {
  const headers = new Headers(pairs);
  const named = headers.get("connection")?.split(",") ?? [];
  for (const name of [...named.map((name) => name.trim()), ...HOP]) if (/^[\w!#$%&'*+.^`|~-]+$/.test(name)) headers.delete(name);
  return headers;
}

/** Has a request judged, and carries it on. `upgrade` makes two WebSockets of what becomes one. */
export function answer(handle, request, environment, upgrade) {
  const clean = received(request);
  if (clean === undefined) return new Response(null, { status: 400 });
  const send = (sent) => (isWebSocket(sent.method, sent.headers.get("upgrade")) ? upgrade(request, sent) : carry(sent));
  return handle(clean, environment, { waitUntil() {}, send });
}

/** The same request without the fields that its `Connection` names; nothing if it is at fault. */
function received(request) {
  const { headers, method } = request;
  try {
    // Bun has no absolute URL where `Host` is none, or at fault.
    if (FORBIDDEN.includes(method) || !request.url.startsWith("http")) return undefined;
    if (isWebSocket(method, headers.get("upgrade")) && announcesBody(headers.get("content-length"), headers.get("transfer-encoding"))) return undefined;
    const named = headers.get("connection")?.toLowerCase();
    if (named === undefined || ["keep-alive", "close", "upgrade"].includes(named)) return request;
    const kept = lasting(headers);
    for (const name of ["host", "upgrade"]) if (headers.has(name)) kept.set(name, headers.get(name));
    return new Request(request, { headers: kept });
  } catch {
    return undefined;
  }
}

/** Whether a request wants to become a WebSocket, by its method and its `Upgrade`. */
export function isWebSocket(method, upgrade) {
  return method === "GET" && upgrade?.toLowerCase() === "websocket";
}

/** Whether `Content-Length` or `Transfer-Encoding` announce a body. That of a handshake would be the first messages, or another request. */
export function announcesBody(length, encoding) {
  return (length ?? "0") !== "0" || (encoding ?? "") !== "";
}

/** Sends a request on, and resolves to the response, neither of them changed. `upgraded` gets a connection that was upgraded. */
export function carry(request, upgraded) {
  const fields = lasting(request.headers);
  const { body } = request;
  if (upgraded !== undefined) {
    fields.set("connection", "Upgrade");
    fields.set("upgrade", request.headers.get("upgrade"));
  } else if (body === null) {
    if (fields.get("content-length") !== "0") fields.delete("content-length");
  } else if (!fields.has("content-length")) {
    // For some methods it would be left unsaid where the body ends.
    fields.set("transfer-encoding", "chunked");
  }
  const url = new URL(request.url);
  const isRepeatable = body === null && SAFE.includes(request.method);
  const options = { method: request.method, headers: { ...Object.fromEntries(fields), ...request.repeated }, signal: request.signal };
  // Where a kept connection ends, Deno tries once more by itself, and says nothing if it cannot.
  if (!isRepeatable && "Deno" in globalThis) options.agent = false;
  return new Promise((resolve, reject) => {
    const outgoing = (url.protocol === "https:" ? https : http).request(url, options);
    if (upgraded !== undefined) {
      const late = setTimeout(() => outgoing.destroy(new Error("it did not agree in time")), AGREEMENT);
      for (const end of ["response", "upgrade", "close"]) outgoing.on(end, () => clearTimeout(late));
    }
    // What a listener throws would end the process: an answer that cannot be passed on is none, and its connection ends.
    const answered = (pass) => (incoming, ...connection) => {
      try {
        resolve(pass(incoming, ...connection));
      } catch (error) {
        incoming.socket.destroy();
        reject(error);
      }
    };
    outgoing.on("response", answered((incoming) => response(request.method, incoming)));
    outgoing.on("upgrade", answered(upgraded ?? unasked));
    outgoing.on("error", (error) => {
      // A kept connection may end as it is taken.
      const again = error.code === "ECONNRESET" && outgoing.reusedSocket && isRepeatable && upgraded === undefined;
      if (again && !request.signal.aborted) resolve(carry(request));
      else reject(error);
    });
    if (body === null) outgoing.end();
    else Readable.fromWeb(body).on("error", (error) => outgoing.destroy(error)).pipe(outgoing);
  });
}

function unasked() {
  throw new Error("expected no other protocol");
}

function response(method, incoming) {
  const pairs = [];
  for (let at = 0; at < incoming.rawHeaders.length; at += 2) pairs.push(incoming.rawHeaders.slice(at, at + 2));
  const headers = lasting(pairs);
  const status = incoming.statusCode;
  if (status < 200) throw new Error("expected a final status");
  if (method !== "HEAD" && !BODILESS.includes(status)) return new Response(Readable.toWeb(incoming), { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}

/** A WebSocket to where a request goes on to, once it is open. For platforms that have no raw connection to hand over. */
export function webSocket(request) {
  const headers = lasting(request.headers);
  const protocols = headers.get("sec-websocket-protocol")?.split(",").map((name) => name.trim()) ?? [];
  for (const name of HANDSHAKE) headers.delete(name);
  // Bun joins those of one name.
  const fields = [...headers].flatMap(([name, value]) => (request.repeated?.[name] ?? [value]).map((one) => [name, one]));
  const socket = new WebSocket(request.url.replace("http", "ws"), { protocols, headers: fields });
  socket.binaryType = "arraybuffer";
  return new Promise((resolve, reject) => {
    const end = () => {
      settle();
      socket.close();
      reject(new Error("it took no WebSocket"));
    };
    const late = setTimeout(end, AGREEMENT);
    const settle = () => {
      clearTimeout(late);
      request.signal.removeEventListener("abort", end);
    };
    request.signal.addEventListener("abort", end);
    socket.onopen = () => {
      settle();
      resolve(socket);
    };
    socket.onerror = socket.onclose = end;
    if (request.signal.aborted) end();
  });
}

/** What ends one side of a WebSocket as the other has ended. */
export function close(socket, code, reason) {
  // Codes that are told, but cannot be sent (RFC 6455 section 7.4.1).
  if (code === 1000 || (code >= 3000 && code < 5000)) socket.close(code, reason);
  else socket.close();
}
