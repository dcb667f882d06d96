//! Providers: the parts that Envoy and Istio have in common.

use super::PLACEHOLDER;
use super::document::{Document, IdentityHeader, Jwks, Provider, Remote};
use super::node::Node;
use super::note::Notes;
use doorward::config::Config;
use doorward::http::is_token;
use doorward::jose::{Jwk, KeyFamily, KeyOrigin};
use doorward::oidc::Endpoint;
use serde_json::{Value, json};

/// `issuer` and `audiences`. End with [`settle`].
pub(super) fn identity(node: &mut Node, notes: &mut Notes) -> Provider {
    let mut provider = Provider { issuer: node.string("issuer", notes), ..Provider::default() };
    let is_exact = |issuer: &String| !issuer.is_empty() && !issuer.contains(['{', '}']);
    if !provider.issuer.as_ref().is_some_and(is_exact) {
        notes.add_to_do(
            &node.at("issuer"),
            format!("the document needs the one issuer of these tokens: {PLACEHOLDER}"),
        );
        provider.issuer = Some(PLACEHOLDER.to_owned());
    }
    provider.audiences = Some(node.strings("audiences", notes)).filter(|audiences| !audiences.is_empty());
    provider
}

/// Whose tokens count, now that all of the provider was read. What was not understood may be what limits that.
pub(super) fn settle(provider: &mut Provider, path: &str, is_understood: bool, notes: &mut Notes) {
    let path = format!("{path}.audiences");
    if !is_understood {
        notes.add_to_do(
            &path,
            format!("no token counts until what was not converted is settled: {PLACEHOLDER}"),
        );
        provider.audiences = Some(vec![PLACEHOLDER.to_owned()]);
    } else if provider.audiences.is_none() {
        notes.differs(
            &path,
            "there are none, so danger_any_audience is set: tokens for other services are accepted; name yours instead",
        );
        provider.danger_any_audience = true;
    }
}

/// Tokens without `exp`.
pub(super) fn note_expiry(path: &str, notes: &mut Notes) {
    notes.differs(path, "tokens without \"exp\" are refused");
}

/// Keys at an address.
pub(super) fn remote(path: &str, uri: &str, cluster: Option<String>, notes: &mut Notes) -> Option<Remote> {
    let endpoint = match Endpoint::parse(uri, "") {
        Ok(endpoint) => endpoint,
        Err(error) => {
            notes.left_out(path, error.to_string());
            return None;
        }
    };
    let danger_allow_http = endpoint.scheme == "http";
    if danger_allow_http {
        notes.differs(path, "keys over http can be changed on the way: danger_allow_http is set");
    }
    let cluster = cluster.filter(|cluster| !cluster.is_empty()).unwrap_or_else(|| {
        notes.add_to_do(
            path,
            format!("name the Envoy cluster that leads to {}: {PLACEHOLDER}", endpoint.authority),
        );
        PLACEHOLDER.to_owned()
    });
    Some(Remote { uri: uri.to_owned(), cluster, timeout: None, refresh: None, danger_allow_http })
}

/// Keys in the configuration; those that cannot be used are faults in our document, so they are left out.
pub(super) fn inline(path: &str, text: &str, notes: &mut Notes) -> Option<Jwks> {
    // The text holds key material: it is not repeated.
    let Some(Value::Array(keys)) =
        serde_json::from_str::<Value>(text).ok().and_then(|mut set| set.get_mut("keys").map(Value::take))
    else {
        notes.left_out(path, "expected a JWK Set");
        return None;
    };
    let mut kept = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        match Jwk::from_json(&key, KeyOrigin::Inline) {
            Ok(usable) if usable.family() == KeyFamily::Oct => {
                notes.left_out(path, format!("keys[{index}]: a shared secret needs its HS* in `algorithms`"));
            }
            Ok(_) => kept.push(key),
            Err(reason) => notes.left_out(path, format!("keys[{index}]: {reason}")),
        }
    }
    if kept.is_empty() { None } else { Some(Jwks::Inline(json!({ "keys": kept }))) }
}

/// Stands in for keys that could not be converted.
pub(super) fn no_keys(path: &str, notes: &mut Notes) -> Jwks {
    notes.add_to_do(path, format!("say where the keys are: {PLACEHOLDER}"));
    Jwks::Remote(Remote {
        uri: format!("https://{PLACEHOLDER}/"),
        cluster: PLACEHOLDER.to_owned(),
        timeout: None,
        refresh: None,
        danger_allow_http: false,
    })
}

/// Adds an identity header, if the document stays without fault.
pub(super) fn identity_header(
    document: &mut Document,
    path: &str,
    header: IdentityHeader,
    notes: &mut Notes,
) {
    let same = |other: &&mut IdentityHeader| other.header == header.header && other.claim == header.claim;
    if let Some(other) = document.identity_headers.iter_mut().find(same) {
        other.provider = None;
        notes.differs(path, "is set from the first token of the request, whoever issued it");
        return;
    }
    match fault_of(&header.header, document) {
        Some(fault) => notes.left_out(path, fault),
        None => document.identity_headers.push(header),
    }
}

