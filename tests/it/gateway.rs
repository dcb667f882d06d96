//! The SCIM gateway's decisions: calls from head to answer, without a proxy.

use doorward::authn::decision::Decision;
use doorward::authn::{Authn, Step};
use doorward::config::Config;
use doorward::gateway::{
    Actor, Admission, Answer, Call, CredentialKey, CredentialKeys, Ending, GatewayPolicy, Granted, Operation,
    Reason, Refusal, Surroundings, TenantId,
};
use doorward::http::{HeaderField, HeaderMutation, RequestHead};
use doorward::scim::ScimType;
use doorward::time::UnixTime;
use serde_json::{Value as Json, json};
use std::time::Duration;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
/// `printf %s TOKEN | sha256sum` of `acme-token` and `beta-token`.
const ACME: &str = "acme-token";
const BETA: &str = "beta-token";

pub(crate) struct Bed {
    pub(crate) policy: GatewayPolicy,
    authn: Authn,
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// A document with two tenants, changed.
pub(crate) fn document_with(change: impl FnOnce(&mut Json)) -> Json {
    let mut document = json!({
        "scim": {
            "base_url": "https://scim.example.com/tenants/{tenant}/scim/v2",
            "store": { "gateway": "edge", "key": { "id": "k1", "secret": "A".repeat(43) } },
            "tenants": {
                "acme": { "profile": "entra", "tokens": [{ "name": "entra", "sha256": sha256(ACME) }] },
                "beta": { "tokens": [{ "name": "okta", "sha256": sha256(BETA), "expires": "2027-06-01T00:00:00Z" }] },
            },
        },
    });
    change(&mut document);
    document
}

pub(crate) fn bed_with(change: impl FnOnce(&mut Json)) -> Bed {
    let document = document_with(change);
    let config = Config::load_with_scim(document.to_string().as_bytes()).unwrap();
    let (policy, authn) = config.into_gateway(1).unwrap();
    Bed { policy, authn }
}

fn bed() -> Bed {
    bed_with(|_| {})
}

/// A request as it arrives.
pub(crate) struct Sent<'r> {
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    pub(crate) fields: Vec<(&'r str, &'r str)>,
    pub(crate) body: &'r str,
}

pub(crate) fn get<'r>(path: &'r str, token: &'r str) -> Sent<'r> {
    Sent { method: "GET", path, fields: vec![("authorization", token)], body: "" }
}

pub(crate) fn post<'r>(path: &'r str, token: &'r str, body: &'r str) -> Sent<'r> {
    let fields = vec![("authorization", token), ("content-type", "application/scim+json")];
    Sent { method: "POST", path, fields, body }
}

impl Sent<'_> {
    fn with<T>(&self, act: impl FnOnce(&RequestHead<'_>) -> T) -> T {
        let pseudo = [(":method", self.method), (":path", self.path), (":authority", "scim.example.com:443")];
        let fields: Vec<HeaderField<'_>> = pseudo
            .iter()
            .chain(&self.fields)
            .map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        act(&RequestHead::new(&fields))
    }
}

impl Bed {
    fn begin(&self, sent: &Sent<'_>) -> (Call, Admission) {
        sent.with(|head| self.policy.begin(self.authn.policy(), NOW, head, || Some("made-up".to_owned())))
    }

    /// What goes to the store, or why nothing does.
    pub(crate) fn forward(&self, sent: &Sent<'_>) -> Result<(Call, Forwarded), Refusal> {
        let (call, admission) = self.begin(sent);
        match admission {
            Admission::Known => {}
            Admission::Judge(_) => panic!("a JWT is to be judged"),
            Admission::Refused(refusal) => return Err(refusal),
        }
        self.policy.check_head(&call)?;
        let around = Surroundings { now: NOW, client: Some([192, 0, 2, 7].into()) };
        let forwarding =
            self.policy.settle(&call, sent.body.as_bytes(), around, || Some("fresh-key".to_owned()))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut forwarded = Forwarded { body: forwarding.body.as_deref().map(text), ..Forwarded::default() };
        for mutation in &forwarding.mutations {
            match mutation {
                HeaderMutation::Set(name, value) => forwarded.set.push((text(name), text(value))),
                HeaderMutation::Remove(name) => forwarded.removed.push(text(name)),
                HeaderMutation::Append(..) => panic!("{mutation:?}"),
            }
        }
        Ok((call, forwarded))
    }

