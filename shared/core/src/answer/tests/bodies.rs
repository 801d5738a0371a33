//! Bodies of other kinds than JSON, and the fields that are found in them (A2).

use super::*;
use crate::json;

/// Returns true if a condition holds for a body.
fn holds(body: &str, condition: &Value) -> bool {
    let document = json!({"rules": [{"when": [condition], "then": "delivered"}], "otherwise": "failed"});
    judge(&document, &answer(200, body)).verdict == Verdict::Delivered
}

#[track_caller]
fn check_field(body: &str, path: &str, expected: Option<&str>) {
    assert_eq!(answer(200, body).field(&path.parse().unwrap()).as_deref(), expected, "{path} of {body}");
}

#[test]
fn case_a1_a_condition_on_the_body_without_a_key_reads_all_of_it() {
    let is = |value: &str| json!({"source": "body", "key": "", "operator": "equals", "value": value});
    assert!(holds("OK", &is("OK")));
    assert!(holds("DUP\r\n", &is("OK|DUP")));
    assert!(!holds("ERROR: bad signature", &is("OK|DUP")));
    let without_key = json!({"source": "body", "operator": "string_starts_with", "value": "ERROR:"});
    assert!(holds("ERROR: bad signature", &without_key));
    assert!(holds("\u{feff}ERROR: bad signature", &without_key), "behind a byte order mark");
    let matching = json!({"source": "body", "operator": "matches", "value": "^\\{\"ok\": *true"});
    assert!(holds("{\"ok\": true}", &matching), "JSON as it was written");
    assert!(holds("", &json!({"source": "body", "operator": "is_empty"})));
}

#[test]
fn case_a1_a_text_is_a_form_only_by_its_type_or_by_its_look() {
    check_field("OK", "OK", None);
    check_field("ERROR: bad signature", "ERROR: bad signature", None);
    check_field("status=ok", "status", Some("ok"));
    check_field("ok&id=5", "ok", Some(""));
    check_field("PHP Warning: connect() = false", "PHP Warning: connect() ", None);
    check_field("<div class=\"e\">Error</div>{}", "<div class", None);
    let typed = |body: &str| {
        let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded; charset=UTF-8".to_owned())];
        Response::new(200, headers, body.as_bytes().to_vec())
    };
    assert_eq!(typed("OK").field(&"OK".parse().unwrap()).as_deref(), Some(""));
    assert_eq!(typed("lead id=7").field(&"lead id".parse().unwrap()).as_deref(), Some("7"));
}

#[test]
fn case_a1_set_reads_the_whole_body() {
    let external_id = |body: &str| {
        let set = json!({"external_id": "{body|regex:/^OK ([A-Z0-9-]+)$/$1/}"});
        let document = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
        judge(&document, &answer(200, body)).extracted.external_id
    };
    assert_eq!(external_id("OK X-77").as_deref(), Some("X-77"));
    assert_eq!(external_id("OK X-78\n").as_deref(), Some("X-78"));
    assert_eq!(external_id("DUP").as_deref(), Some("DUP"), "an expression that is not found changes nothing");
}

#[test]
fn case_a2_fields_of_xml_are_found_by_their_paths() {
    let body = "<PostResponse><isValidPost>true</isValidPost><Price>12.40</Price></PostResponse>";
    check_field(body, "PostResponse.Price", Some("12.40"));
    check_field(body, "PostResponse.isValidPost", Some("true"));
    check_field(body, "Price", None);
    let soap = "<?xml version=\"1.0\"?>\n<!-- ours -->\n<s:Envelope xmlns:s=\"urn:s\"><s:Body><ns1:lead xsi:type=\"sale\" id='7&amp;8'>\
                <status>\n  approved\n</status><note><![CDATA[a < b]]> &amp; &#99;</note></ns1:lead></s:Body></s:Envelope>\n";
    check_field(soap, "Envelope.Body.lead.status", Some("approved"));
    check_field(soap, "Envelope.Body.lead.@id", Some("7&8"));
    check_field(soap, "Envelope.Body.lead.@type", Some("sale"));
    check_field(soap, "Envelope.Body.lead.note", Some("a < b & c"));
    let leads = "<leads><lead id=\"X-12\"><s>new</s></lead><lead id=\"X-77\"><s>approved</s></lead><empty/></leads>";
    check_field(leads, "leads.lead.s", Some("new"));
    check_field(leads, "leads.lead[1].s", Some("approved"));
    check_field(leads, "leads.lead[1].@id", Some("X-77"));
    check_field(leads, "leads.lead[2].s", None);
    check_field(leads, "leads.lead[@id=X-77].s", Some("approved"));
    check_field(leads, "leads.lead[s=new].@id", Some("X-12"));
    check_field(leads, "leads.empty", Some(""));
    check_field(leads, "leads", Some("new approved"));
}

