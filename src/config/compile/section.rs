//! Sections of the document that not every host needs. What a host leaves out it does not hold either, nor what reads it: so who reads
//! which is said by types.

use super::Compiler;
use super::scim::ScimConfig;
use crate::authn::Provider;
use crate::config::fault::Path;
use crate::worker::WorkerPolicy;
use serde_json::Value;

/// What becomes of the sections `scim` and `worker`.
pub(super) trait Sections {
    /// `is_store_near`: the worker is to have the store in it.
    fn scim(
        compiler: &mut Compiler<'_>,
        path: &Path,
        value: Value,
        is_store_near: bool,
    ) -> Option<ScimConfig> {
        compiler.scim(path, value, is_store_near)
    }

    /// `has_scim`: there is a section `scim`.
    fn worker(
        compiler: &mut Compiler<'_>,
        value: Option<Value>,
        providers: &[Provider],
        has_scim: bool,
    ) -> Option<WorkerPolicy> {
        compiler.worker(value, providers, has_scim)
    }
}

/// For tools: all that is there.
pub(super) struct All;

impl Sections for All {
    fn worker(
        compiler: &mut Compiler<'_>,
        value: Option<Value>,
        providers: &[Provider],
        has_scim: bool,
    ) -> Option<WorkerPolicy> {
        // Where there is no worker, nothing is expected of one.
        value.and_then(|value| compiler.worker(Some(value), providers, has_scim))
    }
}

/// For who decides by rules in a proxy.
pub(super) struct RulesAlone;

impl Sections for RulesAlone {
    fn scim(_: &mut Compiler<'_>, _: &Path, _: Value, _: bool) -> Option<ScimConfig> {
        None
    }

    fn worker(_: &mut Compiler<'_>, _: Option<Value>, _: &[Provider], _: bool) -> Option<WorkerPolicy> {
        None
    }
}

/// For a SCIM gateway in a proxy.
pub(super) struct Gateway;

impl Sections for Gateway {
    fn scim(compiler: &mut Compiler<'_>, path: &Path, value: Value, _: bool) -> Option<ScimConfig> {
        compiler.scim(path, value, false)
    }

    fn worker(_: &mut Compiler<'_>, _: Option<Value>, _: &[Provider], _: bool) -> Option<WorkerPolicy> {
        None
    }
}

/// For an edge worker that takes no SCIM calls.
pub(super) struct Worker;

impl Sections for Worker {
    fn scim(compiler: &mut Compiler<'_>, path: &Path, _: Value, _: bool) -> Option<ScimConfig> {
        compiler.faults.add(
            path,
            "expected nothing: this worker takes no SCIM calls, but that of dist/scim-worker does",
        );
        None
    }
}

/// For one that does.
pub(super) struct ScimWorker;

impl Sections for ScimWorker {}