    pub(crate) fn refusal(&self, sent: &Sent<'_>) -> Refusal {
        self.forward(sent).map(|(_, forwarded)| forwarded).unwrap_err()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    set: Vec<(String, String)>,
    removed: Vec<String>,
    pub(crate) body: Option<String>,
}

impl Forwarded {
    fn field(&self, name: &str) -> Option<&str> {
        self.set.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.field(":path").unwrap()
    }

    fn granted(&self, method: &str) -> Granted {
        let key = CredentialKey::new("k1".to_owned(), vec![0; 32]).unwrap();
        let mut keys = CredentialKeys::default();
        keys.add("edge", key).unwrap();
        let credential = self.field("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        keys.open(NOW, credential.as_bytes(), method, self.path()).unwrap()
    }
}

#[test]
fn a_call_goes_on_with_a_credential_and_nothing_of_the_client() {
    let bed = bed();
    let mut sent = get("/tenants/acme/scim/v2/Users/a%20b?aadOptscim062020", "Bearer acme-token");
    sent.fields.extend([
        ("cookie", "a=b"),
        ("X-Doorward-Tenant", "beta"),
        ("x_doorward.actor", "root"),
        ("x-forwarded-host", "evil.example"),
        ("x-request-id", "request-1"),
        ("if-none-match", "W/\"1\""),
    ]);
    let (call, forwarded) = bed.forward(&sent).unwrap();
    assert_eq!(forwarded.path(), "/scim/v2/Users/a%20b");
    assert_eq!(forwarded.removed, ["X-Doorward-Tenant", "cookie", "x-forwarded-host", "x_doorward.actor"]);
    let granted = forwarded.granted("GET");
    assert_eq!((&*granted.tenant, &*granted.actor), ("acme", "token:entra"));
    assert_eq!(granted.base_url, "https://scim.example.com/tenants/acme/scim/v2");
    assert_eq!((&*granted.request_id, granted.client), ("request-1", Some([192, 0, 2, 7].into())));
    assert_eq!(granted.profile.as_str(), "entra");
    assert_eq!(forwarded.field("x-request-id"), None, "the client's is there");
    assert_eq!((call.operation(), forwarded.body), (Operation::Read, None));
}

#[test]
fn tenants_are_told_apart_by_path_and_never_cross() {
    let bed = bed();
    for (path, token, expected) in [
        ("/tenants/acme/scim/v2/Users", "Bearer beta-token", Reason::TokenUnknown),
        ("/tenants/beta/scim/v2/Users", "Bearer acme-token", Reason::TokenUnknown),
        ("/tenants/acme/scim/v2/Users", "Bearer other", Reason::TokenUnknown),
        ("/tenants/acme/scim/v2/Users", "Basic YTpi", Reason::CredentialsMalformed),
        ("/tenants/acme/scim/v2/Users", "Bearer a b", Reason::CredentialsMalformed),
        ("/tenants/none/scim/v2/Users", "Bearer acme-token", Reason::NoTenant),
        ("/scim/v2/Users", "Bearer acme-token", Reason::NoTenant),
        ("/tenants/acme/../beta/scim/v2/Users", "Bearer acme-token", Reason::PathNotAccepted),
        ("/tenants/acme%2fscim/v2/Users", "Bearer acme-token", Reason::PathNotAccepted),
        ("/tenants//acme/scim/v2/Users", "Bearer acme-token", Reason::PathNotAccepted),
    ] {
        let refusal = bed.refusal(&get(path, token));
        assert_eq!(refusal.reason, expected, "{path} {token}");
        let has_challenge = refusal.headers.iter().any(|(name, _)| *name == "www-authenticate");
        assert_eq!(has_challenge, refusal.status() == 401, "{path} {token}");
    }
    let none = Sent { fields: vec![], ..get("/tenants/acme/scim/v2/Users", "") };
    assert_eq!(bed.refusal(&none).reason, Reason::CredentialsMissing);
    let mut twice = get("/tenants/acme/scim/v2/Users", "Bearer acme-token");
    twice.fields.push(("authorization", "Bearer acme-token"));
    assert_eq!(bed.refusal(&twice).reason, Reason::CredentialsMalformed);
}

#[test]
fn where_tenants_are_called_the_same_the_token_tells() {
    let bed = bed_with(|document| document["scim"]["base_url"] = json!("https://scim.example.com/scim/v2"));
    for (token, tenant) in [("Bearer acme-token", "acme"), ("bearer beta-token", "beta")] {
        let (_, forwarded) = bed.forward(&get("/scim/v2/Users", token)).unwrap();
        assert_eq!(forwarded.granted("GET").tenant, tenant);
    }
    assert_eq!(bed.refusal(&get("/scim/v2/Users", "Bearer x")).reason, Reason::TokenUnknown);
    // Whose announcement it would be, nobody knows.
    let public = Sent { fields: vec![], ..get("/scim/v2/ServiceProviderConfig", "") };
    assert_eq!(bed.refusal(&public).reason, Reason::CredentialsMissing);
}

#[test]
fn a_token_ends() {
    let bed = bed_with(|document| {
        document["scim"]["tenants"]["acme"]["tokens"][0]["expires"] = json!("2027-01-15T08:00:00Z");
    });
    assert_eq!(NOW.as_secs(), 1_800_000_000, "2027-01-15T08:00:00Z");
    let refusal = bed.refusal(&get("/tenants/acme/scim/v2/Users", "Bearer acme-token"));
    assert_eq!((refusal.reason, refusal.status()), (Reason::TokenExpired, 401));
    assert!(bed.forward(&get("/tenants/beta/scim/v2/Users", "Bearer beta-token")).is_ok());
}

#[test]
fn everyone_may_read_how_to_authenticate() {
    let bed = bed();
    let public = Sent { fields: vec![], ..get("/tenants/acme/scim/v2/ServiceProviderConfig", "") };
    let (_, forwarded) = bed.forward(&public).unwrap();
    assert_eq!(forwarded.granted("GET").actor, "anonymous");
    for (method, path) in
        [("POST", "/tenants/acme/scim/v2/ServiceProviderConfig"), ("GET", "/tenants/acme/scim/v2/Schemas")]
    {
        let sent = Sent { method, fields: vec![], ..get(path, "") };
        assert_eq!(bed.refusal(&sent).reason, Reason::CredentialsMissing, "{method} {path}");
    }
}

#[test]
fn what_is_at_fault_is_told_at_once() {
    let bed = bed();
    let beta = "Bearer beta-token";
    for (sent, status, scim_type) in [
        (get("/tenants/beta/scim/v2/Nothing", beta), 404, None),
        (get("/tenants/beta/scim/v2/changes", beta), 404, None),
        (get("/tenants/beta/scim/v2/Me", beta), 501, None),
        (
            get("/tenants/beta/scim/v2/Users?filter=active%20gt%20true", beta),
            400,
            Some(ScimType::InvalidFilter),
        ),
        (get("/tenants/beta/scim/v2/Users?filter=userName", beta), 400, Some(ScimType::InvalidFilter)),
        (get("/tenants/beta/scim/v2/Users?sortBy=nothing", beta), 400, Some(ScimType::InvalidPath)),
        (get("/tenants/beta/scim/v2/Users/1?attributes=a.b.c", beta), 400, Some(ScimType::InvalidPath)),
        (get("/tenants/beta/scim/v2/Users?count=x", beta), 400, Some(ScimType::InvalidCount)),
        (post("/tenants/beta/scim/v2/Users/1", beta, "{}"), 405, None),
        (post("/tenants/beta/scim/v2/Users", beta, "{"), 400, Some(ScimType::InvalidSyntax)),
        (post("/tenants/beta/scim/v2/Users", beta, r#"{"a":1,"a":1}"#), 400, Some(ScimType::InvalidSyntax)),
        (
            post(
                "/tenants/beta/scim/v2/Users",
                beta,
                r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]}"#,
            ),
            400,
            Some(ScimType::InvalidValue),
        ),
        (post("/tenants/beta/scim/v2/Bulk", beta, "{}"), 400, Some(ScimType::InvalidSyntax)),
        (post("/tenants/beta/scim/v2/Users/.search", beta, "{}"), 400, Some(ScimType::InvalidSyntax)),
        (
            Sent {
                method: "PATCH",
                ..post(
                    "/tenants/beta/scim/v2/Users/1",
                    beta,
                    r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"remove","path":"userName["}]}"#,
                )
            },
            400,
            Some(ScimType::InvalidFilter),
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("content-type", "text/plain")],
                ..post("/tenants/beta/scim/v2/Users", beta, "{}")
            },
            415,
            None,
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("content-encoding", "gzip")],
                ..post("/tenants/beta/scim/v2/Users", beta, "{}")
            },
            415,
            None,
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("if-match", "x")],
                ..get("/tenants/beta/scim/v2/Users/1", beta)
            },
            400,
            Some(ScimType::InvalidValue),
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("if-match", "*"), ("if-match", "*")],
                ..get("/tenants/beta/scim/v2/Users/1", beta)
            },
            400,
            None,
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("content-length", "1048577")],
                ..post("/tenants/beta/scim/v2/Users", beta, "")
            },
            413,
            None,
        ),
        (
            Sent {
                fields: vec![("authorization", beta), ("idempotency-key", "a b")],
                ..post("/tenants/beta/scim/v2/Users", beta, "{}")
            },
            400,
            None,
        ),
    ] {
        let refusal = bed.refusal(&sent);
        let found = (refusal.status(), refusal.scim_type());
        assert_eq!(found, (status, scim_type), "{} {}: {}", sent.method, sent.path, refusal.error);
        assert_eq!(refusal.headers.iter().any(|(name, _)| *name == "allow"), status == 405, "{}", sent.path);
    }
    let long = "x".repeat(1_048_577);
    assert_eq!(bed.refusal(&post("/tenants/beta/scim/v2/Users", beta, &long)).reason, Reason::BodyTooLarge);
}