#[test]
fn case_a2_xml_that_is_broken_or_large_has_no_fields() {
    let late = "<a><!DOCTYPE a></a>";
    let deep = |depth: usize| format!("{}x{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let wide = format!("<a{}/>", " b=\"\"".repeat(200_001));
    for body in [
        late,
        "<a/><!DOCTYPE a>",
        "<!DOCTYPE a><a>&b;",
        "<!DOCTYPE a",
        "<!DOCTYPE a>",
        "<a>",
        "<a></b>",
        "</a>",
        "<a/><b/>",
        "<a/>text",
        "<a",
        &deep(64),
        &wide,
    ] {
        let answer = answer(200, body);
        assert!(matches!(answer.read(), Body::Text), "{}", &body[..body.len().min(80)]);
        assert_eq!(answer.field(&"a".parse().unwrap()), None);
    }
    check_field(&deep(63), &vec!["a"; 63].join("."), Some("x"));
}

#[test]
fn case_a2_a_document_type_is_passed_over() {
    check_field("<!DOCTYPE a><a><b>x</b></a>", "a.b", Some("x"));
    let lead = "<?xml version=\"1.0\"?>\n<!DOCTYPE response SYSTEM \"http://production.leadconduit.com/ap/dtd/response.dtd\">\n\
                <response><result>success</result><reason/></response>";
    check_field(lead, "response.result", Some("success"));
    check_field("<!DOCTYPE a [<!ELEMENT a (#PCDATA)><!-- > --> ]><a>x &amp; &#121;</a>", "a", Some("x & y"));
    let html = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\"><html/>";
    check_field(html, "html", Some(""));
}

#[test]
fn case_a2_xml_with_entities_of_its_own_is_reported_as_unreadable() {
    let why = "the body is XML with entities of its own, which are not read";
    let laughs = "<!DOCTYPE r [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;\">]><r><status>&b;</status></r>";
    for body in [
        laughs,
        "<!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r><status>&x;</status></r>",
        "<!DOCTYPE r [<!ENTITY % p SYSTEM \"http://evil.example/p.dtd\"> %p;]><r><status>pending</status></r>",
        "<!DOCTYPE r [<!ENTITY x \"pending\">]><r><status>pending</status></r>",
        "<!DOCTYPE r SYSTEM \"http://evil.example/r.dtd\"><r><status>&pending;</status></r>",
        "<r><status>&nbsp;pending</status></r>",
        "<r id=\"&x;\"><status>pending</status></r>",
    ] {
        check_field(body, "r.status", None);
        let when = json!({"source": "body", "key": "r.status", "operator": "equals", "value": "pending"});
        let polls = json!({"rules": [{"when": [when], "then": "pending"}]});
        let Judgement { verdict, reason, notes, .. } = judge(&polls, &answer(200, body));
        assert_eq!((verdict, reason.as_deref()), (Verdict::Retry, Some(why)), "{body}");
        assert_eq!(notes, [format!("{why}; 1 condition found nothing")]);
        let sets = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"external_id": "{body.r.status}"}}]});
        let Judgement { extracted, notes, .. } = judge(&sets, &answer(200, body));
        assert_eq!((extracted.external_id, notes), (None, vec![format!("{why}; set found nothing")]), "{body}");
        let by_text =
            json!({"rules": [{"when": [{"source": "body", "operator": "string_contains", "value": "<r"}], "then": "failed"}]});
        assert_eq!(judge(&by_text, &answer(200, body)), Judgement { rule: Some(0), ..Judgement::of(Verdict::Failed) });
    }
}

