//! Who is calling, and for whom.

use super::call::{Actor, Call, Fields, Method, plausible_id};
use super::policy::{GatewayPolicy, Tenant, TenantId};
use super::rate::{BucketName, Rate};
use super::refusal::{Reason, Refusal};
use crate::authn::AuthnPolicy;
use crate::http::RequestHead;
use crate::policy::NormalPath;
use crate::scim::{Route, ScimError};
use crate::time::UnixTime;
use sha2::{Digest, Sha256};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The name under which a token's subject is found among what was taken from its claims.
pub const SUBJECT: &str = "subject";

/// What comes next for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Who calls is known, but for a certificate that the tenant may want: see [`GatewayPolicy::wants_certificate`].
    Known,
    /// A JWT is to be judged by this rule; what comes of it goes to [`GatewayPolicy::admit_subject`].
    Judge(usize),
    /// It is answered.
    Refused(Refusal),
}

impl GatewayPolicy {
    /// Starts with a call. `authn` is the policy whose rules the tenants name, and `fresh` makes up a request id if the proxy gave
    /// none.
    pub fn begin(
        &self,
        authn: &AuthnPolicy,
        now: UnixTime,
        head: &RequestHead<'_>,
        fresh: impl FnOnce() -> Option<String>,
    ) -> (Call, Admission) {
        let mut sent = head.values(b"x-request-id");
        let request_id = sent.next().filter(|_| sent.next().is_none()).and_then(plausible_id);
        let mut call = Call {
            tenant: None,
            candidates: Vec::new(),
            actor: None,
            is_certified: false,
            method: Method::of(head.method),
            // Until the tenant is known, it names nothing.
            route: Err(ScimError::new(404, "expected the address of a SCIM service")),
            query: query(head.path),
            // Without one from anywhere the store makes one, which the edge does not know.
            request_id: request_id.map(str::to_owned).or_else(fresh).unwrap_or_default(),
            trace_id: head.trace_parent().map(|trace| trace.trace_id.to_owned()),
            fields: Fields { has_request_id: request_id.is_some(), ..Fields::of(head) },
        };
        let admission = match self.admit(authn, now, head, &mut call) {
            Ok(admission) => admission,
            Err(reason) => Admission::Refused(Refusal::new(reason)),
        };
        (call, admission)
    }

    /// Whether a request is for one of the tenants, as its address says: for hosts that have requests of other kinds too. One whose path
    /// has several readings is for none.
    pub fn takes(&self, head: &RequestHead<'_>) -> bool {
        let path = NormalPath::parse(head.path);
        path.is_ok_and(|path| self.sites.find(head.authority, path.as_str()).is_some())
    }

    fn admit(
        &self,
        authn: &AuthnPolicy,
        now: UnixTime,
        head: &RequestHead<'_>,
        call: &mut Call,
    ) -> Result<Admission, Reason> {
        let path = NormalPath::parse(head.path).map_err(|_| Reason::PathNotAccepted)?;
        let site = self.sites.find(head.authority, path.as_str()).ok_or(Reason::NoTenant)?;
        call.candidates = site.tenants.to_vec();
        // Decoded once already: an id that has a percent sign still is none of the store's.
        call.route = Route::of(&self.catalog, site.rest);
        if let [only] = site.tenants {
            call.tenant = Some(*only);
        }
        let mut fields = head.values(b"authorization");
        match (fields.next(), fields.next()) {
            (None, _) => self.without_token(call),
            (Some(_), Some(_)) => Err(Reason::CredentialsMalformed),
            (Some(field), None) => self.with_token(authn, now, field, call),
        }
    }

    fn without_token(&self, call: &mut Call) -> Result<Admission, Reason> {
        let is_read = matches!(call.method, Method::Get | Method::Head);
        // It says how to authenticate (RFC 7643 section 5, `authenticationSchemes`), and nothing of the tenant.
        if let (true, Ok(Route::ServiceProviderConfig), Some(_)) = (is_read, &call.route, call.tenant) {
            call.actor = Some(Actor::Anonymous);
            return Ok(Admission::Known);
        }
        // A certificate may do alone, and a JWT may be somewhere else than in `Authorization`.
        let by_certificate =
            |tenant: &Tenant| tenant.rule.is_none() && !tenant.certificates.is_empty() && !tenant.has_tokens;
        if call.tenant.and_then(|id| self.tenant(id)).is_some_and(by_certificate) {
            return Ok(Admission::Known);
        }
        match self.candidates(call).find_map(|(_, tenant)| tenant.rule) {
            Some(rule) => Ok(Admission::Judge(rule)),
            None => Err(Reason::CredentialsMissing),
        }
    }

