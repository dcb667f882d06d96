//! Resources as rows: what is asked and changed, as statements for either database.

mod layout;
mod predicate;
mod read;
mod write;

pub use layout::Layout;
pub use predicate::Predicate;
pub use read::{Listed, Member, Order, Position, Related, Stored, Whole};
pub use write::{Answered, Basis, Draft, MemberStep};

use crate::database::Database;
use std::sync::Arc;

/// The resources of every tenant. Each question names the tenant, and nothing of another's is ever answered.
#[derive(Debug)]
pub struct Repository<D> {
    database: Arc<D>,
}

impl<D: Database> Repository<D> {
    /// In this database.
    pub const fn new(database: Arc<D>) -> Self {
        Self { database }
    }

    /// The database.
    pub fn database(&self) -> &D {
        &self.database
    }
}

impl<D> Clone for Repository<D> {
    fn clone(&self) -> Self {
        Self { database: Arc::clone(&self.database) }
    }
}
