//! Patterns and macros of conditions (A2).

use super::*;
use crate::json;

fn event_with(external_id: &str) -> Event {
    let mut event = event();
    let mut conversion = (*event.conversion).clone();
    conversion.external_id = Some(external_id.to_owned());
    event.conversion = conversion.into();
    event
}

/// Judges with this external id of the conversion.
fn judge_of(external_id: &str, conditions: &Value, body: &str) -> Judgement {
    let document = json!({"rules": [{"when": conditions, "then": "delivered"}], "otherwise": "failed"});
    judge_event(&event_with(external_id), &document, &answer(200, body))
}

#[track_caller]
fn check_of(external_id: &str, condition: &Value, body: &str, expected: bool) {
    let verdict = judge_of(external_id, &json!([condition]), body).verdict;
    assert_eq!(verdict == Verdict::Delivered, expected, "{condition} of {body} for {external_id}");
}

#[test]
fn case_a14_equals_takes_patterns_and_compares_numbers() {
    check("equals", &["app*|App*"], &["status"], &["ok", "empty"]);
    check("not_equals", &["app*|App*"], &["ok", "empty"], &["status"]);
    check("equals", &["12.500"], &["payout"], &["text"]);
    check("not_equals", &["12.5"], &["text"], &["payout"]);
    check("string_contains", &["1*ap|zz"], &["text"], &["status"]);
    check("string_not_contains", &["1*ap|zz"], &["status"], &["text"]);
    check("string_starts_with", &["App|10"], &["status", "text"], &["pipe"]);
    check("string_ends_with", &[r"\|b|ed"], &["pipe", "status"], &["slash"]);
}

const LEADS: &str = r#"{"leads":[{"id":"X-12","status":"new"},{"id":"X-77","status":"approved"},{"id":"","status":"none"}]}"#;

