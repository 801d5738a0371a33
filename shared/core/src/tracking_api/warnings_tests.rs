//! Warnings about rules.

use super::*;
use crate::{caller::Owner, fault::Faults, json, json::Value};

/// A rule without warnings, with further members.
fn rule(members: &Value) -> Value {
    let mut rule = json!({"name": "n", "request": {"url": "https://a.example/?c={affiliate_click_id}"}});
    merge_patch(&mut rule, members);
    rule
}

fn warnings(document: &Value) -> Vec<(String, String)> {
    let settings = Settings { private_targets: true, ..Settings::default() };
    let parsed: Result<RuleDefinition, Faults> = RuleDefinition::parse(document, &Owner::Admin, &settings);
    let definition = parsed.unwrap_or_else(|faults| panic!("{document}: {faults}"));
    definition.warnings().into_iter().map(|warning| (warning.pointer, warning.detail)).collect()
}

#[track_caller]
fn check(members: &Value, expected: &[(&str, &str)]) {
    let warnings = warnings(&rule(members));
    let found: Vec<(&str, &str)> = warnings.iter().map(|(pointer, detail)| (pointer.as_str(), detail.as_str())).collect();
    assert_eq!(found, expected, "{members}");
}

#[test]
fn a_usual_rule_has_no_warnings() {
    check(&json!({}), &[]);
    check(&json!({"trigger": "conversion_all", "conditions": {"conversion_type": ["sale"]}}), &[]);
    check(&json!({"delay": {"mode": "final", "corrections": true}, "conditions": {"result": ["approved", "rejected"]}}), &[]);
}

#[test]
fn a_url_without_encryption() {
    let detail = "http:// is not encrypted, anyone on the way can read and change it: write https:// if the receiver takes it";
    for url in ["http://a.example/?c={click_id}", "HTTP://a.example/{click_id}"] {
        check(&json!({"request": {"url": url}}), &[("/request/url", detail)]);
    }
}

#[test]
fn a_request_that_is_always_the_same() {
    let detail = "no macro identifies the conversion for the receiver: add one, such as {affiliate_click_id} or \
                  {transaction_id}";
    check(&json!({"request": {"url": "https://a.example/"}}), &[("/request", detail)]);
    check(&json!({"request": {"url": "https://a.example/?t={now}&u={uuid}&try={attempt}"}}), &[("/request", detail)]);
    let headers = json!([{"name": "X-Click", "value": "{click_id}"}]);
    check(&json!({"request": {"url": "https://a.example/", "headers": headers}}), &[]);
    let body = json!({"format": "raw", "content_type": "text/plain", "text": "{conversion_id}"});
    check(&json!({"request": {"method": "POST", "url": "https://a.example/", "body": body}}), &[]);
}

#[test]
fn t4_t5_a_trigger_that_fires_on_every_click() {
    for trigger in ["conversion_all", "conversion_created"] {
        let detail = format!("without it {trigger} fires on every click too: name the types, such as [\"lead\", \"sale\"]");
        check(&json!({"trigger": trigger}), &[("/conditions/conversion_type", &detail)]);
        check(&json!({"trigger": trigger, "conditions": {"result": "all"}}), &[]);
        check(&json!({"trigger": trigger, "conditions": {"conversion_type": ["click"]}}), &[]);
    }
    check(&json!({"trigger": "conversion_updated"}), &[]);
    check(&json!({"trigger": "conversion_all", "delay": {"mode": "final"}}), &[]);
}

#[test]
fn c2_macros_of_a_transaction_that_there_may_not_be() {
    let request = json!({"url": "https://a.example/?c={click_id}&p={sum}&r={status}&q={payout|cents}",
                         "query": [{"name": "t", "value": "{transaction_id|omit_if_empty}"}, {"name": "c", "value": "{revenue}"}]});
    let advice = "set conditions.result, add default or omit_if_empty, or choose a trigger of transactions";
    let url = format!("empty for a conversion without a transaction: {{payout}}, {{result}}; {advice}");
    let query = format!("empty for a conversion without a transaction: {{revenue}}; {advice}");
    let expected = [("/request/url", url.as_str()), ("/request/query/1/value", query.as_str())];
    let mut members = json!({"trigger": "conversion_updated", "request": request});
    check(&members, &expected);
    for (member, value) in
        [("trigger", json!("transaction_all")), ("conditions", json!({"result": "all"})), ("delay", json!({"mode": "final"}))]
    {
        let before = members[member].take();
        members[member] = value;
        check(&members, &[]);
        members[member] = before;
    }
}

