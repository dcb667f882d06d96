//! The filter against a host in the process: what no proxy can be made to do, such as failing hostcalls.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "tests look for the one call they mean"
)]

use crate::gate::Gate;
use doorward_host::fake::{self, Call};
use doorward_host::{Action, Context, HttpContext, RootContext};

type Root = doorward_effects::Root<Gate>;

const ROOT: u32 = 1;
const CALL: u32 = 7;
/// `printf acme-token | sha256sum`
const SHA256: &str = "28daa606f54b368209e11244fd3d5612b41212e822258df22e55afe06a7bdae1";
const TOKEN: (&str, &str) = ("authorization", "Bearer acme-token");
/// RFC 7515 appendix A.3: ES256, issuer joe, expires at 1300819380.
const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const NOW: u64 = 1_300_819_000;
const USER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"alice"}"#;

fn document() -> String {
    format!(
        r#"{{"providers":{{"joe":{{"issuer":"joe","danger_any_audience":true,"jwks":{{"remote":{{"uri":"https://joe.example/keys","cluster":"joe"}}}}}}}},
            "scim":{{"base_url":"https://scim.example.com/{{tenant}}/v2","store":{{"gateway":"edge","key":{{"id":"k1","secret":"{}"}}}},
            "subject":["iss"],
            "tenants":{{"acme":{{"tokens":[{{"name":"suite","sha256":"{SHA256}"}}],"rate":{{"requests_per_second":1,"burst":3}}}},
                        "globex":{{"profile":"entra","jwt":{{"provider":"joe"}}}}}}}}}}"#,
        "A".repeat(43)
    )
}

/// A root context with this configuration.
fn root(document: &str) -> (Root, bool) {
    fake::reset();
    fake::with(|host| {
        host.now_nanoseconds = NOW * 1_000_000_000;
        host.plugin_configuration = Some(document.as_bytes().to_vec());
        host.effective_context = ROOT;
    });
    let mut root = Root::new(ROOT);
    let accepted = root.on_configure(document.len());
    (root, accepted)
}

/// The head of a call; the calls before it are forgotten.
fn send(
    root: &Root,
    method: &str,
    path: &str,
    extra: &[(&str, &str)],
    end_of_stream: bool,
) -> (Box<dyn HttpContext>, Action) {
    fake::with(|host| {
        host.effective_context = CALL;
        let fields = [
            (":method", method),
            (":path", path),
            (":authority", "scim.example.com"),
            ("x-request-id", "request-1"),
            ("content-length", "77"),
        ];
        host.set_request_headers(fields.into_iter().chain(extra.iter().copied()));
        host.set_request_body(Vec::new());
        host.calls.clear();
    });
    let mut http = root.create_http_context(CALL).unwrap();
    let action = http.on_http_request_headers(5 + extra.len(), end_of_stream);
    (http, action)
}

fn body(http: &mut dyn HttpContext, body: &str, end_of_stream: bool) -> Action {
    fake::with(|host| {
        host.effective_context = CALL;
        host.set_request_body(body);
    });
    http.on_http_request_body(body.len(), end_of_stream)
}

fn answer(http: &mut dyn HttpContext, fields: &[(&str, &str)]) -> Action {
    fake::with(|host| {
        host.effective_context = CALL;
        host.set_response_headers(fields.iter().copied());
    });
    http.on_http_response_headers(fields.len(), false)
}

fn header(name: &str) -> Option<String> {
    fake::with(|host| {
        host.effective_context = CALL;
        let found = host.request_headers().iter().find(|(n, _)| n == name.as_bytes());
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    })
}

/// The status and details of the one local reply.
fn replied() -> Option<(u32, String)> {
    fake::with(|host| {
        let mut replies = host.calls.iter().filter_map(|call| match call {
            Call::LocalReply { status, details, .. } => {
                Some((*status, String::from_utf8(details.clone()).unwrap()))
            }
            _ => None,
        });
        let reply = replies.next();
        assert_eq!(replies.next(), None, "two replies to one call");
        reply
    })
}

fn refused(status: u32, details: &str) -> Option<(u32, String)> {
    Some((status, format!("doorward_{details}")))
}

fn was_continued() -> bool {
    fake::with(|host| host.calls.contains(&Call::ContinueRequest(CALL)))
}

#[test]
fn a_call_without_a_body_goes_on_at_once() {
    let (root, accepted) = root(&document());
    assert!(accepted);
    let (_http, action) =
        send(&root, "GET", "/acme/v2/Users?count=1", &[TOKEN, ("x_doorward-actor", "root")], true);
    assert_eq!((action, replied()), (Action::Continue, None));
    assert_eq!(header(":path").as_deref(), Some("/scim/v2/Users?count=1"));
    assert!(header("authorization").unwrap().starts_with("Bearer ey"));
    assert_eq!(header("x_doorward-actor"), None);
}