#[test]
fn case_a2_an_element_with_very_many_attributes_is_read_in_linear_time() {
    let many = (0..60_000).map(|n| format!(" a{n}=\"{n}\"")).collect::<Vec<_>>().concat();
    check_field(&format!("<a{many}/>"), "a.@a59999", Some("59999"));
}

#[test]
fn case_a3_a_path_into_a_body_may_begin_with_a_position() {
    check_field("[{\"status\":\"approved\"}]", "[0].status", Some("approved"));
    check_field("[[1,2],[3]]", "[0][1]", Some("2"));
    check_field("[\"ok\",\"X-77\"]", "[1]", Some("X-77"));
    check_field("[{\"status\":\"approved\"}]", "[1].status", None);
    let condition = json!({"source": "body", "key": "[0].status", "operator": "equals", "value": "approved"});
    assert!(holds("[{\"status\":\"approved\"}]", &condition));
    let set = json!({"external_id": "{body.[1].id}"});
    let document = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    assert_eq!(judge(&document, &answer(200, "[{},{\"id\":\"L-9\"}]")).extracted.external_id.as_deref(), Some("L-9"));
}

proptest! {
    #[test]
    fn case_a2_any_xml_like_body_is_read(parts in prop::collection::vec(prop::sample::select(vec![
        "<a>", "</a>", "<b c='1'/>", "<b", "&amp;", "&#0;", "&x;", "<![CDATA[", "]]>", "<?p?>", "<!--", "-->", "t", "<", ">", "\"", "é", "<!DOCTYPE a>", "<!DOCTYPE a [", "<!ENTITY b 'c'>", "]>",
    ]), 0..20)) {
        let body = parts.concat();
        answer(200, &body).field(&"a.b.@c".parse().unwrap());
    }
}

/// The verdict on a body that was cut at the limit for reading, with its reason and its notes.
fn judge_cut(document: &Value, status: u16) -> (Verdict, Option<String>, Vec<String>) {
    let Judgement { verdict, reason, notes, .. } = judge(document, &answer(status, "{\"status\":\"pending\"").cut(Cut::TooLong));
    (verdict, reason, notes)
}

#[test]
fn case_a5_a_body_of_120_kib_is_judged_whole() {
    let body = json!({"filler": "x".repeat(120 * 1024), "status": "pending"}).to_string();
    let when = json!({"source": "body", "key": "status", "operator": "equals", "value": "pending"});
    let document = json!({"rules": [{"when": [when], "then": "pending"}]});
    assert_eq!(judge(&document, &answer(200, &body)).verdict, Verdict::Pending);
}

#[test]
fn case_a5_an_expression_reads_a_long_body_to_its_end() {
    let body = format!("{} PENDING", "x".repeat(120 * 1024));
    let when = json!({"source": "body", "operator": "matches", "value": "PENDING$"});
    let document = json!({"rules": [{"when": [when], "then": "pending"}]});
    assert_eq!(judge(&document, &answer(200, &body)).verdict, Verdict::Pending);
    let most = format!("{} PENDING", "x".repeat((1 << 20) - 8));
    assert_eq!(judge(&document, &answer(200, &most)).verdict, Verdict::Pending);
}

#[test]
fn case_a5_a_body_that_is_cut_is_never_judged_as_if_whole() {
    let why = "response longer than 1 MiB".to_owned();
    let too_long = (Verdict::Retry, Some(why.clone()), vec![why]);
    let status = json!({"source": "http_code", "operator": "equals", "value": "404"});
    for condition in [
        json!({"source": "body", "key": "status", "operator": "equals", "value": "pending"}),
        json!({"source": "body", "operator": "string_contains", "value": "pending"}),
        json!({"source": "header", "key": "x-state", "operator": "equals", "value": "{body.state}"}),
    ] {
        let document = json!({"rules": [{"when": [status, condition], "then": "delivered"}], "otherwise": "failed"});
        assert_eq!(judge_cut(&document, 200), too_long);
    }
    for set in [json!({"payout": "{body.payout}"}), json!({"variables": {"all": "{body}"}})] {
        let document = json!({"rules": [{"when": [status], "then": "delivered", "set": set}]});
        assert_eq!(judge_cut(&document, 200), too_long);
    }
}

