//! Keys and signatures as X.509 has them, for hosts whose cryptography speaks DER (ITU-T X.690): SubjectPublicKeyInfo (RFC 5280
//! section 4.1.2.7, RFC 3279 section 2.3, RFC 5480 section 2) and Ecdsa-Sig-Value (RFC 3279 section 2.2.3).

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The algorithm identifier rsaEncryption with its NULL parameters: RFC 3279 section 2.3.1.
const RSA_ENCRYPTION: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// id-ecPublicKey: RFC 5480 section 2.1.1.
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// The algorithm identifier id-Ed25519: RFC 8410 section 3.
const ED25519: &[u8] = &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// Named curves: RFC 5480 section 2.1.1.1.
pub(super) const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(super) const P384: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
pub(super) const P521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// An RSA key from modulus and exponent, big-endian.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = element(SEQUENCE, &[&integer(modulus), &integer(exponent)]);
    element(SEQUENCE, &[RSA_ENCRYPTION, &element(BIT_STRING, &[&[0], &key])])
}

/// A key on a named curve from its uncompressed point (SEC 1 section 2.3.3).
pub(super) fn ec(curve: &[u8], point: &[u8]) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &[EC_PUBLIC_KEY, curve]);
    element(SEQUENCE, &[&algorithm, &element(BIT_STRING, &[&[0], point])])
}

/// An Ed25519 key (RFC 8410 section 4).
pub(super) fn ed25519(key: &[u8; 32]) -> Vec<u8> {
    element(SEQUENCE, &[ED25519, &element(BIT_STRING, &[&[0], key])])
}

/// An ECDSA signature from r and s, concatenated (RFC 7518 section 3.4); `length` is that of each in bytes. `None` for any other
/// length.
pub(super) fn ecdsa_signature(raw: &[u8], length: usize) -> Option<Vec<u8>> {
    let (r, s) = raw.split_at_checked(length)?;
    (s.len() == length).then(|| element(SEQUENCE, &[&integer(r), &integer(s)]))
}

/// A number that is not negative.
fn integer(mut bytes: &[u8]) -> Vec<u8> {
    while let [0, rest @ ..] = bytes
        && !rest.is_empty()
    {
        bytes = rest;
    }
    let is_negative = bytes.first().is_none_or(|first| first & 0x80 != 0);
    element(INTEGER, &[if is_negative { &[0] } else { &[] }, bytes])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let length = length.to_be_bytes();
            let significant = length.iter().skip_while(|byte| **byte == 0);
            let count = u8::try_from(significant.clone().count()).unwrap_or(0);
            bytes.push(0x80 | count);
            bytes.extend(significant);
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ed25519_key_is_as_in_rfc_8410() {
        // RFC 8410 section 10.1.
        let key = crate::jose::base64url::decode(b"Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE").unwrap();
        let found = ed25519(&key.try_into().unwrap());
        let expected =
            [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x19, 0xbf][..]]
                .concat();
        assert_eq!((found.len(), found.get(..14)), (44, Some(&*expected)));
    }

    #[test]
    fn numbers_are_minimal_and_never_negative() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0xff, 1]), [2, 3, 0, 0xff, 1]);
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(element(4, &[&[7; 127]])[..3], [4, 127, 7]);
        assert_eq!(element(4, &[&[7; 128]])[..4], [4, 0x81, 128, 7]);
        assert_eq!(element(4, &[&[7; 256]])[..5], [4, 0x82, 1, 0, 7]);
    }

    #[test]
    fn signatures_of_another_length_are_none() {
        assert_eq!(ecdsa_signature(&[1; 63], 32), None);
        assert_eq!(ecdsa_signature(&[1; 65], 32), None);
        assert_eq!(ecdsa_signature(&[1; 31], 32), None);
        assert_eq!(ecdsa_signature(&[0, 1, 0x80, 0], 2), Some(vec![0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 0]));
    }

    #[test]
    fn keys_are_as_other_encoders_write_them() {
        use jwt_simple::prelude::*;
        let key = ES256KeyPair::from_bytes(&[7; 32]).unwrap().public_key();
        let point = key.public_key().to_bytes_uncompressed();
        assert_eq!(ec(P256, &point), key.to_der().unwrap());
        let key = ES384KeyPair::from_bytes(&[7; 48]).unwrap().public_key();
        let point = key.public_key().to_bytes_uncompressed();
        assert_eq!(ec(P384, &point), key.to_der().unwrap());
        for modulus in [vec![0x81; 256], vec![0xc3; 512]] {
            let key = RS256PublicKey::from_components(&modulus, &[1, 0, 1]).unwrap();
            assert_eq!(rsa(&modulus, &[1, 0, 1]), key.to_der().unwrap());
            assert_eq!(rsa(&[&[0], &modulus[..]].concat(), &[0, 1, 0, 1]), key.to_der().unwrap());
        }
    }
}
