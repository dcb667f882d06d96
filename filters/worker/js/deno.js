// Deno: `deno serve --allow-env --allow-net --allow-read dist/worker/deno.js`, with the configuration document in `DOORWARD` or in the file
// that `DOORWARD_FILE` names; or `worker(document)` in a module of yours.

import { handler } from "./handler.js";
import { AGREEMENT, answer, close, compiled, document, webSocket } from "./process.js";

/** A server by a document: an object, JSON text, or a function that tells it by the environment. Throws what is wrong with it. */
export function worker(document) {
  const handle = handler(compiled(), document);
  const environment = Deno.env.toObject();
  handle.prepare(environment);
  return {
    fetch: (request) => answer(handle, request, environment, upgrade),
  };
}

// In a module of yours there is no document here.
export default import.meta.main ? worker(document) : undefined;

/** Two WebSockets, to the origin and to the client: the origin must agree first. */
async function upgrade(request, sent) {
  const origin = await webSocket(sent);
  const { socket, response } = accepted(request, origin);
  // A client that has left by now never opens it, and Deno does not tell.
  const late = setTimeout(() => origin.close(), AGREEMENT);
  const early = [];
  origin.onmessage = ({ data }) => (socket.readyState === WebSocket.OPEN ? socket.send(data) : early.push(data));
  origin.onclose = ({ code, reason }) => close(socket, code, reason);
  origin.onerror = () => socket.close();
  socket.onopen = () => {
    clearTimeout(late);
    early.forEach((data) => socket.send(data));
  };
  socket.onmessage = ({ data }) => origin.send(data);
  socket.onclose = ({ code, reason }) => close(origin, code, reason);
  socket.onerror = () => origin.close();
  return response;
}

function accepted(request, origin) {
  try {
    return Deno.upgradeWebSocket(request, { protocol: origin.protocol });
  } catch (error) {
    // It is no WebSocket request by Deno's measure: of several protocols it demands ", " between them.
    origin.close();
    throw error;
  }
}
