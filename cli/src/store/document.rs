//! The configuration of the store.
//!
//! ```yaml
//! listen: 127.0.0.1:8787
//! admin: 127.0.0.1:8788          # null: nobody is listened to
//! danger_open_admin: false       # operators beyond this machine
//! base_path: /scim/v2
//! base_url: https://scim.example.com/scim/v2
//! trusted_proxies: [10.0.0.0/8]  # whose X-Forwarded-* are believed
//! gateways: []                   # whose word is taken for who asks, instead of a token
//! # - name: edge                 # as the gateway calls itself
//! #   keys: [{ id: k1, secret_file: gateway.key }]  # or `secret: …`; base64url of 32 bytes or more; several while they are changed
//! limits:
//!   body: 8388608                # bytes
//!   head_timeout: 30s
//!   body_timeout: 30s
//!   write_timeout: 30s           # for a client that takes nothing of its response
//!   connections: 1024
//!   requests: 256                # handled at once; more wait
//!   wait: 5s
//!   rate: { requests_per_second: 2000, burst: 10000 }  # of each tenant; null: any
//!   drain: 30s                   # for requests to end after SIGTERM
//! pages: { default: 100, max: 1000, announce: true }  # resources; announce: in ServiceProviderConfig (RFC 9865)
//! bulk: { max_operations: 1000, max_payload_size: 1048576 }
//! cursor_timeout: 1h
//! unknown_attributes: refuse     # or drop
//! idempotency: 24h               # how long the answers to creates with Idempotency-Key are kept
//! audit: { values: [active] }    # whose new values are recorded; of all other attributes the names alone
//! schemas: []                    # RFC 7643 section 7
//! resource_types: []             # RFC 7643 section 6
//! ```
//! Every member may be left out. A member that is not known is a fault. Files are relative to the configuration.

