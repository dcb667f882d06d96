// Runs the module named on the command line once for every algorithm, and prints a Markdown table. `cargo xtask bench v8`.
import { createHmac, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const rsa = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const curve = (namedCurve) => () => generateKeyPairSync("ec", { namedCurve });
const pkcs1 = (hash) => (key, input) => sign(hash, input, key);
const pss = (hash, saltLength) => (key, input) => sign(hash, input, { key, padding: 6, saltLength });
const ecdsa = (hash) => (key, input) => sign(hash, input, { key, dsaEncoding: "ieee-p1363" });

const algorithms = {
  RS256: [rsa, pkcs1("sha256")],
  RS512: [rsa, pkcs1("sha512")],
  PS256: [rsa, pss("sha256", 32)],
  ES256: [curve("P-256"), ecdsa("sha256")],
  ES384: [curve("P-384"), ecdsa("sha384")],
  ES512: [curve("P-521"), ecdsa("sha512")],
  EdDSA: [() => generateKeyPairSync("ed25519"), (key, input) => sign(null, input, key)],
  HS256: [
    () => {
      const secret = randomBytes(32);
      const jwk = { kty: "oct", k: secret.toString("base64url") };
      return { publicKey: { export: () => jwk }, privateKey: secret };
    },
    (key, input) => createHmac("sha256", key).update(input).digest(),
  ],
};

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const claims = {
  iss: "https://login.example.com/",
  aud: "api",
  sub: "alice",
  groups: ["a", "b", "c"],
  iat: 1_799_999_940,
  exp: 1_800_000_300,
};

const module = await WebAssembly.compile(readFileSync(process.argv[2]));
console.log(`Node.js ${process.version}, V8 ${process.versions.v8}\n`);
console.log("| algorithm | signature, µs | request without it, µs |\n|---|---|---|");
for (const [alg, [generate, by]] of Object.entries(algorithms)) {
  const { publicKey, privateKey } = generate();
  const input = `${encode({ alg, typ: "JWT" })}.${encode(claims)}`;
  const token = `${input}.${by(privateKey, Buffer.from(input)).toString("base64url")}`;
  const key = JSON.stringify(publicKey.export({ format: "jwk" }));
  const wasi = new WASI({ version: "preview1", args: ["bench", alg, key, token], returnOnExit: true });
  const code = wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
  if (code !== 0) process.exit(code);
}
