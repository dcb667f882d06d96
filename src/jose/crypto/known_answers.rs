//! One signature for each algorithm that a host may verify in our place, to try a host before it is trusted. The private keys are
//! forgotten.

use super::{SignatureJob, Verdict};
use crate::jose::{Algorithm, Jwk, KeyOrigin, base64url};
use serde_json::Value;
use std::sync::Arc;

const MESSAGE: &[u8] = b"doorward: known answer";
/// One letter is another.
const OTHER_MESSAGE: &[u8] = b"doorward: known answes";

const RSA: &str = r#"{"kty":"RSA","e":"AQAB","n":"k7_oRQ0it9_8vUsuoTSX6FlN5lk7wEhhgebF73MuxO3-YKCeaCP-crf8daWdLSp7cWxO2EH_LlI9RzNK4fMr4TC-a82C8xD1Cm1dW8OOSAGLZygLIZbO0_VMRktBsZ9gISGH_F6uSqdyRjsJ4wkz54UXAoa2Y9wxEEEYzaWlLZlSWVLhpn9PIQQMyxe5o79MkqEXRyXJTa65AxHm6elec6Dx0BK7TnrmDfWbxnPTVKrtljaUn-4HLJ-RJJGfQkfNNevhMB3UEMhXB1YAiWL7uqnpkgrZ8y2omCs6OOxmMms57f1nvqWW9D6GNslL7NXACsrBrWFURFjsj9oESAVhuQ"}"#;
const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"lglFP9eu0R6yJDpdt5ZP-IVj-sxZXBRkYZzqb_7hbzs","y":"7LLHZlV7-gzBtL0nwoGNB9kT-AnBY1d9v3Hbgxs2XEY"}"#;
const P384: &str = r#"{"kty":"EC","crv":"P-384","x":"G0wZ7PbwwTL-M4I7-de1THdHPcKeBzk1HSopaqkY5qvWfYE5LfJc8lcA7gagHFEt","y":"kFfnv11sQlj27RAGo2veXAd7gyf8oo6rEduwxoUS7Blnd6oqUQoEZSmLVKr9x6Lj"}"#;
const P521: &str = r#"{"kty":"EC","crv":"P-521","x":"AKGu4uxKcfGKRTnWhjXASBN-Vq5MBSMfAiryScasHWwc0XKLemOLonODdyHOvkuReFPr92ubKWjOJiEQSLVaLcEY","y":"AJfJt29TaesSqDBh8xbC--HNqF5N_R-OzLlih4Ir8DQABpequ0l0MwWPZ3hvU1t28YL2w6WGWMtBhYAPo0HNOiJ6"}"#;

