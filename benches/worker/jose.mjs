// The usual worker: `jose`, its own memory of keys, and headers set by hand. It checks what the document of the benchmark asks for.
import { createRemoteJWKSet, jwtVerify } from "jose";

let keys;

export default {
  async fetch(request, env) {
    keys ??= createRemoteJWKSet(new URL(env.JWKS));
    const authorization = request.headers.get("authorization");
    if (!authorization?.startsWith("Bearer ")) return denied("token_missing");
    let claims;
    try {
      ({ payload: claims } = await jwtVerify(authorization.slice(7), keys, {
        issuer: "https://login.example.com/",
        audience: "api",
        algorithms: ["RS256", "ES256", "EdDSA"],
        clockTolerance: 60,
        requiredClaims: ["exp"],
      }));
    } catch (error) {
      return denied(error.code);
    }
    const sent = new Request(request.url, request);
    sent.headers.delete("authorization");
    sent.headers.delete("x-user-scope");
    sent.headers.set("x-user-id", claims.sub);
    if (claims.scope !== undefined) sent.headers.set("x-user-scope", claims.scope);
    return env.ORIGIN.fetch(sent, { redirect: "manual" });
  },
};

function denied(code) {
  return new Response(JSON.stringify({ code }), {
    status: 401,
    headers: { "content-type": "application/problem+json", "www-authenticate": "Bearer" },
  });
}
