// What the module needs of the web platform, in calls that hand over much at once: each crossing between JavaScript and WebAssembly
// costs. Texts of several lines are lists: no name and no value of a header field has a line break in it.

/** Resolves to what `resume` makes of a promise's outcome. `place` says what goes on with it. */
export function after(promise, resume, place) {
  return promise.then(
    (value) => resume(place, true, value),
    (error) => resume(place, false, error),
  );
}

/** Resolves to what is in the array that a promise resolves to. */
export function only(promise) {
  return promise.then(([value]) => value);
}

const encoder = new TextEncoder();

/**
 * Writes the head of a request, in UTF-8: method, URL, then names and values of fields, a line each. How many bytes that takes; more than there is
 * room for, if it was not written as a whole.
 */
export function head(request, room) {
  const text = lines(`${request.method}\n${request.url}`, request.headers);
  const { read, written } = encoder.encodeInto(text, room);
  return read === text.length ? written : text.length * 3;
}

function lines(start, headers) {
  let text = start;
  headers.forEach((value, name) => (text += `\n${name}\n${value}`));
  return text;
}

/** SHA-256 of the certificate that the client has shown, in hexadecimal, where the platform tells it. */
export function certificate(request) {
  const shown = request.cf?.tlsClientAuth;
  return shown?.certPresented === "1" ? shown.certFingerprintSHA256 : undefined;
}

/**
 * The same request to another URL, changed: lines of `-name`, `=name value` and `+name value`. Fields of one name are one value to who reads
 * `headers`, although a comma may be part of each: so `repeated` has those that were added.
 */
export function changed(request, url, changes) {
  const sent = new Request(url, request);
  if (changes !== "") {
    const { headers } = sent;
    for (const change of changes.split("\n")) {
      const space = change.indexOf(" ");
      if (change[0] === "=") headers.set(change.slice(1, space), change.slice(space + 1));
      else if (change[0] === "+") append(sent, change.slice(1, space), change.slice(space + 1));
      else headers.delete(change.slice(1));
    }
  }
  return sent;
}

function append(sent, name, value) {
  sent.repeated ??= {};
  const first = sent.headers.get(name);
  sent.repeated[name] ??= first === null ? [] : [first];
  sent.repeated[name].push(value);
  sent.headers.append(name, value);
}

/**
 * Sends a request on, to what has a `fetch`: a binding, or else the network. Redirects are for the client. Where the platform's `fetch`
 * does not carry everything as it is, its context has a `send` that does.
 */
export function send(request, binding, context) {
  const sent =
    binding === undefined && context.send !== undefined
      ? context.send(request)
      : (binding ?? globalThis).fetch(request, request.redirect === "manual" ? undefined : MANUAL);
  return sent.catch(unreachable);
}

// On Cloudflare requests come so, and options that say it again would be taken apart for each.
const MANUAL = { redirect: "manual" };

const BAD_GATEWAY = JSON.stringify({ type: "about:blank", title: "The origin could not be reached", status: 502 });

function unreachable(error) {
  console.error(`doorward: the origin could not be reached: ${error?.message ?? error}`);
  return reply(502, "content-type\napplication/problem+json\ncache-control\nno-store", BAD_GATEWAY);
}

/** A response made here, of a text, of bytes or of nothing; `fields` are names and values, a line each. */
export function reply(status, fields, body) {
  return new Response(body, { status, headers: listed(fields) });
}

/** Waits. Only inside a request: CDN platforms know no timers outside. */
export function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Waits until one of these settles, but no longer than so many milliseconds; before there is a request, when there are no timers, for as long as it takes. */
export function first(promises, milliseconds) {
  const settled = Promise.race(promises).catch(() => {});
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds))).catch(() => settled);
  return Promise.race([settled, late]).finally(() => clearTimeout(timer));
}

/**
 * Makes a call. Resolves to its answer, or to nothing if there is none in time. Of the body no more than `limit` bytes are read. A context may
 * have a `call` that answers instead of the network.
 */
export async function call(context, url, method, fields, body, timeout, limit) {
  try {
    const made = { method, headers: listed(fields), body, redirect: "manual" };
    const response = await (context.call?.(url, made) ?? fetch(url, { ...made, signal: AbortSignal.timeout(timeout) }));
    return {
      status: response.status,
      cacheControl: response.headers.get("cache-control") ?? undefined,
      body: await beginning(response.body, limit),
    };
  } catch {
    return undefined;
  }
}

async function beginning(stream, limit) {
  const parts = [];
  let length = 0;
  const reader = stream?.getReader();
  while (reader !== undefined && length < limit) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, limit - length);
    parts.push(part);
    length += part.length;
  }
  if (length === limit) await reader.cancel();
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function listed(fields) {
  const headers = new Headers();
  const lines = fields.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  return headers;
}

// Nobody is asked for this address: `caches` knows entries by URLs.
const entry = (name) => `https://doorward.invalid/${name}`;