#[test]
fn the_store_gets_what_the_rfc_has() {
    let bed = bed();
    let acme = "Bearer acme-token";
    let (_, forwarded) = bed
        .forward(&get(
            "/tenants/acme/scim/v2/Users?aadOptscim062020&filter=externalId+eq+jyoung&count=1",
            acme,
        ))
        .unwrap();
    assert_eq!(forwarded.path(), "/scim/v2/Users?filter=externalId%20eq%20%22jyoung%22&count=1");
    let patch = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":"False"}]}"#;
    let sent = Sent { method: "PATCH", ..post("/tenants/acme/scim/v2/Users/1", acme, patch) };
    let (_, forwarded) = bed.forward(&sent).unwrap();
    let body: Json = serde_json::from_str(forwarded.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["Operations"][0]["value"], json!(false));
    assert!(forwarded.removed.contains(&"content-length".to_owned()));
    assert_eq!(forwarded.field("idempotency-key"), None);
    // In a job too.
    let bulk = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "PATCH", "path": "/Users/1", "data": serde_json::from_str::<Json>(patch).unwrap() },
            { "method": "POST", "path": "/Nothing", "bulkId": "a", "data": {} },
        ],
    });
    let bulk = bulk.to_string();
    let (call, forwarded) = bed.forward(&post("/tenants/acme/scim/v2/Bulk", acme, &bulk)).unwrap();
    let body: Json = serde_json::from_str(forwarded.body.as_deref().unwrap()).unwrap();
    assert_eq!(body["Operations"][0]["data"]["Operations"][0]["value"], json!(false));
    assert_eq!(body["Operations"][1]["path"], "/Nothing");
    assert_eq!(call.operation(), Operation::Bulk);
}

