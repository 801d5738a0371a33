//! Reading keeps the document as written, or refuses it.

use proptest::prelude::*;

use super::*;
use crate::json;

#[track_caller]
fn same(text: &str) {
    assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    assert!(is_json(text.as_bytes()), "{text}");
}

#[track_caller]
fn refused(text: &[u8], expected: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), expected, "{}", String::from_utf8_lossy(text));
}

#[test]
fn the_events_of_a_list_are_found_whatever_they_hold() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let list = format!(r#"[{{"a":"\ud83d"}}, {deep} ,{{"b":1}}]"#);
    let found = elements(list.as_bytes(), 10).unwrap();
    assert_eq!(found, [br#"{"a":"\ud83d"}"#, deep.as_bytes(), br#"{"b":1}"#]);
}

#[test]
fn f1_numbers_keep_their_digits() {
    for number in
        ["0", "-0", "0.10", "1e400", "1E-7", "123456789012345678901234567890", "0.1234567890123456789012345678901", "-1.0e+2"]
    {
        same(number);
        same(&format!(r#"{{"a":[{number}]}}"#));
    }
    for bad in ["01", "1.", ".5", "+1", "1e", "-", "0x1", "NaN", "1_0"] {
        assert!(parse(bad.as_bytes()).is_err() && !is_json(bad.as_bytes()), "{bad}");
    }
}

#[test]
fn f1_no_key_has_a_meaning() {
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue", "$__toml_private_datetime", "__proto__", ""] {
        same(&format!(r#"{{"{key}":"x"}}"#));
        same(&format!(r#"{{"{key}":"x","z":{{"{key}":"[[1"}}}}"#));
    }
}

#[test]
fn f1_repeated_keys_are_refused_or_kept() {
    refused(br#"{"b": {"a": 1, "a": 2}}"#, "an object has the key \"a\" twice at line 1 column 7");
    refused(br#"{"a":1,"\u0061":2}"#, "an object has the key \"a\" twice at line 1 column 1");
    let many: Vec<String> = (0..20).map(|n| format!("\"k{n}\":0")).collect();
    refused(format!("{{{},\"k7\":0}}", many.join(",")).as_bytes(), "an object has the key \"k7\" twice at line 1 column 1");
    let kept = parse_lenient(br#"{"a":1,"a":2}"#).unwrap();
    assert_eq!((kept.to_string().as_str(), kept["a"].as_u64()), (r#"{"a":1,"a":2}"#, Some(2)));
}

#[test]
fn f1_a_document_with_a_repeated_key_equals_itself() {
    let read = |text: &str| parse_lenient(text.as_bytes()).unwrap();
    assert_eq!(read(r#"{"a":1,"a":2}"#), read(r#"{"a":3,"a":2}"#), "the last one counts");
    assert_ne!(read(r#"{"a":1,"a":2}"#), read(r#"{"a":2,"a":1}"#));
    assert_ne!(read(r#"{"a":1,"a":1}"#), read(r#"{"a":1,"b":1}"#));
    assert_ne!(read(r#"{"a":1,"b":1}"#), read(r#"{"a":1,"a":1}"#));
}

#[test]
fn texts_are_read_as_they_are_meant() {
    let read = |text: &str| parse(text.as_bytes()).unwrap().as_str().unwrap().to_owned();
    assert_eq!(read(r#""a\"\\\/\b\f\n\r\té\u00e9\ud83d\ude00\u0000""#), "a\"\\/\u{8}\u{c}\n\r\téé😀\0");
    refused(br#""\ud83d""#, "half of a surrogate pair at line 1 column 2");
    refused(br#""\ud83d\u0041""#, "half of a surrogate pair at line 1 column 2");
    refused(br#""\u12g4""#, "an escape without four hexadecimal digits at line 1 column 2");
    refused(br#""\x""#, "an unknown escape at line 1 column 2");
    refused(b"\"a\nb\"", "a control character inside a text at line 1 column 3");
    refused(b"\"\xff\"", "a text that is not UTF-8 at line 1 column 2");
    refused(b"\"a", "expected a closing quote, found the end at line 1 column 3");
}

#[test]
fn f1_a_document_is_bounded_in_depth_and_values() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    same(&nested(MAX_DEPTH + 1));
    refused(nested(MAX_DEPTH + 2).as_bytes(), "nested deeper than 64 at line 1 column 66");
    refused("[".repeat(1_000_000).as_bytes(), "nested deeper than 64 at line 1 column 66");
    let listed = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    same(&listed(MAX_VALUES - 1));
    refused(listed(MAX_VALUES).as_bytes(), "more than 200000 values at line 1 column 400000");
}

#[test]
fn faults_say_what_was_expected_and_where() {
    refused(b"", "expected a value, found the end at line 1 column 1");
    refused(b"{\n  \"a\": 1,\n}", "expected a key in quotes, found '}' at line 3 column 1");
    refused(b"{\"a\" 1}", "expected a colon, found '1' at line 1 column 6");
    refused(b"[1 2]", "expected , or ], found '2' at line 1 column 4");
    refused(b"{} x", "expected the end, found 'x' at line 1 column 4");
    refused(b"nul", "expected a value, found 'n' at line 1 column 1");
    refused("ž".as_bytes(), "expected a value, found 'ž' at line 1 column 1");
}

#[test]
fn a_list_is_split_into_the_texts_of_its_entries() {
    let split = |text: &'static str, limit| {
        elements(text.as_bytes(), limit)
            .map(|found| found.into_iter().map(|entry| std::str::from_utf8(entry).unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(split(" [ {\"a\": 1.10} , {} ] ", 9).unwrap(), ["{\"a\": 1.10}", "{}"]);
    assert_eq!(split("[]", 9).unwrap(), [""; 0]);
    assert_eq!(split("[1,2,3,4,oops", 2).unwrap(), ["1", "2", "3"]);
    assert!(split("[1,]", 9).is_err() && split("{}", 9).is_err() && split("[1] 2", 9).is_err());
}

#[test]
fn a_value_is_changed_in_place() {
    let mut value = json!({"a": {"b": [1, 2]}, "n": null});
    value["a"]["b"][1] = json!("x");
    value["n"]["new"] = json!(true);
    *value.pointer_mut("/a/b/0").unwrap() = json!(7);
    assert_eq!(value.to_string(), r#"{"a":{"b":[7,"x"]},"n":{"new":true}}"#);
    assert_eq!((value["none"]["at all"].is_null(), value.pointer("/a/b/9"), value.pointer("a")), (true, None, None));
    assert_eq!(json!({"a/b": {"~": 1}}).pointer("/a~1b/~0"), Some(&json!(1)));
}

fn any_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number.prop_map(|digits| parse(digits.as_bytes()).unwrap()),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn f1_any_document_reads_back_what_it_writes(value in any_value()) {
        let text = value.to_string();
        prop_assert_eq!(parse(text.as_bytes()).unwrap(), value);
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
    }

    /// Both parsers accept the same documents, except those that only one of them bounds.
    #[test]
    fn f1_it_reads_what_serde_json_reads(text in r#"([\[\]{},:"\\0-9.eE+\-]|true|null|\\u[0-9a-fD-E]{4}|[ \n]|"[a-c]"){0,12}"#) {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        // `serde_json` does not decode ignored texts.
        let ours = is_json(text.as_bytes());
        prop_assert!(ours == theirs || text.contains("\\u"), "{text}: ours {ours}, theirs {theirs}");
        prop_assert_eq!(ours, parse_lenient(text.as_bytes()).is_ok());
    }

    #[test]
    fn f1_no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        prop_assert_eq!(parse_lenient(&bytes).is_ok(), is_json(&bytes));
        let _ = (parse(&bytes).is_ok(), elements(&bytes, 5).is_ok());
    }
}
