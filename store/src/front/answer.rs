//! The head of an answer, and the answers to requests that never reach the service.

use crate::database::DatabaseError;
use crate::service::Response;
use doorward::scim::ScimError;

/// What a body is, unless the answer says otherwise.
pub const MEDIA_TYPE: &str = "application/scim+json";

/// Every header field of an answer but `Content-Length`, names in lower case.
pub fn fields(response: &Response, request_id: &str) -> Vec<(&'static str, String)> {
    // What is answered to one is not for others.
    let mut fields = vec![("cache-control", "no-store".to_owned()), ("x-request-id", request_id.to_owned())];
    let says_type = response.headers.iter().any(|(name, _)| *name == "content-type");
    if !says_type && response.body.as_ref().is_some_and(|body| !body.is_empty()) {
        fields.push(("content-type", MEDIA_TYPE.to_owned()));
    }
    fields.extend_from_slice(&response.headers);
    fields
}

/// An error as SCIM has it, with these header fields.
pub fn refusal(status: u16, detail: impl Into<String>, headers: &[(&'static str, String)]) -> Box<Response> {
    let mut response = Response::from(ScimError::new(status, detail));
    response.headers.extend_from_slice(headers);
    Box::new(response)
}

/// What is answered if the database does not say who asks.
pub fn unavailable(error: &DatabaseError) -> Box<Response> {
    match error {
        DatabaseError::Unavailable(_) => refusal(503, "expected a database that answers: try again", &[]),
        DatabaseError::Full(_) | DatabaseError::Failed(_) => refusal(500, "the database failed", &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_it_is_and_whose() {
        let with = |headers: &[(&'static str, &str)], body: Option<&str>| {
            let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let body = body.map(|body| body.as_bytes().to_vec());
            let found = fields(&Response { status: 200, headers, body, ..Response::default() }, "r1");
            found.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let always = ["cache-control: no-store", "x-request-id: r1"];
        let and = |more: &[&'static str]| [&always[..], more].concat();
        assert_eq!(with(&[], None), always);
        assert_eq!(with(&[], Some("")), always);
        assert_eq!(with(&[], Some("{}")), and(&["content-type: application/scim+json"]));
        assert_eq!(
            with(&[("content-type", "application/json"), ("etag", "W/\"1\"")], Some("{}")),
            and(&["content-type: application/json", "etag: W/\"1\""])
        );
    }
}
