//! Data that answer rules take from responses (A3).

use super::*;
use crate::{
    change::TransactionResult,
    json,
    tracking_api::{RuleDefinition, Settings},
};

#[track_caller]
fn extract(set: &Value, body: &str) -> (ExtractedData, Vec<String>) {
    let document = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    let judgement = judge(&document, &answer(200, body));
    (judgement.extracted, judgement.notes)
}

#[test]
fn a3_the_deciding_rule_extracts_data_from_the_response() {
    let set = json!({"result": "{body.state|map:ok=approved}", "payout": "{body.payout}", "value": "{body.value}",
                     "external_id": "{header.x-state}-{http_code}", "variables": {"lead": "{body.lead}"}});
    let body = r#"{"state": "ok", "payout": 12.50, "value": " 100 ", "lead": {"id": 7}}"#;
    let expected = ExtractedData {
        result: Some(TransactionResult::Approved),
        payout: Some("12.50".parse().unwrap()),
        value: Some("100".parse().unwrap()),
        external_id: Some("Ready-200".to_owned()),
        keep: BTreeMap::new(),
        variables: BTreeMap::from([("lead".to_owned(), "{\"id\":7}".to_owned())]),
    };
    assert_eq!(extract(&set, body), (expected, vec![]));
}

#[test]
fn a3_an_empty_text_sets_nothing() {
    let set = json!({"result": "{body.a}", "payout": " {body.a} ", "value": "{body.a}", "external_id": "{body.a|omit_if_empty}",
                     "variables": {"v": "{body.a}"}});
    assert_eq!(extract(&set, "{\"a\": null}"), (ExtractedData::default(), vec![]));
}

#[test]
fn case_c3_a_result_is_read_whatever_its_case() {
    let set = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"result": "{body.result}"}}]});
    for (word, result) in [
        ("APPROVED", TransactionResult::Approved),
        ("Rejected", TransactionResult::Rejected),
        (" pending ", TransactionResult::Pending),
    ] {
        let body = json!({"result": word}).to_string();
        let judged = judge(&set, &answer(200, &body));
        assert_eq!((judged.extracted.result, judged.notes.len()), (Some(result), 0), "{word}");
    }
}

#[test]
fn a3_what_is_no_result_or_amount_is_left_out_with_a_note() {
    let set = json!({"result": "{body.result}", "payout": "{body.payout}", "value": "5", "external_id": "{body.id}"});
    let body = json!({"result": "Done", "payout": "12,50", "id": "x".repeat(2_049)}).to_string();
    let (extracted, notes) = extract(&set, &body);
    assert_eq!(extracted, ExtractedData { value: Some("5".parse().unwrap()), ..ExtractedData::default() });
    assert_eq!(
        notes,
        [
            "/answer/rules/0/set/result: \"Done\" is not a result: pending, approved and rejected are; left out",
            "/answer/rules/0/set/payout: \"12,50\" is not an amount: write a decimal such as \"12.50\", at most 28 digits; left out",
            "/answer/rules/0/set/external_id: 2049 bytes are too many: 2048 are allowed; left out",
        ]
    );
}

#[test]
fn a3_only_the_rule_that_decides_sets() {
    let document = json!({"rules": [
        {"when": [{"source": "http_code", "operator": "equals", "value": "500"}], "then": "retry", "set": {"result": "rejected"}},
    ]});
    assert_eq!(judge(&document, &answer(200, "")).extracted, ExtractedData::default());
    assert_eq!(judge(&document, &answer(500, "")).extracted.result, Some(TransactionResult::Rejected));
}

