// node examples/issuer/token.mjs CLAIMS.json: a token with these claims, valid from now for an hour unless they say otherwise.
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const read = (file) => JSON.parse(readFileSync(file, "utf8"));
const key = read(new URL("private-key.json", import.meta.url));
const now = Math.floor(Date.now() / 1000);
const claims = { iat: now, exp: now + 3600, ...read(process.argv[2]) };

const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const input = `${encode({ alg: key.alg, typ: "JWT", kid: key.kid })}.${encode(claims)}`;
const signature = sign("sha256", Buffer.from(input), createPrivateKey({ key, format: "jwk" }));
process.stdout.write(`${input}.${signature.toString("base64url")}\n`);
