//! Text where upper and lower case are the same (RFC 7643 section 2.2, `caseExact`).

/// `text` in the one spelling that stands for all its cases; also the order of such texts. A store that keeps texts
/// in this spelling compares as the reference evaluator does.
///
/// Each character is lowered alone, unlike `str::to_lowercase`, which looks at the neighbours of a sigma: what
/// contains a text must also contain it after this.
pub fn fold_case(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_parts() {
        for (whole, part) in [("ΟΔΟΣ", "ΔΟΣ"), ("ΟΔΟΣ Α", "Σ"), ("Müller", "ÜLL"), ("İx", "i̇X")]
        {
            assert!(fold_case(whole).contains(&fold_case(part)), "{whole} {part}");
        }
    }
}
