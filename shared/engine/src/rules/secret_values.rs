//! The values of a rule's secrets: written and forgotten, never read back (Q5).

use std::collections::BTreeMap;

use tracking_core::{
    caller::Actor,
    fault::{Faults, pointer_token},
    id::Id,
    json::Value,
    name::{VALUE_FOR_NAME, check_name, is_probably_value},
    tracking_api::RuleDefinition,
};

use super::{
    Refused,
    audit::{Act, Action},
    over::{Over, expect_version},
    write::collect,
};
use crate::{backend::Backend, rules::RuleWriter, secrets::INACTIVE};

/// Longest value of a secret, in bytes.
const MAX_SECRET_BYTES: usize = 4_096;
/// Most secrets of a rule: those that have a value, and those that it names.
const MAX_SECRETS: usize = 50;

impl<B: Backend> RuleWriter<B> {
    /// Writes a secret's value; it is never read back (Q5). If a version is `expected`, the value is bound to the request of that version
    /// or not written.
    pub async fn put_secret(
        &self,
        actor: impl Into<Actor>,
        id: &Id,
        (name, value): (&str, &str),
        expected: Option<u64>,
    ) -> Result<(), Refused> {
        let act = Act::new(actor.into(), Action::SecretWritten);
        let value = without_line_ends(value);
        check_secret(name, value, "")?;
        let mut is_charged = false;
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            expect_version(expected, &rule.head)?;
            let name = name.to_owned();
            check_count(&rule.definition, rule.head.secrets.keys().chain([&name]), rule.head.secrets.len(), "")?;
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            let mut head = rule.head.next(self.store.now());
            let given = BTreeMap::from([(name, value.to_owned())]);
            let sealed = self.rules.seal(&act, id, Some(&rule), &mut head, &rule.definition, &given).await?;
            head.set_live(head.fires(&rule.definition));
            let definition = RuleDefinition::clone(&rule.definition);
            match self.write_rule(&act, id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }

    /// Forgets a secret that the rule does not use.
    pub async fn delete_secret(
        &self,
        actor: impl Into<Actor>,
        id: &Id,
        name: &str,
        expected: Option<u64>,
    ) -> Result<(), Refused> {
        let act = Act::new(actor.into(), Action::SecretDeleted);
        let mut is_charged = false;
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            expect_version(expected, &rule.head)?;
            if !rule.head.secrets.contains_key(name) {
                return Err(Refused::NotFound);
            }
            if rule.definition.secret_names().contains(name) {
                return Err(Refused::Conflict(format!("the rule uses secret {name}: take it out of the rule first")));
            }
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            let mut head = rule.head.next(self.store.now());
            head.secrets.remove(name);
            head.bindings.remove(name);
            match self.write_head(&act, (rule, rev), head).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }
}

/// Reads `secret_values` of a body (docs/api.md).
pub(super) fn secret_values(document: &Value) -> Result<BTreeMap<String, String>, Faults> {
    let mut faults = Faults::default();
    let mut values = BTreeMap::new();
    match document.get("secret_values") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given.iter() {
                let pointer = format!("/secret_values/{}", pointer_token(name));
                match value {
                    Value::String(value) => {
                        let value = without_line_ends(value);
                        if collect(check_secret(name, value, &pointer), &mut faults).is_some() {
                            values.insert(name.clone(), value.to_owned());
                        }
                    }
                    _ => faults.add(pointer, "a secret's value is a text"),
                }
            }
        }
        Some(_) => faults.add("/secret_values", "give an object of names and values, such as {\"token\": \"…\"}"),
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

/// Checks that a rule has no more secrets than it may: `names` have a value. A rule that had more `before` may keep them.
pub(super) fn check_count<'a>(
    definition: &RuleDefinition,
    names: impl Iterator<Item = &'a String>,
    before: usize,
    pointer: &str,
) -> Result<(), Faults> {
    let mut all = definition.secret_names();
    all.extend(names.cloned());
    let count = all.len();
    if count <= MAX_SECRETS.max(before) {
        return Ok(());
    }
    Err(Faults::one(pointer, format!("expected at most {MAX_SECRETS} secrets, got {count}")))
}

fn check_secret(name: &str, value: &str, pointer: &str) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if is_probably_value(name) {
        // The pointer of a fault would repeat it.
        let at = pointer.rsplit_once('/').map_or("", |(before, _)| before);
        faults.add(at, VALUE_FOR_NAME);
    } else if let Err(error) = check_name(name) {
        faults.add(pointer, error.to_string());
    }
    let value_at = if pointer.is_empty() { "/value" } else { pointer };
    if value.is_empty() || value.len() > MAX_SECRET_BYTES {
        faults.add(value_at, format!("a secret's value has 1 to {MAX_SECRET_BYTES} bytes"));
    } else if value == INACTIVE {
        faults.add(value_at, format!("expected a secret's value, got {INACTIVE}, the mark of one that must be written again"));
    }
    if value.contains(['\r', '\n']) {
        faults.add(value_at, "a line break within a secret's value: no header can hold one, write the value in one line");
    }
    if value.contains(|c: char| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) {
        faults.add(value_at, "a control character within a secret's value: no header can hold one, copy the value again");
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A value without the line breaks that it was pasted with.
fn without_line_ends(value: &str) -> &str {
    value.trim_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use tracking_core::json;

    use super::*;

    #[test]
    fn case_b9_line_breaks_around_a_value_are_left_out() {
        for pasted in ["t0k en\n", "\r\nt0k en", "t0k en\r\n\r\n", "t0k en"] {
            let values = secret_values(&json!({"secret_values": {"token": pasted}})).unwrap();
            assert_eq!(values["token"], "t0k en", "{pasted:?}");
        }
    }

    #[test]
    fn case_b9_a_line_break_within_a_value_is_refused() {
        for pasted in ["a\nb", "a\r\nb\n", "a\rb"] {
            let faults = secret_values(&json!({"secret_values": {"token": pasted}})).unwrap_err();
            let detail = "a line break within a secret's value: no header can hold one, write the value in one line";
            assert_eq!(faults, Faults::one("/secret_values/token", detail), "{pasted:?}");
        }
        for pasted in ["a\0b", "\u{b}a", "a\u{7f}"] {
            let faults = secret_values(&json!({"secret_values": {"token": pasted}})).unwrap_err();
            let detail = "a control character within a secret's value: no header can hold one, copy the value again";
            assert_eq!(faults, Faults::one("/secret_values/token", detail), "{pasted:?}");
        }
        assert!(secret_values(&json!({"secret_values": {"token": "a\tb"}})).is_ok());
        let detail = "a secret's value has 1 to 4096 bytes";
        let empty = secret_values(&json!({"secret_values": {"token": "\n"}})).unwrap_err();
        assert_eq!(empty, Faults::one("/secret_values/token", detail));
    }
}
