//! Our document, as it is written out: members in the order in which people read them.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Default, Serialize)]
pub(super) struct Document {
    pub(super) providers: BTreeMap<String, Provider>,
    pub(super) rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) identity_headers: Vec<IdentityHeader>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload_header: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) bypass_cors_preflight: bool,
}

#[derive(Default, Clone, Serialize)]
pub(super) struct Provider {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audiences: Option<Vec<String>>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) danger_any_audience: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) jwks: Option<Jwks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock_skew: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_lifetime: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) from: Vec<Location>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) forward_token: bool,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Jwks {
    Remote(Remote),
    Discovery(Discovery),
    Inline(Value),
}

#[derive(Clone, Serialize)]
pub(super) struct Discovery {
    pub(super) cluster: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) danger_allow_http: bool,
}

#[derive(Clone, Serialize)]
pub(super) struct Remote {
    pub(super) uri: String,
    pub(super) cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) danger_allow_http: bool,
}

#[derive(Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Location {
    Header {
        header: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        scheme: Option<String>,
    },
    Cookie {
        cookie: String,
    },
    Query {
        query: String,
    },
}

#[derive(Clone, Serialize)]
pub(super) struct Rule {
    #[serde(rename = "match")]
    pub(super) matches: Match,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) allow: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) require: Option<Require>,
}

#[derive(Clone, Default, Serialize)]
pub(super) struct Match {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<PathMatch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) methods: Vec<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PathMatch {
    Exact(String),
    Prefix(String),
    Template(String),
}

#[derive(Clone, Default, Serialize)]
pub(super) struct Require {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scopes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) claims: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) any: Option<Vec<Require>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) all: Option<Vec<Require>>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) allow_missing: bool,
}

#[derive(Clone, Serialize)]
pub(super) struct Condition {
    pub(super) path: Vec<String>,
    #[serde(flatten)]
    pub(super) test: Test,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Test {
    Equals(Value),
    OneOf(Vec<Value>),
    Contains(Value),
}

#[derive(Clone, Serialize)]
pub(super) struct IdentityHeader {
    pub(super) header: String,
    pub(super) claim: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
}

impl Rule {
    pub(super) fn anonymous(matches: Match) -> Self {
        Self { matches, allow: Some("anonymous"), require: None }
    }

    pub(super) fn require(matches: Match, require: Require) -> Self {
        Self { matches, allow: None, require: Some(require) }
    }
}

impl Require {
    pub(super) fn provider(name: &str) -> Self {
        Self { provider: Some(name.to_owned()), ..Self::default() }
    }
}