/// Algorithm, key and signature over [`MESSAGE`].
const SIGNATURES: [(Algorithm, &str, &str); 6] = [
    (
        Algorithm::Rs256,
        RSA,
        "hmTKUfvY-1tIHLdlTBJWuqbfx5Qvd159_wfiAG2skbguakp9ltM3v-hWIOqHyTt1MYfSsdyxb8TJ4BfExkW8Ba1xEZL0qWNIIPEidoLFzaZxPKNQEWxMcVMfMnbZ3yWP7bgnvkpxXOaT1w7KrvAN8J-MHsL8Ncm4QbWGo-6ClTLDq93L8pV2D0HbkySuKN7OCBBgABvJiW7dEYI9wN-gZzoC3arPOowQlYFNUsN9iZX7U4KLo-yhIVlLOFS2p9UWl8rahoo-YczpsKYgVyc2PsKQc9jWGKb_o-3murKmSE639EsRR82pxUZYaURJX63_hIkszPMqrUwyGv3XkuJEZg",
    ),
    (
        Algorithm::Rs384,
        RSA,
        "bg1KIvmfBfGFfYz2T_2e01ofq-2cZELzGR2U3AjvO45M-xRTM4_UzcVw-rUMAeXbLh3zNvoiGVpZ_962OTN0UuixAxQWNaaJvs0pMZHv_a8zW1znFJgtqG015gD3km75jMLw4KDxykgFMwNA9aAILdot7uc6cRXu2SauCJN6h93mr3Lft6geuUwGKiEz2yyNR6vR2gQagOa4Uw7C4_3v6adE2KlTLPNdKbBATrE9ItJ5qnER37kJJWhNI9xt5HrUGGSiwGMQz5JWRs3MQVlloS8iKR1QerC1vTgF9bzeAopCujO-4vmEtmwUEZeDAum9iopNat683zL8ivF7jOaiGw",
    ),
    (
        Algorithm::Rs512,
        RSA,
        "VIp2LT3X5vh5rjlkMpiuuLRHwBoX-P86Pfar5ljMx9wQ76-4hvZxmuUVxObJzb7sp0f2JDz9EYPsjlSIBaij67mv-n0jKrHe6oi5w8mQyI5wF6EA42vEjn5crG6W66oHQ2NT_DIgmxzIXLOtbHQl02ivQrVHA8yBKfjFdgOjs5Y9hlIyGhht0v_Ss7mk9DW2PcePqBGgjNbJ2qxrarIbLknNNvXA9FG1fdFPJLEo2QQwhHeVK4j_KtMDOkuSvPJaIWA56hTIiXzTMC6TK9Nh0ZfCM9FyqqMfF1N4ic3APevsyv1GJV4GepK_JrYX7gtUMOuoYSxzMgV357ow5Eslhg",
    ),
    (
        Algorithm::Es256,
        P256,
        "8p93S51Px6p1Te1WmT2UZMNWWaC5NapsqNdRIyf1p2mhYSiJLcgtJ5G2oPMAOdjsav0O-9R4dRDaLlSPQsVJ2g",
    ),
    (
        Algorithm::Es384,
        P384,
        "uCvxkcHBYKuUrRSVFp_xhOutvDhn1uyJd7mNy_TZIzH7DteXdlZ07xSNzvjCWOYJATSJGa4jURHYBv2Nx1AgGFN4W6G7JxPLdeYCXXbjjjk-mQPPP_iwzedEI6Q0yxqp",
    ),
    (
        Algorithm::Es512,
        P521,
        "ATI9vdLbjLzAhHDuqAwf53EpsgkVLibBfXcDbgFEa3aTUFTeeda22kUQH4aRMp2y16lZmWU9MWxxbI7hA8WoxC8nANSMdT6cRUmzLLozeuA2g7os922dZnUAQjcbo649GKd97JJkFMlbG-DVC3xIq4wJGg6iU-7RL5LDfIQdG6i9Gvph",
    ),
];

/// Signature checks with their verdicts: for each algorithm one that is valid and one that is not.
pub fn known_answers() -> impl Iterator<Item = (SignatureJob<'static>, Verdict)> {
    let jobs = SIGNATURES.into_iter().filter_map(|(algorithm, key, signature)| {
        let key: Value = serde_json::from_str(key).ok()?;
        let key = Arc::new(Jwk::from_json(&key, KeyOrigin::Remote).ok()?);
        let signature: Arc<[u8]> = base64url::decode(signature.as_bytes()).ok()?.into();
        Some(SignatureJob { algorithm, key, signing_input: MESSAGE, signature })
    });
    jobs.flat_map(|job| {
        let other = SignatureJob { signing_input: OTHER_MESSAGE, ..job.clone() };
        [(job, Verdict::Valid), (other, Verdict::Invalid)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::crypto::verify;

    #[test]
    fn the_sandbox_knows_the_answers() {
        let answers: Vec<_> = known_answers().collect();
        assert_eq!(answers.len(), 2 * SIGNATURES.len());
        for (job, verdict) in answers {
            assert_eq!(verify(&job), verdict, "{}", job.algorithm);
            assert!(job.x509().is_some(), "{}", job.algorithm);
        }
    }
}