#[test]
fn a_filter_is_no_longer_than_the_store_takes() {
    let bed = bed();
    // A word without quotes may have what takes six bytes in quotes.
    let path =
        |count: usize| format!("/tenants/acme/scim/v2/Users?filter=externalId+eq+{}", "%01".repeat(count));
    let (fits, refused) = (path(1362), path(1363));
    let (_, forwarded) = bed.forward(&get(&fits, "Bearer acme-token")).unwrap();
    let filter = forwarded.path().strip_prefix("/scim/v2/Users?filter=").unwrap().replace("%20", " ");
    let filter = filter.replace("%22", "\"").replace("%5C", "\\");
    assert_eq!(filter, format!("externalId eq \"{}\"", "\\u0001".repeat(1362)));
    let refusal = bed.refusal(&get(&refused, "Bearer acme-token"));
    assert_eq!(refusal.scim_type(), Some(ScimType::InvalidFilter));
    let detail = "expected a filter of at most 8192 bytes, but found 8194";
    assert!(refusal.error.to_string().contains(detail), "{}", refusal.error);
}

#[test]
fn a_create_is_made_once() {
    let bed = bed();
    let user = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"}"#;
    let sent = post("/tenants/beta/scim/v2/Users", "Bearer beta-token", user);
    let (_, forwarded) = bed.forward(&sent).unwrap();
    assert_eq!(forwarded.field("idempotency-key"), Some("fresh-key"));
    assert_eq!(forwarded.body, None, "nothing is softened");
    assert_eq!(forwarded.field("x-request-id"), Some("made-up"));
    let mut keyed = sent;
    keyed.fields.push(("idempotency-key", "its-own"));
    let (_, forwarded) = bed.forward(&keyed).unwrap();
    assert_eq!(forwarded.field("idempotency-key"), None);
}

