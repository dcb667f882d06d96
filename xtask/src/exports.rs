//! Taking exports out of a WebAssembly module. The proxy calls every callback that is exported, and the SDK exports all of
//! them: each one that a filter has no use for costs time in every request.

use anyhow::{Context, Result, bail, ensure};
use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{Export, ExternalKind, Parser, Payload};

/// The module with only the exports named in `keep`; the rest of it is as it was.
///
/// # Errors
/// If it is not a module, or lacks one of them.
pub(crate) fn keep(module: &[u8], keep: &[&str]) -> Result<Vec<u8>> {
    let mut kept = Module::new();
    let mut missing = keep.to_vec();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.context("expected a WebAssembly module")?;
        if let Payload::ExportSection(exports) = &payload {
            let mut section = ExportSection::new();
            for export in exports.clone() {
                let Export { name, kind, index } = export.context("expected an export")?;
                if let Some(position) = missing.iter().position(|wanted| *wanted == name) {
                    missing.swap_remove(position);
                    section.export(name, encoded(kind)?, index);
                }
            }
            kept.section(&section);
        } else if let Some((id, range)) = payload.as_section() {
            let range = usize::try_from(range.start)?..usize::try_from(range.end)?;
            let data = module.get(range).context("expected a section inside the module")?;
            kept.section(&RawSection { id, data });
        }
    }
    ensure!(missing.is_empty(), "expected the module to export {}", missing.join(", "));
    Ok(kept.finish())
}

fn encoded(kind: ExternalKind) -> Result<ExportKind> {
    Ok(match kind {
        ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => bail!("expected no exception tags among the exports"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{MemorySection, MemoryType};

    /// A module whose memory is exported under these names.
    fn module(names: &[&str]) -> Vec<u8> {
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut exports = ExportSection::new();
        for name in names {
            exports.export(name, ExportKind::Memory, 0);
        }
        let mut module = Module::new();
        module.section(&memories).section(&exports);
        module.finish()
    }

    #[test]
    fn only_named_exports_stay() {
        let kept = keep(&module(&["memory", "proxy_on_tick", "proxy_on_log"]), &["proxy_on_tick", "memory"]);
        assert_eq!(kept.unwrap(), module(&["memory", "proxy_on_tick"]));
    }

    #[test]
    fn a_missing_export_is_an_error() {
        let error = keep(&module(&["memory"]), &["memory", "proxy_on_tick"]).unwrap_err();
        assert_eq!(error.to_string(), "expected the module to export proxy_on_tick");
    }

    #[test]
    fn what_is_no_module_is_an_error() {
        assert!(keep(b"\0asm", &[]).is_err());
    }
}
