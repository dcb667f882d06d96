"""python mint_pyjwt.py CLAIMS: one token for each algorithm with the JSON object CLAIMS as its claims, and the keys."""

import base64
import json
import secrets
import sys

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
# PyJWT 2 does not know the name "Ed25519" of RFC 9864.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", *CURVES, "EdDSA", "HS256", "HS384", "HS512"]


def fresh_key(alg):
    """A key to sign with and the JWK to verify with."""
    if alg.startswith("HS"):
        key = secrets.token_bytes(int(alg[2:]) // 8)
        return key, {"kty": "oct", "k": base64.urlsafe_b64encode(key).rstrip(b"=").decode()}
    if alg in CURVES:
        key = ec.generate_private_key(CURVES[alg]())
    elif alg == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.get_algorithm_by_name(alg).to_jwk(key.public_key(), as_dict=True)
    return key, {name: value for name, value in jwk.items() if name not in ("key_ops", "alg", "use", "kid")}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python mint_pyjwt.py CLAIMS")
    claims = sys.argv[1]
    json.loads(claims)
    cases = []
    for alg in ALGORITHMS:
        key, jwk = fresh_key(alg)
        kid = f"pyjwt-{alg}"
        # The bytes as they were given: `jwt.encode` would write them anew.
        token = jwt.api_jws.encode(claims.encode(), key, algorithm=alg, headers={"typ": "JWT", "kid": kid})
        cases.append({"alg": alg, "jwk": {**jwk, "kid": kid, "alg": alg, "use": "sig"}, "token": token})
    print(json.dumps({"tool": "PyJWT", "version": jwt.__version__, "cases": cases}))


main()
