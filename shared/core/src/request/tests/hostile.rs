//! Properties: any value stays in its place. Independent parsers read the rendered requests.

use proptest::prelude::*;
use url::Url;

use super::{ADMIN, request};
use crate::{
    fault::Faults,
    json,
    json::Value,
    request::{Rendered, Request},
    template::{
        Place, RenderFault, Template,
        sample::{event_with_click_id, in_scope},
    },
};

/// Values that have broken templates before, and any others.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "\"",
        "'",
        "\\",
        "\r\n",
        "&",
        "=",
        "#",
        "?",
        "%",
        "%22",
        "\"},",
        "{",
        "}",
        "{pcid}",
        "--",
        "\0",
        "é",
        "\u{2028}",
        ";",
        ",\"x\":1",
        "]]>",
        "-->",
        "</a>",
        "X-Evil: 1",
        "name=\"x\"",
        "..",
        "/",
        "true",
        "1",
        " ",
    ];
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

fn render(document: &Value, click_id: &str) -> Result<Rendered, RenderFault> {
    in_scope(&event_with_click_id(click_id), None, |scope| request(document).render(scope))
}

fn body(body: &Value, click_id: &str) -> String {
    let document = json!({"method": "POST", "url": "https://a.example/", "body": body});
    String::from_utf8(render(&document, click_id).unwrap().body.unwrap()).unwrap()
}