#[test]
fn a_certificate_is_asked_for_beside_a_token_or_alone() {
    let certificates = json!([{ "name": "okta-mtls", "sha256": "11".repeat(32) }]);
    let bed = bed_with(|document| {
        document["scim"]["tenants"]["beta"]["certificates"] = certificates.clone();
        document["scim"]["tenants"]["gamma"] = json!({ "certificates": certificates });
    });
    let beta = get("/tenants/beta/scim/v2/Users", "Bearer beta-token");
    let (mut call, admission) = bed.begin(&beta);
    assert_eq!((admission, bed.policy.wants_certificate(&call)), (Admission::Known, true));
    // A host that forgets to ask gets nowhere.
    assert_eq!(bed.refusal(&beta).reason, Reason::CertificateUnknown);
    for shown in [None, Some([0; 32])] {
        let refused = bed.policy.admit_certificate(&mut call, shown).unwrap_err();
        assert_eq!(refused.reason, Reason::CertificateUnknown);
    }
    bed.policy.admit_certificate(&mut call, Some([0x11; 32])).unwrap();
    assert_eq!(call.actor().map(Actor::name).as_deref(), Some("token:okta"));
    let gamma = Sent { fields: vec![], ..get("/tenants/gamma/scim/v2/Users", "") };
    let (mut call, admission) = bed.begin(&gamma);
    assert_eq!((admission, bed.policy.wants_certificate(&call)), (Admission::Known, true));
    let around = Surroundings { now: NOW, client: None };
    let refused = bed.policy.settle(&call, b"", around, || None).unwrap_err();
    assert_eq!(refused.reason, Reason::InternalError, "nobody is known yet");
    bed.policy.admit_certificate(&mut call, Some([0x11; 32])).unwrap();
    assert_eq!(call.actor().map(Actor::name).as_deref(), Some("certificate:okta-mtls"));
    assert!(bed.policy.settle(&call, b"", around, || None).is_ok());
}

#[test]
fn actors_have_buckets_of_their_own() {
    let bed = bed_with(|document| {
        document["scim"]["tenants"]["beta"]["rate"] = json!({ "requests_per_second": 1, "burst": 2 });
    });
    let bucket = |path, token| {
        let (call, _) = bed.begin(&get(path, token));
        bed.policy.bucket(&call)
    };
    let (acme, common) = bucket("/tenants/acme/scim/v2/Users", "Bearer acme-token").unwrap();
    let (beta, own) = bucket("/tenants/beta/scim/v2/Users", "Bearer beta-token").unwrap();
    assert_ne!(acme, beta);
    assert_eq!((common.per_second.get(), common.burst.get()), (100, 1000));
    assert_eq!((own.per_second.get(), own.burst.get()), (1, 2));
    assert_eq!(bucket("/tenants/beta/scim/v2/Users", "Bearer x"), None);
    let refusal = Refusal::limited(Duration::from_millis(1_200));
    assert_eq!((refusal.status(), refusal.headers[0].1.as_str()), (429, "2"));
}

