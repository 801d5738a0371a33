//! The two forms of a rule: as it is shown, and as it is written.

use utoipa::openapi::{
    RefOr, Schema,
    schema::{ArrayBuilder, ObjectBuilder},
};

use super::super::shape::{Record as _, list, named_as, or_null, pattern};

/// The form of a record in the description: shown records are whole; in written ones every optional field may be left out or null.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Shown,
    Written,
}

impl Form {
    /// A field that is always shown.
    pub(super) fn field(self, record: ObjectBuilder, name: &str, shape: impl Into<RefOr<Schema>>) -> ObjectBuilder {
        if self == Self::Shown { record.has(name, shape) } else { record.may(name, or_null(shape)) }
    }

    /// A field that is shown if it was written.
    pub(super) fn extra(self, record: ObjectBuilder, name: &str, shape: impl Into<RefOr<Schema>>) -> ObjectBuilder {
        if self == Self::Shown { record.may(name, shape) } else { record.may(name, or_null(shape)) }
    }

    /// The name of a part in this form.
    pub(super) fn part(self, name: &str, about: &str) -> RefOr<Schema> {
        if self == Self::Shown { named_as(name, about) } else { named_as(&format!("New{name}"), about) }
    }
}

/// The name of a secret or of a variable.
pub(super) fn secret_name(about: &str) -> ObjectBuilder {
    pattern(about, "^[A-Za-z0-9_-]{1,64}$")
}

/// Conditions on a request.
pub(super) fn request_conditions(form: Form, about: &str) -> ArrayBuilder {
    list(about, form.part("RequestCondition", "A condition on what is sent")).min_items(Some(1)).max_items(Some(20))
}
