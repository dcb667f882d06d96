"""python mint_jwcrypto.py CLAIMS: one token for each algorithm with the JSON object CLAIMS as its claims, and the keys."""

import json
import sys
from importlib.metadata import version

from jwcrypto import jwk, jws

PARAMETERS = {
    "RS256": {"kty": "RSA", "size": 2048},
    "RS384": {"kty": "RSA", "size": 2048},
    "RS512": {"kty": "RSA", "size": 2048},
    "PS256": {"kty": "RSA", "size": 2048},
    "PS384": {"kty": "RSA", "size": 2048},
    "PS512": {"kty": "RSA", "size": 2048},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    "Ed25519": {"kty": "OKP", "crv": "Ed25519"},
    "HS256": {"kty": "oct", "size": 256},
    "HS384": {"kty": "oct", "size": 384},
    "HS512": {"kty": "oct", "size": 512},
}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python mint_jwcrypto.py CLAIMS")
    claims = sys.argv[1]
    json.loads(claims)
    cases = []
    for alg, parameters in PARAMETERS.items():
        kid = f"jwcrypto-{alg}"
        key = jwk.JWK.generate(**parameters, kid=kid, alg=alg, use="sig")
        token = jws.JWS(claims.encode())
        token.add_signature(key, alg=alg, protected=json.dumps({"alg": alg, "typ": "JWT", "kid": kid}))
        exported = key.export(private_key=alg.startswith("HS"), as_dict=True)
        cases.append({"alg": alg, "jwk": exported, "token": token.serialize(compact=True)})
    print(json.dumps({"tool": "jwcrypto", "version": version("jwcrypto"), "cases": cases}))


main()