#[test]
fn case_a4_a_selector_finds_the_entry_of_this_conversion() {
    let approved = json!({"source": "body", "key": "leads[id={external_id}].status", "operator": "equals", "value": "approved"});
    check_of("X-77", &approved, LEADS, true);
    check_of("X-12", &approved, LEADS, false);
    check_of("X-99", &approved, LEADS, false);
    let empty = json!({"source": "body", "key": "leads[id={external_id}].status", "operator": "is_not_empty"});
    check_of("", &empty, LEADS, false);
    let by_key = json!({"source": "body", "key": "{external_id}.status", "operator": "equals", "value": "approved"});
    check_of("X-77", &by_key, r#"{"X-77":{"status":"approved"}}"#, true);
    check_of("X.77", &by_key, r#"{"X.77":{"status":"approved"},"X":{"77":{"status":"new"}}}"#, true);
    let xml = json!({"source": "body", "key": "leads.lead[@id={external_id}].s", "operator": "equals", "value": "approved"});
    check_of("X-77", &xml, "<leads><lead id='X-12'><s>new</s></lead><lead id='X-77'><s>approved</s></lead></leads>", true);
}

#[test]
fn case_a4_macros_in_values_are_filled_in_for_each_answer() {
    let equals = json!({"source": "body", "key": "id", "operator": "equals", "value": "lead-{external_id}|{external_id|lower}"});
    check_of("X-77", &equals, r#"{"id":"lead-X-77"}"#, true);
    check_of("X-77", &equals, r#"{"id":"x-77"}"#, true);
    check_of("X-77", &equals, r#"{"id":"X-77"}"#, false);
    let bigger = json!({"source": "body", "key": "n", "operator": "bigger_than", "value": "{external_id}"});
    check_of("7", &bigger, r#"{"n":8}"#, true);
    check_of("9", &bigger, r#"{"n":8}"#, false);
    let constant = json!({"source": "constant", "key": "{external_id}", "operator": "string_starts_with", "value": "X-"});
    check_of("X-1", &constant, "", true);
    let query = json!({"source": "query", "key": "{external_id}", "operator": "is_not_empty"});
    check_of("note", &query, "", true);
    let whole = json!({"source": "body", "operator": "equals", "value": "OK {external_id}"});
    check_of("X-1", &whole, "OK X-1", true);
    let own = json!({"source": "body", "key": "a", "operator": "equals", "value": "{body.b}"});
    check_of("", &own, r#"{"a":"x*","b":"x*"}"#, true);
    check_of("", &own, r#"{"a":"xy","b":"x*"}"#, false);
}

#[test]
fn case_a4_a_value_that_can_not_be_made_does_not_hold_and_leaves_a_note() {
    let of = |external_id, operator: &str, value: &str| {
        let when = json!([{"source": "body", "key": "a", "operator": operator, "value": value}]);
        let Judgement { verdict, notes, .. } = judge_of(external_id, &when, r#"{"a":"anything"}"#);
        (verdict, notes)
    };
    let note = |why: &str| vec![format!("/answer/rules/0/when/0: {why}; the condition does not hold")];
    let empty = (Verdict::Failed, note("its macros are empty for this event"));
    for operator in ["equals", "not_equals", "string_contains", "string_not_contains", "string_starts_with", "string_ends_with"] {
        assert_eq!(of("", operator, "{external_id}*"), empty, "{operator}");
    }
    assert_eq!(of("", "equals", "{external_id}*|any*"), (Verdict::Delivered, vec![]), "another alternative");
    let number = note("\"many\" is not a number: write a decimal such as 12.50");
    assert_eq!(of("many", "smaller_than", "{external_id}"), (Verdict::Failed, number));
}

#[test]
fn case_a4_templates_of_conditions_are_checked_when_they_are_saved() {
    let condition = |key: &str, value: &str| json!({"source": "body", "key": key, "operator": "equals", "value": value});
    check_condition_faults(
        &condition("a", "{external_id|lowr}"),
        &[("/value", "character 14: unknown modifier \"lowr\"; did you mean lower?")],
    );
    let secret = "a secret has no place here: responses are masked before conditions look at them";
    check_condition_faults(&condition("{secret.token}", "{secret.token}"), &[("/key", secret), ("/value", secret)]);
    check_condition_faults(&condition("a", "a\0"), &[("/value", "holds a NUL character: leave it out")]);
    let braces = json!({"source": "body", "key": "a", "operator": "matches", "value": "^[0-9]{3}$"});
    check_of("", &braces, r#"{"a":"123"}"#, true);
    check_of("", &condition("{{a}}", "{{1}}"), r#"{"{a}":"{1}"}"#, true);
}

proptest! {
    #[test]
    fn case_a4_a_value_is_never_a_pattern(external_id in "[*|\\\\\\]{}.a-c]{1,6}", other in "[*|\\\\\\]{}.a-c]{0,6}") {
        let is_same = external_id == other;
        let body = json!({"a": other}).to_string();
        let of = |operator: &str| {
            let when = json!([{"source": "body", "key": "a", "operator": operator, "value": "{external_id}"}]);
            judge_of(&external_id, &when, &body).verdict == Verdict::Delivered
        };
        prop_assert_eq!(of("equals"), is_same);
        prop_assert_eq!(of("not_equals"), !is_same);
        prop_assert_eq!(of("string_contains"), other.contains(&external_id));
        prop_assert_eq!(of("string_starts_with"), other.starts_with(&external_id));
        prop_assert_eq!(of("string_ends_with"), other.ends_with(&external_id));
    }

    #[test]
    fn case_a4_a_value_never_alters_a_path(
        before in "[*|\\\\\\]\\[={}.a]{0,2}",
        external_id in "[*|\\\\\\]\\[={}.a-c]{1,6}",
        after in "[*|\\\\\\]\\[={}.a]{0,2}",
    ) {
        let other = format!("{before}{external_id}{after}");
        let is_same = external_id == other;
        let holds = |key: &str, body: Value| {
            let when = json!([{"source": "body", "key": key, "operator": "equals", "value": "yes"}]);
            judge_of(&external_id, &when, &body.to_string()).verdict == Verdict::Delivered
        };
        prop_assert_eq!(holds("leads[id={external_id}].s", json!({"leads": [{"id": other, "s": "yes"}]})), is_same);
        // The value's own signs would lead to these.
        let decoys = json!([{"id": "", "s": "yes"}, {"id": "a", "s": "yes"}, {"id": "*", "s": "yes"}, {"s": "yes"}]);
        let is_decoy = matches!(&*external_id, "a" | "*");
        prop_assert_eq!(holds("leads[id={external_id}].s", json!({"leads": decoys})), is_decoy);
        let keyed = json::Map::from_iter([(other, json!({"s": "yes"}))]);
        prop_assert_eq!(holds("{external_id}.s", keyed.into()), is_same);
        if external_id.contains('.') {
            let nested = external_id.rsplit('.').fold(json!({"s": "yes"}), |inner, name| {
                json::Map::from_iter([(name.to_owned(), inner)]).into()
            });
            prop_assert!(!holds("{external_id}.s", nested), "a point in a value parts no names");
        }
    }

    #[test]
    fn case_a14_rules_from_before_patterns_keep_their_meaning(value in "[*|\\\\{}a-b]{1,5}", found in "[*|\\\\{}a-b]{0,5}") {
        let body = json!({"a": found}).to_string();
        let holds = |operator: &str| {
            let condition = json!({"source": "body", "key": "a", "operator": operator, "value": value});
            let answer = upgraded(json!({"rules": [{"when": [condition], "then": "delivered"}], "otherwise": "failed"}));
            parse(&answer, &Owner::Admin).is_ok().then(|| judge(&answer, &self::answer(200, &body)).verdict == Verdict::Delivered)
        };
        let mut alternatives = vec![String::new()];
        let mut chars = value.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, (c == '\\').then(|| chars.next_if(|next| matches!(next, '|' | '\\'))).flatten()) {
                ('|', None) => alternatives.push(String::new()),
                (c, escaped) => alternatives.last_mut().unwrap().push(escaped.unwrap_or(c)),
            }
        }
        let was_allowed = !alternatives.iter().any(String::is_empty);
        prop_assert_eq!(holds("equals"), was_allowed.then(|| alternatives.contains(&found)));
        prop_assert_eq!(holds("not_equals"), was_allowed.then(|| !alternatives.contains(&found)));
        prop_assert_eq!(holds("string_contains"), Some(found.contains(&value)));
        prop_assert_eq!(holds("string_starts_with"), Some(found.starts_with(&value)));
        prop_assert_eq!(holds("string_ends_with"), Some(found.ends_with(&value)));
    }
}
