// Bun: `bun dist/worker/bun.js`, with the configuration document in `DOORWARD` or in the file that `DOORWARD_FILE` names, at `HOST` and
// `PORT`; or `Bun.serve(worker(document))` in a module of yours.

import { handler } from "./handler.js";
import { answer, close, compiled, document, webSocket } from "./process.js";

/** A server by a document: an object, JSON text, or a function that tells it by the environment. Throws what is wrong with it. */
export function worker(document) {
  const handle = handler(compiled(), document);
  handle.prepare(process.env);
  return {
    // Else a fault of ours would show its source to the client.
    development: false,
    error: () => new Response(null, { status: 500 }),
    fetch: (request, server) => answer(handle, request, process.env, (...both) => upgrade(...both, server)),
    websocket: {
      open(socket) {
        const { origin, early } = socket.data;
        origin.onmessage = ({ data }) => socket.send(data);
        early.forEach((data) => socket.send(data));
        origin.onclose = ({ code, reason }) => close(socket, code, reason);
        if (origin.readyState > WebSocket.OPEN) socket.close();
      },
      message: (socket, data) => socket.data.origin.send(data),
      close: (socket, code, reason) => close(socket.data.origin, code, reason),
    },
  };
}

/** Two WebSockets, to the origin and to the client: the origin must agree first. */
async function upgrade(request, sent, server) {
  const origin = await webSocket(sent);
  const early = [];
  origin.onmessage = ({ data }) => early.push(data);
  const headers = origin.protocol === "" ? {} : { "sec-websocket-protocol": origin.protocol };
  if (server.upgrade(request, { headers, data: { origin, early } })) return undefined;
  origin.close();
  return new Response(null, { status: 400 });
}

if (import.meta.main) {
  const { hostname, port } = Bun.serve({
    ...worker(document),
    hostname: process.env.HOST ?? "127.0.0.1",
    port: Number(process.env.PORT ?? 8787),
  });
  console.log(`doorward: listening on ${hostname} ${port}`);
}