    fn with_token(
        &self,
        authn: &AuthnPolicy,
        now: UnixTime,
        field: &[u8],
        call: &mut Call,
    ) -> Result<Admission, Reason> {
        let token = bearer(field);
        let known = token.and_then(|token| self.tokens.get(&Sha256::digest(token).into()));
        if let Some(known) = known.filter(|known| call.candidates.contains(&known.tenant)) {
            call.tenant = Some(known.tenant);
            if known.expires.is_some_and(|expires| now >= expires) {
                return Err(Reason::TokenExpired);
            }
            call.actor = Some(Actor::Token(known.name.clone()));
            return Ok(Admission::Known);
        }
        let mut rules = self.candidates(call).filter_map(|(_, tenant)| tenant.rule);
        let rule = match call.tenant {
            Some(_) => rules.next(),
            // Which tenant's it is, the token says; that it may say so, the rule finds out.
            None => token.and_then(|token| rules.find(|rule| authn.may_meet(*rule, token))),
        };
        match (rule, token) {
            (Some(rule), _) => Ok(Admission::Judge(rule)),
            (None, Some(_)) => Err(Reason::TokenUnknown),
            (None, None) => Err(Reason::CredentialsMalformed),
        }
    }

    fn candidates(&self, call: &Call) -> impl Iterator<Item = (TenantId, &Tenant)> {
        call.candidates.iter().filter_map(|id| Some((*id, self.tenant(*id)?)))
    }

    /// Takes what a JWT that met `rule` says: entries by name, of which [`SUBJECT`] is who calls.
    ///
    /// # Errors
    /// [`Refusal`] if it says nothing.
    pub fn admit_subject(
        &self,
        call: &mut Call,
        rule: usize,
        entries: &[(String, String)],
    ) -> Result<(), Refusal> {
        let tenant = self.candidates(call).find(|(_, tenant)| tenant.rule == Some(rule)).map(|(id, _)| id);
        let subject = entries.iter().find(|(name, _)| name == SUBJECT).map(|(_, subject)| subject.clone());
        let (Some(tenant), Some(subject)) = (tenant, subject) else {
            return Err(Refusal::new(Reason::InternalError));
        };
        call.tenant = Some(tenant);
        call.actor = Some(Actor::Subject(subject));
        Ok(())
    }

    /// Whether the tenant wants a certificate of the client; then its SHA-256 goes to [`GatewayPolicy::admit_certificate`].
    pub fn wants_certificate(&self, call: &Call) -> bool {
        let tenant = call.tenant.and_then(|id| self.tenant(id));
        call.actor != Some(Actor::Anonymous) && tenant.is_some_and(|tenant| !tenant.certificates.is_empty())
    }

    /// Takes the SHA-256 of the certificate (DER) that the client has proved to hold; `None` if it showed none.
    ///
    /// # Errors
    /// [`Refusal`] if it is not one of the tenant's.
    pub fn admit_certificate(&self, call: &mut Call, shown: Option<[u8; 32]>) -> Result<(), Refusal> {
        let tenant = call.tenant.and_then(|id| self.tenant(id));
        let mut known = tenant.into_iter().flat_map(|tenant| &tenant.certificates);
        match known.find(|known| Some(known.sha256) == shown) {
            Some(known) => {
                // With a token beside it, the token says who calls.
                call.is_certified = true;
                call.actor.get_or_insert_with(|| Actor::Certificate(known.name.clone()));
                Ok(())
            }
            None => Err(Refusal::new(Reason::CertificateUnknown)),
        }
    }

    /// The bucket that the call is taken from, and what it holds; none if calls are not counted.
    pub fn bucket(&self, call: &Call) -> Option<(BucketName, Rate)> {
        let tenant = self.tenant(call.tenant?)?;
        let actor = call.actor.as_ref()?.name();
        // By a secret, so that no client can choose whose bucket it shares; the same on all workers.
        let mut hasher = DefaultHasher::new();
        (&self.salt, &tenant.name, &actor).hash(&mut hasher);
        let [low, high, ..] = hasher.finish().to_le_bytes();
        let name = BucketName::from_le_bytes([low, high]);
        Some((name, tenant.rate?))
    }
}

/// The token of `Authorization` (RFC 6750 section 2.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked(b"Bearer ".len())?;
    let token = token.trim_ascii();
    let is_plain = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    (scheme.eq_ignore_ascii_case(b"Bearer ") && is_plain).then_some(token)
}

/// What follows `?`. It is percent-encoded, so that anything else in it is refused, but only by what reads it.
fn query(target: &[u8]) -> String {
    let query = target.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    String::from_utf8_lossy(query).into_owned()
}
