//! What goes wrong, by what is to be done about it.

use super::super::{DatabaseError, WriteError};
use rustls::CertificateError;
use std::error::Error as _;
use std::io;
use tokio_postgres::error::SqlState;

/// Why a statement failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// This unit cannot be done; others can.
    Refused(WriteError),
    /// Another process was in the way. What the transaction did is undone, and may be tried again.
    Again(String),
    /// Nothing can be done on this connection.
    Broken(DatabaseError),
}

impl Fault {
    /// Whether there is no database at the other end, or none that serves.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Broken(DatabaseError::Unavailable(_)))
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        Self::Refused(error)
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<Fault> for DatabaseError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(WriteError::Database(error)) | Fault::Broken(error) => error,
            Fault::Refused(error) => Self::Failed(error.to_string()),
            Fault::Again(text) => Self::Unavailable(text),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            let text = format!("{error}{source}");
            let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
            let tls = io.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
                let unknown =
                    matches!(reason, CertificateError::UnknownIssuer | CertificateError::BadSignature);
                let help = if unknown {
                    ": no authority that is trusted has signed it; sslrootcert=FILE names others"
                } else {
                    ""
                };
                // Waiting does not help.
                return Self::Broken(DatabaseError::Failed(format!("{text}{help}")));
            }
            // So the driver says that it could not write or read a message.
            let ours = io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidInput);
            // A timeout has neither.
            let lost = error.is_closed() || io.is_some() || error.source().is_none();
            return if lost && !ours {
                Self::Broken(DatabaseError::Unavailable(text))
            } else {
                Self::Refused(DatabaseError::Failed(text).into())
            };
        };
        // Not the detail: it has values, and so personal data.
        let text = format!("{}: {}", said.code().code(), said.message());
        match said.code() {
            &SqlState::UNIQUE_VIOLATION => Self::Refused(WriteError::Taken),
            &SqlState::FOREIGN_KEY_VIOLATION => Self::Refused(WriteError::Dangling),
            &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Self::Again(text),
            &SqlState::DISK_FULL => Self::Broken(DatabaseError::Full(text)),
            // A read-only transaction: this server became a standby, and another one is to be found.
            &SqlState::READ_ONLY_SQL_TRANSACTION => Self::Broken(DatabaseError::Unavailable(text)),
            code => match code.code().get(..2) {
                // Connections, resources, what is in use, an operator's intervention.
                Some("08" | "53" | "55" | "57") => Self::Broken(DatabaseError::Unavailable(text)),
                // Who may connect, broken transactions, system errors, damaged data.
                Some("25" | "28" | "58" | "XX") => Self::Broken(DatabaseError::Failed(text)),
                _ => Self::Refused(DatabaseError::Failed(text).into()),
            },
        }
    }
}
