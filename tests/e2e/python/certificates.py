"""python certificates.py FOLDER [HOST]: certificates for tests, in PEM files NAME.crt and NAME.key.

authority   a certificate authority, and `provider`, which it made for HOST (login.example.com), and `other`, for other.example.com
stranger    another authority's certificate for HOST
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)


def certificate(common_name, host, issuer=None):
    """A key and its certificate: for `host`, or an authority's. Signed by `issuer`, a pair like this one, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    issuer_key, issuer_name = (issuer[0], issuer[1].subject) if issuer else (key, name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python certificates.py FOLDER [HOST]")
    host = sys.argv[2] if len(sys.argv) == 3 else "login.example.com"
    authority = certificate("authority", None)
    pairs = {
        "authority": authority,
        "provider": certificate("provider", host, authority),
        "other": certificate("other", "other.example.com", authority),
        "stranger": certificate("stranger", host, certificate("another authority", None)),
    }
    for name, (key, cert) in pairs.items():
        path = pathlib.Path(sys.argv[1], name)
        path.with_suffix(".crt").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    print("{}")


main()
