use crate::{json, json::Value};

use super::{check_faults, request, sent};

fn post(body: &Value) -> Value {
    json!({"method": "POST", "url": "https://a.example/", "body": body})
}

fn fields(format: &str, fields: &[(&str, &str, &str)]) -> Value {
    let fields = fields.iter().map(|(path, value, kind)| json!({"path": path, "value": value, "type": kind}));
    post(&json!({"format": format, "fields": fields.collect::<Vec<_>>()}))
}

/// Checks the content type and the body of a rendered request.
#[track_caller]
fn check(document: &Value, click_id: &str, content_type: &str, body: &str) {
    let text = sent(document, click_id).unwrap();
    let (head, sent_body) = text.split_once("\n\n").unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix("Content-Type: "));
    assert_eq!((line, sent_body), (Some(content_type), body), "{document}");
    assert_eq!(request(document).document()["body"], document["body"]);
}

#[test]
fn case_a3_the_paths_of_a_json_body_may_begin_with_a_position() {
    let list = [("[1].id", "b", "string"), ("[0].id", "{click_id}", "string"), ("[0].n[0]", "2", "number")];
    check(&fields("json", &list), "c", "application/json", r#"[{"id":"c","n":[2]},{"id":"b"}]"#);
    let nested = [("[0][0]", "{click_id}", "string"), ("[0][1]", "true", "boolean")];
    check(&fields("json", &nested), "c", "application/json", r#"[["c",true]]"#);
    check(&fields("json", &[("[0]", "{click_id|omit_if_empty}", "string")]), "", "application/json", "[]");
    let detail = "a selector finds a field, it can't place one: write a position";
    let pointer = "/request/body/fields/0/path";
    check_faults(&fields("json", &[("a[id=1].b", "", "string")]), &[(pointer, &format!("a[id=1].b: {detail}"))]);
    check_faults(&fields("json", &[("[id=1]", "", "string")]), &[(pointer, &format!("[id=1]: {detail}"))]);
    let mixed = "[0]: one field makes a list of what another makes an object, choose one of them";
    check_faults(&fields("json", &[("a", "", "string"), ("[0]", "", "string")]), &[("/request/body/fields/1/path", mixed)]);
}

#[test]
fn q1_json_fields_make_one_document_whatever_their_order() {
    let document = fields(
        "json",
        &[
            ("lead.items[1].id", "b", "string"),
            ("who", "{affiliate_id} \"x\"", "string"),
            ("lead.items[0].id", "{click_id}", "string"),
            ("lead.sum", "{payout}", "number"),
            ("lead.items[1].n", "2", "number"),
            ("list[0][0]", "x", "string"),
        ],
    );
    let expected = r#"{"lead":{"items":[{"id":"a\"b"},{"id":"b","n":2}],"sum":5.00},"who":"aff_7 \"x\"","list":[["x"]]}"#;
    check(&document, "a\"b", "application/json", expected);
}

#[test]
fn q1_a_json_field_has_a_type_and_what_does_not_fit_is_null() {
    let typed = |kind: &str, value: &str, expected: &str| {
        check(&fields("json", &[("v", "{click_id}", kind)]), value, "application/json", &format!("{{\"v\":{expected}}}"));
    };
    for (value, expected) in [
        ("1.50", "1.50"),
        ("-0", "-0"),
        ("1e400", "1e400"),
        ("", "null"),
        ("x", "null"),
        ("05", "null"),
        ("1,2", "null"),
        ("true", "null"),
        ("1\u{a0}", "null"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
    ] {
        typed("number", value, expected);
    }
    for (value, expected) in [("true", "true"), ("1", "true"), ("false", "false"), ("0", "false"), ("", "null"), ("yes", "null")]
    {
        typed("boolean", value, expected);
    }
    for (value, expected) in
        [("{\"a\":[1]}", "{\"a\":[1]}"), ("", "null"), ("1}", "null"), ("1,\"x\":2", "null"), ("\"t\"", "\"t\"")]
    {
        typed("json", value, expected);
    }
    let built = fields("json", &[("v", r#"[{{"id": "{click_id}"}}]"#, "json")]);
    check(&built, "\"}", "application/json", r#"{"v":[{"id": "\"}"}]}"#);
}

#[test]
fn q1_dropped_fields_leave_no_trace() {
    let omit = "{voucher|omit_if_empty}";
    let document =
        fields("json", &[("a", omit, "string"), ("b[0]", omit, "number"), ("b[1]", "x", "string"), ("c.d", omit, "json")]);
    check(&document, "", "application/json", r#"{"b":["x"]}"#);
    check(&fields("json", &[("a.b", omit, "string")]), "", "application/json", "{}");
    check(&fields("json", &[]), "", "application/json", "{}");
    let document = fields("form", &[("a", omit, "string"), ("b", "1", "string"), ("c", omit, "string")]);
    check(&document, "", "application/x-www-form-urlencoded", "b=1");
}

#[test]
fn q1_fields_that_exclude_each_other_are_refused() {
    let at = |n: usize| format!("/request/body/fields/{n}/path");
    let refused = |paths: &[&str], pointer: &str, detail: &str| {
        let all: Vec<_> = paths.iter().map(|path| (*path, "", "string")).collect();
        check_faults(&fields("json", &all), &[(pointer, detail)]);
    };
    refused(&["a", "a.b"], &at(1), "a.b: another field gives a value to what this one groups, choose one of them");
    refused(&["a.b", "a"], &at(1), "a: it groups other fields, so it can't have a value of its own");
    refused(&["a[0]", "a.b"], &at(1), "a.b: one field makes a list of what another makes an object, choose one of them");
    refused(&["a.b", "a[0]"], &at(1), "a[0]: one field makes a list of what another makes an object, choose one of them");
    refused(&["a.b", "a.b"], &at(1), "a.b: the same path occurs twice, keep one of them");
    refused(&["a[1]"], "/request/body/fields", "a list has a gap: its positions count from 0 without one missing");
    let path = "not a path: write keys joined by dots and positions in brackets, such as lead.items[0].id (positions 0 to 999)";
    refused(&["a..b"], &at(0), path);
}

#[test]
fn q1_form_fields_go_by_their_paths_as_written() {
    let document = fields("form", &[("a.b[0].c", "{click_id}", "string"), ("items[]", "é", "string"), ("items[]", "", "number")]);
    check(&document, "x&y=z", "application/x-www-form-urlencoded", "a.b%5B0%5D.c=x%26y%3Dz&items%5B%5D=%C3%A9&items%5B%5D=");
}

#[test]
fn q1_multipart_forms() {
    let omit = "{voucher|omit_if_empty}";
    let document = fields("multipart", &[("a.b", "{click_id}", "string"), ("v", omit, "string"), ("q\"\r\n", "2", "string")]);
    let text = sent(&document, "x\n--").unwrap();
    let boundary = text.split("boundary=").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(boundary.len(), 33);
    let parts =
        ["Content-Disposition: form-data; name=\"a.b\"\n\nx\n--\n", "Content-Disposition: form-data; name=\"q%22%0D%0A\"\n\n2\n"];
    let expected = format!("--{boundary}\n{}--{boundary}\n{}--{boundary}--\n", parts[0], parts[1]);
    assert_eq!(text.split_once("\n\n").unwrap().1, expected);
    assert!(!sent(&document, boundary).unwrap().contains(&format!("boundary={boundary}\n")), "a value took the boundary");
}

#[test]
fn q1_raw_texts_are_escaped_by_their_content_type() {
    let raw = |content_type: &str, text: &str| post(&json!({"format": "raw", "content_type": content_type, "text": text}));
    let json = "application/json; charset=utf-8";
    check(&raw(json, r#"{{"a":"{click_id}"}}"#), "\"", json, r#"{"a":"\""}"#);
    check(&raw("Application/Vnd.x+JSON", "\"{click_id}\""), "\n", "Application/Vnd.x+JSON", "\"\\n\"");
    check(&raw("text/xml", "<a>{click_id}</a>"), "<&", "text/xml", "<a>&lt;&amp;</a>");
    check(&raw("application/x-www-form-urlencoded", "a={click_id}&b"), "&", "application/x-www-form-urlencoded", "a=%26&b");
    check(&raw("text/plain", "{click_id}"), "<&\"\r\n", "text/plain", "<&\"\n");
}

#[test]
fn q1_formats_take_their_own_keys_only() {
    let at = "/request/body";
    let missing = "missing: write a text, which may hold macros such as {transaction_id}";
    check_faults(&post(&json!({})), &[("/request/body/format", "missing: choose none, json, form, multipart or raw")]);
    check_faults(&post(&json!("x")), &[(at, "a text is not an object: write {…} with format, fields, content_type, text")]);
    check_faults(
        &post(&json!({"format": "raw"})),
        &[("/request/body/content_type", "missing: write a name"), ("/request/body/text", missing)],
    );
    let text = "{voucher|omit_if_empty}";
    check_faults(
        &post(&json!({"format": "raw", "content_type": "text/plain\n", "text": text})),
        &[
            ("/request/body/content_type", "not a content type: write one such as application/json; charset=utf-8"),
            ("/request/body/text", "omit_if_empty drops a query entry, a header or a body field: in a raw text there is none"),
        ],
    );
    let none = "\"fields\" has no place here: it belongs to the formats json, form and multipart";
    check_faults(&post(&json!({"format": "none", "fields": []})), &[("/request/body/fields", none)]);
    let get = json!({"url": "https://a.example/", "body": {"format": "json"}});
    let has_body = "a GET has no body: choose the format none, or the method POST, PUT, PATCH or DELETE";
    check_faults(&get, &[(at, has_body)]);
}

#[test]
fn q1_a_content_type_of_the_rule_wins_except_for_multipart() {
    let mut document = fields("json", &[("a", "1", "string")]);
    document["headers"] = json!([{"name": "content-type", "value": "application/vnd.x+json"}]);
    let types = |text: &str| {
        text.lines().filter(|line| line.to_lowercase().starts_with("content-type")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(types(&sent(&document, "").unwrap()), ["content-type: application/vnd.x+json"]);
    document["body"]["format"] = json!("multipart");
    let sent = types(&sent(&document, "").unwrap());
    assert!(sent.len() == 1 && sent[0].starts_with("Content-Type: multipart/form-data; boundary=tracking-"), "{sent:?}");
}

#[test]
fn q1_two_hundred_fields_are_allowed() {
    let many = |n: usize| post(&json!({"format": "form", "fields": vec![json!({"path": "a", "value": ""}); n]}));
    request(&many(200));
    check_faults(&many(201), &[("/request/body/fields", "201 are too many: 200 are allowed")]);
}

/// A visitor's value that closes the JSON string around it.
const INJECTED: &str = r#"x","role":"admin"#;

#[test]
fn case_b3_values_in_json_of_a_form_stay_in_their_strings() {
    let body = |format: &str, value: &str| {
        json!({"method": "POST", "url": "https://a.example/",
            "body": {"format": format, "fields": [{"path": "data", "type": "json", "value": value}]}})
    };
    let form = sent(&body("form", "{{\"name\":\"{click_id}\"}}"), INJECTED).unwrap();
    assert!(form.ends_with("\ndata=%7B%22name%22%3A%22x%5C%22%2C%5C%22role%5C%22%3A%5C%22admin%22%7D"), "{form}");
    let multipart = sent(&body("multipart", "{{\"name\":\"{click_id}\"}}"), INJECTED).unwrap();
    assert!(multipart.contains("\n{\"name\":\"x\\\",\\\"role\\\":\\\"admin\"}\n"), "{multipart}");
    let number = sent(&body("form", "[{click_id},{payout}]"), "1,2").unwrap();
    assert!(number.ends_with("\ndata=%5Bnull%2C5.00%5D"), "{number}");
}

#[test]
fn case_b3_the_modifier_json_escapes_anywhere() {
    let document = json!({"url": "https://a.example/?d={click_id|json}", "headers": [{"name": "X-Data", "value": "{{\"n\":\"{click_id|json}\"}}"}]});
    let sent = sent(&document, "a\"b\\c").unwrap();
    assert!(sent.contains("/?d=a%5C%22b%5C%5Cc\n") && sent.contains("\nX-Data: {\"n\":\"a\\\"b\\\\c\"}\n"), "{sent}");
}

#[test]
fn case_b4_values_in_cdata_never_end_it() {
    let xml = |text: &str, click_id: &str| {
        let body = json!({"format": "raw", "content_type": "application/xml", "text": text});
        let sent = sent(&json!({"method": "POST", "url": "https://a.example/", "body": body}), click_id).unwrap();
        sent.rsplit_once('\n').unwrap().1.to_owned()
    };
    let section = "<a><![CDATA[{click_id}]]></a><b>{click_id}</b>";
    assert_eq!(xml(section, "x & <y>"), "<a><![CDATA[x & <y]]><![CDATA[>]]></a><b>x &amp; &lt;y&gt;</b>");
    let split = "<a><![CDATA[]]]]><![CDATA[></a]]><![CDATA[>]]></a><b>]]&gt;&lt;/a&gt;</b>";
    assert_eq!(xml(section, "]]></a>"), split);
    assert_eq!(xml("<![CDATA[{click_id}>]]>", "]]"), "<![CDATA[]]]]><![CDATA[>]]>");
    assert_eq!(xml("<![CDATA[]]{click_id}]]>", ">"), "<![CDATA[]]]]><![CDATA[>]]>");
    assert_eq!(xml("<![CDATA[{click_id}]]>", "a\u{1}b"), "<![CDATA[a\u{fffd}b]]>");
    // In a comment and in an instruction no section begins.
    for apart in ["<!-- <![CDATA[ -->", "<?p <![CDATA[ ?>", "<!-- <? --><?p <!-- ?>"] {
        assert_eq!(xml(&format!("{apart}<a>{{click_id}}</a>"), "<b>"), format!("{apart}<a>&lt;b&gt;</a>"));
    }
    assert_eq!(xml("<![CDATA[<!--]]><a>{click_id}</a>", "]]>"), "<![CDATA[<!--]]><a>]]&gt;</a>");
}
