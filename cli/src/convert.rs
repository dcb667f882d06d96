//! `doorward convert`: the configuration of another filter as ours, and a list of what does not mean the same.
//!
//! Nothing is dropped in silence, and what is not understood denies: a rule that is left out leaves its requests to none that
//! asks for less, and of a provider that is not understood no token counts. Rules that are for other requests than before
//! (prefixes end on segment borders) are listed as such.

mod document;
mod envoy;
mod istio;
mod node;
mod note;
mod ours;
mod place;
mod provider;
mod rules;

use crate::file;
use document::Document;
use doorward::config::Config;
use note::{NoteKind, Notes};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// The input could not be read, or is nothing to convert.
const FAULT: u8 = 2;
/// Something was not converted.
const INCOMPLETE: u8 = 3;
/// Stands where only the reader knows what belongs there.
const PLACEHOLDER: &str = "REPLACE_ME";

/// Prints the document. Exits with 0 if everything was converted, with 3 if something is listed as not converted, with 2
/// if the input could not be read or is a document already.
#[derive(clap::Args)]
pub(crate) struct Convert {
    /// YAML or JSON: an Envoy bootstrap, its `jwt_authn` filter alone, or Istio's RequestAuthentication and
    /// AuthorizationPolicy.
    file: PathBuf,
    /// What the file is, if that is not to be guessed.
    #[arg(long)]
    from: Option<Source>,
    /// Print JSON instead of YAML.
    #[arg(long)]
    json: bool,
}

/// Whose configuration it is.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Source {
    Envoy,
    Istio,
}

impl Convert {
    pub(crate) fn run(&self) -> ExitCode {
        let shown = self.file.display();
        match self.convert() {
            Ok((text, notes)) => {
                print!("{text}");
                for note in notes.iter() {
                    eprintln!("{shown}: {note}");
                }
                let incomplete = notes.iter().any(|note| note.kind == NoteKind::NotConverted);
                if incomplete { ExitCode::from(INCOMPLETE) } else { ExitCode::SUCCESS }
            }
            Err(fault) => {
                eprintln!("{shown}: {fault}");
                ExitCode::from(FAULT)
            }
        }
    }

    fn convert(&self) -> Result<(String, Notes), String> {
        let text = fs::read_to_string(&self.file).map_err(|error| file::FileError::Io(error).to_string())?;
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).map_err(|error| format!("expected YAML or JSON: {error}"))?;
        if documents.iter().any(ours::is_ours) {
            return Err(
                "is a Doorward document already: expected Envoy's or Istio's configuration".to_owned()
            );
        }
        let is_istio = match self.from {
            Some(source) => matches!(source, Source::Istio),
            None => documents.iter().any(|document| document.get("kind").is_some()),
        };
        let mut notes = Notes::default();
        let document = if is_istio {
            istio::convert(documents, &mut notes)?
        } else {
            let mut documents = documents.into_iter();
            match (documents.next(), documents.next()) {
                (Some(document), None) => envoy::convert(document, &mut notes)?,
                _ => return Err("expected one document of Envoy configuration".to_owned()),
            }
        };
        write(&document, self.json).map(|text| (text, notes))
    }
}

fn write(document: &Document, as_json: bool) -> Result<String, String> {
    let json = serde_json::to_vec(document).map_err(|error| error.to_string())?;
    if let Err(error) = Config::load(&json) {
        return Err(format!("this is a bug in doorward: the result is at fault:\n{error}"));
    }
    if as_json {
        return serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(|e| e.to_string());
    }
    serde_saphyr::to_string(document).map_err(|error| error.to_string())
}
