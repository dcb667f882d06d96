//! RSASSA-PKCS1-v1_5 and RSASSA-PSS: RFC 7518 sections 3.3 and 3.5, RFC 8017.

use crate::jose::{JwkError, Sha2};
use rsa::traits::SignatureScheme;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

const MIN_BITS: usize = 2048;
const MAX_BITS: usize = 8192;
/// FIPS 186-5 section 5.1 and NIST SP 800-56B: small exponents turn padding slips into forgeries.
const MIN_EXPONENT: u64 = 65_537;
const MAX_EXPONENT: u64 = 1 << 33;

pub(super) struct Key(RsaPublicKey);

impl Key {
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, JwkError> {
        // RFC 7518 section 2 forbids leading zeros, but some providers publish them; the number is the same.
        let (modulus, exponent) = (significant(modulus), significant(exponent));
        let bits = bit_length(modulus);
        if !(MIN_BITS..=MAX_BITS).contains(&bits) {
            return Err(JwkError::RsaSize(bits));
        }
        let e = exponent.iter().try_fold(0_u64, |e, byte| {
            e.checked_mul(256).and_then(|e| e.checked_add(u64::from(*byte))).filter(|e| *e < MAX_EXPONENT)
        });
        match e {
            Some(e) if e >= MIN_EXPONENT && e & 1 == 1 => {}
            _ => return Err(JwkError::RsaExponent),
        }
        let (n, e) = (BoxedUint::from_be_slice_vartime(modulus), BoxedUint::from_be_slice_vartime(exponent));
        RsaPublicKey::new(n, e).map(Self).map_err(|_| JwkError::NotRsa)
    }

    pub(super) fn verify_pkcs1(&self, hash: Sha2, message: &[u8], signature: &[u8]) -> bool {
        match hash {
            Sha2::Sha256 => self.check(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(message), signature),
            Sha2::Sha384 => self.check(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(message), signature),
            Sha2::Sha512 => self.check(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature),
        }
    }

    pub(super) fn verify_pss(&self, hash: Sha2, message: &[u8], signature: &[u8]) -> bool {
        match hash {
            Sha2::Sha256 => self.check(Pss::<Sha256>::new(), &Sha256::digest(message), signature),
            Sha2::Sha384 => self.check(Pss::<Sha384>::new(), &Sha384::digest(message), signature),
            Sha2::Sha512 => self.check(Pss::<Sha512>::new(), &Sha512::digest(message), signature),
        }
    }

    fn check(&self, scheme: impl SignatureScheme, digest: &[u8], signature: &[u8]) -> bool {
        self.0.verify(scheme, digest, signature).is_ok()
    }
}

fn significant(mut bytes: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn bit_length(significant: &[u8]) -> usize {
    let Some(first) = significant.first() else { return 0 };
    let unused = usize::try_from(first.leading_zeros()).unwrap_or(0);
    significant.len().saturating_mul(8).saturating_sub(unused)
}
