//! What a process has used, from `/proc`.

use anyhow::{Context, Result};
use std::fs;
use std::time::Duration;

/// CPU time of all threads of the process so far. In nanoseconds where the kernel tells them (`CONFIG_SCHEDSTATS` or
/// `CONFIG_SCHED_DEBUG`), else in ticks of 10 ms.
pub(super) fn cpu_time(id: u32) -> Result<Duration> {
    for (file, parse) in [("schedstat", schedstat as fn(&str) -> Option<Duration>), ("sched", sched)] {
        if let Some(time) = threads(id, file, parse) {
            return Ok(time);
        }
    }
    let path = format!("/proc/{id}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("expected to read {path}"))?;
    stat(&text).with_context(|| format!("expected CPU times in {path}, but found {text:?}"))
}

/// The file of `/proc` that [`cpu_time`] reads, for the report.
pub(super) fn cpu_time_source() -> &'static str {
    let id = std::process::id();
    if threads(id, "schedstat", schedstat).is_some() {
        "/proc/PID/task/*/schedstat, in ns"
    } else if threads(id, "sched", sched).is_some() {
        "/proc/PID/task/*/sched, in ns"
    } else {
        "/proc/PID/stat, in ticks of 10 ms"
    }
}

/// Physical memory of the process, in bytes.
pub(super) fn resident(id: u32) -> Result<u64> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("expected to read {path}"))?;
    status(&text).with_context(|| format!("expected VmRSS in {path}"))
}

/// The sum over all threads, unless one cannot be read. A thread that ended meanwhile is left out.
fn threads(id: u32, file: &str, parse: fn(&str) -> Option<Duration>) -> Option<Duration> {
    let mut total = None;
    for thread in fs::read_dir(format!("/proc/{id}/task")).ok()? {
        if let Ok(text) = fs::read_to_string(thread.ok()?.path().join(file)) {
            total = Some(total.unwrap_or_default() + parse(&text)?);
        }
    }
    total
}

/// `RUNNING WAITING SLICES`, the first two in nanoseconds.
fn schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The line `se.sum_exec_runtime : MILLISECONDS.NANOSECONDS`, six digits after the point.
fn sched(text: &str) -> Option<Duration> {
    let line = text.lines().find(|line| line.starts_with("se.sum_exec_runtime"))?;
    let (millis, nanos) = line.rsplit_once(':')?.1.trim().split_once('.')?;
    let fraction = (nanos.len() == 6).then(|| nanos.parse().ok().map(Duration::from_nanos))??;
    Some(Duration::from_millis(millis.parse().ok()?) + fraction)
}

/// Fields 14 and 15, `utime` and `stime`; the name in field 2 may hold spaces and parentheses. A tick is 10 ms on every
/// Linux that Envoy runs on (`USER_HZ`).
fn stat(text: &str) -> Option<Duration> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}

fn status(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_is_read() {
        assert_eq!(schedstat("123456789 55 7\n"), Some(Duration::from_nanos(123_456_789)));
        let text =
            "cat (1, #threads: 1)\n---\nse.exec_start       :  9.1\nse.sum_exec_runtime   :   1042.713837\n";
        assert_eq!(sched(text), Some(Duration::from_nanos(1_042_713_837)));
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 13 14 15 16 250 31 2 3 20 0 1 0 99 100 200";
        assert_eq!(stat(text), Some(Duration::from_millis(2810)));
        assert_eq!(status("Name:\tx\nVmRSS:\t  1234 kB\nRssAnon:\t 9 kB\n"), Some(1234 * 1024));
    }

    #[test]
    fn what_is_something_else_is_not_guessed_at() {
        assert_eq!(
            (schedstat(""), sched("x"), stat("1 2 3"), status("VmRSS: 12 MB")),
            (None, None, None, None)
        );
        assert_eq!(sched("se.sum_exec_runtime : 10.5"), None);
    }

    #[test]
    fn work_takes_time_and_memory() {
        let id = std::process::id();
        let before = cpu_time(id).unwrap();
        while cpu_time(id).unwrap() < before + Duration::from_millis(20) {}
        assert!(resident(id).unwrap() > 100_000);
        assert!(cpu_time(u32::MAX).is_err());
    }
}
