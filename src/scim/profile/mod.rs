//! What identity providers need softer than the RFC has it: each softening has a name, and each provider those that it needs.
//!
//! A request is softened before it is read, here alone; what can only be told by the resource is a rule of the PATCH. What is
//! read thereafter is judged by the RFC.

mod soften;

use super::filter::FilterSyntax;
use super::patch::PatchRules;
use super::value::Unknown;
use std::collections::BTreeSet;
use std::fmt;

/// An identity provider whose requests are understood. A tenant has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// The RFC as it is.
    #[default]
    Rfc,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Google Workspace. It needs nothing that the RFC does not allow.
    Google,
    /// JumpCloud.
    JumpCloud,
    /// OneLogin. It needs nothing that the RFC does not allow.
    OneLogin,
}

/// One way in which a request may be softer than the RFC has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Softening {
    /// `"Operations": []`: nothing is changed.
    NoOperations,
    /// `"active": "False"`, in filters too.
    BooleansAsText,
    /// `"name.givenName": "K"` in the object of an operation without a path.
    PathsAsNames,
    /// `"manager": "271"` for `"manager": {"value": "271"}`; `""` for none.
    TextForComplex,
    /// `"roles": [{"value": "{\"value\": \"Admin\", …}"}]`.
    JsonInText,
    /// `"schemas": ["urn:…:Group", "http://schemas.microsoft.com/…"]`.
    UnknownSchemas,
    /// Replaces by a filter what is not there: it is made.
    CreatesMissing,
    /// Removes by a filter what is not there: it is gone.
    RemovesMissing,
    /// `{"op": "replace", "value": {"id": "1", "displayName": "N"}}`.
    ReadOnlyInPatch,
    /// `externalId eq jyoung`.
    UnquotedText,
    /// Members that do not exist are left out, where they would fail the request. For the store, which alone knows
    /// them.
    SkipsUnknownMembers,
}

/// The softenings of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Softenings(BTreeSet<Softening>);

/// What a PATCH that succeeds is answered with (RFC 7644 section 3.5.2 allows both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatchAnswer {
    /// 200 and the resource.
    Resource,
    /// 204, unless the request names `attributes`.
    NoContent,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Rfc, Self::Entra, Self::Okta, Self::Google, Self::JumpCloud, Self::OneLogin];

    /// Its name in configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Google => "google",
            Self::JumpCloud => "jumpcloud",
            Self::OneLogin => "onelogin",
        }
    }

    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == name)
    }

    /// What it needs softer.
    pub fn softenings(self) -> Softenings {
        let all: &[Softening] = match self {
            Self::Rfc | Self::Google | Self::OneLogin => &[],
            Self::Entra => &[
                Softening::NoOperations,
                Softening::BooleansAsText,
                Softening::PathsAsNames,
                Softening::TextForComplex,
                Softening::JsonInText,
                Softening::UnknownSchemas,
                Softening::CreatesMissing,
                Softening::RemovesMissing,
                Softening::ReadOnlyInPatch,
                Softening::UnquotedText,
            ],
            Self::Okta => {
                &[Softening::RemovesMissing, Softening::ReadOnlyInPatch, Softening::SkipsUnknownMembers]
            }
            Self::JumpCloud => &[Softening::RemovesMissing],
        };
        all.iter().copied().collect()
    }

    /// What it expects as the answer to a PATCH.
    pub const fn patch_answer(self) -> PatchAnswer {
        match self {
            Self::Entra => PatchAnswer::NoContent,
            Self::Rfc | Self::Okta | Self::Google | Self::JumpCloud | Self::OneLogin => PatchAnswer::Resource,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Softening {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::NoOperations,
        Self::BooleansAsText,
        Self::PathsAsNames,
        Self::TextForComplex,
        Self::JsonInText,
        Self::UnknownSchemas,
        Self::CreatesMissing,
        Self::RemovesMissing,
        Self::ReadOnlyInPatch,
        Self::UnquotedText,
        Self::SkipsUnknownMembers,
    ];

    /// Its name in configurations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoOperations => "no_operations",
            Self::BooleansAsText => "booleans_as_text",
            Self::PathsAsNames => "paths_as_names",
            Self::TextForComplex => "text_for_complex",
            Self::JsonInText => "json_in_text",
            Self::UnknownSchemas => "unknown_schemas",
            Self::CreatesMissing => "creates_missing",
            Self::RemovesMissing => "removes_missing",
            Self::ReadOnlyInPatch => "read_only_in_patch",
            Self::UnquotedText => "unquoted_text",
            Self::SkipsUnknownMembers => "skips_unknown_members",
        }
    }

    /// The softening of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|softening| softening.as_str() == name)
    }

    /// What it does, for the documentation.
    pub const fn description(self) -> &'static str {
        match self {
            Self::NoOperations => "takes a PATCH with an empty list of operations, which changes nothing",
            Self::BooleansAsText => {
                "takes \"True\" and \"false\" for booleans, in resources, PATCH operations and filters"
            }
            Self::PathsAsNames => {
                "takes paths for names in the object of a PATCH operation without a path: `name.givenName`, `urn:…:User:department`"
            }
            Self::TextForComplex => {
                "takes a text for a complex value: it is its sub-attribute `value`; the empty text is no value"
            }
            Self::JsonInText => {
                "takes an object written as text in `value` for the complex value itself, as with app roles"
            }
            Self::UnknownSchemas => "ignores unknown URIs in `schemas`, and what the body has under them",
            Self::CreatesMissing => {
                "replacing a value by a filter such as `emails[type eq \"work\"]` makes the value where there is none"
            }
            Self::RemovesMissing => {
                "removing a value by a filter changes nothing where there is none, instead of failing with `noTarget`"
            }
            Self::ReadOnlyInPatch => {
                "ignores read-only attributes such as `id` in the object of a PATCH operation without a path"
            }
            Self::UnquotedText => "takes a word without quotes for a text in filters: `externalId eq jyoung`",
            Self::SkipsUnknownMembers => {
                "leaves out members of a group that do not exist, instead of failing the request; the answer has those that were taken"
            }
        }
    }
}

impl fmt::Display for Softening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromIterator<Softening> for Softenings {
    fn from_iter<T: IntoIterator<Item = Softening>>(softenings: T) -> Self {
        Self(softenings.into_iter().collect())
    }
}

impl Softenings {
    /// Whether it is one of them.
    pub fn has(&self, softening: Softening) -> bool {
        self.0.contains(&softening)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Softening> {
        self.0.iter().copied()
    }

    /// How a PATCH is read and applied.
    pub fn patch_rules(&self, unknown: Unknown) -> PatchRules {
        PatchRules {
            takes_no_operations: self.has(Softening::NoOperations),
            ignores_read_only: self.has(Softening::ReadOnlyInPatch),
            creates_missing: self.has(Softening::CreatesMissing),
            removes_missing: self.has(Softening::RemovesMissing),
            unknown,
            filter_syntax: self.filter_syntax(),
        }
    }

    /// How filters are read.
    pub fn filter_syntax(&self) -> FilterSyntax {
        FilterSyntax { unquoted_strings: self.has(Softening::UnquotedText), ..FilterSyntax::default() }
    }
}

#[cfg(test)]
mod tests;