#[test]
fn a_jwt_is_judged_by_its_tenants_rule() {
    let bed = bed_with(|document| {
        document["providers"] = json!({
            "entra": {
                "issuer": "https://sts.windows.net/1/",
                "audiences": ["8adf8e6e-67b2-4cf2-a259-e3dc5476c621"],
                "jwks": { "remote": { "uri": "https://login.example/keys", "cluster": "entra" } },
            },
        });
        for (tenant, tid) in [("acme", "one"), ("beta", "two")] {
            document["scim"]["tenants"][tenant]["base_url"] = json!("https://scim.example.com/scim/v2");
            document["scim"]["tenants"][tenant]["jwt"] =
                json!({ "provider": "entra", "claims": [{ "path": ["tid"], "equals": tid }] });
        }
    });
    let token = |claims: Json| {
        use doorward::jose::base64url;
        let encode = |json: Json| base64url::encode(json.to_string().as_bytes());
        format!("Bearer {}.{}.AQ", encode(json!({ "alg": "RS256" })), encode(claims))
    };
    let issuer = "https://sts.windows.net/1/";
    for (claims, expected) in [
        (json!({ "iss": issuer, "tid": "one" }), Admission::Judge(0)),
        (json!({ "iss": issuer, "tid": "two" }), Admission::Judge(1)),
        (json!({ "iss": issuer, "tid": "three" }), Admission::Refused(Refusal::new(Reason::TokenUnknown))),
        (
            json!({ "iss": "https://other/", "tid": "one" }),
            Admission::Refused(Refusal::new(Reason::TokenUnknown)),
        ),
    ] {
        let token = token(claims.clone());
        let (_, admission) = bed.begin(&get("/scim/v2/Users", &token));
        assert_eq!(admission, expected, "{claims}");
    }
    let mut bed = bed;
    let token = token(json!({ "iss": issuer, "tid": "two" }));
    let sent = get("/scim/v2/Users", &token);
    let (mut call, _) = bed.begin(&sent);
    let Bed { policy, authn } = &mut bed;
    // Not to be had without keys; what matters is that it is judged, and refused as SCIM.
    let rejected = sent.with(|head| {
        [1, 2].map(|rule| match authn.begin_required(NOW, *head, rule) {
            Step::Decide(Decision::Reject(reply)) => Some(reply),
            Step::Decide(Decision::Forward(_))
            | Step::VerifySignature(..)
            | Step::Await(..)
            | Step::ReadCertificate(_)
            | Step::RecordProof(..) => None,
        })
    });
    let [reply, without_rule] = rejected.map(Option::unwrap);
    let refusal = Refusal::of_token(&reply);
    assert_eq!((refusal.status(), refusal.reason), (401, Reason::Token(reply.denial)));
    assert!(refusal.headers.iter().any(|(name, _)| *name == "www-authenticate"));
    assert_eq!(without_rule.denial.code(), "no_matching_rule");
    let entries = [("subject".to_owned(), "app-1".to_owned())];
    assert_eq!(policy.admit_subject(&mut call, 7, &entries).unwrap_err().reason, Reason::InternalError);
    assert_eq!(policy.admit_subject(&mut call, 1, &[]).unwrap_err().reason, Reason::InternalError);
    policy.admit_subject(&mut call, 1, &entries).unwrap();
    assert_eq!(call.tenant(), Some(TenantId(1)));
    // printf app-1 | sha256sum
    assert_eq!(format!("{:?}", call.actor().unwrap()), "subject:sha256:5eb7e725e6bac43f2a906437aa7be080");
}

