// Cloudflare Workers. As it is, with the configuration document in the variable `DOORWARD`; or `worker(document)` in a module of yours.

import { DurableObject, env } from "cloudflare:workers";
import module from "./doorward.wasm";
import { handler } from "./handler.js";

/** A worker by a document: an object, JSON text, or a function that tells it by the bindings. */
export function worker(document) {
  const fetch = handler(module, document, true);
  try {
    fetch.prepare(env);
  } catch {
    // A script that fails has no log: the first request tries again, and says what is wrong.
  }
  return { fetch };
}

export default worker((bindings) => bindings.DOORWARD);

/** Remembers used DPoP proofs until they end: `worker.proofs.durable_object`. */
export class Proofs extends DurableObject {
  constructor(context, bindings) {
    super(context, bindings);
    this.sql = context.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS proofs (id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID");
  }

  /** `fresh` if the proof is new; it is remembered then. */
  record(id, now, until) {
    this.sql.exec("DELETE FROM proofs WHERE until < ?", now);
    const added = this.sql.exec("INSERT INTO proofs (id, until) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id", id, until);
    return added.toArray().length === 1 ? "fresh" : "seen";
  }
}
