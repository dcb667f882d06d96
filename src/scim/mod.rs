//! SCIM 2.0 as a protocol: RFC 7643 (schemas), RFC 7644 (protocol), RFC 9865 (cursors). What identity providers send is read,
//! judged and turned into values here; where resources are kept is somebody else's business.

mod attr_path;
mod date_time;

pub use attr_path::{AttrPath, AttrPathError, is_attribute_name};
pub use date_time::{DateTime, DateTimeError};
