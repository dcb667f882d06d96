//! Paths of PATCH operations. The input is the text of one.

use crate::scim::{resource_types, softenings};
use doorward::scim::{FilterSyntax, PatchPath};

/// What is printed is read as the same, and whatever it names is found or not.
pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for softenings in softenings() {
        let syntax = softenings.filter_syntax();
        let Ok(path) = PatchPath::parse(text, &syntax) else { continue };
        let wide =
            FilterSyntax { max_length: syntax.max_length * 8, max_depth: syntax.max_depth * 2, ..syntax };
        let printed = path.to_string();
        assert_eq!(PatchPath::parse(&printed, &wide).as_ref(), Ok(&path), "{printed}");
        for resource_type in resource_types() {
            if let Ok(found) = resource_type.resolve(path.attr_path()) {
                let name = found.to_string();
                assert_eq!(resource_type.find(&name).as_ref(), Some(&found), "{name}");
            }
        }
    }
}