#[test]
fn a_call_with_a_body_waits_for_all_of_it() {
    let (root, _) = root(&document());
    let (mut http, action) = send(&root, "POST", "/acme/v2/Users", &[TOKEN], false);
    assert_eq!((action, header(":path").as_deref()), (Action::Pause, Some("/acme/v2/Users")));
    assert_eq!(body(&mut *http, "{\"schemas\"", false), Action::Pause);
    assert_eq!(body(&mut *http, USER, true), Action::Continue);
    assert_eq!((replied(), header(":path").as_deref()), (None, Some("/scim/v2/Users")));
    assert_eq!(header("idempotency-key").map(|key| key.len()), Some(32));
    assert_eq!(header("content-length").as_deref(), Some("77"), "the body is as it was");
    // Trailers end a body too.
    let (mut http, _) = send(&root, "POST", "/acme/v2/Users", &[TOKEN], false);
    assert_eq!(body(&mut *http, USER, false), Action::Pause);
    assert_eq!(http.on_http_request_trailers(1), Action::Continue);
    assert_eq!(header(":path").as_deref(), Some("/scim/v2/Users"));
}

#[test]
fn what_is_refused_stays_refused_whatever_follows() {
    let (root, _) = root(&document());
    let (mut http, action) = send(&root, "POST", "/acme/v2/Users", &[("authorization", "Bearer x")], false);
    assert_eq!((action, replied()), (Action::Pause, refused(401, "token_unknown")));
    assert_eq!(body(&mut *http, USER, true), Action::Pause);
    assert_eq!(http.on_http_request_trailers(1), Action::Pause);
    // The answer that is on its way is our own.
    let own = [(":status", "401"), ("content-type", "application/scim+json")];
    assert_eq!(answer(&mut *http, &own), Action::Continue);
    assert_eq!(replied(), refused(401, "token_unknown"), "once");
    assert_eq!(header(":path").as_deref(), Some("/acme/v2/Users"));
}

#[test]
fn a_long_body_is_refused_before_it_is_whole() {
    let (root, _) = root(&document());
    let (mut http, _) = send(&root, "POST", "/acme/v2/Users", &[TOKEN], false);
    fake::with(|host| host.take_made());
    assert_eq!(http.on_http_request_body(1_048_577, false), Action::Pause);
    assert_eq!(replied(), refused(413, "body_too_large"));
    let made = fake::with(fake::FakeHost::take_made);
    assert!(!made.contains(&"proxy_get_buffer_bytes"), "nothing of it is copied: {made:?}");
}

