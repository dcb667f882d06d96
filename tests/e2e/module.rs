//! What the built modules ask of their host, and what they offer.

use doorward_testbed::folder;
use std::collections::BTreeSet;
use std::fs;
use wasmparser::{Parser, Payload};

/// The filters, by their folder.
const FILTERS: [&str; 2] = ["jwt-authn", "scim-gateway"];

/// Hostcalls and WASI calls as `module.name`; exports as names.
fn interface(filter: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let module = fs::read(folder::dist().join(format!("{filter}.wasm"))).unwrap();
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    for payload in Parser::new(0).parse_all(&module) {
        let payload = payload.unwrap();
        if let Payload::ImportSection(section) = payload {
            for import in section.into_imports() {
                let import = import.unwrap();
                imports.insert(format!("{}.{}", import.module, import.name));
            }
        } else if let Payload::ExportSection(section) = payload {
            exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
        }
    }
    (imports, exports)
}

/// Whatever a module can do to its host is in this list: a new line in it is a decision, not an accident.
#[test]
fn imports_are_those_committed() {
    for filter in FILTERS {
        let file = folder::root().join("filters").join(filter).join("imports.txt");
        let (imports, _) = interface(filter);
        let found: String = imports.iter().map(|import| format!("{import}\n")).collect();
        if std::env::var_os("DOORWARD_BLESS").is_some_and(|bless| bless == "1") {
            fs::write(&file, &found).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, committed, "if this is meant, DOORWARD_BLESS=1 rewrites {}", file.display());
    }
}

#[test]
fn imports_are_of_proxy_wasm_and_wasi_only() {
    let known =
        |import: &&String| import.starts_with("env.proxy_") || import.starts_with("wasi_snapshot_preview1.");
    for filter in FILTERS {
        let (imports, _) = interface(filter);
        assert_eq!(imports.iter().find(|import| !known(import)), None);
        assert!(imports.iter().any(|import| import.starts_with("env.proxy_")), "{imports:?}");
    }
}

#[test]
fn exports_are_those_of_a_proxy_wasm_filter() {
    for filter in FILTERS {
        let (_, exports) = interface(filter);
        for name in ["proxy_abi_version_0_2_1", "proxy_on_configure", "proxy_on_request_headers", "memory"] {
            assert!(exports.contains(name), "{filter}: {name} is not among {exports:?}");
        }
    }
}
