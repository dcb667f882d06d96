//! The proxy's metrics. Define them in `on_configure`, once a VM: a name that is defined again is the same metric.
//!
//! Envoy shows a metric as `wasmcustom.<name>`. A value may be changed in every phase.

use crate::abi::MetricType;
use crate::status::HostError;
use crate::sys;

/// A number that only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    id: u32,
}

impl Counter {
    /// Defines the counter `name`.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn define(name: &str) -> Result<Self, HostError> {
        Ok(Self { id: sys::define_metric(MetricType::Counter, name.as_bytes())? })
    }

    /// Adds `count`.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses; [`HostError::Refused`] above `i64::MAX`.
    pub fn increment(self, count: u64) -> Result<(), HostError> {
        match i64::try_from(count) {
            // Envoy refuses to add nothing to a counter.
            Ok(0) => Ok(()),
            Ok(offset) => sys::increment_metric(self.id, offset),
            Err(_) => Err(HostError::Refused { call: "proxy_increment_metric" }),
        }
    }
}

/// A number that goes up and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    id: u32,
}

impl Gauge {
    /// Defines the gauge `name`. The proxy has one gauge for the VMs of all workers: what each sets, all see, so use
    /// [`Gauge::increment`] for sums over workers.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn define(name: &str) -> Result<Self, HostError> {
        Ok(Self { id: sys::define_metric(MetricType::Gauge, name.as_bytes())? })
    }

    /// Makes it `value`.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn set(self, value: u64) -> Result<(), HostError> {
        sys::record_metric(self.id, value)
    }

    /// Adds `offset`, which may be negative.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn increment(self, offset: i64) -> Result<(), HostError> {
        if offset == 0 { Ok(()) } else { sys::increment_metric(self.id, offset) }
    }
}

/// A distribution of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    id: u32,
}

impl Histogram {
    /// Defines the histogram `name`. Its unit belongs into the name: the ABI has none.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn define(name: &str) -> Result<Self, HostError> {
        Ok(Self { id: sys::define_metric(MetricType::Histogram, name.as_bytes())? })
    }

    /// Records one `value`.
    ///
    /// # Errors
    /// [`HostError::Status`] if the host refuses.
    pub fn record(self, value: u64) -> Result<(), HostError> {
        sys::record_metric(self.id, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;
    use crate::fake;

    #[test]
    fn values_add_up_by_name() {
        fake::reset();
        let counter = Counter::define("allowed").unwrap();
        counter.increment(2).unwrap();
        Counter::define("allowed").unwrap().increment(3).unwrap();
        counter.increment(0).unwrap();
        let gauge = Gauge::define("waiting").unwrap();
        gauge.set(10).unwrap();
        gauge.increment(-4).unwrap();
        let histogram = Histogram::define("wait_ms").unwrap();
        histogram.record(7).unwrap();
        histogram.record(9).unwrap();
        fake::with(|host| {
            assert_eq!(host.metric("allowed"), [5]);
            assert_eq!(host.metric("waiting"), [6]);
            assert_eq!(host.metric("wait_ms"), [7, 9]);
            assert!(host.metric("other").is_empty());
        });
    }

    #[test]
    fn too_much_is_refused() {
        fake::reset();
        let counter = Counter::define("c").unwrap();
        assert!(matches!(counter.increment(u64::MAX), Err(HostError::Refused { .. })));
        fake::with(|host| host.force("proxy_increment_metric", 1));
        assert_eq!(counter.increment(1).unwrap_err().status(), Some(Status::NotFound));
    }
}