/// A header whose value could not be converted: it is never set, and clients cannot send it.
fn reserve(document: &mut Document, path: &str, name: &str, notes: &mut Notes) {
    let header =
        IdentityHeader { header: name.to_owned(), claim: vec![PLACEHOLDER.to_owned()], provider: None };
    identity_header(document, path, header, notes);
}

/// Sets the header for the payload.
pub(super) fn payload_header(document: &mut Document, path: &str, name: &str, notes: &mut Notes) {
    match &document.payload_header {
        Some(other) if other.eq_ignore_ascii_case(name) => {}
        Some(other) => {
            notes.left_out(path, format!("there is one such header for all providers: {other}"));
            reserve(document, path, &name.to_ascii_lowercase(), notes);
        }
        None => match fault_of(name, document) {
            Some(fault) => notes.left_out(path, fault),
            None => document.payload_header = Some(name.to_owned()),
        },
    }
}

/// Why a header cannot be set, in the words of the core.
fn fault_of(name: &str, document: &Document) -> Option<String> {
    let headers = document.identity_headers.iter().map(|header| header.header.as_str());
    let names = headers.chain(document.payload_header.as_deref()).chain([name]);
    let headers: Vec<_> = names.map(|name| json!({ "header": name, "claim": ["sub"] })).collect();
    let document = json!({ "rules": [{ "match": {}, "allow": "anonymous" }], "identity_headers": headers });
    let error = Config::load(document.to_string().as_bytes()).err()?;
    error.faults().first().map(|fault| fault.message.clone())
}

/// The names on the way to a claim.
pub(super) fn claim_path(name: &str) -> Vec<String> {
    name.split('.').map(str::to_owned).collect()
}

/// `claim_to_headers` and `outputClaimToHeaders`.
pub(super) fn claim_headers(
    document: &mut Document,
    node: &mut Node,
    names: [&str; 3],
    provider: &str,
    notes: &mut Notes,
) {
    let [list, header_name, claim_name] = names;
    for mut item in node.objects(list, notes) {
        let (header, claim) = (item.string(header_name, notes), item.string(claim_name, notes));
        let header = header.map(|header| header.to_ascii_lowercase());
        match (header, claim.filter(|claim| !claim.is_empty())) {
            (Some(header), _) if !is_token(header.as_bytes()) => {
                notes.left_out(&item.path, "expected a header name");
            }
            (Some(header), Some(claim)) => {
                let (claim, provider) = (claim_path(&claim), Some(provider.to_owned()));
                identity_header(document, &item.path, IdentityHeader { header, claim, provider }, notes);
            }
            (header, _) => {
                notes.not_converted(&item.path, "expected a header and a claim");
                if let Some(header) = header {
                    reserve(document, &item.path, &header, notes);
                }
            }
        }
        item.finish(notes);
    }
}

/// A duration member in our form, within bounds given in milliseconds. Envoy also takes `{ seconds: 5 }`.
pub(super) fn duration_member(
    node: &mut Node,
    name: &str,
    bounds: [u64; 2],
    notes: &mut Notes,
) -> Option<String> {
    let text = match node.take(name)? {
        Value::String(text) => text,
        Value::Object(parts)
            if parts.keys().all(|part| part == "seconds")
                && parts.get("seconds").is_some_and(Value::is_u64) =>
        {
            format!("{}s", parts.get("seconds").and_then(Value::as_u64).unwrap_or_default())
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    duration(&node.at(name), &text, bounds, notes)
}

/// A duration of protobuf's JSON (`1.5s`) in our form.
fn duration(path: &str, text: &str, bounds: [u64; 2], notes: &mut Notes) -> Option<String> {
    let [min, max] = bounds;
    let Some(millis) = millis(text) else {
        notes.not_converted(path, format!("expected a duration such as \"5s\", but found {text:?}"));
        return None;
    };
    let bounded = millis.clamp(min, max);
    let shown =
        if bounded.is_multiple_of(1000) { format!("{}s", bounded / 1000) } else { format!("{bounded}ms") };
    if bounded != millis {
        notes.differs(path, format!("is {shown}, the nearest that is accepted"));
    }
    Some(shown)
}

fn millis(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.strip_suffix('s')?.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text.strip_suffix('s')?, ""),
    };
    let whole: u64 = whole.parse().ok()?;
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_change_their_form_and_stay_in_bounds() {
        let check = |text: &str, expected: Option<&str>, noted: bool| {
            let mut notes = Notes::default();
            let found = duration("p", text, [100, 60_000], &mut notes);
            assert_eq!((found.as_deref(), notes.iter().next().is_some()), (expected, noted), "{text}");
        };
        check("5s", Some("5s"), false);
        check("0.25s", Some("250ms"), false);
        check("1.5s", Some("1500ms"), false);
        check("600s", Some("60s"), true);
        check("0.010s", Some("100ms"), true);
        check("5", None, true);
        check("-5s", None, true);
    }
}
