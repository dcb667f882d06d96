//! What a tenant's attributes are called.

use super::Compiler;
use crate::config::fault::{Faults, Path};
use crate::config::raw::{self, ScimAttribute};
use crate::gateway::{Mapping, MappingRule, Mappings};
use crate::scim::{Catalog, ResourceType};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Compiler<'_> {
    /// `catalog` is `None` if it is at fault itself; then nothing is known of attributes.
    pub(super) fn mappings(
        &mut self,
        path: &Path,
        raw: BTreeMap<String, Vec<raw::ScimAttribute>>,
        catalog: Option<&Catalog>,
    ) -> Mappings {
        let mut mappings = Mappings::default();
        for (name, rules) in raw {
            let path = path.member(&name);
            let resource_type = catalog.map(|catalog| (catalog, catalog.resource_type(&name)));
            match resource_type {
                Some((_, Some(resource_type))) => {
                    if let Some(mapping) = self.mapping(&path, resource_type, rules) {
                        mappings.add(mapping);
                    }
                }
                Some((catalog, None)) => {
                    let known: Vec<_> = catalog.resource_types().iter().map(|known| known.name()).collect();
                    let expected = known.join(", ");
                    let message = format_args!("expected one of {expected}, but found {name:?}");
                    self.faults.add(&path, message);
                }
                None => {}
            }
        }
        mappings
    }

    fn mapping(
        &mut self,
        path: &Path,
        resource_type: &Arc<ResourceType>,
        rules: Vec<ScimAttribute>,
    ) -> Option<Mapping> {
        let mut mapping = Mapping::new(resource_type);
        let mut is_whole = true;
        for (index, raw) in rules.into_iter().enumerate() {
            let path = path.item(index);
            let Some(rule) = self.mapping_rule(&path, raw) else {
                is_whole = false;
                continue;
            };
            for fault in mapping.add(&rule).err().into_iter().flatten() {
                is_whole = false;
                self.faults.add(&path.member(fault.member), fault.problem);
            }
        }
        // What is lacking may be in a rule that could not be taken.
        if !is_whole {
            return None;
        }
        self.faults.check(path, mapping.check())?;
        (!mapping.is_empty()).then_some(mapping)
    }

    fn mapping_rule(&mut self, path: &Path, raw: ScimAttribute) -> Option<MappingRule> {
        let ScimAttribute { rename, to, constant, drop, default, value } = raw;
        let (has_to, has_value) = (to.is_some(), value.is_some());
        let value_path = path.member("value");
        let value = |faults: &mut Faults| faults.expect(&value_path, value, "a value of the attribute");
        let (rule, takes) = match (rename, constant, drop, default) {
            (Some(from), None, None, None) => {
                let to = self.faults.expect(&path.member("to"), to, "the store's name of the attribute");
                (to.map(|to| MappingRule::Rename { from, to }), "to")
            }
            (None, Some(attribute), None, None) => {
                (value(self.faults).map(|value| MappingRule::Constant { attribute, value }), "value")
            }
            (None, None, Some(attribute), None) => (Some(MappingRule::Drop { attribute }), ""),
            (None, None, None, Some(attribute)) => {
                (value(self.faults).map(|value| MappingRule::Default { attribute, value }), "value")
            }
            _ => {
                self.faults.add(path, "expected one of rename, constant, drop and default");
                return None;
            }
        };
        for (name, is_there) in [("to", has_to), ("value", has_value)] {
            if is_there && name != takes {
                self.faults.add(&path.member(name), "expected nothing, since the rule has no use for it");
            }
        }
        rule
    }
}
