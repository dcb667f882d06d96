//! The request that is explained, made from the command line.

use doorward::authn::{AuthnPolicy, TokenLocation};
use doorward::http::{HeaderField, RequestHead};
use doorward::policy::{NormalPath, RuleAction};
use std::fs;
use std::io::Read as _;

/// The request on the command line.
#[derive(clap::Args)]
pub(super) struct RequestArguments {
    /// The token. Others can see the arguments of a process: better --token-file.
    #[arg(long, conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token, or - for standard input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Path of the request, with its query.
    #[arg(long)]
    path: String,
    /// Method of the request.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Host of the request.
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Scheme of the request.
    #[arg(long, default_value = "https")]
    scheme: String,
    /// A header of the request.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// A request's head.
pub(super) struct Request(Vec<(String, String)>);

impl Request {
    /// The request with its token where the rule that it meets looks first; in `Authorization` if that is one of the places.
    pub(super) fn new(arguments: &RequestArguments, policy: &AuthnPolicy) -> Result<Self, String> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut fields = vec![
            pair(":method", &arguments.method),
            pair(":scheme", &arguments.scheme),
            pair(":authority", &arguments.host),
            pair(":path", &arguments.path),
        ];
        for header in &arguments.headers {
            // The value may be a credential: it is not repeated.
            let (name, value) = header.split_once(':').ok_or("--header: expected NAME: VALUE")?;
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self(fields);
        if let Some(token) = arguments.token()? {
            let place = request.place(policy);
            request.put(&token, &place);
        }
        Ok(request)
    }

    pub(super) fn fields(&self) -> Vec<HeaderField<'_>> {
        self.0
            .iter()
            .map(|(name, value)| HeaderField { name: name.as_bytes(), value: value.as_bytes() })
            .collect()
    }

    fn place(&self, policy: &AuthnPolicy) -> TokenLocation {
        let bearer = TokenLocation::Header { name: "authorization".into(), scheme: Some("Bearer".into()) };
        let fields = self.fields();
        let head = RequestHead::new(&fields);
        let path = NormalPath::parse(head.path).ok();
        let rule = path.and_then(|path| policy.rules.find(head.method, head.authority, &path));
        let Some((_, rule)) = rule else { return bearer };
        let RuleAction::Require(requirement) = &rule.action else { return bearer };
        let alternatives = requirement.all.iter().flat_map(|group| &group.alternatives);
        let providers = alternatives.filter_map(|alternative| policy.provider(alternative.provider));
        let places: Vec<_> = providers.flat_map(|provider| &provider.locations).collect();
        if places.contains(&&bearer) {
            return bearer;
        }
        places.first().map_or(bearer, |place| (*place).clone())
    }

    fn put(&mut self, token: &str, place: &TokenLocation) {
        match place {
            TokenLocation::Header { name, scheme } => {
                let value = scheme.as_ref().map_or(token.to_owned(), |scheme| format!("{scheme} {token}"));
                self.0.push((name.clone(), value));
            }
            TokenLocation::Cookie(name) => self.0.push(("cookie".to_owned(), format!("{name}={token}"))),
            TokenLocation::Query(name) => {
                if let Some((_, path)) = self.0.iter_mut().find(|(field, _)| field == ":path") {
                    let separator = if path.contains('?') { '&' } else { '?' };
                    path.push_str(&format!("{separator}{name}={token}"));
                }
            }
        }
    }
}

impl RequestArguments {
    fn token(&self) -> Result<Option<String>, String> {
        let text = match (&self.token, self.token_file.as_deref()) {
            (Some(token), _) => token.clone(),
            (None, Some("-")) => {
                let mut text = String::new();
                std::io::stdin()
                    .read_to_string(&mut text)
                    .map_err(|error| format!("standard input: {error}"))?;
                text
            }
            (None, Some(file)) => fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?,
            (None, None) => return Ok(None),
        };
        // Copied with its scheme, as people do.
        let text = text.trim();
        Ok(Some(text.strip_prefix("Bearer ").unwrap_or(text).to_owned()))
    }
}
