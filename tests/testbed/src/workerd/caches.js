// The platform's `caches` as workerd asks for them, over a folder. A GET says `cf-cache-status` of its answer; the body of a PUT is a whole
// response, head and body, as HTTP/1.1 writes it.

async function place(request) {
  const name = new TextEncoder().encode(`${request.headers.get("cf-cache-namespace")} ${request.url}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", name));
  return `http://folder/${Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** A response out of its octets. */
function parsed(octets) {
  // A character for each octet.
  const text = Array.from(octets, (octet) => String.fromCharCode(octet)).join("");
  const end = text.indexOf("\r\n\r\n");
  const [line, ...fields] = text.slice(0, end).split("\r\n");
  const headers = new Headers(fields.map((field) => /^(.*?): (.*)$/.exec(field).slice(1)));
  for (const name of ["content-length", "transfer-encoding"]) headers.delete(name);
  return new Response(octets.slice(end + 4), { status: Number(line.split(" ")[1]), headers });
}

export default {
  async fetch(request, { FOLDER }) {
    if (request.method === "PUT") {
      const body = new Uint8Array(await request.arrayBuffer());
      // What does not say how long it may be kept is not.
      const lasts = Number(/max-age=(\d+)/.exec(parsed(body).headers.get("cache-control"))?.[1] ?? 0);
      if (lasts > 0) await FOLDER.fetch(await place(request), { method: "PUT", body });
      return new Response(null, { status: lasts > 0 ? 204 : 413 });
    }
    const found = await FOLDER.fetch(await place(request));
    if (!found.ok) return new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } });
    const response = parsed(new Uint8Array(await found.arrayBuffer()));
    response.headers.set("cf-cache-status", "HIT");
    return response;
  },
};
