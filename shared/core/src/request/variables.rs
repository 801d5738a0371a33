//! The variables of a rule: texts that are rendered again for each request, such as the text that is signed (Q1).

use std::collections::BTreeMap;

use super::part::{Part, Placed};
use crate::{
    document::kind,
    fault::{Faults, pointer_token},
    json::{Map, Value},
    name::check_name,
    template::{Allowed, Bound, RenderFault, Scope, Template},
    when::Condition,
};

/// The most variables of a rule.
pub const MAX_VARIABLES: usize = 50;
/// The longest variable, as written and as rendered, in bytes.
pub const MAX_VARIABLE_BYTES: usize = 8 * 1024;
/// The most bytes of all variables of a rule, as written and as rendered.
pub const MAX_VARIABLES_BYTES: usize = 32 * 1024;

/// The variables of a rule, each after those that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables(Vec<Variable>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: Box<str>,
    value: Part,
}

impl Variables {
    /// Reads `variables` of a rule at `pointer`. Every fault is added to `faults`.
    pub fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Self {
        let Some(map) = value.as_object() else {
            faults.add(pointer, format!("{} is not an object: write {{\"name\": \"template\"}}", kind(value)));
            return Self::default();
        };
        if map.len() > MAX_VARIABLES {
            faults.add(pointer, format!("expected at most {MAX_VARIABLES} variables, got {}", map.len()));
        }
        let bytes: usize = map.values().map(|value| value.as_str().map_or_else(|| value.to_string().len(), str::len)).sum();
        if bytes > MAX_VARIABLES_BYTES {
            faults.add(pointer, format!("expected variables of at most {MAX_VARIABLES_BYTES} bytes in all, got {bytes}"));
            return Self::default();
        }
        let mut read = BTreeMap::new();
        for (name, value) in map.iter().take(MAX_VARIABLES) {
            let at = format!("{pointer}/{}", pointer_token(name));
            if let Err(fault) = check_name(name) {
                faults.add(&at, fault.to_string());
            }
            read.extend(self::read(value, &at, allowed, faults).map(|value| (&**name, value)));
        }
        Self::in_order(&read, pointer, faults)
    }

    fn in_order(read: &BTreeMap<&str, Part>, pointer: &str, faults: &mut Faults) -> Self {
        let mut sorting = Sorting { read, path: Vec::new(), sorted: Vec::new(), circle: None };
        for name in read.keys() {
            sorting.visit(name);
        }
        if let Some(circle) = sorting.circle {
            let at = format!("{pointer}/{}", pointer_token(circle[0]));
            faults.add(at, format!("variables read each other in a circle: {}", circle.join(" → ")));
        }
        Self(sorting.sorted.into_iter().map(|name| Variable { name: name.into(), value: read[name].clone() }).collect())
    }

    /// The resource's form, texts as they were written; `None` if there are none.
    pub fn document(&self) -> Option<Value> {
        let by_name: BTreeMap<_, _> = self.iter().map(|(name, value)| (name.to_owned(), value.value_document())).collect();
        (!by_name.is_empty()).then(|| Value::Object(Map::from_iter(by_name)))
    }

    /// Names and values, each after those that it reads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Part)> {
        self.0.iter().map(|variable| (&*variable.name, &variable.value))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|variable| &*variable.name)
    }

    /// The names, each with every text that its value may have, including those of conditions.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.iter().flat_map(|(name, value)| value.templates().map(move |text| (name, text)))
    }

    /// The texts that the variables may have, each with its place, such as `/variables/sig`.
    pub fn placed_templates(&self) -> impl Iterator<Item = Placed<'_>> {
        self.iter().flat_map(|(name, value)| value.placed().map(move |(place, text)| (place_of(name, &place), text)))
    }

    /// The texts that the variables have in this scope, and those of their conditions, each with its place.
    pub(super) fn placed_in(&self, scope: &Scope<'_>) -> impl Iterator<Item = Placed<'_>> {
        self.iter()
            .flat_map(|(name, value)| value.placed_in(scope).into_iter().map(move |(place, text)| (place_of(name, &place), text)))
    }

    /// Their conditions, each with its place.
    pub(super) fn conditions(&self) -> impl Iterator<Item = (String, &Condition)> {
        self.iter()
            .flat_map(|(name, value)| value.conditions().map(move |(place, condition)| (place_of(name, &place), condition)))
    }

    /// Returns true if each of the variable's texts is a single amount of money of the event.
    pub(crate) fn is_money(&self, name: &str) -> bool {
        let is_amount = |text: &Template| text.is_money(&|name| self.is_money(name));
        self.iter().any(|(own, value)| own == name && value.texts().all(is_amount))
    }

    /// Returns true if there is a variable with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|variable| *variable.name == *name)
    }

    /// Renders all variables; they read each other in `bound`.
    pub(super) fn render<'r>(&'r self, scope: &Scope<'_>, bound: &mut Bound<'r>) -> Result<(), RenderFault> {
        let mut bytes = 0;
        for Variable { name, value } in &self.0 {
            let mut text = String::new();
            // The variable is empty if no text is chosen.
            value.render(&scope.with(bound), &mut text)?;
            super::within(MAX_VARIABLE_BYTES, text.len())?;
            bytes += text.len();
            super::within(MAX_VARIABLES_BYTES, bytes)?;
            match value.currency(&scope.with(bound)).map(ToOwned::to_owned) {
                Some(currency) => bound.currencies.insert(name, currency),
                None => bound.currencies.remove(&**name),
            };
            bound.variables.insert(name, text);
        }
        Ok(())
    }
}

/// The place of a part of a variable: the value's own place is the variable's name.
fn place_of(name: &str, place: &str) -> String {
    format!("/variables/{name}{}", place.strip_prefix("/value").unwrap_or(place))
}

/// Sorts variables by their references.
struct Sorting<'r> {
    read: &'r BTreeMap<&'r str, Part>,
    /// The path to the present variable; each variable reads the next.
    path: Vec<&'r str>,
    sorted: Vec<&'r str>,
    /// The first cycle that was found; its last variable is its first again.
    circle: Option<Vec<&'r str>>,
}

impl<'r> Sorting<'r> {
    fn visit(&mut self, name: &'r str) {
        if self.sorted.contains(&name) {
            return;
        }
        if let Some(start) = self.path.iter().position(|before| *before == name) {
            self.circle.get_or_insert_with(|| self.path[start..].iter().copied().chain([name]).collect());
            return;
        }
        let Some(value) = self.read.get(name) else { return };
        self.path.push(name);
        for read in value.templates().flat_map(Template::variables) {
            self.visit(read);
        }
        self.path.pop();
        self.sorted.push(name);
    }
}

fn read(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Part> {
    let part = Part::of_value(value, pointer, MAX_VARIABLE_BYTES, allowed, faults)?;
    if part.may_omit() {
        faults.add(pointer, "omit_if_empty drops a query entry, a header or a body field: write it where the variable is read");
        return None;
    }
    Some(part)
}