#[test]
fn case_a5_the_status_decides_where_nothing_looks_at_the_body() {
    let note = vec!["response longer than 1 MiB: the rest was not read".to_owned()];
    assert_eq!(judge_cut(&json!({}), 200), (Verdict::Delivered, None, note.clone()));
    assert_eq!(judge_cut(&json!({}), 503), (Verdict::Retry, None, note.clone()));
    let status = json!({"source": "http_code", "operator": "equals", "value": "404"});
    let document = json!({"rules": [{"when": [status], "then": "delivered", "set": {"external_id": "{header.x-state}"}}]});
    assert_eq!(judge_cut(&document, 404), (Verdict::Delivered, None, note));
}

#[test]
fn case_a13_a_response_that_broke_off_is_judged_by_its_status_unless_something_looks_at_the_body() {
    let broken = |document: &Value, status: u16| {
        let broken = answer(status, "{\"status\":\"appro").cut(Cut::BrokeOff);
        let Judgement { verdict, reason, notes, .. } = judge(document, &broken);
        (verdict, reason, notes)
    };
    let note = vec!["response broke off: the rest was not read".to_owned()];
    assert_eq!(broken(&json!({}), 200), (Verdict::Delivered, None, note.clone()));
    assert_eq!(broken(&json!({}), 404), (Verdict::Failed, None, note));
    let why = "response broke off".to_owned();
    assert_eq!(broken(&polling("pending"), 200), (Verdict::Retry, Some(why.clone()), vec![why]));
}

#[test]
fn case_a13_a_response_with_an_unknown_end_is_judged_by_its_status_and_headers_alone() {
    let endless = |document: &Value, status: u16| {
        let Judgement { verdict, reason, .. } = judge(document, &answer(status, "").cut(Cut::BadLength));
        (verdict, reason)
    };
    let when = json!([{"source": "http_code", "operator": "equals", "value": "202"}]);
    let by_status = json!({"rules": [{"when": when, "then": "pending"}], "otherwise": "failed"});
    assert_eq!(endless(&json!({}), 200), (Verdict::Delivered, None));
    assert_eq!(endless(&by_status, 202), (Verdict::Pending, None));
    assert_eq!(endless(&by_status, 200), (Verdict::Failed, None));
    let why = "response with an invalid Content-Length".to_owned();
    assert_eq!(endless(&polling("pending"), 200), (Verdict::Retry, Some(why)));
}

/// A rule that asks again as long as a field of the body says so.
fn polling(then: &str) -> Value {
    json!({"rules": [
        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": then},
        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "rejected"}], "then": "failed"},
    ]})
}

#[test]
fn case_a7_a_rule_that_polls_is_not_ended_by_a_body_that_can_not_be_read() {
    let text = "the body is neither JSON, XML nor a form";
    let scalar = "the body is JSON, but neither an object nor a list";
    let xml = "the body is XML with the root element html, which no condition names";
    for (body, why) in [
        ("<div>A PHP Error was encountered</div>{\"status\":\"pending\"}", text),
        ("<div class=\"e\">A PHP Error</div>\n{\"status\":\"pending\"}", text),
        ("<!DOCTYPE html><html><body>502</body></html>", xml),
        ("<!DOCTYPE html><html><body>502<br></body></html>", text),
        ("<html><body>Busy</body></html>", xml),
        ("{\"status\":\"pen", text),
        ("\"{\\\"status\\\":\\\"pending\\\"}\"", scalar),
        ("{\"a\":1}\noops", text),
        ("\u{fffd}\u{0}", text),
        ("OK", text),
    ] {
        let Judgement { verdict, reason, notes, .. } = judge(&polling("pending"), &answer(200, body));
        assert_eq!((verdict, reason.as_deref()), (Verdict::Retry, Some(why)), "{body}");
        assert_eq!(notes, [format!("{why}; 2 conditions found nothing")]);
        assert_eq!(judge(&polling("pending"), &answer(404, body)).verdict, Verdict::Failed, "the status ends it");
        let mut otherwise = polling("pending");
        otherwise["otherwise"] = json!("delivered");
        assert_eq!(judge(&otherwise, &answer(200, body)).verdict, Verdict::Delivered, "as its author wrote");
        for then in ["failed", "retry"] {
            let Judgement { verdict, notes, .. } = judge(&polling(then), &answer(200, body));
            assert_eq!((verdict, notes.len()), (Verdict::Delivered, 1), "no rule asks again: the status decides, with a note");
        }
    }
}