#[test]
fn answers_show_nothing_internal() {
    let bed = bed();
    let (call, _) = bed.begin(&get("/tenants/acme/scim/v2/Users", "Bearer acme-token"));
    let answer = |fields: &[(&str, &str)]| {
        let fields: Vec<HeaderField<'_>> = fields
            .iter()
            .map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        bed.policy.answer(&call, &fields)
    };
    let scim = ("content-type", "application/scim+json; charset=utf-8");
    let location = ("location", "https://scim.example.com/tenants/acme/scim/v2/Users/1");
    let Answer::Pass(mutations) =
        answer(&[(":status", "201"), scim, location, ("etag", "W/\"1\""), ("x-powered-by", "axum")])
    else {
        panic!()
    };
    assert_eq!(mutations, [HeaderMutation::Remove(b"x-powered-by".as_slice().into())]);
    for location in
        ["http://127.0.0.1:8787/scim/v2/Users/1", "https://scim.example.com/tenants/acme/scim/v2x"]
    {
        let Answer::Pass(mutations) = answer(&[(":status", "201"), scim, ("location", location)]) else {
            panic!()
        };
        assert_eq!(mutations, [HeaderMutation::Remove(b"location".as_slice().into())], "{location}");
    }
    assert_eq!(answer(&[(":status", "404"), scim]), Answer::Pass(vec![]));
    assert_eq!(answer(&[(":status", "503"), scim, ("retry-after", "1")]), Answer::Pass(vec![]));
    for (status, reason, expected) in [
        ("503", Reason::StoreUnavailable, 503),
        ("504", Reason::StoreUnavailable, 503),
        ("502", Reason::StoreUnavailable, 503),
        ("500", Reason::StoreFailed, 502),
        ("413", Reason::BodyTooLarge, 413),
        ("429", Reason::RateLimited, 429),
        ("404", Reason::StoreFailed, 404),
        ("", Reason::StoreFailed, 502),
        ("100", Reason::StoreFailed, 502),
    ] {
        let Answer::Replace(refusal) = answer(&[(":status", status), ("content-type", "text/plain")]) else {
            panic!("{status}")
        };
        assert_eq!((refusal.reason, refusal.status()), (reason, expected), "{status}");
        let has_retry = refusal.headers.iter().any(|(name, _)| *name == "retry-after");
        assert_eq!(has_retry, [429, 503].contains(&expected), "{status}");
    }
    // When to come again is for whoever has too much to do to say, if it does so in whole seconds.
    for (said, expected) in [
        ("30", "30"),
        ("0", "1"),
        ("", "1"),
        ("1.5", "1"),
        ("+30", "1"),
        ("-30", "1"),
        ("Sun, 22 Nov 2026 13:00:00 GMT", "1"),
        ("99999999999999999999", "1"),
    ] {
        let Answer::Replace(refusal) = answer(&[(":status", "429"), ("Retry-After", said)]) else {
            panic!("{said}")
        };
        assert_eq!(refusal.headers, [("retry-after", expected.to_owned())], "{said:?}");
    }
    // The store says it in SCIM.
    assert_eq!(answer(&[(":status", "429"), scim, ("retry-after", "7")]), Answer::Pass(vec![]));
    // The client's token was good: that the gateway's is not is none of its business.
    for status in ["401", "403"] {
        let Answer::Replace(refusal) = answer(&[(":status", status), scim]) else { panic!("{status}") };
        assert_eq!((refusal.reason, refusal.status()), (Reason::StoreDisagrees, 502));
    }
}

