//! How large a statement may be.

/// What a database takes in one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How many parameters.
    pub parameters: usize,
    /// How deep an expression.
    pub depth: usize,
}

impl Bounds {
    /// Of SQLite as it comes; PostgreSQL has more.
    pub const WIDE: Self = Self { parameters: 32_766, depth: 1_000 };
    /// Of D1.
    pub const NARROW: Self = Self { parameters: 100, depth: 100 };
}