#[test]
fn case_a7_a_body_that_can_be_read_leaves_no_note() {
    let xml =
        json!({"rules": [{"when": [{"source": "body", "key": "r.{external_id}", "operator": "is_true"}], "then": "retry"}]});
    assert_eq!(judge(&xml, &answer(200, "<r/>")), Judgement::of(Verdict::Delivered));
    for body in ["{\"other\":1}", "{\"status\":null}", "other=1"] {
        assert_eq!(judge(&polling("pending"), &answer(200, body)), Judgement::of(Verdict::Delivered), "{body}");
    }
    let whole = json!({"rules": [{"when": [{"source": "body", "operator": "equals", "value": "WAIT"}], "then": "pending"}]});
    assert_eq!(judge(&whole, &answer(200, "OK")), Judgement::of(Verdict::Delivered));
}

#[test]
fn case_a7_an_empty_body_does_not_end_a_rule_that_polls() {
    for body in ["", "\n\n", " "] {
        let Judgement { verdict, reason, .. } = judge(&polling("pending"), &answer(200, body));
        assert_eq!((verdict, reason.as_deref()), (Verdict::Retry, Some("the body is empty")), "{body:?}");
    }
    let rule = |source: &str, operator: &str, value: &str, then: &str| {
        let mut when = json!({"source": source, "operator": operator, "value": value});
        if source == "body" {
            when["key"] = "status".into();
        }
        json!({"when": [when], "then": then})
    };
    let pending = rule("body", "equals", "pending", "pending");
    let done = json!({"rules": [pending, rule("http_code", "equals", "204", "delivered")]});
    assert_eq!(judge(&done, &answer(204, "")).verdict, Verdict::Delivered, "its status says so");
    let always = json!({"rules": [pending, {"when": [{"operator": "always"}], "then": "delivered"}]});
    assert_eq!(judge(&always, &answer(200, "")).verdict, Verdict::Delivered, "as its author wrote");
}

#[test]
fn case_a7_a_rule_that_polls_does_not_deliver_for_want_of_fields() {
    let rule = |when: Value, then: &str| json!({"when": [when], "then": then});
    let pending = rule(json!({"source": "body", "key": "status", "operator": "equals", "value": "pending"}), "pending");
    let html = "<div>A PHP Error</div> {";
    for delivered in [
        json!({"source": "body", "key": "status", "operator": "not_equals", "value": "pending"}),
        json!({"source": "body", "key": "error", "operator": "is_empty"}),
        json!({"source": "http_code", "operator": "equals", "value": "200"}),
    ] {
        let answers = json!({"rules": [pending, rule(delivered.clone(), "delivered")]});
        for (status, body) in [(200, html), (502, html), (200, "OK")] {
            let judged = judge(&answers, &answer(status, body));
            let kept = delivered["source"] == "http_code" && status == 502;
            let expected = if kept { None } else { Some("the body is neither JSON, XML nor a form") };
            assert_eq!((judged.verdict, judged.reason.as_deref()), (Verdict::Retry, expected), "{delivered} {status} {body}");
        }
        let read = judge(&answers, &answer(200, "{\"status\":\"approved\"}"));
        assert_eq!(read.verdict, Verdict::Delivered, "{delivered}");
    }
    let text = rule(json!({"source": "body", "operator": "equals", "value": "OK"}), "delivered");
    assert_eq!(judge(&json!({"rules": [pending, text]}), &answer(200, "OK")).verdict, Verdict::Delivered, "it read the text");
}

