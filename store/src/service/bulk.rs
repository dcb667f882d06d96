//! Bulk: many operations in one request (RFC 7644 section 3.7), each a change of its own.

use super::{Context, Request, Response, Service, ok};
use crate::database::Database;
use doorward::scim::{BulkMethod, BulkRequest, BulkRun, BulkStep, BulkSuccess, ScimError, Version};
use serde_json::Value as Json;

impl<D: Database> Service<D> {
    pub(super) async fn bulk(&self, context: &Context, request: &Request<'_>) -> Result<Response, ScimError> {
        let job = BulkRequest::parse(request.body, self.settings.bulk)?;
        let mut run = BulkRun::new(job, &context.base_url);
        while let Some(step) = run.next_step() {
            let outcome = self.step(context, &step).await;
            run.record(outcome);
        }
        Ok(ok(&run.finish()))
    }

    async fn step(&self, context: &Context, step: &BulkStep) -> Result<BulkSuccess, ScimError> {
        let method = match step.method {
            BulkMethod::Post => "POST",
            BulkMethod::Put => "PUT",
            BulkMethod::Patch => "PATCH",
            BulkMethod::Delete => "DELETE",
        };
        let if_match = step.version.as_ref().map(Version::to_string);
        let body = match step.method {
            BulkMethod::Delete => Vec::new(),
            BulkMethod::Post | BulkMethod::Put | BulkMethod::Patch => {
                serde_json::to_vec(&step.data).map_err(|error| ScimError::new(500, error.to_string()))?
            }
        };
        let request = Request {
            method,
            path: &step.path,
            // Whoever asked for much is told where it is, and not all of it.
            query: "attributes=id",
            if_match: if_match.as_deref().map(str::as_bytes),
            body: &body,
            ..Request::default()
        };
        // A job in a job, and so on, is none of these methods and paths.
        let response = Box::pin(self.answer(context, &request)).await?;
        let header = |name| response.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value);
        let version = header("etag").and_then(|tag| Version::parse(tag).ok());
        let shown: Json =
            response.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let text = |name| shown.get(name).and_then(Json::as_str).map(str::to_owned);
        if response.status >= 400 {
            let detail = text("detail").unwrap_or_else(|| "the operation failed".to_owned());
            return Err(ScimError::new(response.status, detail));
        }
        let of_path = || step.path.rsplit('/').next().unwrap_or_default().to_owned();
        let id = text("id").unwrap_or_else(of_path);
        let location = match header("location") {
            Some(location) => location.clone(),
            None => format!("{}{}", context.base_url, step.path),
        };
        Ok(BulkSuccess { status: response.status, id, location, version })
    }
}
