//! Bulk. The input is the body of a request; a host performs it that fails now and then.

use doorward::scim::{BulkLimits, BulkMethod, BulkRequest, BulkRun, BulkSuccess, ScimError, Version};
use std::collections::BTreeSet;

const LIMITS: BulkLimits = BulkLimits { max_operations: 20, max_payload_size: 4096 };

/// The job ends, does each operation once and amends at most once, in an order in which what is referred to is there, and ends with
/// the errors that it may have.
pub fn check(input: &[u8]) {
    let Ok(request) = BulkRequest::parse(input, LIMITS) else { return };
    assert!(input.len() <= LIMITS.max_payload_size && request.operations.len() <= LIMITS.max_operations);
    for failing in [0, 1, 3] {
        perform(&request, failing);
    }
}

/// Every so many steps one fails; none if it is zero.
fn perform(request: &BulkRequest, failing: usize) {
    let count = request.operations.len();
    let mut run = BulkRun::new(request.clone(), "https://example.com");
    let (mut steps, mut errors) = (0, 0);
    let mut created = BTreeSet::new();
    let mut done = vec![false; count];
    while let Some(step) = run.next_step() {
        steps += 1;
        assert!(steps <= 2 * count, "expected an end");
        let is_id = |segment: &str| !segment.starts_with("bulkId:");
        assert!(step.path.split('/').all(is_id), "expected an id in {}", step.path);
        let is_first = !std::mem::replace(&mut done[step.operation], true);
        if !is_first {
            assert_eq!(step.method, BulkMethod::Patch, "only what was created is amended");
            assert!(created.contains(&step.path), "{} was not created", step.path);
        }
        if failing > 0 && steps % failing == 0 {
            errors += 1;
            run.record(Err(ScimError::new(409, "taken")));
            continue;
        }
        let (status, id) = match step.method {
            BulkMethod::Post => (201, format!("id-{}", step.operation)),
            BulkMethod::Delete => (204, "gone".to_owned()),
            BulkMethod::Put | BulkMethod::Patch => (200, "there".to_owned()),
        };
        if step.method == BulkMethod::Post {
            created.insert(format!("{}/{id}", step.path));
        }
        let location = format!("https://example.com{}", step.path);
        run.record(Ok(BulkSuccess { status, id, location, version: Version::new("1") }));
    }
    if let Some(limit) = request.fail_on_errors {
        assert!(errors <= limit.max(1), "expected the job to end at {limit} errors");
    }
    let response = run.finish();
    assert!(response.operations.len() <= count);
    if request.fail_on_errors.is_none() {
        assert_eq!(response.operations.len(), count, "expected an answer to each");
    }
    let written = serde_json::to_value(&response).expect("JSON");
    for operation in written["Operations"].as_array().expect("operations") {
        let status = operation["status"].as_str().and_then(|status| status.parse::<u16>().ok());
        assert!(status.is_some_and(|status| (200..600).contains(&status)), "{operation}");
    }
}