#[test]
fn case_a7_what_no_rule_names_asks_again_so_an_unreadable_body_ends_nothing() {
    let field = |operator: &str, value: &str, then: &str| json!({"when": [{"source": "body", "key": "status", "operator": operator, "value": value}], "then": then});
    let empty = json!({"when": [{"source": "body", "key": "error", "operator": "is_empty"}], "then": "delivered"});
    let pending = field("equals", "pending", "pending");
    for (rules, otherwise) in [
        (vec![empty], Some("pending")),
        (vec![field("not_equals", "pending", "delivered")], Some("pending")),
        (vec![field("not_equals", "pending", "delivered")], Some("retry")),
        (vec![pending.clone(), field("not_equals", "approved", "failed")], None),
        (vec![field("string_not_contains", "appr", "failed")], Some("retry")),
    ] {
        let mut answers = json!({"rules": rules});
        if let Some(otherwise) = otherwise {
            answers["otherwise"] = otherwise.into();
        }
        for (status, body, why) in [
            (200, "<div>A PHP Error was encountered</div>{\"status\":\"pending\"}", "the body is neither JSON, XML nor a form"),
            (503, "<div>Busy", "the body is neither JSON, XML nor a form"),
            (200, "", "the body is empty"),
        ] {
            let judged = judge(&answers, &answer(status, body));
            assert_eq!((judged.verdict, judged.reason.as_deref()), (Verdict::Retry, Some(why)), "{answers} {status} {body}");
        }
        let read = judge(&answers, &answer(200, "{\"status\":\"approved\",\"error\":\"\"}"));
        let expected = if answers["rules"][0]["then"] == "failed" { Verdict::Retry } else { Verdict::Delivered };
        assert_eq!(read.verdict, expected, "{answers}");
    }
    let gone = json!({"rules": [pending, field("not_equals", "approved", "failed")]});
    assert_eq!(judge(&gone, &answer(404, "gone")).verdict, Verdict::Failed, "the status says the same");
}

#[test]
fn case_a7_json_of_another_shape_than_the_paths_need_ends_no_rule_that_polls() {
    let polls = |source: &str, key: &str| json!({"rules": [{"when": [{"source": source, "key": key, "operator": "equals", "value": "pending"}], "then": "pending"}]});
    for (key, body, why) in [
        ("d.status", r#"{"d":"{\"status\":\"pending\"}"}"#, "d is a text, not an object"),
        ("[0].status", r#"["{\"status\":\"pending\"}"]"#, "[0] is a text, not an object"),
        ("[0].status", r#"{"error":"rate limited"}"#, "the body is an object, not a list"),
        (
            "[id={external_id}].status",
            "{\"id\":\"X-12\",\"status\":\"new\"}\n{\"id\":\"X-77\",\"status\":\"pending\"}",
            "the body is an object, not a list",
        ),
        ("status", r#"[{"status":"pending"}]"#, "the body is a list, not an object"),
        ("a.b[1].c", r#"{"a":{"b":7}}"#, "a.b is a single value, not a list"),
    ] {
        let judged = judge(&polls("body", key), &answer(200, body));
        assert_eq!((judged.verdict, judged.reason.as_deref()), (Verdict::Retry, Some(why)), "{key} {body}");
        assert_eq!(judged.notes, [format!("{why}; 1 condition found nothing")]);
    }
    for (key, body) in [
        ("d.status", r#"{"d":null}"#),
        ("d.status", "{}"),
        ("[0].status", "[]"),
        ("[id=1].status", "[]"),
        ("d.status", r#"{"d":{}}"#),
    ] {
        assert_eq!(judge(&polls("body", key), &answer(200, body)), Judgement::of(Verdict::Delivered), "{key} {body}");
    }
    let judged = judge(&polls("macro", "body.status"), &answer(200, "<div>A PHP Error"));
    assert_eq!((judged.verdict, judged.notes.len()), (Verdict::Retry, 1), "a macro reads the same field");
}

#[test]
fn case_a7_of_several_lines_of_json_the_first_is_read() {
    check_field("{\"status\":\"pending\"}\n{\"status\":\"approved\"}\n", "status", Some("pending"));
    check_field("[1]\r\n\r\n{\"a\":2}\r\n", "[0]", Some("1"));
    check_field("{\"status\":\"pending\"}\nPHP Warning: x", "status", None);
    check_field("1\n{\"a\":2}", "a", None);
}
