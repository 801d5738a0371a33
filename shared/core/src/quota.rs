//! The number of rules of an affiliate: 20 unless an admin raises it.
//!
//! A new rule takes its place here before it is made, and a deleted rule gives it back afterwards. A crash between the two leaves
//! an unused place: it is found when the places run out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{document::Fields, fault::Faults, id::Id, json::Value};

/// The default number of rules that an affiliate may have.
const USUAL: u32 = 20;
/// The largest number that an admin can allow: the ids of all fit into one item of the store.
const MOST: u32 = 1_000;
/// The age up to which a place may belong to a rule that is being created.
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(5);

/// The places of one affiliate's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The number of rules that an admin allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed: Option<u32>,
    rules: BTreeMap<Id, Place>,
}

/// The time at which a place was taken, and the version of the rule: a deleted rule may be made again with a later version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    at: Timestamp,
    version: u64,
}

/// No place is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{used} of {limit} rules are in use: delete one, or ask an admin to raise the quota")]
pub struct Full {
    used: usize,
    limit: u32,
}

impl Quota {
    /// The number of rules that are allowed.
    pub fn limit(&self) -> u32 {
        self.allowed.unwrap_or(USUAL)
    }

    /// Allows this many rules. Rules beyond the limit stay.
    pub fn allow(&mut self, limit: u32) {
        self.allowed = Some(limit);
    }

    /// The rules that have a place.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Id> {
        self.rules.keys()
    }

    /// Takes a place for a new rule at this version, or keeps the rule's own.
    ///
    /// # Errors
    /// No place is left.
    pub fn take(&mut self, rule: &Id, version: u64, now: Timestamp) -> Result<(), Full> {
        let used = self.rules.len();
        let is_room = u32::try_from(used).is_ok_and(|used| used < self.limit());
        if !is_room && !self.rules.contains_key(rule) {
            return Err(Full { used, limit: self.limit() });
        }
        self.count_in(rule, version, now);
        Ok(())
    }

    /// Counts an existing rule, beyond the limit too.
    pub fn count_in(&mut self, rule: &Id, version: u64, at: Timestamp) {
        let version = self.rules.get(rule).map_or(version, |place| place.version.max(version));
        self.rules.insert(rule.clone(), Place { at, version });
    }

    /// Gives back the place of a rule that was deleted at this version. Returns true if it had one. A rule that was made again keeps its
    /// place.
    pub fn give_back(&mut self, rule: &Id, version: u64) -> bool {
        let over = self.rules.get(rule).is_some_and(|place| place.version <= version);
        over && self.rules.remove(rule).is_some()
    }

    /// Gives back the places of rules that do not exist, unless they may be under way.
    pub fn give_back_unused(&mut self, there: &BTreeSet<Id>, now: Timestamp) {
        self.rules.retain(|rule, place| there.contains(rule) || place.at + UNDER_WAY > now);
    }
}

/// Reads the number of rules that a body such as `{"rules": 50}` allows.
///
/// # Errors
/// All faults at once.
pub fn read_limit(body: &Value) -> Result<u32, Faults> {
    let mut faults = Faults::default();
    let fields = Fields::open(Some(body), "", &["rules"], &["affiliate_id", "used"], &mut faults);
    let limit = fields.integer("rules", 0..=MOST, "rules", &mut faults);
    if limit.is_none() && faults.is_empty() {
        faults.add("/rules", format!("required: choose 0 to {MOST}"));
    }
    limit.filter(|_| faults.is_empty()).ok_or(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn rule(n: u32) -> Id {
        format!("trk_{n}").parse().unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn full() -> Quota {
        let mut quota = Quota::default();
        for n in 1..=20 {
            assert_eq!(quota.take(&rule(n), 1, at(0)), Ok(()));
        }
        quota
    }

    #[test]
    fn v3_an_affiliate_has_twenty_rules_unless_an_admin_allows_more() {
        let mut quota = full();
        let refused = quota.take(&rule(21), 1, at(0)).unwrap_err();
        assert_eq!(refused.to_string(), "20 of 20 rules are in use: delete one, or ask an admin to raise the quota");
        assert_eq!(quota.take(&rule(20), 1, at(1)), Ok(()), "its own place again");
        quota.allow(21);
        assert_eq!(quota.take(&rule(21), 1, at(0)), Ok(()));
        quota.allow(3);
        let refused = quota.take(&rule(22), 1, at(0)).unwrap_err();
        assert_eq!(refused.to_string(), "21 of 3 rules are in use: delete one, or ask an admin to raise the quota");
    }

    #[test]
    fn v3_a_deleted_rule_gives_back_its_place_but_not_its_successors() {
        let mut quota = full();
        assert!(quota.give_back(&rule(1), 2));
        assert!(!quota.give_back(&rule(1), 2));
        assert_eq!(quota.take(&rule(21), 1, at(0)), Ok(()));
        // Deleted as version 2, made again as version 3 before the place was given back.
        assert_eq!(quota.take(&rule(2), 3, at(0)), Ok(()));
        assert!(!quota.give_back(&rule(2), 2));
        assert_eq!(quota.rules().len(), 20);
    }

    #[test]
    fn v3_unused_places_are_given_back_after_five_minutes() {
        let mut quota = full();
        let there: BTreeSet<Id> = (1..=18).map(rule).collect();
        quota.take(&rule(20), 1, at(3)).unwrap();
        quota.give_back_unused(&there, at(4));
        assert_eq!(quota.rules().len(), 20);
        quota.give_back_unused(&there, at(5));
        assert_eq!(quota.rules().len(), 19, "19 is gone, 20 was asked for two minutes ago");
    }

    #[test]
    fn a_quota_is_read_back_as_it_was_first_written() {
        let first = r#"{"allowed":50,"rules":{"trk_1":{"at":"1970-01-01T00:03:00Z","version":4}}}"#;
        let mut quota = Quota::default();
        quota.allow(50);
        quota.count_in(&rule(1), 4, at(3));
        assert_eq!(serde_json::from_str::<Quota>(first).unwrap(), quota);
        assert_eq!(serde_json::to_string(&quota).unwrap(), first);
    }

    #[test]
    fn a_quota_is_written_as_a_number_of_rules() {
        assert_eq!(read_limit(&json!({"rules": 50, "used": 3, "affiliate_id": "aff_7"})), Ok(50));
        assert_eq!(read_limit(&json!({"rules": 0})), Ok(0));
        let faults = |body| read_limit(&body).unwrap_err();
        assert_eq!(faults(json!({})), Faults::one("/rules", "required: choose 0 to 1000"));
        assert_eq!(faults(json!({"rules": 1_001})), Faults::one("/rules", "1001 rules are too many: choose 0 to 1000"));
        assert_eq!(faults(json!({"rules": null})), Faults::one("/rules", "required: choose 0 to 1000"));
        let wrong = faults(json!({"rule": 5, "rules": "5"}));
        let unknown = "unknown field \"rule\"; did you mean \"rules\"?";
        assert_eq!(wrong.to_string(), format!("/rule: {unknown}; /rules: a text is not a number of rules: choose 0 to 1000"));
        assert_eq!(faults(json!([])), Faults::one("", "a list is not an object: write {…} with rules"));
    }
}
