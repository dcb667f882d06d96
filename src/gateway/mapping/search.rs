//! Filters, orders and projections in the store's names.

use super::{Fate, Mapping, same_schema, with_sub};
use crate::scim::{
    AttrPath, Filter, FilterError, Returned, ScimError, SearchRequest, SortError, UnresolvedPath,
};

impl Mapping {
    /// A filter in the store's names. What is in brackets is below the attribute, and stays.
    ///
    /// # Errors
    /// [`FilterError`] for what the client has no attribute of, or must not learn of.
    pub(in crate::gateway) fn translate_filter(&self, filter: Filter) -> Result<Filter, FilterError> {
        let each = |filters: Vec<Filter>| -> Result<Vec<Filter>, FilterError> {
            filters.into_iter().map(|filter| self.translate_filter(filter)).collect()
        };
        let to_store = |path: AttrPath| match self.to_store(path.schema(), path.attribute()) {
            Fate::Same => Ok(path),
            Fate::Renamed(to) => Ok(with_sub(to, path.sub_attribute())),
            Fate::LeftOut => Err(FilterError::NotFilterable { path: path.to_string() }),
            Fate::Unknown => Err(FilterError::Unresolved(unknown(&path))),
        };
        Ok(match filter {
            Filter::And(filters) => Filter::And(each(filters)?),
            Filter::Or(filters) => Filter::Or(each(filters)?),
            Filter::Not(filter) => Filter::Not(Box::new(self.translate_filter(*filter)?)),
            Filter::Compare { path, operator, literal } => {
                Filter::Compare { path: to_store(path)?, operator, literal }
            }
            Filter::Present { path } => Filter::Present { path: to_store(path)? },
            Filter::ValuePath { path, filter } => Filter::ValuePath { path: to_store(path)?, filter },
        })
    }

    /// What a search is ordered by, and what is returned, in the store's names.
    ///
    /// # Errors
    /// As [`Mapping::translate_filter`], for the order.
    pub(in crate::gateway) fn translate_search(&self, search: &mut SearchRequest) -> Result<(), ScimError> {
        if let Some(sort_by) = &mut search.sort_by {
            self.translate_sort(sort_by)?;
        }
        self.translate_projection(search);
        Ok(())
    }

    /// What is returned of a resource, in the store's names.
    pub(in crate::gateway) fn translate_projection(&self, search: &mut SearchRequest) {
        let chooses = !search.attributes.is_empty();
        search.attributes = self.names(&search.attributes);
        search.excluded_attributes = self.names(&search.excluded_attributes);
        if chooses && search.attributes.is_empty() {
            // None would be all. This one is always there.
            search.attributes.push("id".to_owned());
        }
    }

    fn translate_sort(&self, sort_by: &mut String) -> Result<(), SortError> {
        let path = AttrPath::parse(sort_by)?;
        match self.to_store(path.schema(), path.attribute()) {
            Fate::Same => {}
            Fate::Renamed(to) => *sort_by = with_sub(to, path.sub_attribute()).to_string(),
            Fate::LeftOut => return Err(SortError::Hidden(path.to_string())),
            Fate::Unknown => return Err(unknown(&path).into()),
        }
        Ok(())
    }

    /// What names of attributes and schemas mean to the store. What nothing is called is left out, as it would be there.
    fn names(&self, names: &[String]) -> Vec<String> {
        let mut translated = Vec::with_capacity(names.len());
        for name in names {
            let is_schema = self.is_extension(name) || self.resource_type.has_schema(name);
            if is_schema && self.touches(name) {
                translated.extend(self.names_of_schema(name));
                continue;
            }
            let path = if is_schema { None } else { AttrPath::parse(name).ok() };
            let fate = path.as_ref().map(|path| (path, self.to_store(path.schema(), path.attribute())));
            match fate {
                None | Some((_, Fate::Same)) => translated.push(name.clone()),
                Some((path, Fate::Renamed(to))) => {
                    translated.push(with_sub(to, path.sub_attribute()).to_string());
                }
                Some((_, Fate::LeftOut | Fate::Unknown)) => {}
            }
        }
        translated
    }

    /// All that the client has in a schema, one by one.
    fn names_of_schema(&self, urn: &str) -> Vec<String> {
        let extension = self.extension_of(Some(urn));
        let of_store = self.resource_type.all_attributes().filter(|own| {
            let (schema, definition) = (own.extension().map(|urn| &**urn), own.attribute());
            // The name of a schema asks for none that must be asked for.
            let is_default = matches!(definition.returned, Returned::Default | Returned::Always);
            same_schema(schema, extension)
                && is_default
                && self.to_store(schema, &definition.name) == Fate::Same
        });
        let renamed = self.renames.iter().filter(|rename| same_schema(rename.client.schema(), extension));
        let renamed = renamed.map(|rename| rename.store.to_string());
        of_store.map(|own| own.to_string()).chain(renamed).collect()
    }
}

fn unknown(path: &AttrPath) -> UnresolvedPath {
    UnresolvedPath::UnknownAttribute(path.without_sub_attribute().to_string())
}
