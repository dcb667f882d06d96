// Doorward's identity headers, read. Node 18.3 or later, nothing else: copy this file.
//
// `request` is an http.IncomingMessage. Every function throws what Doorward does not write, and answers null or [] for an absent
// header.

const trimmed = (value) => value.replace(/^[ \t]+|[ \t]+$/g, "");

// `request.headers` would join repeated fields, and keep only the first of some: here all are seen.
const fields = (request, name) => (request.headersDistinct[name] ?? []).map(trimmed);

function field(request, name) {
  const found = fields(request, name);
  if (found.length > 1) throw new Error(`${name}: expected one field, but found ${found.length}`);
  return found[0] ?? null;
}

function percentDecode(name, value) {
  // Doorward encodes whatever is not visible ASCII or an inner space, so nothing else can be there.
  if (!/^(?:[\x20-\x24\x26-\x7e]|%[0-9A-F]{2})+$/.test(value)) throw new Error(`${name}: expected percent-encoded text`);
  return decodeURIComponent(value);
}

function base64url(name, value) {
  if (!/^[A-Za-z0-9_-]+$/.test(value)) throw new Error(`${name}: expected base64url`);
  // `ignoreBOM` keeps a byte order mark; `fatal` refuses what is not UTF-8.
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, "base64url"));
}

/** One string, number or boolean, as text. */
export function text(request, name) {
  const value = field(request, name);
  if (value === null) return null;
  // A comma inside one value is encoded. A plain one stands between two: the claim was a list.
  if (value.includes(",")) throw new Error(`${name}: expected one value, but found a list`);
  return percentDecode(name, value);
}

/** A whole number, of any size: a `number` would lose digits beyond 2^53. */
export function integer(request, name) {
  const value = text(request, name);
  if (value === null) return null;
  if (!/^-?[0-9]+$/.test(value)) throw new Error(`${name}: expected a whole number`);
  return BigInt(value);
}

/**
 * A list: `list: comma`, `list: repeat` (fields that may have been joined by commas on the way), or `list: space` with " ".
 *
 * Split first, decode then: an item named "a,b" is `a%2Cb` here, and must not become two.
 */
export function items(request, name, separator = ",") {
  const parts = fields(request, name).flatMap((value) => value.split(separator));
  return parts.map((part) => percentDecode(name, trimmed(part)));
}

/** `list: json`: any JSON value. Numbers beyond 2^53 lose digits here: let issuers write such identifiers as strings. */
export function jsonValue(request, name) {
  const value = field(request, name);
  return value === null ? null : JSON.parse(value);
}

/** `encoding: base64url`: one text. */
export function base64urlText(request, name) {
  const value = field(request, name);
  return value === null ? null : base64url(name, value);
}

/** `payload_header`: the token's whole payload, as the JSON text that was signed. */
export const payload = base64urlText;