#[test]
fn a3_v3_an_affiliates_rule_may_set_variables_only() {
    let rule = |set: Value| json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    assert!(parse(&rule(json!({"variables": {"lead": "{body.lead}"}})), &affiliate()).is_ok());
    let all = json!({"result": "approved", "payout": "{body.p}", "value": "1", "external_id": "x", "variables": {}});
    let no = |key: &str| format!("\"{key}\" has no place here: an affiliate's rule may set variables only");
    check_faults(
        &rule(all),
        &affiliate(),
        &[
            ("/answer/rules/0/set/result", &no("result")),
            ("/answer/rules/0/set/payout", &no("payout")),
            ("/answer/rules/0/set/value", &no("value")),
            ("/answer/rules/0/set/external_id", &no("external_id")),
        ],
    );
}

#[test]
fn a3_q5_no_secret_may_be_set() {
    let set = json!({"external_id": "{secret.token}", "variables": {"a": "{pcid|hmac_sha256:key}"}});
    let rule = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    let no = "a secret may not be set: only headers, path, query and body of the request may hold one";
    check_faults(&rule, &Owner::Admin, &[("/answer/rules/0/set/external_id", no), ("/answer/rules/0/set/variables/a", no)]);
}

#[test]
fn a3_names_of_variables_are_checked() {
    let set = json!({"variables": {"a b": "1", "ok": 5}});
    let rule = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    check_faults(
        &rule,
        &Owner::Admin,
        &[
            ("/answer/rules/0/set/variables/a b", "not a name: 1 to 64 characters of A-Z a-z 0-9 _ - are allowed"),
            ("/answer/rules/0/set/variables/ok", "a number is not a text: write a template such as \"{body.payout}\""),
        ],
    );
}

#[test]
fn a3_a_fingerprint_is_equal_for_equal_data_and_differs_otherwise() {
    let first = ExtractedData { payout: Some("12.5".parse().unwrap()), ..ExtractedData::default() };
    let same = ExtractedData {
        payout: Some("12.50".parse().unwrap()),
        variables: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        ..ExtractedData::default()
    };
    let as_value = ExtractedData { value: Some("12.5".parse().unwrap()), ..ExtractedData::default() };
    assert_eq!(first.fingerprint(), same.fingerprint());
    assert_ne!(first.fingerprint(), as_value.fingerprint());
    assert_ne!(first.fingerprint(), ExtractedData::default().fingerprint());
    assert!(ExtractedData { variables: same.variables, ..ExtractedData::default() }.is_empty());
    assert!(!first.is_empty());
}

#[test]
fn a3_what_the_first_version_wrote_is_read() {
    let written = json!({"result": "approved", "payout": "12.50", "external_id": "X-77", "variables": {"a": "b"}});
    let extracted: ExtractedData = serde_json::from_str(&written.to_string()).unwrap();
    assert_eq!(extracted.payout.unwrap().to_string(), "12.50");
    assert_eq!(extracted.value, None);
    assert_eq!(json!(extracted), written);
}