#[test]
fn a_body_may_come_while_its_jwt_waits_for_keys() {
    let (mut root, _) = root(&document());
    let authorization = format!("Bearer {JWT}");
    let (mut http, action) =
        send(&root, "POST", "/globex/v2/Users", &[("authorization", &authorization)], false);
    assert_eq!(action, Action::Pause);
    let text = USER.replace("\"alice\"", "\"alice\",\"active\":\"True\"");
    assert_eq!(body(&mut *http, &text, true), Action::Pause);
    assert_eq!(replied(), None);
    fake::with(|host| host.effective_context = ROOT);
    root.on_tick();
    let token = fake::with(|host| {
        host.calls.iter().rev().find_map(|call| match call {
            Call::HttpCall { token, .. } => Some(*token),
            _ => None,
        })
    });
    let keys = format!(r#"{{"keys":[{KEY}]}}"#);
    fake::with(|host| {
        host.effective_context = ROOT;
        host.set_call_response([(":status", "200")], keys.as_bytes().to_vec());
    });
    root.on_http_call_response(token.unwrap(), 1, keys.len(), 0);
    assert!(was_continued(), "{:?}", replied());
    assert_eq!(header(":path").as_deref(), Some("/scim/v2/Users"));
    // By the profile, in the RFC's words.
    let sent = fake::with(|host| host.request_body().map(<[u8]>::to_vec)).unwrap();
    assert!(String::from_utf8(sent).unwrap().contains("\"active\":true"));
    assert_eq!(header("content-length"), None);
}

#[test]
fn calls_are_counted_where_all_workers_see_it() {
    let (one, _) = root(&document());
    for _ in 0..3 {
        assert_eq!(send(&one, "GET", "/acme/v2/Users", &[TOKEN], true).1, Action::Continue);
    }
    assert_eq!(send(&one, "GET", "/acme/v2/Users", &[TOKEN], true).1, Action::Pause);
    assert_eq!(replied(), refused(429, "rate_limited"));
    fake::with(|host| host.now_nanoseconds += 1_000_000_000);
    assert_eq!(send(&one, "GET", "/acme/v2/Users", &[TOKEN], true).1, Action::Continue);
}

#[test]
fn a_failing_hostcall_refuses() {
    for call in [
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_pairs",
        "proxy_remove_header_map_value",
        "proxy_replace_header_map_value",
        "proxy_get_shared_data",
        "proxy_set_shared_data",
        "proxy_get_property",
    ] {
        let (root, _) = root(&document());
        fake::with(|host| host.force(call, 10));
        let (_http, action) = send(&root, "GET", "/acme/v2/Users", &[TOKEN, ("cookie", "a=b")], true);
        assert_eq!((action, replied()), (Action::Pause, refused(500, "internal_error")), "{call}");
    }
    for call in
        ["proxy_get_buffer_bytes", "proxy_get_current_time_nanoseconds", "proxy_replace_header_map_value"]
    {
        let (root, _) = root(&document());
        let (mut http, _) = send(&root, "POST", "/acme/v2/Users", &[TOKEN], false);
        fake::with(|host| host.force(call, 10));
        assert_eq!(body(&mut *http, USER, true), Action::Pause, "{call}");
        assert_eq!(replied(), refused(500, "internal_error"), "{call}");
    }
    for call in ["proxy_get_header_map_pairs", "proxy_remove_header_map_value"] {
        let (root, _) = root(&document());
        let (mut http, _) = send(&root, "GET", "/acme/v2/Users", &[TOKEN], true);
        fake::with(|host| host.force(call, 10));
        let fields = [(":status", "200"), ("x-powered-by", "x")];
        assert_eq!(answer(&mut *http, &fields), Action::Pause, "{call}");
        assert_eq!(replied(), refused(500, "internal_error"), "{call}");
    }
}

#[test]
fn a_refusal_that_cannot_be_sent_still_does_not_pass() {
    let (root, _) = root(&document());
    fake::with(|host| host.force("proxy_send_local_response", 10));
    let (_http, action) = send(&root, "GET", "/acme/v2/Users", &[], true);
    assert_eq!((action, replied()), (Action::Pause, None));
}

#[test]
fn a_faulty_configuration_does_not_load_and_refuses_everything() {
    for faulty in [r#"{"rules":[{"match":{},"allow":"anonymous"}]}"#, r#"{"scim":{}}"#, "{}"] {
        let (root, accepted) = root(faulty);
        assert!(!accepted, "{faulty}");
        let (_http, action) = send(&root, "GET", "/acme/v2/Users", &[TOKEN], true);
        assert_eq!((action, replied()), (Action::Pause, refused(500, "internal_error")), "{faulty}");
    }
}

#[test]
fn answers_of_the_proxy_become_scim_errors() {
    let (root, _) = root(&document());
    let (mut http, _) = send(&root, "GET", "/acme/v2/Users", &[TOKEN], true);
    let gone = [(":status", "503"), ("content-type", "text/plain")];
    assert_eq!(answer(&mut *http, &gone), Action::Pause);
    assert_eq!(replied(), refused(503, "store_unavailable"));
    let (mut http, _) = send(&root, "GET", "/acme/v2/Users", &[TOKEN], true);
    let fine = [(":status", "200"), ("content-type", "application/scim+json"), ("x-powered-by", "axum")];
    assert_eq!((answer(&mut *http, &fine), replied()), (Action::Continue, None));
    let left: Vec<_> =
        fake::with(|host| host.response_headers().iter().map(|(name, _)| name.clone()).collect());
    assert_eq!(left, [b":status".to_vec(), b"content-type".to_vec()]);
}

#[test]
fn ended_calls_are_counted_and_forgotten() {
    let (mut root, _) = root(&document());
    let (mut http, _) = send(&root, "GET", "/acme/v2/Users", &[TOKEN], true);
    fake::with(|host| host.properties.insert(b"response\0code".to_vec(), 200_i64.to_le_bytes().to_vec()));
    http.on_log();
    // Nobody is told twice.
    http.on_log();
    let (mut http, _) = send(&root, "GET", "/none/v2/Users", &[TOKEN], true);
    http.on_log();
    fake::with(|host| host.effective_context = ROOT);
    root.on_tick();
    let counted =
        |name: &str| fake::with(|host| host.metric(&format!("doorward.scim_gateway.{name}")).to_vec());
    assert_eq!(counted("calls.acme.search.done"), [1]);
    assert_eq!(counted("calls.-.other.refused"), [1]);
    assert_eq!(counted("refused.-.no_tenant"), [1]);
}

const STORED: &str = r#"{"id":"1","title":"x","userType":"Employee"}"#;
const SEEN: &str = r#"{"id":"1","role":"x"}"#;

/// A call that went on to the store and whose answer's head came, of a tenant whose users have another name for `title`.
fn answered(method: &str, path: &str, end_of_stream: bool) -> (Box<dyn HttpContext>, Action) {
    let attributes = r#""attributes":{"User":[{"rename":"role","to":"title"},{"constant":"userType","value":"Employee"}]},"#;
    let (root, accepted) = root(&document().replace(r#""acme":{"#, &format!(r#""acme":{{{attributes}"#)));
    assert!(accepted);
    let (mut http, action) = send(&root, method, path, &[TOKEN], true);
    assert_eq!((action, replied()), (Action::Continue, None));
    let scim = ("content-type", "application/scim+json");
    let fields = [(":status", "200"), scim, ("content-length", "44"), ("etag", "W/\"1\"")];
    fake::with(|host| host.set_response_headers(fields));
    let action = http.on_http_response_headers(fields.len(), end_of_stream);
    (http, action)
}

fn answer_body(body: &str) -> usize {
    fake::with(|host| host.set_response_body(body));
    body.len()
}

fn rewritten() -> Option<String> {
    fake::with(|host| {
        host.calls.iter().find_map(|call| match call {
            Call::ReplaceResponseBody(body) => Some(String::from_utf8(body.clone()).unwrap()),
            _ => None,
        })
    })
}

fn answer_has(name: &str) -> bool {
    fake::with(|host| host.response_headers().iter().any(|(own, _)| own == name.as_bytes()))
}

#[test]
fn an_answer_is_held_until_it_is_whole_and_goes_on_under_the_clients_names() {
    for by_trailers in [false, true] {
        let (mut http, action) = answered("GET", "/acme/v2/Users/1", false);
        assert_eq!((action, answer_has("content-length"), answer_has("etag")), (Action::Pause, false, true));
        assert_eq!(http.on_http_response_body(10, false), Action::Pause);
        let size = answer_body(STORED);
        let action = if by_trailers {
            assert_eq!(http.on_http_response_body(size, false), Action::Pause);
            http.on_http_response_trailers(1)
        } else {
            http.on_http_response_body(size, true)
        };
        assert_eq!((action, rewritten().as_deref(), replied()), (Action::Continue, Some(SEEN), None));
    }
}

#[test]
fn other_answers_go_by_as_they_come() {
    for path in ["/acme/v2/Groups/1", "/acme/v2/Schemas"] {
        let (mut http, action) = answered("GET", path, false);
        assert_eq!((action, answer_has("content-length")), (Action::Continue, true), "{path}");
        let size = answer_body("anything");
        assert_eq!(http.on_http_response_body(size, false), Action::Continue);
        assert_eq!(http.on_http_response_body(size, true), Action::Continue);
        assert_eq!((rewritten(), replied()), (None, None), "{path}");
    }
    let (_http, action) = answered("HEAD", "/acme/v2/Users/1", true);
    assert_eq!((action, answer_has("content-length")), (Action::Continue, false));
    assert_eq!((rewritten(), replied()), (None, None));
}

#[test]
fn what_is_no_answer_is_withheld() {
    let failed = || refused(502, "store_failed");
    let (mut http, _) = answered("GET", "/acme/v2/Users/1", false);
    let size = answer_body("<html>");
    assert_eq!((http.on_http_response_body(size, true), replied()), (Action::Pause, failed()));
    assert_eq!(http.on_http_response_body(size, true), Action::Pause, "nothing of it goes on later");
    let (_http, action) = answered("GET", "/acme/v2/Users/1", true);
    assert_eq!((action, replied()), (Action::Pause, failed()));
    let (mut http, _) = answered("GET", "/acme/v2/Users/1", false);
    let action = http.on_http_response_body(16 * 1024 * 1024 + 1, false);
    assert_eq!((action, replied()), (Action::Pause, failed()));
    let (mut http, _) = answered("GET", "/acme/v2/Users/1", false);
    assert_eq!((http.on_http_response_trailers(1), replied()), (Action::Pause, failed()));
    for call in ["proxy_get_buffer_bytes", "proxy_set_buffer_bytes"] {
        let (mut http, _) = answered("GET", "/acme/v2/Users/1", false);
        let size = answer_body(STORED);
        fake::with(|host| host.force(call, 10));
        assert_eq!(http.on_http_response_body(size, true), Action::Pause, "{call}");
        assert_eq!((rewritten(), replied()), (None, refused(500, "internal_error")), "{call}");
    }
}