#[test]
fn q5_a_secret_in_the_url() {
    let warning = |names: &str| {
        format!(
            "a secret in the URL may end up in the logs of the receiver and of proxies before it: {names}; use a header or the \
             body if the receiver allows"
        )
    };
    let request = json!({"url": "https://a.example/{secret.path}/?c={click_id}&k={secret.path}&l={secret.key}",
                         "query": [{"name": "t", "value": "{secret.token}"}, {"name": "s", "value": "{conversion_id|hmac_sha256:key}"}],
                         "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]});
    let (url, query) = (warning("{secret.path}, {secret.key}"), warning("{secret.token}"));
    check(&json!({"request": request}), &[("/request/url", &url), ("/request/query/0/value", &query)]);
}

#[test]
fn the_hash_of_nothing() {
    let warning = |name: &str| {
        format!("where it is missing, the hash of an empty text is sent: {name}; put omit_if_empty or default before the hash")
    };
    let field = |value: &str| json!({"request": {"method": "POST", "body": {"format": "json", "fields": [{"path": "a", "value": value}]}}});
    let place = "/request/body/fields/0/value";
    check(&field("{query.email|lower|sha256}"), &[(place, &warning("{query.email}"))]);
    check(&field("{query.email|sha256|omit_if_empty}"), &[(place, &warning("{query.email}"))]);
    check(&field("{external_id|hmac_sha256:key}"), &[(place, &warning("{external_id}"))]);
    for sound in [
        "{query.email|lower|omit_if_empty|sha256}",
        "{query.email|default:none|md5}",
        "{voucher|map:=none|sha1}",
        "{conversion_id|md5}",
    ] {
        check(&field(sound), &[]);
    }
    check(&field("{transaction_id|sha256}"), &[]);
    let mut of_conversions = field("{transaction_id|sha256}");
    of_conversions["trigger"] = json!("conversion_all");
    of_conversions["conditions"] = json!({"result": "all"});
    check(&of_conversions, &[(place, &warning("{transaction_id}"))]);
}

#[test]
fn a3_a_variable_that_no_answer_sets() {
    let request = json!({"url": "https://a.example/?c={click_id}&t={var.ticket}&u={var.user}"});
    let rules = json!([{"when": [{"operator": "always"}], "then": "retry", "set": {"variables": {"user": "{body.user}"}}}]);
    let expected = [("/request/url", "always empty, neither variables nor an answer rule sets it: {var.ticket}")];
    check(&json!({"request": request, "answer": {"rules": rules}}), &expected);
}

#[test]
fn a_placeholder_that_nobody_replaced() {
    let request =
        json!({"url": "https://YOUR-DOMAIN.example/?c={click_id}", "query": [{"name": "n", "value": "YOUR-NETWORK-ID"}]});
    let warning = |name: &str| format!("{name} is a placeholder: write your own value in its place");
    let (url, query) = (warning("YOUR-DOMAIN"), warning("YOUR-NETWORK-ID"));
    check(&json!({"request": request}), &[("/request/url", &url), ("/request/query/0/value", &query)]);
}

#[test]
fn l1_answers_that_ask_for_a_retry_where_there_is_none() {
    let detail = "with 0 retries nobody asks again after an answer that means pending or retry: choose 1 to 30";
    let rules = json!([{"when": [{"source": "http_code", "operator": "equals", "value": "202"}], "then": "pending"}]);
    check(&json!({"answer": {"rules": rules}, "retry": {"max_retries": 0}}), &[("/retry/max_retries", detail)]);
    check(&json!({"answer": {"otherwise": "retry"}, "retry": {"max_retries": 0}}), &[("/retry/max_retries", detail)]);
    check(&json!({"answer": {"rules": rules}, "retry": {"max_retries": 1}}), &[]);
    check(&json!({"retry": {"max_retries": 0}}), &[]);
}

#[test]
fn case_d2_a_rule_that_reads_a_result_and_has_no_word_for_the_others() {
    let detail = "a 2xx response in which none of the rules holds, such as one that is still pending, counts as delivered too: add a rule \
                  that says pending, or write otherwise";
    let rule = |value: &str, then: &str| json!({"when": [{"source": "body", "key": "status", "operator": "equals", "value": value}], "then": then});
    let warned = [("/answer/rules", detail)];
    check(&json!({"answer": {"rules": [rule("approved", "delivered")]}}), &warned);
    let mut set = rule("approved", "delivered");
    set["set"] = json!({"payout": "{body.payout}"});
    check(&json!({"answer": {"rules": [set, rule("rejected", "failed")]}}), &warned);
    check(&json!({"answer": {"rules": [rule("approved", "delivered"), rule("rejected", "failed")]}}), &warned);
    let mut otherwise = json!({"answer": {"rules": [rule("ok", "delivered"), rule("error", "failed")]}});
    check(&otherwise, &warned);
    otherwise["answer"]["otherwise"] = json!("delivered");
    otherwise["answer"]["rules"][1]["when"][0] = json!({"source": "http_code", "operator": "bigger_than", "value": 299});
    check(&otherwise, &[]);
    for end in [json!({"otherwise": "pending"}), json!({"otherwise": "failed"})] {
        check(&json!({"answer": {"rules": [rule("approved", "delivered")], "otherwise": end["otherwise"]}}), &[]);
    }
    check(&json!({"answer": {"rules": [rule("no", "failed")]}}), &[]);
    let always = json!({"when": [{"operator": "always"}], "then": "retry"});
    check(&json!({"answer": {"rules": [rule("approved", "delivered"), always]}}), &[]);
}

#[test]
fn a2_answer_rules_that_are_never_reached() {
    let always = json!({"when": [{"operator": "always"}], "then": "failed"});
    let body =
        json!({"when": [{"source": "body", "key": "a", "operator": "is_true"}, {"operator": "always"}], "then": "delivered"});
    let detail = "never reached: rule 1 holds for every answer";
    check(&json!({"answer": {"rules": [body, always, body]}}), &[("/answer/rules/2", detail)]);
    check(&json!({"answer": {"rules": [body, always], "otherwise": "failed"}}), &[("/answer/otherwise", detail)]);
    check(&json!({"answer": {"rules": [body, always]}}), &[]);
}

#[test]
fn a2_errors_that_are_taken_for_delivered() {
    let detail = "takes errors such as 404 and 503 for delivered too: leave it out, or add a rule about http_code";
    check(&json!({"answer": {"otherwise": "delivered"}}), &[("/answer/otherwise", detail)]);
    let rules = json!([{"when": [{"source": "http_code", "operator": "bigger_than", "value": 299}], "then": "retry"}]);
    check(&json!({"answer": {"rules": rules, "otherwise": "delivered"}}), &[]);
}

#[test]
fn case_a14_c6_a_rule_of_an_older_version_says_what_has_changed() {
    let mut document = rule(&json!({"conditions": {"affiliate": ["all"]}}));
    let condition = |operator: &str, value: &str| json!({"source": "body", "key": "error", "operator": operator, "value": value});
    let conditions =
        [condition("not_equals", "0"), condition("equals", "no|1.5"), condition("equals", "007"), condition("equals", "ok")];
    document["answer"] = json!({"rules": [{"when": conditions, "then": "failed"}], "otherwise": "retry"});
    let of = |document: &Value| {
        let settings = Settings { stored: true, ..Settings::default() };
        let warnings = RuleDefinition::parse(document, &Owner::Admin, &settings).unwrap().warnings();
        warnings.into_iter().map(|warning| warning.pointer).collect::<Vec<_>>()
    };
    let numbers = ["/answer/rules/0/when/0/value", "/answer/rules/0/when/1/value"];
    assert_eq!(of(&document), [&["/conditions/affiliate"][..], &numbers].concat());
    document["answer_format"] = json!(2);
    assert_eq!(of(&document), ["/conditions/affiliate"], "it was saved by this version");
    assert_eq!(warnings(&document), [], "written now, it means All");
}

#[test]
fn excluded_offers_without_effect() {
    let detail = "without effect: included_offers names the only offers that there are for this rule, leave one of them out";
    let conditions = json!({"included_offers": ["off_1"], "excluded_offers": ["off_2"]});
    check(&json!({"conditions": conditions}), &[("/conditions/excluded_offers", detail)]);
    check(&json!({"conditions": {"excluded_offers": ["off_2"]}}), &[]);
}

#[test]
fn t2_t5_results_that_new_transactions_hardly_ever_have() {
    for (trigger, all) in [("transaction_created", "transaction_all"), ("conversion_created", "conversion_all")] {
        let detail = format!(
            "a new transaction is pending unless it was approved automatically, so {trigger} hardly ever fires with these results: \
             choose the trigger {all}"
        );
        let with = |results: Value| json!({"trigger": trigger, "conditions": {"result": results}});
        check(&with(json!(["approved"])), &[("/conditions/result", &detail)]);
        check(&with(json!(["approved", "pending"])), &[]);
    }
}

#[test]
fn case_a7_a_rule_that_polls_without_otherwise() {
    let detail = "without it a 2xx response that no rule knows ends the delivery as delivered: write pending or retry, and a rule for \
                  what means delivered";
    let pending = |source: &str| json!({"when": [{"source": source, "key": "status", "operator": "equals", "value": "new"}], "then": "pending"});
    let whole = json!({"when": [{"source": "body", "operator": "string_contains", "value": "WAIT"}], "then": "pending"});
    for rule in [pending("body"), whole] {
        check(&json!({"answer": {"rules": [rule]}}), &[("/answer/otherwise", detail)]);
        check(&json!({"answer": {"rules": [rule], "otherwise": "pending"}}), &[]);
        let always = json!({"when": [{"operator": "always"}], "then": "failed"});
        check(&json!({"answer": {"rules": [rule, always]}}), &[]);
    }
    check(&json!({"answer": {"rules": [pending("header")]}}), &[]);
}

#[test]
fn f1_a_final_postback_of_what_is_pending() {
    let detail = "the final postback waits until nothing is pending any more, so that this result hardly ever fits";
    let with = |delay: Value| json!({"conditions": {"result": ["pending"]}, "delay": delay});
    check(&with(json!({"mode": "final"})), &[("/conditions/result", detail)]);
    check(&with(json!({"mode": "final", "on_expiry": "send_current"})), &[]);
    check(&with(json!({"mode": "none"})), &[]);
}

#[test]
fn f1_f4_a_final_postback_of_new_ones_alone() {
    for (trigger, all) in [("transaction_created", "transaction_all"), ("conversion_created", "conversion_all")] {
        let older = format!(
            "the final postback has the newest state anyway; {trigger} leaves out what was created before this \
             rule was active, {all} does not"
        );
        check(&json!({"trigger": trigger, "delay": {"mode": "final"}}), &[("/delay/mode", &older)]);
        let none = format!(
            "there are none: only a change that fires the trigger is a correction, and {trigger} fires once; choose {all}"
        );
        let corrected = json!({"trigger": trigger, "delay": {"mode": "final", "corrections": true}});
        check(&corrected, &[("/delay/corrections", &none)]);
    }
}

#[test]
fn case_b3_json_in_a_form_without_escapes() {
    let fields = |value: &str, kind: &str| {
        let body = json!({"format": "form", "fields": [{"path": "data", "value": value, "type": kind}]});
        json!({"request": {"method": "POST", "body": body}})
    };
    let detail = "looks like JSON, and a value with a quote would step out of its string: {offer_name}; give the field the type json, \
                  or add the modifier json";
    let expected = [("/request/body/fields/0/value", detail)];
    check(&fields("{{\"name\":\"{offer_name}\"}}", "string"), &expected);
    check(&fields(" [\"{offer_name}\"]", "string"), &expected);
    check(&fields("{{\"name\":\"{offer_name}\"}}", "json"), &[]);
    check(&fields("{{\"name\":\"{offer_name|json}\"}}", "string"), &[]);
    check(&fields("{offer_name}: \"{offer_name}\"", "string"), &[]);
    let query = json!([{"name": "d", "value": "{{\"name\":\"{offer_name}\"}}"}]);
    let detail = "looks like JSON, and a value with a quote would step out of its string: {offer_name}; add the modifier json";
    check(&json!({"request": {"query": query}}), &[("/request/query/0/value", detail)]);
}

#[test]
fn case_b7_texts_that_look_like_macros() {
    let check_url = |part: &str, detail: &str| {
        let url = format!("https://a.example/?c={{click_id}}&s={part}");
        check(&json!({"request": {"url": url}}), &[("/request/url", detail)]);
    };
    check_url("{{sub1}}", "{{sub1}} is no macro and is sent unchanged: if a macro is meant, write {sub1}");
    check_url("{{sub}}", "{{sub}} is no macro and is sent unchanged: if a macro is meant, write {sub1}");
    check_url("%7Bclick_id%7D", "%7Bclick_id%7D is no macro and is sent unchanged: if a macro is meant, write {click_id}");
    check_url("%7bPayout%7d", "%7bPayout%7d is no macro and is sent unchanged: if a macro is meant, write {payout}");
    check_url("[click_id]", "[click_id] is no macro and is sent unchanged: if a macro is meant, write {click_id}");
    check_url("$uid$", "$uid$ is no macro and is sent unchanged: if a macro is meant, write {uuid}");
    let other = "if a macro is meant, write its name in single braces, such as {click_id}";
    check_url("$zone_name$", &format!("$zone_name$ is no macro and is sent unchanged: {other}"));
    check_url("1&amp;cid=2", "&amp; is HTML for &, and the name of the parameter behind it would begin with amp;: write & alone");
    check_url("1 ", "ends in a blank, which is sent too: leave it out");
}

#[test]
fn case_b7_texts_that_look_like_macros_to_nobody() {
    for text in ["a[0]", "item[id]", "$5.00$", "100%7B", "{{\"a\":1}}", "[click id]", "$a", "{click_id}[x]"] {
        check(&json!({"request": {"query": [{"name": "q", "value": text}]}}), &[]);
    }
    let query = json!([{"name": "q", "value": "x\t"}]);
    check(
        &json!({"request": {"query": query}}),
        &[("/request/query/0/value", "ends in a blank, which is sent too: leave it out")],
    );
    let body = json!({"format": "raw", "content_type": "text/plain", "text": "x \n"});
    check(&json!({"request": {"method": "POST", "body": body}}), &[]);
}

#[test]
fn braces_of_a_condition_that_enclose_no_macro() {
    let misspelled =
        "{exernal_id} is no macro and is taken literally: write {{ and }} for braces, if a macro is meant write {external_id}";
    let json_text = r#"{"a":1} is no macro and is taken literally: write {{ and }} for braces"#;
    let condition = |value: &str| json!({"source": "constant", "key": "{click_id}", "operator": "equals", "value": value});
    check(
        &json!({"answer": {"rules": [{"when": [{"any": [[condition("{exernal_id}")], [condition(r#"{"a":1}|{{x}}"#)]]}], "then": "failed"}]}}),
        &[("/answer/rules/0/when/0/any/0/0/value", misspelled), ("/answer/rules/0/when/0/any/1/0/value", json_text)],
    );
    let header = json!({"name": "a", "value": "b", "do_not_send": [condition("{exernal_id}")]});
    check(&json!({"request": {"headers": [header]}}), &[("/request/headers/0/do_not_send/0/value", misspelled)]);
}

#[test]
fn a_condition_on_a_variable_that_nothing_sets() {
    let on = |name: &str| json!([{"source": "variable", "key": name, "operator": "is_empty"}]);
    let query = |name: &str| json!([{"name": "a", "value": "b", "do_not_send": on(name)}]);
    check(
        &json!({"request": {"query": query("token")}}),
        &[("/request/query/0/do_not_send/0", "always empty, neither variables nor an answer rule sets it: {var.token}")],
    );
    let answer = json!({"rules": [{"when": on("token"), "then": "pending", "set": {"variables": {"token": "{body.t}"}}}]});
    check(&json!({"request": {"query": query("token")}, "answer": answer}), &[]);
}

#[test]
fn case_b3_json_without_escapes_in_every_place() {
    let warning = |names: &str, advice: &str| {
        format!("looks like JSON, and a value with a quote would step out of its string: {names}; {advice}")
    };
    let detail = warning("{offer_name}", "add the modifier json");
    for url in [
        r#"https://a.example/?c={click_id}&d={{"name":"{offer_name}"}}"#,
        "https://a.example/?c={click_id}&d=%7B%22n%22:%22{offer_name}%22%7D",
    ] {
        let found = warnings(&rule(&json!({"request": {"url": url}})));
        assert!(found.contains(&("/request/url".to_owned(), detail.clone())), "{url}: {found:?}");
    }
    let body = |content_type: &str, text: &str| {
        let body = json!({"format": "raw", "content_type": content_type, "text": text});
        json!({"request": {"method": "POST", "body": body}})
    };
    for (content_type, text) in [
        ("application/x-www-form-urlencoded", r#"a=1&d={{"name":"{offer_name}"}}"#),
        ("application/json", r#"{{"p":"{{\"n\":\"{offer_name}\"}}"}}"#),
        ("application/xml", r#"<p>{{"n":"{offer_name}"}}</p>"#),
    ] {
        check(&body(content_type, text), &[("/request/body/text", &detail)]);
        check(&body(content_type, &text.replace("offer_name", "offer_name|json")), &[]);
    }
    let field = json!({"format": "form", "fields": [{"path": "data", "value": "{var.j}"}]});
    let variables = json!({"j": r#"{{"n":"{offer_name}"}}"#});
    check(&json!({"variables": variables, "request": {"method": "POST", "body": field}}), &[("/variables/j", &detail)]);
    let query = json!([{"name": "d", "value": r#"{offer_name|prefix:\{"n":"|suffix:"\}}"#}]);
    check(&json!({"request": {"query": query}}), &[("/request/query/0/value", &detail)]);
}

#[test]
fn case_b7_lookalikes_of_other_systems() {
    let text = |written: &str| format!("{written} is no macro and is sent unchanged: if a macro is meant, write {{click_id}}");
    for written in [
        "{{ click_id }}",
        "%%click_id%%",
        "<click_id>",
        "[clickid]",
        "[CLICK_ID]",
        "%5Bclick_id%5D",
        "%5bclickid%5d",
        "%click_id%",
        "__click_id__",
        "__CLICKID__",
    ] {
        let query = json!([{"name": "q", "value": written}]);
        check(&json!({"request": {"query": query}}), &[("/request/query/0/value", &text(written))]);
    }
    let dollar = "the $ of ${click_id} is sent too: if a macro is meant, write {click_id}";
    check(&json!({"request": {"query": [{"name": "q", "value": "${click_id}"}]}}), &[("/request/query/0/value", dollar)]);
    let name = "{click_id} is sent unchanged: names hold no macros, only values do";
    check(&json!({"request": {"query": [{"name": "{click_id}", "value": "1"}]}}), &[("/request/query/0/name", name)]);
    for silent in [
        "${payout}",
        "{{{click_id}}}",
        "%%abc%%",
        "100%ab%20%cd%",
        "__typename__",
        "%5Bid%5D",
        "a__b__c",
        "<a>{click_id}</a>",
        "<click_id>{click_id}</click_id>",
        "{{ \"a\": 1 }}",
    ] {
        check(&json!({"request": {"query": [{"name": "q", "value": silent}]}}), &[]);
    }
}

#[test]
fn case_b7_lookalikes_outside_of_the_request() {
    let warning =
        |written: &str, name: &str| format!("{written} is no macro and is sent unchanged: if a macro is meant, write {{{name}}}");
    let url = "https://a.example/?c={affiliate_click_id}&v={var.v}";
    for (written, name) in [("{{payout}}", "payout"), ("[click_id]", "click_id")] {
        let members = json!({"variables": {"v": written}, "request": {"url": url}});
        check(&members, &[("/variables/v", &warning(written, name))]);
    }
    let signing = json!({"secret": "key", "header": "X-Sig", "prefix": "t={{timestamp}},v1=", "signed": "{{timestamp}}.{body}"});
    let detail = warning("{{timestamp}}", "timestamp");
    check(&json!({"signing": signing}), &[("/signing/prefix", &detail), ("/signing/signed", &detail)]);
    let set = json!([{"when": [{"operator": "always"}], "then": "delivered", "set": {"external_id": "{{body.id}}"}}]);
    check(&json!({"answer": {"rules": set}}), &[("/answer/rules/0/set/external_id", &warning("{{body.id}}", "body.id"))]);
}

#[test]
fn case_b10_cents_of_an_unknown_currency() {
    let url = "https://a.example/?c={affiliate_click_id}&v={var.v|cents}";
    let with = |variable: &str| json!({"variables": {"v": variable}, "request": {"url": url}});
    let detail = "cents takes hundredths where it does not know the currency, also of JPY and KWD: {var.v}; write it right behind \
                  {value}, {payout} or {revenue}";
    check(&with("{value}"), &[]);
    check(&with("{payout|times:1.21|number:2}"), &[]);
    check(&with("{query.total}"), &[("/request/url", detail)]);
    check(&with("-{value}"), &[("/request/url", detail)]);
}

#[test]
fn case_b1_a_macro_in_the_argument_of_a_modifier() {
    let advice = "the argument of suffix holds no macros: join the values in a variable, such as \"variables\": {\"joined\": \
                  \"{click_id}{transaction_id}\"}, and write {var.joined|md5}";
    let url = "https://a.example/?c={click_id|suffix:{transaction_id}|md5}";
    let faults =
        RuleDefinition::parse(&rule(&json!({"request": {"url": url}})), &Owner::Admin, &Settings::default()).unwrap_err();
    let place = "character 32: ";
    assert_eq!(faults, Faults::one("/request/url", format!("{place}{advice}")));
    let url = "https://a.example/?c={transaction_id|suffix:\\{transaction_id\\}|md5}";
    let detail = format!("{{transaction_id}} is text here and not the macro: {advice}");
    check(&json!({"request": {"url": url}}), &[("/request/url", &detail)]);
}