use crate::file;
use doorward::gateway::{CredentialKey, CredentialKeys, is_name};
use doorward::jose::base64url;
use doorward::scim::{AttributeRef, Catalog, PageLimits, Returned, Unknown};
use doorward_store::http::{self, Network, ServerOptions};
use doorward_store::service::Settings;
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::Value as Json;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// The configuration as it is written. What is absent is as it is by default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    #[serde(deserialize_with = "address")]
    listen: Option<SocketAddr>,
    #[serde(deserialize_with = "optional_address")]
    admin: Option<Option<SocketAddr>>,
    danger_open_admin: bool,
    base_path: Option<String>,
    base_url: Option<String>,
    #[serde(deserialize_with = "networks")]
    trusted_proxies: Vec<Network>,
    gateways: Vec<Gateway>,
    limits: Limits,
    pages: Pages,
    bulk: Bulk,
    #[serde(deserialize_with = "duration")]
    cursor_timeout: Option<Duration>,
    unknown_attributes: Option<UnknownAttributes>,
    #[serde(deserialize_with = "duration")]
    idempotency: Option<Duration>,
    audit: Audit,
    schemas: Vec<Json>,
    resource_types: Vec<Json>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gateway {
    name: String,
    keys: Vec<GatewayKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayKey {
    id: String,
    secret_file: Option<PathBuf>,
    secret: Option<Secret>,
}

/// Base64url, which is not shown.
#[derive(Deserialize)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    body: Option<NonZeroUsize>,
    #[serde(deserialize_with = "duration")]
    head_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    body_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    write_timeout: Option<Duration>,
    connections: Option<NonZeroUsize>,
    requests: Option<NonZeroUsize>,
    #[serde(deserialize_with = "duration")]
    wait: Option<Duration>,
    #[serde(deserialize_with = "present")]
    rate: Option<Option<Rate>>,
    #[serde(deserialize_with = "duration")]
    drain: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Pages {
    default: Option<NonZeroUsize>,
    max: Option<NonZeroUsize>,
    announce: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bulk {
    max_operations: Option<NonZeroUsize>,
    max_payload_size: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnknownAttributes {
    Refuse,
    Drop,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    values: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    requests_per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// The first fault, with the file and the place in it.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let documents = file::read(path).map_err(|error| format!("{shown}: {error}"))?;
        match documents.as_slice() {
            // A YAML file that is empty, or nothing but comments.
            [] => Ok(Self::default()),
            [document] => Self::from_json(&document.value).map_err(|fault| format!("{shown}: {fault}")),
            _ => Err(format!("{shown}: expected one document, but found {}", documents.len())),
        }
    }

    fn from_json(value: &Json) -> Result<Self, String> {
        // Where everything may be left out, an empty list would do too.
        if !value.is_object() {
            return Err("expected members such as \"listen\"".to_owned());
        }
        serde_path_to_error::deserialize(value).map_err(|error| {
            let place = error.path().to_string();
            // What is found there may be a secret in the wrong place.
            let is_secret = place
                .strip_prefix("gateways")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']));
            if is_secret { format!("{place}: expected {GATEWAYS}") } else { error.to_string() }
        })
    }

    pub(super) fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// Where operators are listened to; nothing if the document does not say.
    #[allow(clippy::option_option, reason = "null is another answer than none")]
    pub(super) fn admin(&self) -> Option<Option<SocketAddr>> {
        self.admin
    }

    /// The schemas and resource types, with the built-in ones.
    ///
    /// # Errors
    /// Every fault on a line, with its place.
    pub(super) fn catalog(&self) -> Result<Catalog, String> {
        Catalog::with(&self.schemas, &self.resource_types).map_err(|error| {
            let line = |fault: &doorward::scim::CatalogFault| match fault.place.strip_prefix("resourceTypes")
            {
                Some(place) => format!("resource_types{place}: {}", fault.problem),
                None => fault.to_string(),
            };
            error.faults().iter().map(line).collect::<Vec<_>>().join("\n")
        })
    }

    /// How the service behaves.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub(super) fn settings(&self, catalog: &Catalog) -> Result<Settings, String> {
        let mut settings = Settings::default();
        set(&mut settings.pages.max_count, self.pages.max.map(NonZeroUsize::get));
        settings.pages.default_count = settings.pages.default_count.min(settings.pages.max_count);
        set(&mut settings.pages.default_count, self.pages.default.map(NonZeroUsize::get));
        let PageLimits { default_count, max_count } = settings.pages;
        if default_count > max_count {
            return Err(format!("pages.default: expected at most {max_count}, which is pages.max"));
        }
        set(&mut settings.announce_pages, self.pages.announce);
        set(&mut settings.bulk.max_operations, self.bulk.max_operations.map(NonZeroUsize::get));
        set(&mut settings.bulk.max_payload_size, self.bulk.max_payload_size.map(NonZeroUsize::get));
        set(&mut settings.cursor_timeout, self.cursor_timeout);
        set(&mut settings.idempotency, self.idempotency);
        settings.unknown = match self.unknown_attributes {
            Some(UnknownAttributes::Drop) => Unknown::Dropped,
            Some(UnknownAttributes::Refuse) | None => Unknown::Refused,
        };
        for (index, path) in self.audit.values.iter().enumerate() {
            let found: Vec<_> = catalog
                .resource_types()
                .iter()
                .filter_map(|resource_type| resource_type.find(path))
                .collect();
            if found.is_empty() {
                return Err(format!(
                    "audit.values[{index}]: expected the path of an attribute, but found {path:?}"
                ));
            }
            let is_secret = |found: &AttributeRef| found.definition().returned == Returned::Never;
            if found.iter().any(is_secret) {
                return Err(format!(
                    "audit.values[{index}]: expected an attribute that is returned, but found {path:?}"
                ));
            }
        }
        settings.recorded.clone_from(&self.audit.values);
        Ok(settings)
    }

    /// The keys of gateways; relative files are in `folder`.
    ///
    /// # Errors
    /// The first fault, with its place, and nothing of a secret.
    pub(super) fn gateways(&self, folder: &Path) -> Result<CredentialKeys, String> {
        let mut known = CredentialKeys::default();
        for (index, Gateway { name, keys }) in self.gateways.iter().enumerate() {
            let place = format!("gateways[{index}]");
            if !is_name(name) {
                return Err(format!(
                    "{place}.name: expected 1 to 64 of A-Z, a-z, 0-9, -, _ and ., but found {name:?}"
                ));
            }
            if self.gateways.iter().take(index).any(|other| &other.name == name) {
                return Err(format!("{place}.name: expected a name of its own, but another has {name:?}"));
            }
            if keys.is_empty() {
                return Err(format!("{place}.keys: expected one key or more"));
            }
            for (index, key) in keys.iter().enumerate() {
                let place = format!("{place}.keys[{index}]");
                let secret = key.secret(folder).map_err(|fault| format!("{place}{fault}"))?;
                let key = CredentialKey::new(key.id.clone(), secret);
                let key = key.map_err(|error| format!("{place}: {error}"))?;
                known.add(name, key).map_err(|error| format!("{place}: {error}"))?;
            }
        }
        Ok(known)
    }

    /// What the document says, over these, but for gateways.
    pub(super) fn options(&self, mut options: ServerOptions) -> ServerOptions {
        options.danger_open_admin = self.danger_open_admin;
        set(&mut options.base_path, self.base_path.clone());
        options.base_url = self.base_url.clone();
        options.trusted_proxies.clone_from(&self.trusted_proxies);
        let (limits, said) = (&mut options.limits, &self.limits);
        set(&mut limits.body, said.body.map(NonZeroUsize::get));
        set(&mut limits.head_timeout, said.head_timeout);
        set(&mut limits.body_timeout, said.body_timeout);
        set(&mut limits.write_timeout, said.write_timeout);
        set(&mut limits.connections, said.connections.map(NonZeroUsize::get));
        set(&mut limits.requests, said.requests.map(NonZeroUsize::get));
        set(&mut limits.wait, said.wait);
        set(&mut limits.drain, said.drain);
        if let Some(rate) = &said.rate {
            limits.rate = rate.as_ref().map(|Rate { requests_per_second, burst }| http::Rate {
                requests_per_second: *requests_per_second,
                burst: *burst,
            });
        }
        options
    }
}

impl GatewayKey {
    fn secret(&self, folder: &Path) -> Result<Vec<u8>, String> {
        match (&self.secret_file, &self.secret) {
            (Some(file), None) => {
                let path = folder.join(file);
                let shown = path.display();
                let text = fs::read(&path)
                    .map_err(|error| format!(".secret_file: expected a file to read at {shown}: {error}"))?;
                base64url::decode(text.trim_ascii())
                    .map_err(|error| format!(".secret_file: {error} in {shown}"))
            }
            (None, Some(Secret(text))) => {
                base64url::decode(text.as_bytes()).map_err(|error| format!(".secret: {error}"))
            }
            (Some(_), Some(_)) | (None, None) => Err(": expected either secret_file or secret".to_owned()),
        }
    }
}

const GATEWAYS: &str =
    r#"gateways such as [{ "name": "edge", "keys": [{ "id": "k1", "secret_file": "gateway.key" }] }]"#;

fn set<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}

