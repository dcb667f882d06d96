//! Where a run was made, from `/proc`.

use crate::command::{capture, program};
use anyhow::Result;
use doorward_testbed::Envoy;
use serde::{Deserialize, Serialize};
use std::fs;

/// What the numbers of every benchmark depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Host {
    pub(super) date: String,
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_mib: u64,
    pub(super) kernel: String,
    /// Load averages of one minute, before and after.
    pub(super) load: [f64; 2],
}

/// What the numbers of requests to Envoy depend on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Machine {
    #[serde(flatten)]
    pub(super) host: Host,
    pub(super) envoy: String,
    pub(super) wrk: String,
    pub(super) h2load: String,
    pub(super) cpu_time: String,
}

impl Host {
    pub(super) fn look() -> Result<Self> {
        let cpuinfo = read("cpuinfo");
        Ok(Self {
            date: capture(program("date").args(["-u", "+%F"]))?,
            cpu: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: memory(&read("meminfo")),
            kernel: read("sys/kernel/osrelease").trim().to_owned(),
            load: [load(), 0.0],
        })
    }

    /// Notes the load at the end.
    pub(super) fn leave(&mut self) {
        self.load = [self.load[0], load()];
    }
}

impl Machine {
    pub(super) fn look(wrk: String, h2load: String) -> Result<Self> {
        Ok(Self {
            host: Host::look()?,
            envoy: envoy(&capture(program(Envoy::program()?).arg("--version"))?),
            wrk,
            h2load,
            cpu_time: super::process::cpu_time_source().to_owned(),
        })
    }
}

fn load() -> f64 {
    read("loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}

/// The value of the first line `NAME : VALUE`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.trim() == name)
        .map(|(_, v)| v.trim())
}

fn memory(meminfo: &str) -> u64 {
    let kib =
        field(meminfo, "MemTotal").and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// From `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`, `1.40.0 RELEASE BoringSSL`.
fn envoy(version: &str) -> String {
    let words: Vec<&str> = version.trim().rsplit("version:").next().unwrap_or(version).split('/').collect();
    match words.as_slice() {
        [_, number, _, kind, tls] => format!("{number} {kind} {tls}"),
        _ => version.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_is_described() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: 9\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(field(cpuinfo, "model name"), Some("Some CPU: 9"));
        assert_eq!(memory("MemTotal:        8142104 kB\nMemFree: 1 kB\n"), 7951);
        assert_eq!(
            envoy("\n/usr/bin/envoy  version: 9e/1.40.0/Clean/RELEASE/BoringSSL\n"),
            "1.40.0 RELEASE BoringSSL"
        );
    }
}
