//! Query entries: names are literal, values may hold macros (Q1).

use super::{MOST_QUERY_ENTRIES, name, objects, part::Part};
use crate::{
    document::Fields,
    fault::Faults,
    json::{Map, Value},
    template::{Allowed, Filled, Place, RenderFault, Scope, encode::percent_encoded},
};

/// One entry after the URL's own query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryEntry {
    pub(super) name: Box<str>,
    /// The encoded name.
    encoded: Box<str>,
    pub(super) value: Part,
}

/// Reads `query`.
pub(super) fn parse(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Vec<QueryEntry>> {
    let entries = objects(fields, "query", MOST_QUERY_ENTRIES, &["name", "value", "do_not_send"], faults);
    let parsed = entries.iter().map(|(_, entry)| {
        let name = name(entry, "name", faults);
        let value = Part::parse(entry, Place::QueryValue, allowed, faults);
        Some(QueryEntry { name: name?.into(), encoded: percent_encoded(name?).into(), value: value? })
    });
    // All entries are read, so that every fault is found.
    parsed.collect::<Vec<_>>().into_iter().collect()
}

impl QueryEntry {
    pub(super) fn document(&self) -> Value {
        let mut map = Map::from_iter([("name".to_owned(), Value::from(&*self.name))]);
        self.value.add_to(&mut map);
        Value::Object(map)
    }

    /// Adds the entry to a URL, unless it is dropped.
    pub(super) fn render(&self, scope: &Scope<'_>, url: &mut String) -> Result<(), RenderFault> {
        let start = url.len();
        if !url.contains('?') {
            url.push('?');
        } else if !url.ends_with(['?', '&']) {
            url.push('&');
        }
        url.push_str(&self.encoded);
        url.push('=');
        if self.value.render(scope, url)? == Filled::Omit {
            url.truncate(start);
        }
        Ok(())
    }
}
