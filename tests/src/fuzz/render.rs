//! The target `render`: any text with macros in any place, filled with any values.

use std::sync::Arc;

use tracking_core::{
    event::Event,
    fault::Faults,
    json,
    json::Value,
    request::{DELIVERY_ID_HEADER, LONGEST_BODY_BYTES, LONGEST_HEADER_BYTES, LONGEST_URL_BYTES, Rendered, Request},
    template::{Allowed, Filled, LONGEST_TEXT_BYTES, Place, Template},
};
use url::{Url, form_urlencoded};

use super::{
    parts::Parts,
    site::{Attempt, SECRET, plain_event},
};

const PLACES: [Place; 9] = [
    Place::Url,
    Place::QueryValue,
    Place::Header,
    Place::JsonString,
    Place::FormValue,
    Place::RawJson,
    Place::RawForm,
    Place::RawXml,
    Place::Plain,
];

/// The headers that every request carries besides those of its rule: the delivery's id and the user agent.
const OWN_HEADERS: usize = 2;

/// Reads a text as a template of a place and as a part of requests, and fills in the values. The parts are the place, the text, and the
/// values of the click id, a parameter's name and value, the user agent, a custom type and a variable.
pub fn render(data: &[u8]) {
    let mut parts = Parts::of(data);
    let choice = parts.choice();
    let text = parts.text();
    let event = hostile_event(&mut parts);
    let variable = parts.value();
    let values_hold_the_secret = String::from_utf8_lossy(data).contains(SECRET);
    let attempt = Attempt::new(event, variable);
    let allowed = Allowed { admin: choice & 0x80 == 0, answer: choice & 0x40 != 0, ..Allowed::default() };
    as_template(&text, PLACES[(choice & 0x3f) % PLACES.len()], allowed, &attempt, values_hold_the_secret);
    let as_part = match choice % 7 {
        0 => as_url,
        1 => as_query,
        2 => as_header,
        3 => as_json_fields,
        4 => as_form,
        5 => as_multipart,
        _ => as_raw,
    };
    as_part(&text, &attempt);
}

fn hostile_event(parts: &mut Parts<'_>) -> Event {
    let mut event = plain_event();
    let conversion = Arc::make_mut(&mut event.conversion);
    conversion.affiliate_click_id = Some(parts.value());
    conversion.query_params.insert(parts.value(), parts.value());
    conversion.user_agent = Some(parts.value());
    "custom".clone_into(&mut conversion.conversion_type);
    conversion.custom_type = Some(parts.value());
    event
}

fn as_template(text: &str, place: Place, allowed: Allowed, attempt: &Attempt, values_hold_the_secret: bool) {
    let template = match Template::parse(text, place, allowed) {
        Ok(template) => template,
        Err(faults) => return assert!(!faults.is_empty(), "a refusal says why"),
    };
    let mut out = "before".to_owned();
    let filled = template.render(&attempt.scope(), &mut out);
    let rendered = out.strip_prefix("before").expect("the text before the place stays");
    assert!(rendered.len() <= LONGEST_TEXT_BYTES, "{} bytes", rendered.len());
    assert!(filled == Ok(Filled::Written) || rendered.is_empty(), "without a text nothing is written");
    if place == Place::Header {
        assert!(!rendered.contains(is_control), "{rendered:?}");
    }
    let mut again = String::new();
    assert_eq!((template.render(&attempt.scope(), &mut again), again.as_str()), (filled, rendered), "a text is always the same");
    let scope = attempt.scope();
    for traced in template.trace(&scope, scope.event.transaction.as_slice()) {
        assert!(text.contains(traced.written));
        assert!(values_hold_the_secret || !(traced.value.contains(SECRET) || traced.text.contains(SECRET)), "{}", traced.written);
    }
}

