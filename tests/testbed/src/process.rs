//! A child process that ends with its owner.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// A running child process. Dropping it kills it, by its own id, and waits for it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    log: PathBuf,
    kill: Kill,
}

#[derive(Debug, Clone, Copy)]
enum Kill {
    Child,
    Group,
}

impl Process {
    /// Starts `command` with its output in `folder/NAME.log`. It shares the caller's process group, so that Ctrl-C in a
    /// terminal reaches it too.
    ///
    /// # Errors
    /// If the program cannot be started or the log cannot be made.
    pub fn spawn(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        Self::start(name, command, folder, Kill::Child)
    }

    /// Like [`Self::spawn`], for a program that starts others: it leads a process group, and all of that is killed.
    ///
    /// # Errors
    /// As for [`Self::spawn`].
    pub fn spawn_group(name: &str, command: &mut Command, folder: &Path) -> Result<Self> {
        std::os::unix::process::CommandExt::process_group(command, 0);
        Self::start(name, command, folder, Kill::Group)
    }

    fn start(name: &str, command: &mut Command, folder: &Path, kill: Kill) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log).with_context(|| format!("expected to create {}", log.display()))?;
        let err = out.try_clone().context("expected to share the log file")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("expected to start {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child: Mutex::new(child), log, kill })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten()
    }

    /// All that it has written so far; not UTF-8 is replaced.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last `lines` lines of [`Self::log`] under a heading, for error reports.
    pub fn report(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        let tail = all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n");
        format!("--- end of {}'s log, {} ---\n{tail}", self.name, self.log.display())
    }

    /// Kills it and waits for its end. Does nothing if it has ended.
    pub fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        if matches!(self.kill, Kill::Group) {
            // The child has not been waited for, so its id, and with it the group's, cannot belong to anyone else.
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder;
    use std::thread::sleep;
    use std::time::Duration;

    fn alive(id: &str) -> bool {
        Command::new("kill").args(["-0", id]).stderr(Stdio::null()).status().unwrap().success()
    }

    #[test]
    fn dropped_process_is_gone() {
        let folder = folder::scratch("process").unwrap();
        let process = Process::spawn("sleep", Command::new("sleep").arg("60"), &folder).unwrap();
        let id = process.id().to_string();
        assert!(alive(&id) && process.exited().is_none());
        drop(process);
        assert!(!alive(&id));
    }

    #[test]
    fn dropped_group_is_gone_with_its_children() {
        let folder = folder::scratch("process").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]);
        let process = Process::spawn_group("sh", &mut command, &folder).unwrap();
        let grandchild = loop {
            let log = process.log();
            if log.ends_with('\n') {
                break log.trim().to_owned();
            }
            sleep(Duration::from_millis(5));
        };
        drop(process);
        // The orphan is reaped by init a moment later.
        for _ in 0..200 {
            if !alive(&grandchild) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("{grandchild} is still there");
    }

    #[test]
    fn report_shows_the_end_of_the_log() {
        let folder = folder::scratch("process").unwrap();
        let process = Process::spawn("seq", Command::new("seq").arg("100"), &folder).unwrap();
        while process.exited().is_none() {
            sleep(Duration::from_millis(5));
        }
        assert!(process.report(2).ends_with("---\n99\n100"), "{}", process.report(2));
    }
}
