//! Which tokens in a request are good, by the plainest reading: of signatures that only we can have made, and of claims.

use super::policy::{CORP, PARTNER, TENANTS};
use super::{Field, NOW, tokens};
use doorward::authn::AuthnPolicy;
use doorward::jose::base64url;
use doorward::policy::AnyOf;
use serde_json::{Map, Value};

/// A token that may pass.
pub(super) struct Good {
    /// The payload segment.
    pub(super) payload: Vec<u8>,
    claims: Map<String, Value>,
}

impl Good {
    /// What its user's header must say.
    pub(super) fn user(&self) -> Option<Vec<u8>> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b',');
        let encode = |(at, byte, last): (usize, u8, usize)| match byte {
            b' ' if at != 0 && at != last => " ".to_owned(),
            _ if is_plain(byte) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        let percent = |text: &str| {
            let last = text.len().saturating_sub(1);
            text.bytes().enumerate().map(|(at, byte)| encode((at, byte, last))).collect::<String>()
        };
        let one = |value: &Value| match value {
            Value::String(text) => Some(percent(text)),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let subject = self.claims.get("sub")?;
        let text = match subject.as_array() {
            Some(items) => items.iter().map(one).collect::<Option<Vec<_>>>()?.join(","),
            None => one(subject)?,
        };
        Some(text.into_bytes())
    }
}

/// The good tokens for `group` in the places where its providers look.
pub(super) fn good_tokens(policy: &AuthnPolicy, group: &AnyOf, fields: &[Field]) -> Vec<Good> {
    let mut good = Vec::new();
    for alternative in &group.alternatives {
        let name = policy.provider(alternative.provider).map_or("", |provider| provider.name.as_str());
        let places: &[&str] = match name {
            "corp" => &["authorization", "cookie", ":path"],
            "partner" => &["x-partner-token"],
            "tenants" => &["authorization"],
            other => panic!("provider {other:?}"),
        };
        for place in places.iter().filter(|place| **place != "cookie") {
            let count =
                fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(place.as_bytes())).count();
            assert!(count <= 1 || *place == ":path", "{place} is there {count} times");
        }
        for (_, value) in fields
            .iter()
            .filter(|(name, _)| places.iter().any(|place| name.eq_ignore_ascii_case(place.as_bytes())))
        {
            for text in value.split(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(byte))) {
                let Some(token) = judge(name, text) else { continue };
                let meets = alternative.scopes.iter().all(|scope| has_scope(&token.claims, scope))
                    && (alternative.conditions.is_empty() || has_plan(&token.claims));
                if meets {
                    good.push(token);
                }
            }
        }
    }
    good
}

/// Whether the one token is in its usual place, and a good one of the provider `corp`.
pub(super) fn is_plainly_signed(fields: &[Field]) -> bool {
    let [value] = &fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"authorization"))
        .map(|(_, value)| value.strip_prefix(b"Bearer ").unwrap_or_default())
        .collect::<Vec<_>>()[..]
    else {
        return false;
    };
    let is_elsewhere = |(name, value): &Field| match name.to_ascii_lowercase().as_slice() {
        b"cookie" | b"x-partner-token" => true,
        b":path" => value.contains(&b'?'),
        _ => false,
    };
    judge("corp", value).is_some() && !fields.iter().any(is_elsewhere)
}

fn judge(provider: &str, token: &[u8]) -> Option<Good> {
    let segments: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, payload, signature] = segments[..] else { return None };
    let is_signed = match provider {
        // Whoever changed one byte of them has no key to sign it again.
        "corp" => {
            tokens::MINTED.iter().any(|(name, minted)| *name != "stranger" && minted.as_bytes() == token)
        }
        _ => tokens::tag(&[header, payload].join(&b'.')).as_bytes() == signature,
    };
    if !is_signed {
        return None;
    }
    let object = |segment| {
        let value: Value = serde_json::from_slice(&base64url::decode(segment).ok()?).ok()?;
        value.as_object().cloned()
    };
    let (header, claims) = (object(header)?, object(payload)?);
    let is_fine = header_is_fine(provider, &header) && claims_are_fine(provider, &claims);
    is_fine.then(|| Good { payload: payload.to_vec(), claims })
}

fn header_is_fine(provider: &str, header: &Map<String, Value>) -> bool {
    let typ =
        header.get("typ").map_or(Some("jwt".to_owned()), |typ| Some(typ.as_str()?.to_ascii_lowercase()));
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    matches!(typ, Some("jwt" | "at+jwt"))
        && !header.contains_key("crit")
        && header.get("b64").is_none_or(|b64| b64 == true)
        && (provider == "corp" || header.get("alg").is_some_and(|alg| alg == "HS256"))
}

fn claims_are_fine(provider: &str, claims: &Map<String, Value>) -> bool {
    let number = |name: &str| claims.get(name).filter(|value| !value.is_null()).map(|value| value.as_f64());
    let (exp, nbf, iat) = (number("exp"), number("nbf"), number("iat"));
    // To the second: the core cuts to milliseconds.
    let (latest, earliest) = (NOW as f64 + 61.0, NOW as f64 - 61.0);
    let begun = |date: Option<Option<f64>>| date.is_none_or(|date| date.is_some_and(|date| date <= latest));
    let lives = exp.flatten().is_some_and(|exp| exp > earliest);
    let issuer = claims.get("iss").and_then(Value::as_str);
    let tenant = claims.get("tid").and_then(Value::as_str);
    let is_issuer = match provider {
        "corp" => issuer == Some(CORP),
        "partner" => issuer == Some(PARTNER) && is_partner(claims, exp.flatten(), iat.flatten()),
        _ => TENANTS.iter().any(|(name, tid)| issuer == Some(name) && tenant == Some(tid)),
    };
    let is_audience = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(|audience| audience == "api"),
        audience => audience.is_some_and(|audience| audience == "api"),
    };
    is_issuer && is_audience && lives && begun(nbf) && begun(iat)
}

/// `max_lifetime` and `required_claims` of the provider.
fn is_partner(claims: &Map<String, Value>, exp: Option<f64>, iat: Option<f64>) -> bool {
    let has_org = claims.get("org").and_then(|org| org.get("id")).is_some_and(|id| !id.is_null());
    let lifetime = exp.map(|exp| exp - iat.unwrap_or(NOW as f64));
    has_org && lifetime.is_some_and(|lifetime| lifetime <= 3601.0)
}

fn has_scope(claims: &Map<String, Value>, scope: &str) -> bool {
    let value = claims.get("scope").filter(|value| !value.is_null()).or_else(|| claims.get("scp"));
    let has = |text: &Value| text.as_str().is_some_and(|text| text.split(' ').any(|found| found == scope));
    match value {
        Some(Value::Array(list)) => list.iter().any(has),
        value => value.is_some_and(has),
    }
}

/// The one condition of the policy.
fn has_plan(claims: &Map<String, Value>) -> bool {
    claims.get("plan").is_some_and(|plan| plan == "gold" || plan.as_f64() == Some(7.0))
}