/// Renders a request with these members, if they can be read; `None` also if a value can't be used in its place.
fn rendered(members: &Value, attempt: &Attempt) -> Option<Rendered> {
    let allowed = Allowed { admin: true, ..Allowed::default() };
    let mut faults = Faults::default();
    let Some(request) = Request::parse(members, "", allowed, &mut faults) else {
        assert!(!faults.is_empty(), "a refusal says why");
        return None;
    };
    let written = request.document();
    let again = Request::parse(&written, "", allowed, &mut Faults::default());
    assert_eq!(again.as_ref(), Some(&request), "{written}");
    let rendered = request.render(&attempt.scope()).ok()?;
    assert!(rendered.url.len() <= LONGEST_URL_BYTES);
    assert!(rendered.body.as_ref().is_none_or(|body| body.len() <= LONGEST_BODY_BYTES));
    let url = Url::parse(&rendered.url).expect("a URL can be read");
    let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    assert_eq!((url.scheme(), host.as_str()), ("https", request.host()), "{}", rendered.url);
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{}", rendered.url);
    assert!(rendered.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", rendered.url);
    for (name, value) in &rendered.headers {
        assert!(value.len() <= LONGEST_HEADER_BYTES && !value.contains(is_control), "{name}: {value:?}");
    }
    let ids = rendered.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(DELIVERY_ID_HEADER)).count();
    assert_eq!(ids, 1);
    Some(rendered)
}

fn is_control(c: char) -> bool {
    c.is_ascii_control() && c != '\t'
}

/// Returns true if the text is one macro that asks for its encoding, so that the place holds a value alone.
fn is_one_value(text: &str) -> bool {
    let is_macro = text.starts_with('{') && text.ends_with('}') && !text.contains("|raw") && !text.contains("omit_if_empty");
    let template = Template::parse(text, Place::Plain, Allowed { admin: true, ..Allowed::default() });
    is_macro && template.is_ok_and(|template| template.macros().count() == 1 && !text[1..].contains("{{") && is_whole(text))
}

/// Returns true if the macro that the text begins with ends where the text does.
fn is_whole(text: &str) -> bool {
    let doubled = Template::parse(&format!("{text}x"), Place::Plain, Allowed { admin: true, ..Allowed::default() });
    let attempt = Attempt::new(plain_event(), String::new());
    doubled.is_ok_and(|template| template.trace(&attempt.scope(), &[]).all(|traced| traced.written == text))
}

fn as_url(text: &str, attempt: &Attempt) {
    rendered(&json!({"url": format!("https://a.example{text}")}), attempt);
    rendered(&json!({"url": format!("https://a.example/{text}")}), attempt);
    rendered(&json!({"url": format!("https://a.example/p?a={text}&b=2")}), attempt);
    if !is_one_value(text) {
        return;
    }
    if let Some(sent) = rendered(&json!({"url": format!("https://a.example/a/{text}/b?c={text}&d=1")}), attempt) {
        let url = Url::parse(&sent.url).expect("a URL can be read");
        assert_eq!(url.path_segments().map(Iterator::count), Some(3), "{url}");
        assert_eq!(url.query_pairs().map(|(name, _)| name.into_owned()).collect::<Vec<_>>(), ["c", "d"], "{url}");
    }
}

fn as_query(text: &str, attempt: &Attempt) {
    let members = json!({"url": "https://a.example/p", "query": [{"name": "a", "value": text}, {"name": "b", "value": "1"}]});
    if let Some(sent) = rendered(&members, attempt).filter(|_| !text.contains("|raw")) {
        let url = Url::parse(&sent.url).expect("a URL can be read");
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        assert!(names == ["a", "b"] || (names == ["b"] && text.contains("omit_if_empty")), "{url}");
        assert_eq!(url.path(), "/p");
    }
}

fn as_header(text: &str, attempt: &Attempt) {
    let members = json!({"url": "https://a.example/", "headers": [{"name": "X-A", "value": text}]});
    if let Some(sent) = rendered(&members, attempt) {
        let own: Vec<_> = sent.headers[OWN_HEADERS..].iter().map(|(name, _)| name.as_str()).collect();
        assert!(own == ["X-A"] || (own.is_empty() && text.contains("omit_if_empty")), "{own:?}");
    }
}

