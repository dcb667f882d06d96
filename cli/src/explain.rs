//! `doorward explain`: what the filter would decide about one request, step by step, and why.
//!
//! The decision is the filter's own ([`Authn`]). The steps around it show what the decision looked at; nothing here
//! decides anything. The token, its signature and its payload are never printed.

mod instant;
mod judge;
mod keys;
mod report;
mod request;
mod text;
mod view;

use crate::file;
use doorward::authn::decision::Decision;
use doorward::config::Config;
use doorward::oauth::certificate_digest;
use report::Report;
use request::Request;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A fault of usage or configuration.
const FAULT: u8 = 2;

/// Exits with 0 if the request would be let through, with 1 if it would be denied, with 2 if that cannot be said.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// Configuration document: JSON, or YAML if the name ends in .yaml or .yml.
    file: PathBuf,
    #[command(flatten)]
    request: request::RequestArguments,
    /// When: RFC 3339, or seconds since 1970. Otherwise now.
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    now: Option<doorward::time::UnixTime>,
    /// A JWK Set to use instead of fetching one: for every provider, or as PROVIDER=KEYS.json for one. Then nothing is
    /// fetched.
    #[arg(long, value_name = "[PROVIDER=]KEYS.json")]
    offline: Vec<String>,
    /// SHA-256 of the client's certificate (DER), in hexadecimal digits, as `openssl x509 -fingerprint -sha256` shows it.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    certificate_sha256: Option<Digest>,
    /// Show the values of identity headers.
    #[arg(long)]
    show_values: bool,
}

impl Explain {
    pub(crate) fn run(&self) -> ExitCode {
        match self.explain() {
            Ok((report, allowed)) => {
                print!("{report}");
                if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::from(FAULT)
            }
        }
    }

    fn explain(&self) -> Result<(Report, bool), String> {
        let config = load(&self.file)?;
        let keys = keys::Keys::new(&config, &self.offline)?;
        let policy = config.policy().clone();
        let request = Request::new(&self.request, &policy)?;
        let now = self.now.unwrap_or_else(instant::now);
        let mut authn = keys.authn(&config);
        let fields = request.fields();
        let head = doorward::http::RequestHead::new(&fields);
        let mut report = Report::default();
        let judgement =
            judge::judge(&mut authn, &keys, now, head, self.certificate_sha256.map(|digest| digest.0));
        let view = view::View { policy: &policy, authn: &authn, judgement: &judgement, now, head };
        view.describe(&mut report);
        let allowed = matches!(judgement.decision, Decision::Forward(_));
        view::decision(&mut report, &head, &judgement.decision, &policy, self.show_values);
        Ok((report, allowed))
    }
}

/// A SHA-256.
#[derive(Debug, Clone, Copy)]
struct Digest([u8; 32]);

fn digest(text: &str) -> Result<Digest, String> {
    let digits = text.replace(':', "");
    let digest = certificate_digest(digits.as_bytes());
    digest.map(Digest).ok_or_else(|| "expected 64 hexadecimal digits".to_owned())
}

fn load(path: &Path) -> Result<Config, String> {
    let shown = path.display();
    let text = file::read_as_json(path).map_err(|error| format!("{shown}: {error}"))?;
    Config::load(&text).map_err(|error| {
        let faults = error.faults().iter().map(|fault| format!("{shown}: {fault}"));
        faults.collect::<Vec<_>>().join("\n")
    })
}
