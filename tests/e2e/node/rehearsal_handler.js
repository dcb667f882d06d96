// In the place of the worker's handler.js: answers whom the rehearsal's request was sent on for, `/now` if it has ended yet; and what it said, or
// asked of the network.

import { initSync } from "./doorward.js";
import { rehearse } from "./rehearsal.js";

export function handler(module) {
  initSync({ module });
  const heard = [];
  for (const name of ["log", "warn", "error"]) {
    const write = console[name].bind(console);
    console[name] = (line) => {
      if (line.includes("rehearsal")) heard.push(line);
      write(line);
    };
  }
  globalThis.fetch = (url) => heard.push(`${url}`);
  let found = "nobody yet";
  let ended;
  const prepare = () => {
    ended = rehearse().then((sent) => (found = sent.headers.get("x-user")));
  };
  const handle = async (request) => {
    if (!request.url.endsWith("/now")) await ended;
    return new Response([found, ...heard].join("\n"));
  };
  return Object.assign(handle, { prepare });
}
