//! Compiling to WebAssembly: with rustup's target, or else with Debian's compiler and the standard library's source.

use crate::command::{capture, on_path, program, run};
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What modules are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Envoy's filters: for the other one, crates import a JavaScript clock that Envoy has not.
    Proxy,
    /// Workers, which are called through JavaScript.
    Web,
}

impl Target {
    const ALL: [Self; 2] = [Self::Proxy, Self::Web];

    /// What compilers call it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::Proxy => "wasm32-wasip1",
            Self::Web => "wasm32-unknown-unknown",
        }
    }

    /// The part of a variable's name that cargo has for it.
    const fn variable(self) -> &'static str {
        match self {
            Self::Proxy => "WASM32_WASIP1",
            Self::Web => "WASM32_UNKNOWN_UNKNOWN",
        }
    }
}

/// How filters are compiled: in the workspace's `Cargo.toml`.
pub(crate) const PROFILE: &str = "wasm";

/// Integers of 32-bit limbs. RustCrypto takes WebAssembly for a 64-bit machine, but it has no instruction for the whole product of
/// two such words: RSA takes 1.6 times as long. Only P-256 is slower by this, by a quarter.
const FLAGS: &str = "--cfg cpubits=\"32\"";
/// Randomness is of the web platform.
const WEB_FLAGS: &str = " --cfg getrandom_backend=\"wasm_js\"";

/// Chooses the toolchain: `rustup` or `debian`. Without it, the first that works.
const CHOICE: &str = "DOORWARD_WASM_TOOLCHAIN";

const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "wasi-libc"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";

/// A way to compile to either [`Target`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The compiler that is there anyway, with the target's standard library.
    Rustup,
    /// Debian's compiler, which builds the standard library from source, and a linker.
    Debian {
        /// The linker for WebAssembly.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// Installs what is missing.
    pub(crate) fn install() -> Result<Self> {
        match env::var(CHOICE).as_deref() {
            Ok("debian") => Self::debian(),
            Ok("rustup") => Self::rustup(),
            Ok(other) => bail!("expected {CHOICE} to be `rustup` or `debian`, but found `{other}`"),
            Err(_) => Self::rustup().or_else(|rustup| {
                println!("rustup has no WebAssembly for us; trying Debian's packages");
                Self::debian().map_err(|debian| {
                    anyhow::anyhow!(
                        "expected a way to compile to WebAssembly:\n  rustup: {rustup:#}\n  Debian: {debian:#}"
                    )
                })
            }),
        }
    }

    fn rustup() -> Result<Self> {
        let installed = sysroot()?.join("lib/rustlib");
        let missing = Target::ALL.map(Target::triple).into_iter();
        let missing: Vec<_> = missing.filter(|triple| !installed.join(triple).is_dir()).collect();
        if !missing.is_empty() {
            ensure!(on_path("rustup"), "expected rustup on PATH");
            // rustup's own switch against installing by itself: whoever set it does not want downloads from us either.
            let forbidden = env::var("RUSTUP_AUTO_INSTALL").is_ok_and(|value| value == "0");
            ensure!(!forbidden, "expected leave to install a target, but RUSTUP_AUTO_INSTALL is 0");
            capture(program("rustup").args(["target", "add"]).args(missing))?;
        }
        Ok(Self::Rustup)
    }

    fn debian() -> Result<Self> {
        ensure!(on_path("apt-get"), "expected Debian's apt-get on PATH");
        let missing: Vec<_> = DEBIAN_PACKAGES.into_iter().filter(|package| !debian_has(package)).collect();
        if !missing.is_empty() {
            let apt = || {
                let mut apt = program("apt-get");
                apt.env("DEBIAN_FRONTEND", "noninteractive");
                apt
            };
            let hint = || format!("as root: apt-get update && apt-get install {}", missing.join(" "));
            capture(apt().args(["update", "--quiet"])).with_context(hint)?;
            run(apt().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing))
                .with_context(hint)?;
        }
        let host = capture(program("rustc").arg("-vV"))?;
        let host = host
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("expected rustc to name its host")?;
        let linker = sysroot()?.join("lib/rustlib").join(host).join("bin/rust-lld");
        if linker.is_file() {
            return Ok(Self::Debian { linker });
        }
        ensure!(on_path("wasm-ld"), "expected {} or wasm-ld (Debian's package lld)", linker.display());
        Ok(Self::Debian { linker: PathBuf::from("wasm-ld") })
    }

    /// What it is, in a word or two.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Rustup => "of rustup".to_owned(),
            Self::Debian { .. } => "Debian's rustc".to_owned(),
        }
    }

    /// Makes a `cargo build` compile to this target.
    pub(crate) fn apply(&self, cargo: &mut Command, target: Target) {
        cargo.args(["--target", target.triple()]);
        // Variables of the target, not RUSTFLAGS: build scripts and macros stay as they are.
        let mut flags = format!("{FLAGS}{}", remapped());
        if target == Target::Web {
            flags.push_str(WEB_FLAGS);
            // wasm-bindgen reads from the module what it may use, and strips it itself.
            cargo.env("CARGO_PROFILE_WASM_STRIP", "none");
        }
        let variable = target.variable();
        if let Self::Debian { linker } = self {
            if target == Target::Proxy {
                flags.push_str(" -L");
                flags.push_str(DEBIAN_WASI_LIBC);
            }
            cargo
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
        }
        cargo.env(format!("CARGO_TARGET_{variable}_RUSTFLAGS"), flags);
    }
}

/// Where the sources of crates are is not in the module: it is the same wherever it is built.
fn remapped() -> String {
    let home = env::home_dir().map(|home| home.join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    // Flags are told apart by spaces.
    let cargo = cargo.map(|cargo| cargo.display().to_string()).filter(|cargo| !cargo.contains(' '));
    cargo.map_or_else(String::new, |cargo| format!(" --remap-path-prefix={cargo}/registry/src=crates"))
}

fn sysroot() -> Result<PathBuf> {
    Ok(Path::new(&capture(program("rustc").args(["--print", "sysroot"]))?).to_path_buf())
}

fn debian_has(package: &str) -> bool {
    // An installed package's status abbreviation is "ii ".
    capture(program("dpkg-query").args(["--show", "--showformat", "${db:Status-Abbrev}", package]))
        .is_ok_and(|status| status == "ii")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toolchain: &Toolchain) -> (Vec<String>, Vec<String>) {
        let mut command = Command::new("cargo");
        toolchain.apply(&mut command, Target::Proxy);
        let arguments = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        (arguments, command.get_envs().map(|(name, _)| name.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn only_debian_builds_the_standard_library() {
        let (arguments, variables) = settings(&Toolchain::Rustup);
        assert_eq!(arguments, ["--target", "wasm32-wasip1"]);
        assert_eq!(variables, ["CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS"]);
        let (arguments, variables) = settings(&Toolchain::Debian { linker: "/x/rust-lld".into() });
        assert!(arguments.iter().any(|a| a.starts_with("-Zbuild-std")));
        assert!(!variables.contains(&"RUSTFLAGS".to_owned()), "{variables:?}");
        assert!(variables.contains(&"RUSTC".to_owned()));
    }
}
