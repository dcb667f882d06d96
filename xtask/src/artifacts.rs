//! What is built for others to use, in `dist`.

use crate::command::{cargo, run, shown_path};
use crate::progress::step;
use crate::toolchain::{PROFILE, Target, Toolchain};
use crate::{exports, setup, wasm_opt, worker};
use anyhow::{Context, Result};
use doorward_testbed::folder;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A WebAssembly filter.
struct Filter {
    package: &'static str,
    /// What cargo builds.
    module: &'static str,
    /// What users load.
    file: &'static str,
    /// What the proxy calls, beyond [`EXPORTS`]: a callback that is implemented but not named here is never called.
    callbacks: &'static [&'static str],
}

/// What every filter exports.
pub(crate) const EXPORTS: [&str; 8] = [
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
];

const FILTERS: [Filter; 2] = [
    Filter {
        package: "doorward-jwt-authn",
        module: "jwt_authn.wasm",
        file: "jwt-authn.wasm",
        callbacks: &["proxy_on_request_headers", "proxy_on_tick", "proxy_on_http_call_response"],
    },
    Filter {
        package: "doorward-scim-gateway",
        module: "scim_gateway.wasm",
        file: "scim-gateway.wasm",
        callbacks: &[
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_request_trailers",
            "proxy_on_response_headers",
            "proxy_on_response_body",
            "proxy_on_response_trailers",
            "proxy_on_log",
            "proxy_on_tick",
            "proxy_on_http_call_response",
        ],
    },
];

/// The filter that only tests load.
const BACKENDS: Filter = Filter {
    package: "doorward-backends",
    module: "backends.wasm",
    file: "backends.wasm",
    callbacks: &["proxy_on_request_headers"],
};

/// The files of the filters in `dist`.
pub(crate) fn filter_files() -> [&'static str; FILTERS.len()] {
    FILTERS.map(|filter| filter.file)
}

/// Builds everything.
pub(crate) fn build() -> Result<()> {
    let toolchain = setup::wasm()?;
    filters(&toolchain)?;
    worker::build(&toolchain)?;
    native()
}

/// Builds the filters.
pub(crate) fn filters(toolchain: &Toolchain) -> Result<()> {
    for filter in &FILTERS {
        step(filter.file, || {
            let (module, note) = finished(toolchain, filter)?;
            Ok(deliver(&module, filter.file)? + note)
        })?;
    }
    Ok(())
}

/// Builds a filter, takes out what it does not need, and says what is special about it.
fn finished(toolchain: &Toolchain, filter: &Filter) -> Result<(Vec<u8>, &'static str)> {
    let built = read(&module(toolchain, Target::Proxy, filter.package, filter.module, &[])?)?;
    let kept = exports::keep(&built, &[&EXPORTS, filter.callbacks].concat())?;
    wasm_opt::shrink(&kept, filter.file)
}

/// The feature of the worker that takes SCIM calls.
pub(crate) const SCIM: &str = "scim";
/// What waits for a store most of the time there, and is made small above all.
const WAITING: [&str; 3] = ["doorward", "doorward-store", "doorward-worker"];
/// What is made fast for proxies, but WebCrypto does it in a worker.
const OFFLOADED: [&str; 3] = ["curve25519-dalek", "p256", "primefield"];

/// Builds a package to WebAssembly, as the filters are built, and answers where its module is. In a target folder of its
/// own: the compiler may be another one.
pub(crate) fn module(
    toolchain: &Toolchain,
    target: Target,
    package: &str,
    file: &str,
    features: &[&str],
) -> Result<PathBuf> {
    let folder = folder::target().join("wasm");
    let mut cargo = cargo();
    cargo
        .args(["build", "--profile", PROFILE, "--locked", "--package", package, "--target-dir"])
        .arg(&folder)
        .args(features.iter().flat_map(|feature| ["--features", feature]));
    let by_webcrypto = OFFLOADED.iter().filter(|_| target == Target::Web).map(|package| (package, "s"));
    let waiting = WAITING.iter().filter(|_| features.contains(&SCIM)).map(|package| (package, "z"));
    for (package, level) in by_webcrypto.chain(waiting) {
        cargo.args(["--config", &format!("profile.{PROFILE}.package.{package}.opt-level=\"{level}\"")]);
    }
    toolchain.apply(&mut cargo, target);
    run(&mut cargo)?;
    Ok(folder.join(target.triple()).join(PROFILE).join(file))
}

/// Builds the filter that the tests alone load, `target/wasm/backends.wasm`.
pub(crate) fn test_filter(toolchain: &Toolchain) -> Result<()> {
    step(BACKENDS.file, || {
        let (module, _) = finished(toolchain, &BACKENDS)?;
        let file = folder::target().join("wasm").join(BACKENDS.file);
        fs::write(&file, module).with_context(|| format!("expected to write {}", file.display()))?;
        Ok(shown_path(&file))
    })
}

/// Builds the native binary.
pub(crate) fn native() -> Result<()> {
    step("doorward", || {
        run(cargo().args(["build", "--release", "--locked", "--package", "doorward-cli"]))?;
        let file = format!("doorward{}", std::env::consts::EXE_SUFFIX);
        deliver(&read(&folder::target().join("release").join(&file))?, &file)
    })
}

fn read(built: &Path) -> Result<Vec<u8>> {
    fs::read(built).with_context(|| format!("expected cargo to have made {}", built.display()))
}

/// Writes `content` into `dist`, under another name first: an Envoy that has the old file open keeps it whole.
pub(crate) fn deliver(content: &[u8], file: &str) -> Result<String> {
    let dist = folder::dist();
    let delivered = dist.join(file);
    let parent = delivered.parent().unwrap_or(&dist);
    fs::create_dir_all(parent).with_context(|| format!("expected to make {}", parent.display()))?;
    let new = dist.join(format!("{file}.{}", std::process::id()));
    fs::write(&new, content).with_context(|| format!("expected to write {}", new.display()))?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).context("expected to set permissions")?;
    fs::rename(&new, &delivered).with_context(|| format!("expected to write {}", delivered.display()))?;
    Ok(format!("{}, {} KiB", shown_path(&delivered), content.len().div_ceil(1024)))
}