fn as_json_fields(text: &str, attempt: &Attempt) {
    let field = |path: &str, kind: &str| json!({"path": path, "value": text, "type": kind});
    let fields = json!([field("a.s", "string"), field("a.n", "number"), field("a.b", "boolean"), field("j[0]", "json"), {"path": "z",
        "value": "1"}]);
    let members = json!({"method": "POST", "url": "https://a.example/", "body": {"format": "json", "fields": fields}});
    if let Some(sent) = rendered(&members, attempt) {
        let body = sent.body.expect("it has a body");
        let document = json::parse_lenient(&body).expect("a JSON body is JSON");
        let keys: Vec<_> = document.as_object().expect("it is an object").keys().map(String::as_str).collect();
        let may_omit = text.contains("omit_if_empty");
        assert!(keys == ["a", "j", "z"] || (may_omit && keys == ["z"]), "{document}");
        assert!(may_omit || document["a"]["s"].as_str().is_some(), "{document}");
    }
}

fn as_form(text: &str, attempt: &Attempt) {
    let fields = json!([{"path": "a", "value": text}, {"path": "b", "value": "1"}]);
    let members = json!({"method": "POST", "url": "https://a.example/", "body": {"format": "form", "fields": fields}});
    if let Some(sent) = rendered(&members, attempt).filter(|_| !text.contains("|raw")) {
        let body = sent.body.expect("it has a body");
        let names: Vec<_> = form_urlencoded::parse(&body).map(|(name, _)| name.into_owned()).collect();
        assert!(names == ["a", "b"] || (names == ["b"] && text.contains("omit_if_empty")), "{names:?}");
    }
}

fn as_multipart(text: &str, attempt: &Attempt) {
    let fields = json!([{"path": "a", "value": text}, {"path": "b", "value": "1"}]);
    let members = json!({"method": "POST", "url": "https://a.example/", "body": {"format": "multipart", "fields": fields}});
    let Some(sent) = rendered(&members, attempt) else { return };
    let kind = sent.headers.iter().find(|(name, _)| name == "Content-Type").map(|(_, kind)| kind.as_str());
    let boundary = kind.and_then(|kind| kind.split_once("boundary=")).expect("it names its boundary").1;
    let body = String::from_utf8(sent.body.expect("it has a body")).expect("it is made of texts");
    let parts = body.matches(&format!("--{boundary}")).count();
    assert!(parts == 3 || (parts == 2 && text.contains("omit_if_empty")), "{parts} boundaries");
    assert!(body.ends_with(&format!("--{boundary}--\r\n")));
}

fn as_raw(text: &str, attempt: &Attempt) {
    let raw = |content_type: &str, text: &str| {
        let body = json!({"format": "raw", "content_type": content_type, "text": text});
        let sent = rendered(&json!({"method": "POST", "url": "https://a.example/", "body": body}), attempt)?;
        Some(String::from_utf8(sent.body.expect("it has a body")).expect("it is made of texts"))
    };
    for content_type in ["application/json", "application/x-www-form-urlencoded", "text/xml", "text/plain"] {
        raw(content_type, text);
    }
    if !is_one_value(text) {
        return;
    }
    if let Some(body) = raw("application/json", &format!(r#"{{{{"s":"x{text}","n":{text},"z":1}}}}"#)) {
        let document = json::parse_lenient(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
        let keys: Vec<_> = document.as_object().expect("it is an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["s", "n", "z"], "{body}");
    }
    if let Some(body) = raw("application/x-www-form-urlencoded", &format!("a={text}&b=1")) {
        let names: Vec<_> = form_urlencoded::parse(body.as_bytes()).map(|(name, _)| name.into_owned()).collect();
        assert_eq!(names, ["a", "b"], "{body}");
    }
    if let Some(body) = raw("text/xml", &format!("<a b=\"{text}\"/>")) {
        let inside = body.strip_prefix("<a b=\"").and_then(|rest| rest.strip_suffix("\"/>")).expect("the author's text stays");
        assert!(!inside.contains(['<', '>', '"', '\'']), "{body}");
    }
}
