//! Conditions on single claims.

use crate::jwt::{ClaimPath, ClaimsSet};
use serde_json::Value;

/// A condition that a verified claim must meet. An absent claim meets none.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimCondition {
    /// Which claim.
    pub path: ClaimPath,
    /// What it must be.
    pub test: ConditionTest,
}

/// What a claim must be.
#[derive(Debug, Clone, PartialEq)]
pub enum ConditionTest {
    /// This string, number or boolean.
    Equals(Value),
    /// One of these strings, numbers or booleans.
    OneOf(Vec<Value>),
    /// A list with this string, number or boolean in it.
    Contains(Value),
}

impl ClaimCondition {
    /// Whether `claims` meet the condition.
    pub fn holds(&self, claims: &ClaimsSet) -> bool {
        let Some(found) = claims.get(&self.path) else { return false };
        match &self.test {
            ConditionTest::Equals(expected) => same(found, expected),
            ConditionTest::OneOf(expected) => expected.iter().any(|expected| same(found, expected)),
            ConditionTest::Contains(expected) => {
                found.as_array().is_some_and(|items| items.iter().any(|item| same(item, expected)))
            }
        }
    }
}

/// JSON has one number type: 1 and 1.0 are the same. Otherwise types are not converted.
fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64() == b.as_f64() && !(a.is_u64() && b.is_u64())
        }
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::base64url;
    use serde_json::json;

    fn check(test: ConditionTest, claim: Value, expected: bool) {
        let claims = json!({ "c": claim }).to_string();
        let claims = ClaimsSet::parse(base64url::encode(claims.as_bytes()).as_bytes()).unwrap();
        let condition = ClaimCondition { path: ClaimPath::top("c"), test };
        assert_eq!(condition.holds(&claims), expected, "{condition:?} {claims:?}");
    }

    #[test]
    fn equals_compares_without_conversion() {
        let equals = |value: Value| ConditionTest::Equals(value);
        check(equals(json!("gold")), json!("gold"), true);
        check(equals(json!("gold")), json!("Gold"), false);
        check(equals(json!("1")), json!(1), false);
        check(equals(json!(1)), json!(1.0), true);
        check(equals(json!(9_007_199_254_740_993_u64)), json!(9_007_199_254_740_992_u64), false);
        check(equals(json!(true)), json!("true"), false);
        check(equals(json!("gold")), json!(["gold"]), false);
        check(equals(json!("gold")), Value::Null, false);
    }

    #[test]
    fn one_of_and_contains_do_not_stand_in_for_each_other() {
        check(ConditionTest::OneOf(vec![json!("a"), json!("b")]), json!("b"), true);
        check(ConditionTest::OneOf(vec![json!("a"), json!("b")]), json!(["b"]), false);
        check(ConditionTest::Contains(json!("b")), json!(["a", "b"]), true);
        check(ConditionTest::Contains(json!("b")), json!("b"), false);
        check(ConditionTest::Contains(json!("b")), json!("abc"), false);
    }
}
