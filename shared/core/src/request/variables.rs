//! The variables of a rule: texts that are put together anew for each request, such as the one that a signature is made of (B1).

use std::collections::BTreeMap;

use crate::{
    document::kind,
    fault::{Faults, pointer_token},
    json::{Map, Value},
    name::check_name,
    template::{Allowed, Bound, Place, RenderFault, Scope, Template},
};

/// The most variables of a rule.
pub const MAX_VARIABLES: usize = 50;
/// The longest variable, as written and with its values filled in, in bytes.
pub const MAX_VARIABLE_BYTES: usize = 8 * 1024;
/// The most bytes of all variables of a rule, as written and with their values filled in.
pub const MAX_VARIABLES_BYTES: usize = 32 * 1024;

/// The variables of a rule, each after those that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables(Vec<Variable>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: Box<str>,
    value: Template,
}

impl Variables {
    /// Reads `variables` of a rule, which stands at `pointer`. Every fault is added to `faults`.
    pub fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Self {
        let Some(map) = value.as_object() else {
            faults.add(pointer, format!("{} is not an object: write {{\"name\": \"template\"}}", kind(value)));
            return Self::default();
        };
        if map.len() > MAX_VARIABLES {
            faults.add(pointer, format!("expected at most {MAX_VARIABLES} variables, got {}", map.len()));
        }
        let bytes: usize = map.values().filter_map(Value::as_str).map(str::len).sum();
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
            read.extend(template(value, &at, allowed, faults).map(|value| (&**name, value)));
        }
        Self::in_order(&read, pointer, faults)
    }

    fn in_order(read: &BTreeMap<&str, Template>, pointer: &str, faults: &mut Faults) -> Self {
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

    /// The resource form, texts as they were written; `None` if there are none.
    pub fn document(&self) -> Option<Value> {
        let by_name: BTreeMap<_, _> = self.iter().map(|(name, value)| (name.to_owned(), value.text().into())).collect();
        (!by_name.is_empty()).then(|| Value::Object(Map::from_iter(by_name)))
    }

    /// Names and texts, each after those that it reads.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.0.iter().map(|variable| (&*variable.name, &variable.value))
    }

    /// Returns true if there is a variable of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|variable| *variable.name == *name)
    }

    /// Fills in the macros of all variables; they read each other in `bound`.
    pub(super) fn render<'r>(&'r self, scope: &Scope<'_>, bound: &mut Bound<'r>) -> Result<(), RenderFault> {
        let mut bytes = 0;
        for Variable { name, value } in &self.0 {
            let mut text = String::new();
            value.render(&scope.with(bound), &mut text)?;
            super::within(MAX_VARIABLE_BYTES, text.len())?;
            bytes += text.len();
            super::within(MAX_VARIABLES_BYTES, bytes)?;
            bound.variables.insert(name, text);
        }
        Ok(())
    }
}

/// Puts variables into the order of their references.
struct Sorting<'r> {
    read: &'r BTreeMap<&'r str, Template>,
    /// From a variable to the one that is looked at, each reading the next.
    path: Vec<&'r str>,
    sorted: Vec<&'r str>,
    /// The first circle that was found, its first variable again at its end.
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
        for read in value.variables() {
            self.visit(read);
        }
        self.path.pop();
        self.sorted.push(name);
    }
}

fn template(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Template> {
    let Some(text) = value.as_str() else {
        let example = "write a text such as \"{click_id}.{secret.key}\"";
        faults.add(pointer, format!("{} is not a text: {example}", kind(value)));
        return None;
    };
    if text.len() > MAX_VARIABLE_BYTES {
        faults.add(pointer, format!("expected at most {MAX_VARIABLE_BYTES} bytes, got {}", text.len()));
        return None;
    }
    match Template::parse_within(text, Place::Plain, allowed, faults) {
        Ok(template) if template.may_omit() => {
            faults
                .add(pointer, "omit_if_empty drops a query entry, a header or a body field: write it where the variable is read");
            None
        }
        Ok(template) => Some(template),
        Err(found) => {
            for fault in found {
                faults.add(pointer, fault.to_string());
            }
            None
        }
    }
}
