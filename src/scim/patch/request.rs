//! The body of a PATCH as it is written.

use super::{PATCH_OP, PatchError, PatchFault, PatchRules};
use serde_json::{Map, Value as Json};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Remove,
    Replace,
}

/// An operation, its path not yet read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'j> {
    pub(super) op: Op,
    pub(super) path: Option<&'j str>,
    /// `null` is a value of its own: it unassigns.
    pub(super) value: Option<&'j Json>,
}

/// The operations of a body; at least one, unless the rules take none.
pub(super) fn operations<'j>(
    body: &'j Map<String, Json>,
    rules: &PatchRules,
) -> Result<Vec<Operation<'j>>, PatchError> {
    let fail = |operation| move |fault| PatchError { operation, fault };
    let schemas = member(body, "schemas").map_err(fail(None))?.and_then(Json::as_array);
    if !schemas.is_some_and(|all| all.iter().any(is_patch_op)) {
        let expected = "an array with \"urn:ietf:params:scim:api:messages:2.0:PatchOp\"";
        return Err(fail(None)(PatchFault::Syntax { member: "schemas", expected }));
    }
    let operations = member(body, "Operations").map_err(fail(None))?;
    let operations = operations.and_then(Json::as_array);
    let operations = operations.filter(|all| rules.takes_no_operations || !all.is_empty());
    let expected = "an array of at least one operation";
    let operations =
        operations.ok_or_else(|| fail(None)(PatchFault::Syntax { member: "Operations", expected }))?;
    operations.iter().enumerate().map(|(index, json)| operation(json).map_err(fail(Some(index)))).collect()
}

fn operation(json: &Json) -> Result<Operation<'_>, PatchFault> {
    let syntax = |member, expected| PatchFault::Syntax { member, expected };
    let members = json.as_object().ok_or_else(|| syntax("operation", "an object"))?;
    let op = member(members, "op")?.and_then(Json::as_str).ok_or_else(|| syntax("op", "a string"))?;
    let path = match member(members, "path")? {
        None | Some(Json::Null) => None,
        Some(path) => Some(path.as_str().ok_or_else(|| syntax("path", "a string"))?),
    };
    // Strings are the same in upper and lower case unless an attribute says that they are not (RFC 7643 section 2.2).
    let op = match op.to_ascii_lowercase().as_str() {
        "add" => Op::Add,
        "remove" => Op::Remove,
        "replace" => Op::Replace,
        _ => return Err(PatchFault::UnknownOp(op.to_owned())),
    };
    Ok(Operation { op, path, value: member(members, "value")? })
}

/// A member by its name, without regard to case, as names of attributes are (RFC 7643 section 2.1).
fn member<'j>(members: &'j Map<String, Json>, name: &'static str) -> Result<Option<&'j Json>, PatchFault> {
    let mut found = members.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(PatchFault::Syntax { member: name, expected: "it once, without regard to case" }),
        (first, None) => Ok(first.map(|(_, value)| value)),
    }
}

fn is_patch_op(urn: &Json) -> bool {
    urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_OP))
}
