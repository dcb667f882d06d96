// What all platforms share: one `Doorward` for an isolate, made at its first request, when bindings are there.

import { Doorward, initSync } from "./doorward.js";

const INTERNAL_ERROR = JSON.stringify({
  type: "urn:doorward:denial:internal_error",
  title: "The request could not be judged",
  status: 500,
  code: "internal_error",
});

/**
 * A function that answers requests. `module` is the compiled module, `document` tells the configuration document, as text or as an
 * object, by the platform's bindings.
 */
export function handler(module, document) {
  initSync({ module });
  let doorward;
  return (request, bindings, context) => {
    try {
      doorward ??= open(document, bindings);
      return doorward.fetch(request, context);
    } catch (error) {
      // A document at fault, or a trap: whatever it was, the request does not pass, and the next one begins anew.
      doorward = undefined;
      console.error(`doorward: ${error?.message ?? error}`);
      return new Response(INTERNAL_ERROR, { status: 500, headers: { "content-type": "application/problem+json", "cache-control": "no-store" } });
    }
  };
}

function open(document, bindings) {
  const found = document(bindings);
  if (found === undefined) throw new Error("expected the configuration document, but found nothing");
  return new Doorward(typeof found === "string" ? found : JSON.stringify(found), bindings);
}