/** Bytes from `caches`, or nothing. */
export async function readCache(cache, name) {
  const found = await (await caches.open(cache)).match(entry(name));
  return found === undefined ? undefined : new Uint8Array(await found.arrayBuffer());
}

/** Bytes into `caches`, for so many seconds. */
export async function writeCache(cache, name, content, seconds) {
  const headers = { "cache-control": `max-age=${seconds}` };
  await (await caches.open(cache)).put(entry(name), new Response(content, { headers }));
}

/** Bytes of a key-value namespace, or nothing. */
export async function readKv(namespace, name) {
  const found = await namespace.get(name, "arrayBuffer");
  return found === null ? undefined : new Uint8Array(found);
}

/** Bytes into a key-value namespace, for so many seconds; it takes no fewer than 60. */
export function writeKv(namespace, name, content, seconds) {
  return namespace.put(name, content, { expirationTtl: Math.max(60, seconds) });
}

/** Has a Durable Object remember a proof: `fresh`, `seen` or `full`. Each bucket is an object of its own. */
export function recordProof(namespace, bucket, id, now, until) {
  return namespace.get(namespace.idFromName(bucket)).record(id, now, until);
}

/** One data point of Workers Analytics Engine. */
export function count(dataset, outcome, provider, code) {
  dataset.writeDataPoint({ indexes: [provider], blobs: [outcome, provider, code], doubles: [1] });
}

const rsa = (name, bits) => ({ name, hash: `SHA-${bits}`, saltLength: bits / 8 });
const ecdsa = (curve, bits) => ({ name: "ECDSA", namedCurve: curve, hash: `SHA-${bits}` });

/** JWA names (RFC 7518, RFC 8037) as WebCrypto has them. */
const ALGORITHMS = {
  RS256: rsa("RSASSA-PKCS1-v1_5", 256),
  RS384: rsa("RSASSA-PKCS1-v1_5", 384),
  RS512: rsa("RSASSA-PKCS1-v1_5", 512),
  PS256: rsa("RSA-PSS", 256),
  PS384: rsa("RSA-PSS", 384),
  PS512: rsa("RSA-PSS", 512),
  ES256: ecdsa("P-256", 256),
  ES384: ecdsa("P-384", 384),
  ES512: ecdsa("P-521", 512),
  EdDSA: { name: "Ed25519" },
};

/** A public key for checks by one algorithm. Fails for what the platform does not know. */
export function importKey(algorithm, spki) {
  return crypto.subtle.importKey("spki", spki, ALGORITHMS[algorithm], false, ["verify"]);
}

/** Whether a signature is by this key. */
export function verify(algorithm, key, signature, message) {
  return crypto.subtle.verify(ALGORITHMS[algorithm], key, signature, message);
}

/** The body of a request or of a response, but no more of it than one byte beyond `limit`; nothing if it did not come as a whole. */
export async function body(request, limit) {
  try {
    return await beginning(request.body, limit + 1);
  } catch {
    return undefined;
  }
}

/**
 * The client's address, where the platform tells it: a field of this name from elsewhere is the client's own. Cloudflare always says where it
 * is (`colo`); workerd by itself has a `cf` too, and lets the field pass.
 */
export function address(request) {
  return request.cf?.colo === undefined ? undefined : (request.headers.get("cf-connecting-ip") ?? undefined);
}

/** Sends a call to a store, to a binding or else over the network. Resolves to the response, or to nothing if there is none in time. */
export async function ask(url, binding, method, fields, body, timeout) {
  try {
    const signal = AbortSignal.timeout(timeout);
    return await (binding ?? globalThis).fetch(url, { method, headers: listed(fields), body, signal, redirect: "manual" });
  } catch {
    return undefined;
  }
}

/** The head of a response: its status, then names and values of fields, a line each. */
export function responseHead(response) {
  return lines(`${response.status}`, response.headers);
}

/** The body of a response under another head. */
export function passed(response, status, fields) {
  return new Response(response.body, { status, headers: listed(fields) });
}

// What is bound to names is kept here: Rust knows each by its place.
const databases = [];

/** Keeps a D1 database. */
export function database(binding) {
  return databases.push(binding) - 1;
}

/**
 * Has a D1 database do statements in one transaction. They are JSON: the text of each, and its parameters, octets as arrays. Resolves to JSON:
 * for each statement its rows and how many it changed; or to a text, which says why nothing was done.
 */
export async function batch(place, statements) {
  try {
    const d1 = databases[place];
    const prepared = JSON.parse(statements).map(([text, parameters]) => d1.prepare(text).bind(...parameters));
    const outcomes = await d1.batch(prepared);
    return JSON.stringify(outcomes.map(({ results, meta }) => [results.map(Object.values), meta.changes]));
  } catch (error) {
    return JSON.stringify(`${error?.message ?? error}`);
  }
}
