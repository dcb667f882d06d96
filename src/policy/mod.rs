//! Which requirement a request must meet, and which headers verified claims become.
//!
//! Knows nothing of key sets, signatures, cookies or the wire form of a denial.

mod condition;
mod identity;
mod managed;
mod path;
mod requirement;
mod route;
mod rule_index;

pub use condition::{ClaimCondition, ConditionTest};
pub use identity::{IdentityError, IdentityHeader, IdentityMapping, ListStyle, ValueEncoding, WhenMissing};
pub use managed::ManagedHeaders;
pub use path::{NormalPath, PathError};
pub use requirement::{AnyOf, Enforcement, ProviderId, ProviderRequirement, Requirement, Unmet};
pub use route::{HostPattern, PathPattern, Rule, RuleAction, RuleMatch, Rules, host_of};
