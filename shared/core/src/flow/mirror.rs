//! `mirror`: a step whose request is that of another rule's step (W19).

use std::collections::{BTreeMap, BTreeSet};

use super::{MAX_STEPS, Plan};
use crate::{
    document::Fields,
    fault::Faults,
    id::Id,
    json,
    json::{Map, Value},
    macros::Macro,
    placeholder,
    request::Variables,
    template::Template,
};

/// The fields that a mirror takes from the step that it mirrors.
const TAKEN: [&str; 3] = ["call", "answer", "retry"];

/// The step that a mirror takes its request from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mirror {
    /// The other rule.
    pub tracking_api_id: Id,
    /// The other rule's step; `None` if that rule has one request.
    pub step: Option<Box<str>>,
}

/// The mirrored steps, as objects with `call`, `answer` and `retry`.
#[derive(Debug, Clone, Default)]
pub struct Masters(BTreeMap<Mirror, Value>);

impl Mirror {
    /// Reads `{"tracking_api_id", "step"}`.
    pub(super) fn parse(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let fields = Fields::open(Some(value), pointer, &["tracking_api_id", "step"], &[], faults);
        let step = fields.text("step", faults).map(Into::into);
        if fields.get("tracking_api_id").is_none() {
            faults.add(fields.at("tracking_api_id"), "required: the id of the Tracking API that has the step");
        }
        let text = fields.text("tracking_api_id", faults)?;
        let Ok(tracking_api_id) = text.parse() else {
            faults.add(fields.at("tracking_api_id"), "expected the id of a Tracking API");
            return None;
        };
        Some(Self { tracking_api_id, step })
    }

    /// Returns true if the rule must still be filled in.
    pub(super) fn is_placeholder(&self) -> bool {
        !placeholder::find(self.tracking_api_id.as_str()).is_empty()
    }

    pub(super) fn document(&self) -> Value {
        let mut map = Map::from_iter([("tracking_api_id".to_owned(), self.tracking_api_id.as_str().into())]);
        map.extend(self.step.as_ref().map(|step| ("step".to_owned(), (&**step).into())));
        Value::Object(map)
    }

    /// The mirrors of a rule's document, even if it has other faults.
    pub fn of_document(document: &Value) -> BTreeSet<Self> {
        let steps = document.get("steps").and_then(Value::as_array).into_iter().flatten().take(MAX_STEPS);
        let mirrors = steps.filter_map(|step| step.get("mirror"));
        mirrors.filter_map(|mirror| Self::parse(mirror, "", &mut Faults::default())).collect()
    }

    /// The request in a rule's document that this mirror takes; `None` if the step is missing or has no request of its own.
    pub fn take(&self, document: &Value) -> Option<Value> {
        let taken = |of: &Value, keys: &[(&str, &str)]| {
            let found = keys.iter().filter_map(|(from, to)| Some(((*to).to_owned(), of.get(*from)?.clone())));
            Value::Object(found.collect())
        };
        let Some(name) = self.step.as_deref() else {
            document.get("request")?;
            return Some(taken(document, &[("request", "call"), ("answer", "answer"), ("retry", "retry")]));
        };
        let mut steps = document.get("steps")?.as_array()?.iter();
        let step = steps.find(|step| step.get("name").and_then(Value::as_str) == Some(name))?;
        step.get("call")?;
        Some(taken(step, &TAKEN.map(|key| (key, key))))
    }
}

impl Masters {
    /// Adds the request that a mirror takes.
    pub fn insert(&mut self, mirror: Mirror, taken: Value) {
        self.0.insert(mirror, taken);
    }

    /// A `mirror` step with its taken request in place of `mirror`, and the step that it mirrors; `None` for any other step. A mirror whose
    /// step is gone gets a request that is never sent.
    pub(super) fn expand(&self, step: &Value, pointer: &str, is_stored: bool, faults: &mut Faults) -> Option<(Value, Reflected)> {
        let mirror = step.get("mirror")?;
        for key in TAKEN {
            if step.get(key).is_some() {
                faults.add(format!("{pointer}/{key}"), "it comes from the step that is mirrored: leave it out");
            }
        }
        let mirror = Mirror::parse(mirror, &format!("{pointer}/mirror"), faults)?;
        let taken = self.0.get(&mirror).cloned();
        let is_gone = taken.is_none();
        // A rule with a placeholder is inactive.
        if is_gone && !is_stored && !mirror.is_placeholder() {
            let detail = "no Tracking API of the same owner has this step with a request of its own";
            faults.add(format!("{pointer}/mirror"), detail);
        }
        let taken = taken.unwrap_or_else(|| json!({"call": {"url": "https://mirror.invalid/"}}));
        let mut expanded = step.as_object()?.clone();
        expanded.remove("mirror");
        expanded.extend(taken.as_object()?.clone());
        Some((Value::Object(expanded), Reflected { mirror, is_gone }))
    }
}

impl Plan {
    /// Adds a fault for each variable that a mirrored request or its response's `set` reads and that the mirror's own rule does
    /// not set (W19). A text that replaces an empty value may read an unset variable. `own` are the variables of the rule.
    pub(crate) fn check_mirrored_variables(&self, own: &Variables, faults: &mut Faults) {
        for (index, step) in self.steps.iter().enumerate() {
            let is_mirror = step.reflects.as_ref().is_some_and(|reflected| !reflected.is_gone);
            let Some(call) = step.call().filter(|_| is_mirror) else { continue };
            let set = call.answer.placed_templates().map(|(_, text)| text);
            let read = call.request.templates().chain(set).flat_map(Template::uses);
            let missing: BTreeSet<&str> = read
                .filter(|used| !used.minds_empty)
                .filter_map(|used| if let Macro::Var(name) = used.source { Some(&**name) } else { None })
                .filter(|name| !own.contains(name) && !self.sets_variable(name))
                .collect();
            for name in missing {
                let detail =
                    format!("the step that is mirrored reads {{var.{name}}}: write it under variables, or set it in a step");
                faults.add(format!("/steps/{index}/mirror"), detail);
            }
        }
    }
}

/// The mirror that a step was written with.
#[derive(Debug, Clone)]
pub(super) struct Reflected {
    pub(super) mirror: Mirror,
    /// `true` if the mirrored step does not exist.
    pub(super) is_gone: bool,
}
