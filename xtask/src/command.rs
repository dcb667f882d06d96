//! Other programs.

use anyhow::{Context, Result, bail};
use doorward_testbed::folder;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    program(env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from))
}

/// Any program, in the root of the workspace.
pub(crate) fn program(path: impl AsRef<Path>) -> Command {
    let mut command = Command::new(path.as_ref());
    command.current_dir(folder::root());
    command
}

/// Runs it; what it prints is printed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("expected to start {}", shown(command)))?;
    if !status.success() {
        bail!("expected success, but found {status}: {}", shown(command));
    }
    Ok(())
}

/// Runs it and answers what it prints. If it fails, that is in the error.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("expected to start {}", shown(command)))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("expected success, but found {}: {}\n{text}{error}", output.status, shown(command));
    }
    Ok(text.trim().to_owned())
}

/// Runs it; each line of its standard output is printed and shown to `see`. Whether it succeeded.
pub(crate) fn stream(command: &mut Command, mut see: impl FnMut(&str)) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("expected to start {}", shown(command)))?;
    let mut output = BufReader::new(child.stdout.take().context("expected a pipe")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line).context("expected to read what it prints")? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        see(&text);
        line.clear();
    }
    Ok(child.wait().context("expected to wait for it")?.success())
}

/// Whether a program of this name is on `PATH`.
pub(crate) fn on_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

/// The command line, for people to read and repeat.
pub(crate) fn shown(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default();
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A path, from the root of the workspace if it is in it.
pub(crate) fn shown_path(path: &Path) -> String {
    path.strip_prefix(folder::root()).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failures_show_what_was_printed() {
        assert_eq!(capture(&mut sh("echo out")).unwrap(), "out");
        let error = format!("{:#}", capture(&mut sh("echo out; echo err >&2; exit 3")).unwrap_err());
        assert!(error.contains("out\nerr") && error.contains("exit 3"), "{error}");
        assert!(run(&mut sh("exit 1")).is_err());
        assert!(run(&mut Command::new("no-such-program-anywhere")).is_err());
    }

    #[test]
    fn lines_are_seen_as_they_come() {
        let mut lines = Vec::new();
        assert!(
            !stream(&mut sh("echo a; printf 'b\\377'; exit 1"), |line| lines.push(line.to_owned())).unwrap()
        );
        assert_eq!(lines, ["a\n", "b\u{fffd}"]);
    }
}
