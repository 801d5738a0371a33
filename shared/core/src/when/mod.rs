//! `when`: lists of conditions by which a rule reads responses and chooses what it sends (A2, Q6).
//!
//! A list holds if each of its entries does. An entry is a condition, or `{"any": [[…], […]]}`: alternatives, each a list of conditions.

mod blanks;
mod condition;
mod operator;
mod pattern;
mod source;

use std::fmt;

pub(crate) use self::{
    condition::{Condition, Unjudged},
    source::Exchange,
};
use crate::{
    document::{Fields, kind},
    fault::Faults,
    json,
    json::Value,
    template::{Allowed, Expense, RenderFault, Scope},
};

/// The most entries of one list, and the most alternatives of one entry.
const MAX_CONDITIONS: usize = 20;
/// The most conditions of a rule.
const MAX_RULE_CONDITIONS: usize = 100;

/// A list of conditions; not empty.
#[derive(Debug, Clone)]
pub(crate) struct When(Vec<Clause>);

#[derive(Debug, Clone)]
enum Clause {
    One(Box<Condition>),
    /// Alternatives, each a list of conditions that is not empty.
    Any(Vec<Vec<Condition>>),
}

/// The place of a condition in its list, as the end of a JSON pointer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spot {
    clause: usize,
    /// The alternative, and the position in it.
    within: Option<(usize, usize)>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.clause)?;
        self.within.map_or(Ok(()), |(alternative, place)| write!(f, "/any/{alternative}/{place}"))
    }
}

impl When {
    /// Reads the list at `key`. Every fault is added to `faults`.
    pub(crate) fn parse(fields: &Fields<'_>, key: &str, allowed: Allowed, faults: &mut Faults) -> Self {
        let (pointer, items) = (fields.at(key), fields.list(key, faults));
        if fields.get(key).is_none_or(Value::is_array) {
            check_length(items, &pointer, "conditions", faults);
        }
        let items = items.iter().take(MAX_CONDITIONS).enumerate();
        Self(items.filter_map(|(i, item)| Clause::parse(item, &format!("{pointer}/{i}"), allowed, faults)).collect())
    }

    /// The resource's form, as it was written.
    pub(crate) fn document(&self) -> Value {
        let list = |conditions: &[Condition]| Value::from(conditions.iter().map(Condition::document).collect::<Vec<_>>());
        let clauses = self.0.iter().map(|clause| match clause {
            Clause::One(condition) => condition.document(),
            Clause::Any(alternatives) => json!({"any": alternatives.iter().map(|one| list(one)).collect::<Vec<_>>()}),
        });
        Value::from(clauses.collect::<Vec<_>>())
    }

    /// Returns true if the list holds. `look` judges a condition; it is called for as few conditions as possible.
    pub(crate) fn decide<E>(&self, mut look: impl FnMut(Spot, &Condition) -> Result<bool, E>) -> Result<bool, E> {
        all(self.0.iter().enumerate(), |(clause, entry)| match entry {
            Clause::One(condition) => look(Spot { clause, within: None }, condition),
            Clause::Any(alternatives) => any(alternatives.iter().enumerate(), |(number, conditions)| {
                all(conditions.iter().enumerate(), |(place, condition)| {
                    look(Spot { clause, within: Some((number, place)) }, condition)
                })
            }),
        })
    }

