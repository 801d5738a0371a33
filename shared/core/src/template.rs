//! Texts with macros (domain §5).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{answer::Answer, event::Event};

/// What macros read when a template is rendered.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The elementary event that the postback is about.
    pub event: &'a Event,
    /// The delivery's id, the same for every attempt (P2).
    pub delivery_id: &'a str,
    /// The rule's id.
    pub tracking_api_id: &'a str,
    /// 1 is the first.
    pub attempt: u32,
    /// Whether a person tries the rule out.
    pub is_test: bool,
    /// The time of this attempt.
    pub now: Timestamp,
    /// Values of the rule's secrets by name, or masks of them (Q5).
    pub secrets: &'a BTreeMap<String, String>,
    /// What earlier answers of this delivery set (A3).
    pub variables: &'a BTreeMap<String, String>,
    /// The answer, while a `set` is rendered (A3).
    pub answer: Option<&'a Answer>,
}