#[test]
fn case_d1_a_variable_may_be_secret() {
    let set = json!({"variables": {"token": {"value": "{body.t}", "secret": true}, "plain": "{body.p}",
                                   "open": {"value": "{body.p}", "secret": false}}});
    let document = json!({"rules": [{"when": [{"operator": "always"}], "then": "pending", "set": set}]});
    let rules = parse(&document, &affiliate()).unwrap();
    assert_eq!(rules.secret_variables().into_iter().collect::<Vec<_>>(), ["token"]);
    let written = json!({"token": {"value": "{body.t}", "secret": true}, "plain": "{body.p}", "open": "{body.p}"});
    assert_eq!(rules.document()["rules"][0]["set"]["variables"], written);
    let (extracted, notes) = extract(&set, r#"{"t":"s3cr3t","p":"x"}"#);
    assert_eq!((extracted.variables["token"].as_str(), extracted.variables["open"].as_str(), notes), ("s3cr3t", "x", vec![]));
    let faulty = json!({"rules": [{"when": [{"operator": "always"}], "then": "pending", "set": {"variables": {
        "a": {"secret": "yes", "valu": "x"}, "b": {"value": 5}, "c": {"value": "{secret.key}", "secret": true}}}}]});
    let at = "/answer/rules/0/set/variables";
    check_faults(
        &faulty,
        &affiliate(),
        &[
            (&format!("{at}/a/valu"), "unknown field \"valu\"; did you mean \"value\"?"),
            (&format!("{at}/a/secret"), "a text is not a flag: choose true or false"),
            (&format!("{at}/a/value"), "required: write a template such as \"{body.access_token}\""),
            (&format!("{at}/b/value"), "a number is not a text: write a template such as \"{body.payout}\""),
            (&format!("{at}/c/value"), "a secret may not be set: only headers, path, query and body of the request may hold one"),
        ],
    );
}

/// The payout that a text of `set` finds in a body, for the conversion `cnv_1` of `aff_7`.
#[track_caller]
fn check_selected(text: &str, body: &str, expected: Option<&str>) {
    let (extracted, notes) = extract(&json!({"external_id": text}), body);
    assert_eq!((extracted.external_id.as_deref(), notes), (expected, vec![]), "{text} of {body}");
}

#[test]
fn case_a4_set_finds_the_entry_of_this_conversion() {
    let leads = r#"{"leads":[{"id":"cnv_0","payout":"1.00"},{"id":"cnv_1","payout":12.50},{"id":"","payout":"3.00"}]}"#;
    check_selected("{body.leads[id=cnv_0].payout}", leads, Some("1.00"));
    check_selected("{body.leads[id={conversion_id}].payout}", leads, Some("12.50"));
    check_selected("{body.leads[id={conversion_id|upper|lower}].payout|times:2}", leads, Some("25.00"));
    check_selected("p={body.leads[id={conversion_id}].payout}&{affiliate_id}", leads, Some("p=12.50&aff_7"));
    check_selected("{body.leads[id={affiliate_id}].payout}", leads, None);
    check_selected("{body.leads[id={external_id}].payout}", leads, None);
    check_selected("{body.leads[id={external_id}].payout|default:0}", leads, Some("0"));
    check_selected("{body.leads[id={body.mine}].p}", r#"{"mine":"b","leads":[{"id":"a","p":1},{"id":"b","p":2}]}"#, Some("2"));
    check_selected("{body.[id={conversion_id}].p}", r#"[{"id":"cnv_1","p":"7"}]"#, Some("7"));
    let by_key = r#"{"cnv_0":{"p":"1"},"cnv_1":{"p":"2"},"a.b":{"p":"3"}}"#;
    check_selected("{body.{conversion_id}.p}", by_key, Some("2"));
    check_selected("{body.of.{conversion_id|lower}}", r#"{"of":{"cnv_1":"8"}}"#, Some("8"));
    check_selected("{body.{external_id}.p}", by_key, None);
    check_selected("{body.{body.mine}.p}", r#"{"mine":"a.b","a.b":{"p":"3"},"a":{"b":{"p":"4"}}}"#, Some("3"));
    let nested = r#"{"items":[{"ref":{"id":"x"},"p":1},{"ref":{"id":"cnv_1"},"p":2},{"ref.id":"y","p":3}]}"#;
    check_selected("{body.items[ref.id={conversion_id}].p}", nested, Some("2"));
    check_selected("{body.items[ref.id=y].p}", nested, Some("3"));
    check_selected("{body[0].p}|{body.[0].p}", r#"[{"p":"7"}]"#, Some("7|7"));
    check_selected("{body[id={conversion_id}].p}", r#"[{"id":"cnv_1","p":"7"}]"#, Some("7"));
    check_selected("{body.of[{conversion_id}=x].p}", r#"{"of":[{"cnv_1":"x","p":"8"}]}"#, Some("8"));
    let xml = "<leads><lead id='cnv_0'><p>1</p></lead><lead id='cnv_1'><p>2</p></lead></leads>";
    check_selected("{body.leads.lead[@id={conversion_id}].p}", xml, Some("2"));
}

#[test]
fn case_a4_what_a_macro_gives_is_no_path() {
    let set = json!({"payout": "{body.leads[id={body.mine}].payout}"});
    for mine in ["a].other", "a", "a].b[id=c", "{x}", "0", "*"] {
        let body = json!({"mine": mine, "leads": [{"id": mine, "payout": "5"}, {"id": "z", "payout": "6"}]}).to_string();
        assert_eq!(extract(&set, &body).0.payout, Some("5".parse().unwrap()), "{mine}");
    }
}

#[test]
fn case_a4_faults_in_a_path_with_macros_have_their_position() {
    let rule = |text: &str| json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"payout": text}}]});
    let at = "/answer/rules/0/set/payout";
    let path = "not a path: write keys joined by dots and positions in brackets, such as lead.items[0].id (positions 0 to 999)";
    for (text, detail) in [
        ("{body.a[id={pyout}].p}", "character 12: unknown macro {pyout}; did you mean {payout}?".to_owned()),
        (
            "{body.a[id={secret.s}].p}",
            "character 1: a secret has no place in a path: responses are masked before they are read".to_owned(),
        ),
        ("{body.{external_id}.p", "character 1: a lone {: write {{ for a brace, or close the macro with }".to_owned()),
        ("{body.a[id={external_id}.p}", format!("character 1: a[id={{…}}.p: {path}")),
        ("{body.a[{attempt}].p}", format!("character 1: a[{{…}}].p: {path}")),
        ("{header.a[{attempt}]}", "character 1: a lone {: write {{ for a brace, or close the macro with }".to_owned()),
        (
            "{body.a[id={body.b[id={attempt}]}].p}",
            "character 12: a lone {: write {{ for a brace, or close the macro with }".to_owned(),
        ),
    ] {
        let faults = parse(&rule(text), &Owner::Admin).unwrap_err();
        assert_eq!(
            faults.0.first().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())),
            Some((at, detail.as_str())),
            "{text}"
        );
    }
    check_faults(
        &rule("{revenue} {body.a[id={revenue}].p}"),
        &affiliate(),
        &[(at, "\"payout\" has no place here: an affiliate's rule may set variables only")],
    );
}

#[test]
fn case_w8_secret_variables_are_never_published_to_the_platform() {
    let rule = |set: Value| {
        let first = json!({"when": [{"source": "http_code", "operator": "equals", "value": "202"}], "then": "pending",
                           "set": {"variables": {"tok": {"value": "{body.t}", "secret": true}}}});
        let second = json!({"when": [{"operator": "always"}], "then": "delivered", "set": set});
        json!({"name": "n", "request": {"url": "https://a.example/?c={click_id}"}, "answer": {"rules": [first, second]}})
    };
    let faults = |set: Value| {
        let parsed = RuleDefinition::parse(&rule(set), &Owner::Admin, &Settings::default());
        parsed.map(|_| ()).map_err(|faults| faults.0.into_iter().map(|fault| (fault.pointer, fault.detail)).collect::<Vec<_>>())
    };
    let at = |field: &str| format!("/answer/rules/1/set/{field}");
    for field in ["result", "payout", "value", "external_id"] {
        let detail = "tok is a secret variable, and everybody reads this".to_owned();
        assert_eq!(faults(json!({field: "{var.tok|upper}"})), Err(vec![("/answer".to_owned(), detail)]));
    }
    let same = json!({"external_id": "{body.t}", "variables": {"k": {"value": "{body.t|trim}", "secret": true}}});
    let detail = "body.t is set as a secret variable here: no event may hold its value".to_owned();
    assert_eq!(faults(same), Err(vec![(at("external_id"), detail)]));
    assert_eq!(faults(json!({"external_id": "{body.id}", "variables": {"k": {"value": "{body.t}", "secret": true}}})), Ok(()));
}
