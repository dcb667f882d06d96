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
    running: Mutex<Running>,
    log: PathBuf,
    kill: Kill,
}

#[derive(Debug)]
struct Running {
    child: Child,
    ended: Option<ExitStatus>,
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

    /// Like [`Self::spawn`], for a program that starts others: it leads a process group, and all of that is killed, also when the
    /// program has ended by itself.
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
        Ok(Self { name: name.to_owned(), running: Mutex::new(Running { child, ended: None }), log, kill })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).child.id()
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.look(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn look(&self, running: &mut Running) -> Option<ExitStatus> {
        if running.ended.is_none() {
            if matches!(self.kill, Kill::Group) {
                if !has_ended(running.child.id()) {
                    return None;
                }
                kill_group(&running.child);
            }
            running.ended = running.child.try_wait().ok().flatten();
        }
        running.ended
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
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.look(&mut running).is_some() {
            return;
        }
        if matches!(self.kill, Kill::Group) {
            kill_group(&running.child);
        }
        let _ = running.child.kill();
        running.ended = running.child.wait().ok();
    }
}

/// Whether a child has ended that was not waited for yet.
fn has_ended(id: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z'))
}

/// Of a child that was not waited for: until then its id, and with it the group's, cannot belong to anyone else.
fn kill_group(child: &Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
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

    /// Starts a shell that starts another program and says its id, and waits for `until`.
    fn group(script: &str, until: impl Fn(&Process) -> bool) -> (Process, String) {
        let folder = folder::scratch("process").unwrap();
        let process = Process::spawn_group("sh", Command::new("sh").args(["-c", script]), &folder).unwrap();
        while !until(&process) || !process.log().ends_with('\n') {
            sleep(Duration::from_millis(5));
        }
        let grandchild = process.log().trim().to_owned();
        (process, grandchild)
    }

    /// The orphan is reaped by init a moment later.
    fn expect_gone(id: &str) {
        for _ in 0..200 {
            if !alive(id) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("{id} is still there");
    }

    #[test]
    fn dropped_group_is_gone_with_its_children() {
        let (process, grandchild) = group("sleep 60 & echo $!; wait", |_| true);
        assert!(alive(&grandchild) && process.exited().is_none());
        drop(process);
        expect_gone(&grandchild);
    }

    #[test]
    fn group_whose_leader_has_ended_is_gone_with_its_children() {
        let (process, grandchild) = group("sleep 60 & echo $!", |process| process.exited().is_some());
        expect_gone(&grandchild);
        drop(process);
        let (process, grandchild) = group("sleep 60 & echo $!", |process| has_ended(process.id()));
        assert!(alive(&grandchild));
        drop(process);
        expect_gone(&grandchild);
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
