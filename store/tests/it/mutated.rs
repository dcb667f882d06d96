//! Requests that nobody sends: what providers send, changed at random, the same each time. No fault of ours comes of any, and both
//! databases answer alike.

use crate::lab::{Kind, Lab, run};
use doorward::scim::Profile;
use doorward_fuzz::mutator::{self, Mutator};
use doorward_store::role::GroupKey;
use doorward_store::service::{Request, Response, Settings};
use doorward_store::trail;
use doorward_testbed::PostgresServer;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Of each profile.
const REQUESTS: usize = 3_000;

/// A request, written down.
struct Sent {
    method: &'static str,
    path: String,
    query: String,
    if_match: Vec<u8>,
    if_none_match: Vec<u8>,
    body: Vec<u8>,
}

/// The committed inputs of a fuzz target, and its words.
struct Corpus {
    inputs: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    mutator: Mutator,
    count: usize,
}

#[test]
fn requests_that_nobody_sends_are_answered_alike() {
    for profile in [Profile::Rfc, Profile::Entra] {
        run(async {
            let one = Lab::with(Kind::Sqlite, profile, Settings::default()).await;
            let other = match PostgresServer::programs() {
                Some(_) => Some(Lab::with(Kind::Postgres, profile, Settings::default()).await),
                None => None,
            };
            let mut ids = vec![Vec::new()];
            let labs: Vec<&Lab> = std::iter::once(&one).chain(&other).collect();
            ids.resize(labs.len(), Vec::new());
            for (lab, ids) in labs.iter().zip(&mut ids) {
                for number in 0..4 {
                    ids.push(lab.user(&format!("user{number}")).await);
                }
                ids.push(lab.group("staff", &[&ids[0].clone(), &ids[1].clone()]).await);
                lab.grant("admin", &GroupKey::DisplayName("Staff".to_owned())).await;
            }
            let [mut filters, mut patches, mut bulks, mut requests] =
                ["scim_filter", "scim_patch", "scim_bulk", "scim_request"].map(Corpus::new);
            for number in 0..REQUESTS {
                let sent = match number % 5 {
                    0 => filters.search(number),
                    1 | 2 => patches.patch(number),
                    3 => bulks.bulk(),
                    _ => requests.request(number),
                };
                let mut answers = Vec::new();
                for (lab, ids) in labs.iter().zip(&mut ids) {
                    answers.push(answer(lab, ids, &sent).await);
                }
                let (status, _, body) = &answers[0];
                let is_fault = *status >= 500 && *status != 501 || body.contains("\"status\":\"500\"");
                assert!(!is_fault, "{}: {answers:?}", sent.shown());
                for answer in &answers {
                    assert_eq!(answer, &answers[0], "{profile:?}, request {number}: {}", sent.shown());
                }
            }
            for lab in &labs {
                // Otherwise nothing would be found.
                let records = trail::verify(lab.database(), "a").await.unwrap();
                assert!(records > 20, "expected changes, but there are {records}");
            }
        });
    }
}

