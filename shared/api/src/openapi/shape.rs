//! Builders of schemas, a line for each kind of value.

use std::ops::RangeInclusive;

use serde_json::Value;
use utoipa::openapi::{
    KnownFormat, Ref, RefOr, Schema, SchemaFormat,
    schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type},
};

/// The most characters of a free text. The limit is 2 048 bytes, which is the same for ASCII.
const MOST_TEXT: usize = 2_048;

/// A free text.
pub(super) fn text(about: &str) -> ObjectBuilder {
    short(about, MOST_TEXT)
}

/// A text with macros.
pub(super) fn template(about: &str) -> ObjectBuilder {
    short(about, 16 * 1_024)
}

/// A text of at most so many characters.
pub(super) fn short(about: &str, most: usize) -> ObjectBuilder {
    of(Type::String, about).max_length(Some(most))
}

/// An id.
pub(super) fn id(about: &str) -> ObjectBuilder {
    pattern(about, "^[A-Za-z0-9._:-]{1,128}$")
}

/// A text of this form (a regular expression that names both ends).
pub(super) fn pattern(about: &str, form: &str) -> ObjectBuilder {
    of(Type::String, about).pattern(Some(form))
}

/// A point in time.
pub(super) fn time(about: &str) -> ObjectBuilder {
    of(Type::String, about).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// A whole number.
pub(super) fn whole(about: &str, range: RangeInclusive<i64>) -> ObjectBuilder {
    of(Type::Integer, about).minimum(Some(*range.start())).maximum(Some(*range.end()))
}

/// A whole number that is not negative.
pub(super) fn count(about: &str) -> ObjectBuilder {
    of(Type::Integer, about).minimum(Some(0_u8))
}

/// `true` or `false`.
pub(super) fn flag(about: &str) -> ObjectBuilder {
    of(Type::Boolean, about)
}

/// One of these words.
pub(super) fn word<'a>(about: &str, words: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    of(Type::String, about).enum_values(Some(words))
}

/// Exact money: a decimal as text or as a number.
pub(super) fn money(about: &str) -> RefOr<Schema> {
    let decimal = pattern("", r"^-?[0-9]{1,18}(\.[0-9]{1,8})?$");
    either(about, [decimal.into(), of(Type::Number, "").into()])
}

/// An object with the fields that follow and no others.
pub(super) fn record(about: &str) -> ObjectBuilder {
    of(Type::Object, about).additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

/// An object that may have more fields than those that follow: they are not looked at.
pub(super) fn open_record(about: &str) -> ObjectBuilder {
    of(Type::Object, about)
}

/// An object with names that are not known beforehand.
pub(super) fn dictionary(about: &str, values: impl Into<AdditionalProperties<Schema>>) -> ObjectBuilder {
    of(Type::Object, about).additional_properties(Some(values))
}

/// A list.
pub(super) fn list(about: &str, items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into()).description(described(about))
}

/// Anything at all.
pub(super) fn anything(about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(described(about))
}

/// A reference to the schema of this name.
pub(super) fn named(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}

/// A reference to the schema of this name, with a meaning of its own in this place.
pub(super) fn named_as(name: &str, about: &str) -> RefOr<Schema> {
    let mut place = Ref::from_schema_name(name);
    about.clone_into(&mut place.description);
    RefOr::Ref(place)
}

/// One of several forms.
pub(super) fn either(about: &str, forms: impl IntoIterator<Item = RefOr<Schema>>) -> RefOr<Schema> {
    let any = forms.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    RefOr::T(any.description(described(about)).build().into())
}

/// The same, or null.
pub(super) fn or_null(shape: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    match shape.into() {
        RefOr::T(Schema::Object(mut object)) => {
            object.schema_type = with_null(object.schema_type);
            if let Some(words) = &mut object.enum_values {
                words.push(Value::Null);
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::Array(mut array)) => {
            array.schema_type = with_null(array.schema_type);
            RefOr::T(Schema::Array(array))
        }
        other => {
            let null = ObjectBuilder::new().schema_type(Type::Null);
            let about = about(&other).map(ToOwned::to_owned);
            RefOr::T(OneOfBuilder::new().item(other).item(null).description(about).build().into())
        }
    }
}

/// The description of a value that is no object and no list.
fn about(shape: &RefOr<Schema>) -> Option<&str> {
    match shape {
        RefOr::Ref(place) => described(&place.description),
        RefOr::T(Schema::AnyOf(forms)) => forms.description.as_deref(),
        RefOr::T(Schema::OneOf(forms)) => forms.description.as_deref(),
        RefOr::T(_) => None,
    }
}

fn with_null(kind: SchemaType) -> SchemaType {
    match kind {
        SchemaType::Type(one) => SchemaType::Array(vec![one, Type::Null]),
        other => other,
    }
}

fn of(kind: Type, about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description(described(about))
}

fn described(about: &str) -> Option<&str> {
    (!about.is_empty()).then_some(about)
}

/// The fields of a record.
pub(super) trait Record {
    /// A field that is always there.
    fn has(self, name: &str, shape: impl Into<RefOr<Schema>>) -> Self;
    /// A field that may be left out.
    fn may(self, name: &str, shape: impl Into<RefOr<Schema>>) -> Self;
}

impl Record for ObjectBuilder {
    fn has(self, name: &str, shape: impl Into<RefOr<Schema>>) -> Self {
        self.property(name, shape).required(name)
    }

    fn may(self, name: &str, shape: impl Into<RefOr<Schema>>) -> Self {
        self.property(name, shape)
    }
}
