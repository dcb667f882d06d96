//! Metrics in Prometheus' text format, written by hand: four families need no library. No label is without bound, and none is a
//! tenant.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the histogram, in seconds, as they are written and in microseconds.
const BUCKETS: [(&str, u64); 12] = [
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("5", 5_000_000),
];

/// What was counted since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<HashMap<Operation, Durations>>,
    in_flight: AtomicU64,
    /// Credentials of gateways that were refused, by the reason.
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

/// A kind of requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) route: Arc<str>,
    pub(super) status: u16,
}

#[derive(Debug, Clone, Default)]
struct Durations {
    /// How many were at most so long, bucket by bucket, and not longer than the one before.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    /// In microseconds.
    sum: u64,
}

impl Metrics {
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self, operation: Operation, duration: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = requests.entry(operation).or_default();
        let bucket = durations.buckets.iter_mut().zip(BUCKETS).find(|(_, (_, bound))| micros <= *bound);
        if let Some((bucket, _)) = bucket {
            *bucket = bucket.saturating_add(1);
        }
        durations.count = durations.count.saturating_add(1);
        durations.sum = durations.sum.saturating_add(micros);
    }

    /// Counts a gateway's credential that was refused.
    pub(super) fn refuse(&self, reason: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    /// The text.
    pub(super) fn text(&self, lost_lines: u64) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut requests: Vec<_> = requests.into_iter().collect();
        requests.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text, &requests, lost_lines);
        text
    }

    fn write(
        &self,
        text: &mut String,
        requests: &[(Operation, Durations)],
        lost_lines: u64,
    ) -> std::fmt::Result {
        const REQUESTS: &str = "doorward_store_request_duration_seconds";
        writeln!(
            text,
            "# HELP {REQUESTS} From a request's head to its response.\n# TYPE {REQUESTS} histogram"
        )?;
        for (Operation { method, route, status }, durations) in requests {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let mut up_to = 0_u64;
            for ((bound, _), count) in BUCKETS.iter().zip(durations.buckets) {
                up_to = up_to.saturating_add(count);
                writeln!(text, "{REQUESTS}_bucket{{{labels},le=\"{bound}\"}} {up_to}")?;
            }
            let (count, seconds) = (durations.count, Duration::from_micros(durations.sum).as_secs_f64());
            writeln!(text, "{REQUESTS}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
            writeln!(text, "{REQUESTS}_sum{{{labels}}} {seconds}\n{REQUESTS}_count{{{labels}}} {count}")?;
        }
        const REFUSED: &str = "doorward_store_credentials_refused_total";
        writeln!(
            text,
            "# HELP {REFUSED} Credentials of gateways that were refused.\n# TYPE {REFUSED} counter"
        )?;
        for (reason, count) in self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writeln!(text, "{REFUSED}{{reason=\"{reason}\"}} {count}")?;
        }
        for (name, help, kind, value) in [
            (
                "doorward_store_requests_in_flight",
                "Requests without a response yet.",
                "gauge",
                self.in_flight.load(Ordering::Relaxed),
            ),
            ("doorward_store_log_lines_lost_total", "Lines that nobody read in time.", "counter", lost_lines),
        ] {
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_duration() {
        let metrics = Metrics::default();
        for micros in [400, 2_500, 2_501, 60_000_000] {
            metrics.begin();
            let operation = Operation { method: "GET", route: "/Users/{id}".into(), status: 200 };
            metrics.end(operation, Duration::from_micros(micros));
        }
        metrics.begin();
        metrics.refuse("expired");
        metrics.refuse("expired");
        let text = metrics.text(3);
        let labels = "method=\"GET\",route=\"/Users/{id}\",status=\"200\"";
        for line in [
            format!("doorward_store_request_duration_seconds_bucket{{{labels},le=\"0.0005\"}} 1"),
            format!("doorward_store_request_duration_seconds_bucket{{{labels},le=\"0.001\"}} 1"),
            format!("doorward_store_request_duration_seconds_bucket{{{labels},le=\"0.0025\"}} 2"),
            format!("doorward_store_request_duration_seconds_bucket{{{labels},le=\"5\"}} 3"),
            format!("doorward_store_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 4"),
            format!("doorward_store_request_duration_seconds_sum{{{labels}}} 60.005401"),
            format!("doorward_store_request_duration_seconds_count{{{labels}}} 4"),
            "doorward_store_credentials_refused_total{reason=\"expired\"} 2".to_owned(),
            "doorward_store_requests_in_flight 1".to_owned(),
            "doorward_store_log_lines_lost_total 3".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