    /// Returns true if the list holds for the request at hand. A condition whose macros give no valid value does not hold.
    ///
    /// # Errors
    /// Judging it takes more work than the limit of a rendering.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> Result<bool, RenderFault> {
        self.decide(|_, condition| {
            let expense = match condition.holds(None, scope) {
                Ok(holds) => return Ok(holds),
                Err(Unjudged::Macros(_)) => return Ok(false),
                Err(Unjudged::Spent) => Expense::Steps,
                Err(Unjudged::Expression) => Expense::Expression,
            };
            Err(RenderFault::TooExpensive { name: condition.name().into(), expense })
        })
    }

    /// Its conditions, including those of alternatives, each with its place.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = (Spot, &Condition)> {
        self.0.iter().enumerate().flat_map(|(clause, entry)| {
            let (one, alternatives): (_, &[Vec<Condition>]) = match entry {
                Clause::One(condition) => (Some((Spot { clause, within: None }, &**condition)), &[]),
                Clause::Any(alternatives) => (None, alternatives),
            };
            let numbered = alternatives.iter().enumerate().flat_map(move |(number, conditions)| {
                let spot = move |place| Spot { clause, within: Some((number, place)) };
                conditions.iter().enumerate().map(move |(place, condition)| (spot(place), condition))
            });
            one.into_iter().chain(numbered)
        })
    }

    /// Returns true if it always holds.
    pub(crate) fn is_always(&self) -> bool {
        self.decide(|_, condition| Ok::<_, std::convert::Infallible>(condition.is_always())).unwrap_or(false)
    }

    /// An estimate of the memory that the list takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let clauses = self.0.len() * size_of::<Clause>();
        clauses + self.conditions().map(|(_, condition)| condition.bytes()).sum::<usize>()
    }
}

impl PartialEq for When {
    fn eq(&self, other: &Self) -> bool {
        self.document() == other.document()
    }
}

impl Eq for When {}

impl Clause {
    fn parse(item: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        if item.get("any").is_none() {
            return parse_condition(item, pointer, allowed, faults).map(Box::new).map(Self::One);
        }
        let fields = Fields::open(Some(item), pointer, &["any"], &[], faults);
        let (pointer, alternatives) = (fields.at("any"), fields.list("any", faults));
        if item["any"].is_array() || item["any"].is_null() {
            check_length(alternatives, &pointer, "alternatives", faults);
        }
        let alternatives = alternatives.iter().take(MAX_CONDITIONS).enumerate();
        let parsed =
            alternatives.map(|(i, alternative)| parse_alternative(alternative, &format!("{pointer}/{i}"), allowed, faults));
        Some(Self::Any(parsed.collect()))
    }
}

fn parse_alternative(item: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Vec<Condition> {
    let Some(items) = item.as_array() else {
        faults.add(pointer, format!("{} is not a list: write [{{…}}] with conditions", kind(item)));
        return Vec::new();
    };
    check_length(items, pointer, "conditions", faults);
    let mut conditions = Vec::new();
    for (i, item) in items.iter().take(MAX_CONDITIONS).enumerate() {
        let pointer = format!("{pointer}/{i}");
        if item.get("any").is_some() {
            faults.add(pointer, "alternatives within alternatives: write them side by side");
        } else {
            conditions.extend(parse_condition(item, &pointer, allowed, faults));
        }
    }
    conditions
}

/// Reads a condition within the remaining budget of the rule.
fn parse_condition(item: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Condition> {
    let number = faults.count_condition();
    if number <= MAX_RULE_CONDITIONS || faults.is_of_stored_rule() {
        return Condition::parse(item, pointer, allowed, faults);
    }
    if number == MAX_RULE_CONDITIONS + 1 {
        faults.add(pointer, format!("expected at most {MAX_RULE_CONDITIONS} conditions in a rule, this is number {number}"));
    }
    None
}

fn check_length(items: &[Value], pointer: &str, what: &str, faults: &mut Faults) {
    if items.is_empty() {
        let one = what.trim_end_matches('s');
        faults.add(pointer, format!("no {one}: write at least one, such as {{\"operator\": \"always\"}}"));
    }
    if items.len() > MAX_CONDITIONS {
        faults.add(pointer, format!("{} {what} are too many: {MAX_CONDITIONS} are allowed", items.len()));
    }
}

/// Returns true if `holds` is true for all items; stops at the first that is false.
fn all<T, E>(items: impl Iterator<Item = T>, mut holds: impl FnMut(T) -> Result<bool, E>) -> Result<bool, E> {
    for item in items {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns true if `holds` is true for one item; stops there.
fn any<T, E>(items: impl Iterator<Item = T>, mut holds: impl FnMut(T) -> Result<bool, E>) -> Result<bool, E> {
    for item in items {
        if holds(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
