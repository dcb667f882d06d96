//! Taking exports out of a WebAssembly module. The proxy calls every callback that is exported, and the SDK exports all of
//! them: each one that a filter has no use for costs time in every request.

use anyhow::{Context, Result, bail, ensure};

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const EXPORT_SECTION: u8 = 7;

/// The module with only the exports named in `keep`; the rest of it is as it was.
///
/// # Errors
/// If it is not a module, or lacks one of them.
pub(crate) fn keep(module: &[u8], keep: &[&str]) -> Result<Vec<u8>> {
    let sections = module.strip_prefix(HEADER).context("expected a WebAssembly module, version 1")?;
    let mut rest = Reader(sections);
    let mut kept = HEADER.to_vec();
    while !rest.0.is_empty() {
        let id = rest.byte()?;
        let size = rest.number()?;
        let mut content = rest.take(size)?.to_vec();
        if id == EXPORT_SECTION {
            content = keep_in_section(&content, keep)?;
        }
        kept.push(id);
        write_number(&mut kept, content.len());
        kept.extend(content);
    }
    Ok(kept)
}

fn keep_in_section(section: &[u8], keep: &[&str]) -> Result<Vec<u8>> {
    let mut rest = Reader(section);
    let mut missing = keep.to_vec();
    let mut entries = Vec::new();
    for _ in 0..rest.number()? {
        let length = rest.number()?;
        let name = rest.take(length)?;
        let kind = rest.byte()?;
        let index = rest.number()?;
        if let Some(position) = missing.iter().position(|wanted| wanted.as_bytes() == name) {
            missing.swap_remove(position);
            write_number(&mut entries, length);
            entries.extend_from_slice(name);
            entries.push(kind);
            write_number(&mut entries, index);
        }
    }
    ensure!(missing.is_empty(), "expected the module to export {}", missing.join(", "));
    let mut section = Vec::new();
    write_number(&mut section, keep.len());
    section.extend(entries);
    Ok(section)
}

struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.0.split_first().context("expected a byte, but the module ends")?;
        self.0 = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'m [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(length).context("expected more bytes, but the module ends")?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned number in LEB128, of at most 32 bits.
    fn number(&mut self) -> Result<usize> {
        let mut number: u64 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(number).context("expected a number that fits");
            }
        }
        bail!("expected a number of at most five bytes")
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(exports: &[&str]) -> Vec<u8> {
        let mut section = Vec::new();
        write_number(&mut section, exports.len());
        for (index, name) in exports.iter().enumerate() {
            write_number(&mut section, name.len());
            section.extend_from_slice(name.as_bytes());
            section.push(0);
            write_number(&mut section, index + 200);
        }
        let mut module = [HEADER, &[1, 2, 0xaa, 0xbb, EXPORT_SECTION]].concat();
        write_number(&mut module, section.len());
        module.extend(section);
        module.extend([10, 1, 0xcc]);
        module
    }

    #[test]
    fn everything_kept_is_the_same_module() {
        let long = "x".repeat(300);
        let module = module(&["a", &long]);
        assert_eq!(keep(&module, &["a", &long]).unwrap(), module);
    }

    #[test]
    fn others_go_and_nothing_else_changes() {
        let kept = keep(&module(&["a", "b", "c"]), &["b"]).unwrap();
        let section = [1, 1, b'b', 0, 0xc9, 1];
        let expected = [HEADER, &[1, 2, 0xaa, 0xbb], &[EXPORT_SECTION, 6], &section, &[10, 1, 0xcc]].concat();
        assert_eq!(kept, expected);
    }

    #[test]
    fn missing_exports_and_broken_modules_are_errors() {
        let whole = module(&["a"]);
        assert!(format!("{:#}", keep(&whole, &["a", "z"]).unwrap_err()).contains('z'));
        for length in [0, 7, 9, whole.len() - 1] {
            assert!(keep(&whole[..length], &["a"]).is_err(), "{length}");
        }
    }
}
