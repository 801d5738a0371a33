//! Values that a request adds to the scope: those of the rule's variables, and its sorted query.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::Template;
use crate::macros::{Fixed, Macro};

/// The values of one rendering of a request. Its `Debug` hides them: they may be made with secrets (Q5).
pub struct Bound<'r> {
    pub(crate) variables: BTreeMap<&'r str, String>,
    /// The currencies of the variables that are a single amount.
    pub(crate) currencies: BTreeMap<&'r str, String>,
    pub(crate) query_sorted: String,
    /// The values that are made with a secret.
    pub(crate) secret: &'r Reach,
}

/// The values of a request that are made with something, such as a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    pub(crate) variables: BTreeSet<Box<str>>,
    pub(crate) query_sorted: bool,
}

impl Reach {
    /// Returns true if the template reads one of these values.
    pub(crate) fn covers(&self, template: &Template) -> bool {
        template.variables().any(|name| self.variables.contains(name)) || self.query_sorted && template.reads_sorted_query()
    }

    /// Returns true if the macro is one of these values.
    pub(super) fn holds(&self, source: &Macro) -> bool {
        match source {
            Macro::Var(name) => self.variables.contains(name),
            Macro::Fixed(Fixed::QuerySorted) => self.query_sorted,
            _ => false,
        }
    }
}

impl fmt::Debug for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("variables", &self.variables.keys()).finish_non_exhaustive()
    }
}