#[test]
fn audit_lines_mask_persons() {
    let bed = bed();
    let line = |path: &str, ending: &Ending| -> Json {
        let (call, _) = bed.begin(&get(path, "Bearer acme-token"));
        serde_json::from_str(&bed.policy.audit_line(&call, ending, 0)).unwrap()
    };
    let done = Ending { status: 200, reason: None, scim_type: None, duration: Duration::from_micros(1_500) };
    assert_eq!(
        line("/tenants/acme/scim/v2/Users/2819c223-7f76-453a-919d-413861904646?filter=x", &done),
        json!({
            "event": "scim_call", "tenant": "acme", "actor": "token:entra", "operation": "read",
            "resource_type": "User", "target": "2819c223-7f76-453a-919d-413861904646", "outcome": "done",
            "status": 200, "request_id": "made-up", "duration_ms": 1.5,
        })
    );
    let masked = line("/tenants/acme/scim/v2/Users/bjensen@example.com", &done);
    assert!(masked["target"].as_str().unwrap().starts_with("sha256:"), "{masked}");
    let refused = Ending::refused(&Refusal::new(Reason::TokenUnknown), Duration::ZERO);
    let line = line("/tenants/acme/scim/v2/Groups", &refused);
    assert_eq!((&line["outcome"], &line["code"]), (&json!("refused"), &json!("token_unknown")));
    for (status, expected) in [(0, "abandoned"), (204, "done"), (409, "rejected"), (507, "failed")] {
        assert_eq!(Ending { status, ..done }.outcome().as_str(), expected);
    }
}

#[test]
fn a_call_is_for_a_tenant_by_its_address_alone() {
    let bed = bed();
    for (path, expected) in [
        ("/tenants/acme/scim/v2/Users?filter=x", true),
        ("/tenants/acme/scim/v2", true),
        ("/tenants/other/scim/v2/Users", false),
        ("/", false),
        ("/tenants/acme/scim/v2/%2e%2e/Users", false),
    ] {
        let sent = get(path, "");
        assert_eq!(sent.with(|head| bed.policy.takes(head)), expected, "{path}");
    }
}

#[test]
fn a_call_is_repeated_if_the_store_can_know_it_again() {
    let bed = bed();
    let base = "/tenants/acme/scim/v2";
    for (method, path, field, expected) in [
        ("GET", "/Users", None, true),
        ("HEAD", "/Users/1", None, true),
        ("POST", "/Users/.search", None, true),
        ("GET", "/Schemas", None, true),
        ("POST", "/Users", None, true),
        ("PUT", "/Users/1", None, true),
        ("PUT", "/Users/1", Some("W/\"1\""), false),
        ("DELETE", "/Users/1", None, true),
        ("DELETE", "/Users/1", Some("W/\"1\""), false),
        ("PATCH", "/Users/1", None, false),
        ("POST", "/Bulk", None, false),
        ("POST", "/Me", None, false),
    ] {
        let path = format!("{base}{path}");
        let fields = field.map(|version| ("if-match", version)).into_iter().collect();
        let (call, _) = bed.begin(&Sent { method, path: &path, fields, body: "" });
        assert_eq!(call.is_repeatable(), expected, "{method} {path} {field:?}");
    }
}

#[test]
fn a_store_that_is_near_needs_no_credential() {
    let mut document = document_with(|_| {});
    document["scim"].as_object_mut().unwrap().remove("store");
    document["worker"] = json!({ "store": { "d1": "DB" } });
    let config = Config::load_with_scim_worker(document.to_string().as_bytes()).unwrap();
    let (policy, authn) = config.into_gateway(1).unwrap();
    let bed = Bed { policy, authn };
    let token = format!("Bearer {ACME}");
    let (call, forwarded) = bed.forward(&get("/tenants/acme/scim/v2/Users?count=1", &token)).unwrap();
    assert_eq!(forwarded.path(), "/Users?count=1");
    assert_eq!(forwarded.field("authorization"), None);
    assert!(forwarded.removed.contains(&"authorization".to_owned()), "{forwarded:?}");
    let client = Some([192, 0, 2, 7].into());
    let granted = bed.policy.granted(&call, "worker", client).unwrap();
    // The same as a store elsewhere reads from a credential.
    let (_, sealed) = self::bed().forward(&get("/tenants/acme/scim/v2/Users?count=1", &token)).unwrap();
    assert_eq!(granted, Granted { issuer: "worker".to_owned(), ..sealed.granted("GET") });
    // Of a call that was refused nothing can be told.
    let (call, _) = bed.begin(&get("/tenants/acme/scim/v2/Users", "Bearer other"));
    assert_eq!(bed.policy.granted(&call, "worker", client), None);
}