proptest! {
    #[test]
    fn q3_a_value_never_adds_a_query_parameter(value in hostile()) {
        let document = json!({"url": "https://a.example/p?u={click_id}", "query": [{"name": "q", "value": "{click_id}"}]});
        let url = Url::parse(&render(&document, &value).unwrap().url).unwrap();
        let pairs: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(pairs, [("u".to_owned(), value.clone()), ("q".to_owned(), value)]);
        prop_assert_eq!((url.host_str(), url.path(), url.fragment()), (Some("a.example"), "/p", None));
    }

    #[test]
    fn q3_a_value_stays_in_its_segment_of_the_path(value in hostile()) {
        match render(&json!({"url": "https://a.example/a/{click_id}/b"}), &value) {
            Ok(rendered) => {
                let url = Url::parse(&rendered.url).unwrap();
                prop_assert_eq!(url.as_str(), &rendered.url, "what we log is what is sent");
                prop_assert_eq!(url.path_segments().unwrap().count(), 3);
            }
            Err(fault) => prop_assert!(fault == RenderFault::DotSegment && matches!(&*value, "." | "..")),
        }
    }

    #[test]
    fn q3_a_raw_value_stays_in_one_url_of_the_same_receiver(value in hostile()) {
        if let Ok(rendered) = render(&json!({"url": "https://a.example/{click_id|raw}"}), &value) {
            let url = Url::parse(&rendered.url).unwrap();
            prop_assert_eq!((url.host_str(), url.port(), url.username(), url.fragment()), (Some("a.example"), None, "", None));
            prop_assert!(rendered.url.bytes().all(|b| b.is_ascii_graphic()), "{}", rendered.url);
        }
    }

    #[test]
    fn q3_a_value_never_adds_a_header(value in hostile()) {
        let document = json!({"url": "https://a.example/", "headers": [{"name": "X", "value": "a {click_id}"}]});
        match render(&document, &value) {
            Ok(rendered) => {
                prop_assert_eq!(rendered.headers.len(), 3);
                let lines: Vec<_> = rendered.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                let text = lines.join("\r\n");
                prop_assert_eq!(text.lines().count(), 3);
                prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
            }
            Err(fault) => {
                let detail = "the header X can't be sent: {affiliate_click_id} holds a control character, such as a line break";
                prop_assert_eq!(fault.to_string(), detail);
            }
        }
    }

    #[test]
    fn q3_a_value_never_adds_a_json_key(value in hostile()) {
        let typed = |path: &str, kind: &str| json!({"path": path, "value": "{click_id}", "type": kind});
        let fields = [typed("a.s", "string"), typed("a.n", "number"), typed("a.b", "boolean"), typed("a.j", "json"), typed("z[0]", "string")];
        let parsed: Value = serde_json::from_str(&body(&json!({"format": "json", "fields": fields}), &value)).unwrap();
        prop_assert_eq!(parsed.as_object().unwrap().len(), 2);
        prop_assert_eq!(parsed["a"].as_object().unwrap().len(), 4);
        prop_assert_eq!(&parsed["a"]["s"], &json!(value));
        prop_assert_eq!(&parsed["z"], &json!([value]));
    }

    #[test]
    fn q3_a_value_never_adds_a_key_to_a_raw_json_text(value in hostile()) {
        let text = r#"{{"s": "x{click_id}", "n": {click_id}}}"#;
        let sent = body(&json!({"format": "raw", "content_type": "application/json", "text": text}), &value);
        let parsed: Value = serde_json::from_str(&sent).unwrap();
        prop_assert_eq!(parsed.as_object().unwrap().len(), 2);
        prop_assert_eq!(&parsed["s"], &json!(format!("x{value}")));
    }

    #[test]
    fn q3_a_value_never_adds_a_form_field(value in hostile()) {
        let form = json!({"format": "form", "fields": [{"path": "a", "value": "{click_id}"}, {"path": "b", "value": "1"}]});
        let raw = json!({"format": "raw", "content_type": "application/x-www-form-urlencoded", "text": "a={click_id}&b=1"});
        for document in [form, raw] {
            let sent = body(&document, &value);
            let pairs: Vec<_> = url::form_urlencoded::parse(sent.as_bytes()).into_owned().collect();
            prop_assert_eq!(pairs, [("a".to_owned(), value.clone()), ("b".to_owned(), "1".to_owned())]);
        }
    }

    #[test]
    fn q3_a_value_never_adds_a_part(value in hostile()) {
        let fields = json!([{"path": "a", "value": "{click_id}"}, {"path": "b", "value": "1"}]);
        let document = json!({"method": "POST", "url": "https://a.example/", "body": {"format": "multipart", "fields": fields}});
        let first = render(&document, "").unwrap();
        let boundary = first.headers[2].1.split("boundary=").nth(1).unwrap();
        let value = format!("{value}\r\n--{boundary}--\r\n{value}");
        let rendered = render(&document, &value).unwrap();
        let boundary = rendered.headers[2].1.split("boundary=").nth(1).unwrap();
        let sent = String::from_utf8(rendered.body.unwrap()).unwrap();
        let parts: Vec<&str> = sent.split(&format!("--{boundary}")).collect();
        prop_assert_eq!(parts.len(), 4);
        prop_assert_eq!(parts[1], format!("\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{value}\r\n"));
        prop_assert_eq!(parts[3], "--\r\n");
    }

    #[test]
    fn q3_a_value_never_adds_an_xml_element(value in hostile()) {
        let sent = body(&json!({"format": "raw", "content_type": "text/xml", "text": "<a b=\"{click_id}\"/>"}), &value);
        let inside = sent.strip_prefix("<a b=\"").unwrap().strip_suffix("\"/>").unwrap();
        prop_assert!(!inside.contains(['<', '>', '"', '\'']), "{inside}");
    }

    #[test]
    fn q2_reading_and_rendering_never_panic(text in "[{}|:,/\\\\a-z_.0-9 %#\"é]{0,40}|\\PC*", value in hostile()) {
        let places = [Place::Url, Place::QueryValue, Place::Header, Place::JsonString, Place::FormValue, Place::RawJson, Place::RawForm,
            Place::RawXml, Place::Plain];
        for place in places {
            if let Ok(template) = Template::parse(&text, place, ADMIN) {
                let mut out = "before".to_owned();
                let _ = in_scope(&event_with_click_id(&value), None, |scope| template.render(scope, &mut out));
                prop_assert!(out.starts_with("before"));
            }
        }
        let _ = Request::parse(&json!({"url": format!("https://a.example/{text}")}), "", ADMIN, &mut Faults::default());
        let _ = Request::parse(&json!({"url": text}), "", ADMIN, &mut Faults::default());
    }

    #[test]
    fn q2_a_text_around_a_macro_is_filled_in(before in "[a-z{}]{0,8}", after in "[a-z{}]{0,8}") {
        let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
        let text = format!("{}{{pcid}}{}", doubled(&before), doubled(&after));
        let template = Template::parse(&text, Place::Plain, ADMIN).unwrap();
        let mut out = String::new();
        in_scope(&event_with_click_id(""), None, |scope| template.render(scope, &mut out)).unwrap();
        prop_assert_eq!(out, format!("{before}pc-1{after}"));
    }

    #[test]
    fn q1_a_document_parses_to_itself(path in "[a-z0-9/.%?&= é]{0,20}", name in "\\PC{1,9}", value in "[a-z &=é]{0,9}") {
        let url = format!("https://a.example/{path}{{pcid}}");
        let written = json!({"method": "PUT", "url": url, "query": [{"name": name, "value": value}],
            "body": {"format": "json", "fields": [{"path": "a.b[0]", "value": value}]}});
        let mut faults = Faults::default();
        if let Some(first) = Request::parse(&written, "", ADMIN, &mut faults) {
            let again = request(&first.document());
            prop_assert_eq!(again.document(), first.document());
            prop_assert_eq!(&first.document()["url"], &written["url"]);
            prop_assert_eq!(again, first);
        }
    }
}