/// A text that says something.
fn read<'de, T: FromStr, D: Deserializer<'de>>(text: &str, expected: &'static str) -> Result<T, D::Error> {
    text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(text), &expected))
}

const ADDRESS: &str = "an address with a port such as \"127.0.0.1:8787\"";

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    read::<_, D>(&text, ADDRESS).map(Some)
}

#[allow(clippy::option_option, reason = "null is another answer than none")]
fn optional_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<SocketAddr>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| read::<_, D>(&text, ADDRESS)).transpose().map(Some)
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let expected = "an address or a network such as \"10.0.0.0/8\"";
    texts.iter().map(|text| read::<_, D>(text, expected)).collect()
}

/// A number with a unit; not negative.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    let expected = "a number with a unit such as \"30s\"";
    duration.map(Some).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

/// `null` is said, other than nothing at all.
#[allow(clippy::option_option, reason = "null is another answer than none")]
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn options(document: &Json) -> ServerOptions {
        let listen = "127.0.0.1:1".parse().unwrap();
        Document::from_json(document).unwrap().options(ServerOptions::new(listen, None))
    }

    #[test]
    fn an_empty_document_changes_nothing() {
        let default = ServerOptions::new("127.0.0.1:1".parse().unwrap(), None);
        assert_eq!(format!("{:?}", options(&json!({}))), format!("{default:?}"));
        let document = Document::from_json(&json!({})).unwrap();
        assert_eq!((document.listen(), document.admin()), (None, None));
    }

    #[test]
    fn every_member_is_heard() {
        let document = json!({
            "listen": "0.0.0.0:80", "admin": "[::1]:81", "danger_open_admin": true, "base_path": "/s",
            "base_url": "https://a.example", "trusted_proxies": ["10.0.0.0/8", "::1"],
            "limits": {
                "body": 1, "head_timeout": "2ms", "body_timeout": "3s", "write_timeout": "10s",
                "connections": 4, "requests": 5, "wait": "6m",
                "rate": { "requests_per_second": 7, "burst": 8 }, "drain": "9h"
            }
        });
        let read = Document::from_json(&document).unwrap();
        assert_eq!(read.listen(), Some("0.0.0.0:80".parse().unwrap()));
        assert_eq!(read.admin(), Some(Some("[::1]:81".parse().unwrap())));
        let options = options(&document);
        assert!(options.danger_open_admin);
        assert_eq!(
            (options.base_path.as_str(), options.base_url.as_deref()),
            ("/s", Some("https://a.example"))
        );
        assert_eq!(options.trusted_proxies.len(), 2);
        let limits = options.limits;
        assert_eq!((limits.body, limits.connections, limits.requests), (1, 4, 5));
        let http::Limits { head_timeout, body_timeout, write_timeout, wait, drain, .. } = limits;
        let times = [head_timeout, body_timeout, write_timeout, wait, drain];
        assert_eq!(times.map(|time| time.as_millis()), [2, 3_000, 10_000, 360_000, 32_400_000]);
        let rate = limits.rate.unwrap();
        assert_eq!((rate.requests_per_second.get(), rate.burst.get()), (7, 8));
    }

    #[test]
    fn every_setting_is_heard() {
        let settings =
            |document: Json| Document::from_json(&document).unwrap().settings(&Catalog::built_in().unwrap());
        assert_eq!(format!("{:?}", settings(json!({})).unwrap()), format!("{:?}", Settings::default()));
        let found = settings(json!({
            "pages": { "default": 2, "max": 3, "announce": false }, "bulk": { "max_operations": 4, "max_payload_size": 5 },
            "cursor_timeout": "6s", "unknown_attributes": "drop", "idempotency": "7s",
            "audit": { "values": ["active", "name.familyName", "members"] }
        }));
        let Settings { pages, announce_pages, bulk, cursor_timeout, unknown, recorded, idempotency } =
            found.unwrap();
        assert_eq!((pages.default_count, pages.max_count, announce_pages), (2, 3, false));
        assert_eq!((bulk.max_operations, bulk.max_payload_size), (4, 5));
        assert_eq!((cursor_timeout.as_secs(), idempotency.as_secs()), (6, 7));
        assert_eq!(unknown, Unknown::Dropped);
        assert_eq!(recorded, ["active", "name.familyName", "members"]);
        assert_eq!(settings(json!({ "pages": { "max": 9 } })).unwrap().pages.default_count, 9);
        for (document, expected) in [
            (json!({ "pages": { "default": 9, "max": 3 } }), "pages.default: expected at most 3"),
            (json!({ "audit": { "values": ["active", "nothing"] } }), "audit.values[1]: expected the path"),
            (
                json!({ "audit": { "values": ["password"] } }),
                "audit.values[0]: expected an attribute that is returned",
            ),
        ] {
            let found = settings(document).unwrap_err();
            assert!(found.starts_with(expected), "{found}");
        }
    }

    /// Of 32, 48 and 3 bytes.
    const SECRETS: [&str; 3] = [
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm",
        "c2Vj",
    ];

    fn gateways(gateways: &Json, folder: &Path) -> Result<CredentialKeys, String> {
        Document::from_json(&json!({ "gateways": gateways }))?.gateways(folder)
    }

    #[test]
    fn the_keys_of_gateways_are_there_or_in_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("gateway.key"), format!("{}\n", SECRETS[1])).unwrap();
        let document = json!([
            { "name": "edge", "keys": [{ "id": "k1", "secret": SECRETS[0] }, { "id": "k2", "secret_file": "gateway.key" }] },
            { "name": "other", "keys": [{ "id": "k1", "secret": "A".repeat(43) }] }
        ]);
        let keys = gateways(&document, folder.path()).unwrap();
        let now = doorward::time::UnixTime::from_secs(0);
        for (issuer, id, secret, expected) in [
            ("edge", "k1", SECRETS[0], true),
            ("edge", "k2", SECRETS[1], true),
            ("other", "k1", SECRETS[0], false),
        ] {
            let secret = base64url::decode(secret.as_bytes()).unwrap();
            let credential = CredentialKey::new(id.to_owned(), secret).unwrap().seal(
                now,
                &doorward::gateway::Grant {
                    issuer,
                    tenant: "acme",
                    actor: "a",
                    profile: doorward::scim::Profile::Rfc,
                    base_url: "https://a.example",
                    request_id: "r",
                    client: None,
                    method: "GET",
                    target: "/",
                },
            );
            let opened = keys.open(now, credential.as_bytes(), "GET", "/");
            assert_eq!(opened.is_ok(), expected, "{issuer} {id}: {opened:?}");
        }
        assert!(gateways(&json!([]), folder.path()).unwrap().is_empty());
    }

    #[test]
    fn a_fault_of_a_gateway_has_its_place_and_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bad.key"), "s3cr3t!").unwrap();
        fs::write(folder.path().join("short.key"), SECRETS[2]).unwrap();
        let key = |key: Json| json!([{ "name": "edge", "keys": [key] }]);
        let good = json!({ "id": "k", "secret": SECRETS[0] });
        for (document, expected) in [
            (json!("s3cr3t"), "gateways: expected gateways such as [{"),
            (json!(["s3cr3t"]), "gateways[0]: expected gateways such as"),
            (json!([{ "name": "edge", "keys": "s3cr3t" }]), "gateways[0].keys: expected gateways such as"),
            (json!([{ "name": "edge" }]), "gateways[0]: expected gateways such as"),
            (key(json!("s3cr3t")), "gateways[0].keys[0]: expected gateways such as"),
            (key(json!({ "secret": SECRETS[0] })), "gateways[0].keys[0]: expected gateways such as"),
            (
                key(json!({ "id": "k", "secret": 530 })),
                "gateways[0].keys[0].secret: expected gateways such as",
            ),
            (
                key(json!({ "id": "k", "sekret": "s3cr3t" })),
                "gateways[0].keys[0].sekret: expected gateways such",
            ),
            (json!([{ "name": "edge", "keys": [] }]), "gateways[0].keys: expected one key or more"),
            (json!([{ "name": "a:b", "keys": [good] }]), "gateways[0].name: expected 1 to 64 of"),
            (
                json!([{ "name": "a", "keys": [good] }, { "name": "a", "keys": [good] }]),
                "gateways[1].name: expected a name of its own, but another has \"a\"",
            ),
            (key(json!({ "id": "k" })), "gateways[0].keys[0]: expected either secret_file or secret"),
            (
                key(json!({ "id": "k", "secret": SECRETS[0], "secret_file": "k" })),
                "gateways[0].keys[0]: expected either secret_file or secret",
            ),
            (
                key(json!({ "id": "k", "secret": "s3cr3t!" })),
                "gateways[0].keys[0].secret: expected base64url without padding",
            ),
            (
                key(json!({ "id": "k", "secret_file": "bad.key" })),
                "gateways[0].keys[0].secret_file: expected base64url without padding in",
            ),
            (
                key(json!({ "id": "k", "secret_file": "nowhere.key" })),
                "gateways[0].keys[0].secret_file: expected a file to read at",
            ),
            (
                key(json!({ "id": "k", "secret_file": "short.key" })),
                "gateways[0].keys[0]: expected a secret of at least 32 bytes, but found 3",
            ),
            (
                key(json!({ "id": "k 1", "secret": SECRETS[0] })),
                "gateways[0].keys[0]: expected the id of a key",
            ),
            (
                json!([{ "name": "edge", "keys": [good, good] }]),
                "gateways[0].keys[1]: expected a new id, but the gateway has a key \"k\"",
            ),
            (
                json!([{ "name": "a", "keys": [good] }, { "name": "b", "keys": [good] }]),
                "gateways[1].keys[0]: expected a secret of this gateway alone, but \"a\" has it too",
            ),
        ] {
            let found = gateways(&document, folder.path()).unwrap_err();
            assert!(found.starts_with(expected), "{document}: {found}");
            assert!(!found.contains("s3cr3t") && !found.contains("530"), "{found}");
            assert!(!SECRETS.iter().any(|secret| found.contains(secret)), "{found}");
        }
        let document = Document::from_json(&json!({ "gateways": [{ "name": "a", "keys": [good] }] }));
        assert!(!format!("{document:?}").contains(SECRETS[0]));
    }

    #[test]
    fn null_turns_off() {
        assert_eq!(options(&json!({ "limits": { "rate": null } })).limits.rate, None);
        assert_eq!(Document::from_json(&json!({ "admin": null })).unwrap().admin(), Some(None));
    }

    #[test]
    fn a_fault_has_its_place() {
        for (document, expected) in [
            (json!({ "lisen": 1 }), "lisen: unknown field `lisen`, expected one of `listen`"),
            (
                json!({ "listen": "8787" }),
                "listen: invalid value: string \"8787\", expected an address with a port",
            ),
            (
                json!({ "admin": "localhost" }),
                "admin: invalid value: string \"localhost\", expected an address",
            ),
            (
                json!({ "trusted_proxies": ["10.0.0.0/99"] }),
                "trusted_proxies: invalid value: string \"10.0.0.0/99\", expected",
            ),
            (
                json!({ "limits": { "body": 0 } }),
                "limits.body: invalid value: integer `0`, expected a nonzero",
            ),
            (
                json!({ "limits": { "drain": "-1s" } }),
                "limits.drain: invalid value: string \"-1s\", expected a number with a unit",
            ),
            (
                json!({ "limits": { "drain": 5 } }),
                "limits.drain: invalid type: integer `5`, expected a string",
            ),
            (
                json!({ "limits": { "rate": { "burst": 1 } } }),
                "limits.rate: missing field `requests_per_second`",
            ),
            (
                json!({ "limits": { "rate": { "requests_per_second": 1, "burst": 1, "x": 1 } } }),
                "limits.rate.x: unknown field `x`",
            ),
            (
                json!({ "unknown_attributes": "keep" }),
                "unknown_attributes: unknown variant `keep`, expected `refuse` or `drop`",
            ),
            (json!([]), "expected members"),
        ] {
            let found = Document::from_json(&document).unwrap_err();
            assert!(found.starts_with(expected), "{document}: {found}");
        }
    }

    #[test]
    fn schemas_are_read_with_the_built_in_ones() {
        let faults = |document: &Json| Document::from_json(document).unwrap().catalog().map(drop);
        assert_eq!(faults(&json!({})), Ok(()));
        let found = faults(&json!({ "schemas": [{ "id": "x", "attributes": [] }], "resource_types": [{}] }));
        let found = found.unwrap_err();
        assert!(found.lines().any(|line| line.starts_with("schemas[0]")), "{found}");
        assert!(found.lines().any(|line| line.starts_with("resource_types[0]")), "{found}");
    }
}
