// In the place of the worker's handler.js: answers whom the rehearsal's request was sent on for; `/now` if it has ended yet.

import { initSync } from "./doorward.js";
import { rehearse } from "./rehearsal.js";

export function handler(module) {
  initSync({ module });
  let found = "nobody yet";
  let ended;
  const prepare = () => {
    ended = rehearse().then((sent) => (found = sent.headers.get("x-user")));
  };
  const handle = async (request) => {
    if (!request.url.endsWith("/now")) await ended;
    return new Response(found);
  };
  return Object.assign(handle, { prepare });
}
