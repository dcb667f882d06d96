//! The proxy's own cryptography: Envoy's foreign function `verify_signature`, in BoringSSL.

use crate::foreign::{self, ForeignError};
use crate::status::HostError;

const FUNCTION: &str = "verify_signature";
/// `result: true` in the answer.
const VALID: &[u8] = &[0x08, 0x01];

/// Whether `signature` is over `message` by `public_key`: DER SubjectPublicKeyInfo of an RSA key (then RSASSA-PKCS1-v1_5) or of an EC key
/// (then ECDSA, in DER). `hash` is `sha256`, `sha384` or `sha512`.
///
/// # Errors
/// [`ForeignError::NotFound`] if the host has no such function, else what it answered.
pub fn verify(hash: &str, public_key: &[u8], signature: &[u8], message: &[u8]) -> Result<bool, ForeignError> {
    let fields = [hash.as_bytes(), public_key, signature, message];
    let length =
        fields.iter().map(|field| field.len().saturating_add(6)).fold(0_usize, usize::saturating_add);
    let mut arguments = Vec::with_capacity(length);
    for (number, field) in (1_u8..).zip(fields) {
        // The protobuf wire type 2: a length and that many bytes.
        arguments.push(number.wrapping_shl(3) | 2);
        put_length(&mut arguments, field.len());
        arguments.extend_from_slice(field);
    }
    let answer = foreign::call(FUNCTION, &arguments)?;
    match answer.get(..2) {
        Some(VALID) => Ok(true),
        // A false `result` is left out, as protobuf leaves out zeros; what is there is the error's text.
        None => Ok(false),
        Some([0x12, _] | [0x08, 0x00]) => Ok(false),
        Some(_) => Err(ForeignError::Host(HostError::Malformed { call: "proxy_call_foreign_function" })),
    }
}

/// A varint: seven bits a byte, the lowest first.
fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length = length.wrapping_shr(7);
        if length == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake;

    fn answering(answer: Result<&'static [u8], u32>) -> Result<bool, ForeignError> {
        fake::reset();
        fake::with(|host| {
            host.set_foreign_function("verify_signature", move |arguments| {
                let message = "m".repeat(300);
                let expected =
                    [b"\x0a\x06sha256\x12\x01k\x1a\x02sg\x22\xac\x02", message.as_bytes()].concat();
                assert_eq!(arguments, expected);
                answer.map(<[u8]>::to_vec)
            });
        });
        verify("sha256", b"k", b"sg", "m".repeat(300).as_bytes())
    }

    #[test]
    fn only_true_is_valid() {
        assert_eq!(answering(Ok(b"\x08\x01")), Ok(true));
        assert_eq!(answering(Ok(b"")), Ok(false));
        assert_eq!(answering(Ok(b"\x08\x00")), Ok(false));
        assert_eq!(answering(Ok(b"\x12\x05wrong")), Ok(false));
        assert!(answering(Ok(b"\x08\x02")).is_err());
        assert!(answering(Err(2)).is_err());
        fake::reset();
        assert_eq!(verify("sha256", b"", b"", b""), Err(ForeignError::NotFound));
    }
}
