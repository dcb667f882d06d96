// What all platforms share: one `Doorward` for an isolate.

import { Doorward, initSync } from "./doorward.js";
import { rehearse } from "./rehearsal.js";

const INTERNAL_ERROR = JSON.stringify({
  type: "urn:doorward:denial:internal_error",
  title: "The request could not be judged",
  status: 500,
  code: "internal_error",
});

/**
 * A function that answers requests. `module` is the compiled module; `document` is the configuration document, as text or as an object,
 * or a function that tells it by the platform's bindings. With `hasZone` requests can go on to where they were sent; without, the document must
 * name an origin. The function's `prepare` does by the bindings what can be done before there is a request, and throws what is wrong with the
 * document. If it was not called, the first request does that.
 */
export function handler(module, document, hasZone = false) {
  initSync({ module });
  let doorward;
  const open = (bindings) => {
    const found = typeof document === "function" ? document(bindings) : document;
    if (found === undefined) throw new Error("expected the configuration document, but found nothing");
    doorward = new Doorward(typeof found === "string" ? found : JSON.stringify(found), bindings, hasZone);
  };
  const handle = (request, bindings, context) => {
    try {
      if (doorward === undefined) open(bindings);
      return doorward.fetch(request, context);
    } catch (error) {
      // A document at fault, or a trap: whatever it was, the request does not pass, and the next one begins anew.
      doorward = undefined;
      console.error(`doorward: ${error?.message ?? error}`);
      return new Response(INTERNAL_ERROR, { status: 500, headers: { "content-type": "application/problem+json", "cache-control": "no-store" } });
    }
  };
  const prepare = (bindings) => {
    open(bindings);
    // It only makes the first request faster: nobody waits for it, and it may fail.
    rehearse().catch(() => {});
  };
  return Object.assign(handle, { prepare });
}