/// What a request is answered, with ids by their places, which are the same in each database.
async fn answer(lab: &Lab, ids: &mut Vec<String>, sent: &Sent) -> (u16, Vec<(&'static str, String)>, String) {
    let real = |bytes: &[u8]| {
        let mut text = bytes.to_vec();
        for (place, id) in ids.iter().enumerate().take(5) {
            text = replaced(&text, format!("u{}", place + 1).as_bytes(), id.as_bytes());
        }
        text
    };
    let (path, query) = (real(sent.path.as_bytes()), real(sent.query.as_bytes()));
    let body = real(&sent.body);
    let field = |field: &'_ Vec<u8>| (!field.is_empty()).then(|| field.clone());
    let (if_match, if_none_match) = (field(&sent.if_match), field(&sent.if_none_match));
    let request = Request {
        method: sent.method,
        path: std::str::from_utf8(&path).unwrap(),
        query: std::str::from_utf8(&query).unwrap(),
        if_match: if_match.as_deref(),
        if_none_match: if_none_match.as_deref(),
        body: &body,
        ..Request::default()
    };
    let Response { status, headers, body, .. } = lab.handle(&request).await;
    let mut body = String::from_utf8(body.unwrap_or_default()).unwrap();
    if status >= 400 {
        // The detail has the beginning of what was sent, and may cut an id.
        let error: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(error["status"], status.to_string());
        body = error["scimType"].to_string();
    }
    let body = named(ids, &body);
    (status, headers.into_iter().map(|(name, value)| (name, named(ids, &value))).collect(), body)
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        all.extend_from_slice(&rest[..at]);
        all.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    all.extend_from_slice(rest);
    all
}

/// The text with the places of ids, which are learnt as they come.
fn named(ids: &mut Vec<String>, text: &str) -> String {
    let is_id = |text: &str| {
        text.len() == 36
            && text.bytes().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => byte == b'-',
                14 => byte == b'7',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    let (mut named, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if let Some((id, after)) = rest.split_at_checked(36).filter(|(id, _)| is_id(id)) {
            let known = ids.iter().position(|known| known == id);
            let place = known.unwrap_or_else(|| {
                ids.push(id.to_owned());
                ids.len() - 1
            });
            named += &format!("<{place}>");
            rest = after;
        } else {
            named.push(first);
            rest = rest.split_at(first.len_utf8()).1;
        }
    }
    // A cursor has an id in it and is signed.
    match named.split_once("\"nextCursor\":\"") {
        Some((before, after)) => format!("{before}{}", after.split_once('"').unwrap().1),
        None => named,
    }
}

impl Sent {
    fn new(method: &'static str, path: &str, query: String, body: Vec<u8>) -> Self {
        Self { method, path: path.to_owned(), query, if_match: Vec::new(), if_none_match: Vec::new(), body }
    }

    fn shown(&self) -> String {
        let Self { method, path, query, if_match, if_none_match, body } = self;
        let [if_match, if_none_match, body] =
            [if_match, if_none_match, body].map(|bytes| bytes.escape_ascii().to_string());
        format!("{method} {path}?{query}\n{if_match}\n{if_none_match}\n{body}")
    }
}

impl Corpus {
    fn new(target: &str) -> Self {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let mut files: Vec<_> = fs::read_dir(fuzz.join("corpus").join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let inputs = files.iter().map(|file| fs::read(file).unwrap()).collect();
        let words = fs::read_to_string(fuzz.join(format!("dictionaries/{target}.dict"))).unwrap();
        Self { inputs, words: mutator::words(&words), mutator: Mutator::new(target), count: 0 }
    }

    /// Every other one as it was written, so that there is something that the changed ones find.
    fn next(&mut self) -> Vec<u8> {
        self.count += 1;
        if self.count.is_multiple_of(2) {
            // One after the other, and each time round to another resource, however many there are.
            let (place, all) = (self.count / 2, self.inputs.len());
            return self.inputs[(place + place / all) % all].clone();
        }
        self.mutator.next(&self.inputs, &self.words)
    }

    fn search(&mut self, number: usize) -> Sent {
        let filter = String::from_utf8_lossy(&self.next()).into_owned();
        let order =
            ["", "&sortBy=userName", "&sortBy=displayName&sortOrder=descending", "&sortBy=emails.value"];
        let query = format!("filter={}&count=20{}", percent(filter.as_bytes()), order[number / 5 % 4]);
        Sent::new("GET", ["/Users", "/Groups", "/"][number / 5 % 3], query, Vec::new())
    }

    fn patch(&mut self, number: usize) -> Sent {
        let path = ["/Groups/u5", "/Users/u1", "/Users/u2"][number % 3];
        Sent::new("PATCH", path, String::new(), self.next())
    }

    fn bulk(&mut self) -> Sent {
        Sent::new("POST", "/Bulk", String::new(), self.next())
    }

    /// What the target of that name is given: a query, two fields, and a body.
    fn request(&mut self, number: usize) -> Sent {
        let input = self.next();
        let mut parts = input.splitn(4, |byte| *byte == b'\n').map(<[u8]>::to_vec);
        let mut part = || parts.next().unwrap_or_default();
        // As an HTTP server lets it through: what is no URI does not come here.
        let query =
            part().iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '+' }).collect();
        let (if_match, if_none_match, body) = (part(), part(), part());
        let (method, path) = [
            ("GET", "/Users"),
            ("POST", "/Users"),
            ("PUT", "/Users/u3"),
            ("GET", "/Users/u1"),
            ("POST", "/Groups"),
            ("PUT", "/Groups/u5"),
            ("POST", "/.search"),
            ("POST", "/Users/.search"),
            ("DELETE", "/Users/u9"),
            ("GET", "/Groups"),
        ][number / 5 % 10];
        Sent { if_match, if_none_match, ..Sent::new(method, path, query, body) }
    }
}

fn percent(text: &[u8]) -> String {
    text.iter().map(|byte| format!("%{byte:02X}")).collect()
}
