use std::sync::Arc;

use super::{
    Allowed, Expense, Filled, Place, RenderFault, Template,
    sample::{event, event_with_click_id, in_scope},
};
use crate::{answer::Response, change::TransactionResult, event::EventKind};

mod modifiers;
mod traced;

const ADMIN: Allowed = Allowed { admin: true, answer: false, private_targets: false, stored: false };

fn template(text: &str, place: Place) -> Template {
    Template::parse(text, place, ADMIN).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

/// Renders a text with this click id.
fn rendered(text: &str, place: Place, click_id: &str) -> Result<String, RenderFault> {
    let mut out = String::new();
    let filled = in_scope(&event_with_click_id(click_id), None, |scope| template(text, place).render(scope, &mut out));
    filled.map(|filled| if filled == Filled::Omit { "(omitted)".to_owned() } else { out })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let mut out = String::new();
    in_scope(&event(), None, |scope| template(text, Place::Plain).render(scope, &mut out)).unwrap();
    assert_eq!(out, expected, "{text}");
}

#[track_caller]
fn check_place(place: Place, text: &str, click_id: &str, expected: &str) {
    assert_eq!(rendered(text, place, click_id).as_deref(), Ok(expected), "{place:?} {text} with {click_id:?}");
}

#[track_caller]
fn check_faults(place: Place, allowed: Allowed, text: &str, expected: &[(usize, &str)]) {
    let faults = Template::parse(text, place, allowed).map(|_| ()).unwrap_err();
    let found: Vec<_> = faults.iter().map(|fault| (fault.offset, fault.detail.as_str())).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn q2_every_macro_prints_what_the_domain_says() {
    for (text, expected) in [
        ("{pcid} {pldk_conversion_id}", "pc-1 pc-1"),
        ("{conversion_id} {transaction_id} {commission_id}", "cnv_1 trx_1 com_1"),
        ("{external_id} {advertiser_custom_id}", "X-77 X-77"),
        ("{event_id} {delivery_id} {tracking_api_id}", "chg_0001 dlv_1 trk_1"),
        ("{affiliate_id}", "aff_7"),
        ("{affiliate_click_id} {affiliateClickId} {click_id}", "click 1/2 click 1/2 click 1/2"),
        ("{affs1} {sub1} {affs10} {sub10} {affs2}.", "summer summer z z ."),
        ("{voucher}{promo_code}.", "."),
        ("{offer_id} {offer_name} {advertiser_id} {advertiser_name}", "off_5 Loan CZ adv_2 Bank"),
        ("{channel_id} {channel} {integration_id} {source} {country}", "chn_1 main int_3 link CZ"),
        ("{conversion_type} {type} {goal} {transaction_type}", "sale sale sale sale"),
        ("{value} {amount} {sale_amount} {currency}", "100.00 100.00 100.00 EUR"),
        ("{ip} {user_agent}", "203.0.113.9 Mozilla/5.0 (X11)"),
        ("{result} {status} {previous_result}", "approved approved pending"),
        ("{payout} {sum} {payout_currency} {revenue}", "5.00 5.00 CZK 8.00"),
        ("{event} {is_final} {is_correction} {attempt} {is_test}", "transaction_updated 1 0 2 0"),
        ("{click_at} {conversion_at}", "2026-11-22T08:00:00Z 2026-11-22T08:30:00Z"),
        ("{date}", "2026-11-22T08:30:00Z"),
        ("{updated_at} {result_at}", "2026-11-22T08:59:30Z 2026-11-22T08:59:31Z"),
        ("{event_at} {now} {timestamp}", "2026-11-22T08:59:59.12Z 2026-11-22T09:00:01Z 1795337999"),
        ("{query.utm_source} {query.q.dotted} {query.none}{cookie.fbp}", "mail d fb.1"),
        ("{secret.token} {secret.none}{var.ticket} {var.none}.", "s3cr3t/+ T-5 ."),
    ] {
        check(text, expected);
    }
}

#[test]
fn q2_a_value_that_is_missing_is_empty() {
    let mut bare = event();
    bare.transaction = None;
    bare.kind = EventKind::ConversionUpdated;
    Arc::make_mut(&mut bare.conversion).pcid = None;
    let mut out = String::new();
    let text = "{pcid}|{transaction_id}{result}{payout}{revenue}{result_at}|{updated_at}";
    in_scope(&bare, None, |scope| template(text, Place::Plain).render(scope, &mut out)).unwrap();
    assert_eq!(out, "||2026-11-22T08:59:00Z");
}

#[test]
fn q2_a_custom_type_prints_its_name() {
    let mut custom = event();
    let conversion = Arc::make_mut(&mut custom.conversion);
    conversion.conversion_type = "custom".into();
    conversion.custom_type = Some("signup".into());
    let mut out = String::new();
    in_scope(&custom, None, |scope| template("{type}", Place::Plain).render(scope, &mut out)).unwrap();
    assert_eq!(out, "signup");
}

#[test]
fn q2_on_a_conversion_event_updated_at_is_the_conversions() {
    let mut conversion = event();
    conversion.kind = EventKind::ConversionUpdated;
    conversion.transaction.as_mut().unwrap().result = TransactionResult::Rejected;
    let mut out = String::new();
    in_scope(&conversion, None, |scope| template("{updated_at} {result} {event}", Place::Plain).render(scope, &mut out)).unwrap();
    assert_eq!(out, "2026-11-22T08:59:00Z rejected conversion_updated");
}

#[test]
fn a3_set_reads_the_answer() {
    let answer = Response::new(202, vec![("x-id".into(), "h1".into())], b"{}".to_vec());
    let allowed = Allowed { answer: true, ..Allowed::default() };
    let template = Template::parse("{http_code} {header.X-Id} {header.none}{body.a.b[0]}.", Place::Plain, allowed).unwrap();
    let mut out = String::new();
    in_scope(&event(), Some(&answer), |scope| template.render(scope, &mut out)).unwrap();
    assert_eq!(out, "202 h1 .");
}

#[test]
fn q2_uuid_and_random_are_derived() {
    let twice = |text| (rendered(text, Place::Plain, "x").unwrap(), rendered(text, Place::Plain, "y").unwrap());
    let (first, again) = twice("{uuid} {uuid}");
    assert_eq!(first, again, "the same delivery and attempt");
    let (one, two) = first.split_once(' ').unwrap();
    assert_ne!(one, two, "another place");
    assert_eq!(one.len(), 36);
    assert_eq!(&one[14..15], "8", "the version of derived UUIDs: {one}");
    assert!("89ab".contains(&one[19..20]), "the variant: {one}");
    let (random, again) = twice("{random}");
    assert_eq!(random, again);
    assert!(random.len() <= 10 && random.bytes().all(|b| b.is_ascii_digit()), "{random}");
}

#[test]
fn q2_doubled_braces_are_literal() {
    check("{{pcid}} {{{pcid}}} }}{{", "{pcid} {pc-1} }{");
    check("", "");
}

#[test]
fn q2_all_faults_at_once_with_their_places() {
    let none = Allowed::default();
    check_faults(
        Place::Plain,
        none,
        "é {pcidd} {PCID} {x|lower}}",
        &[
            (3, "unknown macro {pcidd}; did you mean {pcid}?"),
            (11, "{PCID} differs from {pcid} in case only: names are matched exactly, write {pcid}"),
            (18, "unknown macro {x}: for a parameter of the affiliate's link write {query.x}"),
            (27, "a lone }: write }} for a brace"),
        ],
    );
    check_faults(
        Place::Plain,
        none,
        "{revenue} {http_code} {body.x} {header.y}",
        &[
            (1, "{revenue} is for rules of admins only"),
            (11, "{http_code} is allowed only in an answer rule: a request has no answer yet"),
            (23, "{body.x} is allowed only in an answer rule: a request has no answer yet"),
            (32, "{header.y} is allowed only in an answer rule: a request has no answer yet"),
        ],
    );
    check_faults(
        Place::Plain,
        none,
        r#"{"a": "{pcid}"}"#,
        &[(1, "a lone {: write {{ for a brace, or close the macro with }"), (15, "a lone }: write }} for a brace")],
    );
}

#[test]
fn q2_all_faults_of_names_keys_and_modifiers() {
    let none = Allowed::default();
    check_faults(
        Place::Plain,
        none,
        "{} { pcid } {Query.x} {query.} {query} {secret.a b}",
        &[
            (1, "\"\" is no macro: write {{ and }} for literal braces, and a macro without spaces"),
            (4, "\" pcid \" is no macro: write {{ and }} for literal braces, and a macro without spaces"),
            (13, "{Query.x} differs from {query.x} in case only: names are matched exactly, write {query.x}"),
            (23, "a key is missing after the dot, such as query.utm_source"),
            (32, "{query} needs a key: write {query.<key>}"),
            (40, "not a name: 1 to 64 characters of A-Z a-z 0-9 _ - are allowed"),
        ],
    );
    check_faults(
        Place::Plain,
        none,
        "{pcid|lowr|UPPER|unix:x|default}{pcid",
        &[
            (7, "unknown modifier \"lowr\"; did you mean lower?"),
            (12, "modifier \"UPPER\" differs from upper in case only: names are matched exactly, write upper"),
            (18, "unix takes no argument: write {conversion_at|unix}"),
            (25, "default needs an argument: default:x, such as {query.coupon|default:none}"),
            (33, "a lone {: write {{ for a brace, or close the macro with }"),
        ],
    );
    check_faults(
        Place::Plain,
        none,
        "{pcid|default:a\\}",
        &[(1, "a macro without its }: close it, and in arguments write \\} and \\| for these signs")],
    );
}

#[test]
fn q3_percent_encoding_in_urls_and_forms() {
    let hostile = "a b/é&=+?#%\"";
    let encoded = "a%20b%2F%C3%A9%26%3D%2B%3F%23%25%22";
    for place in [Place::Url, Place::QueryValue, Place::FormValue, Place::RawForm] {
        check_place(place, "{click_id}", hostile, encoded);
        check_place(place, "{click_id}", "AZaz09-._~", "AZaz09-._~");
        check_place(place, "{click_id|raw}", hostile, "a%20b/%C3%A9&=+?%23%%22");
        check_place(place, "{click_id|raw}", "a\r\nb", "a%0D%0Ab");
    }
    check_place(Place::Url, "/p/ž x?a=b&c={click_id}", "1&2", "/p/%C5%BE%20x?a=b&c=1%262");
    check_place(Place::QueryValue, "a=b&c {click_id}", "1&2", "a%3Db%26c%201%262");
    check_place(Place::RawForm, "a=b&c={click_id}", "1&2", "a=b&c=1%262");
    check_place(Place::QueryValue, "{now}", "", "2026-11-22T09%3A00%3A01Z");
}

#[test]
fn q3_json_escapes_in_json() {
    let hostile = "a\"},\\\n\u{1}é";
    check_place(Place::JsonString, "\"{click_id}", hostile, "\\\"a\\\"},\\\\\\n\\u0001é");
    check_place(Place::JsonString, "{click_id|raw}", "\"", "\\\"");
    let text = r#"{{"s": "{click_id}", "n": {click_id}, "t": "\"{click_id}"}}"#;
    check_place(Place::RawJson, text, "\"", r#"{"s": "\"", "n": null, "t": "\"\""}"#);
    check_place(Place::RawJson, text, "1.50", r#"{"s": "1.50", "n": 1.50, "t": "\"1.50"}"#);
    check_place(Place::RawJson, text, "1, \"x\": 2", r#"{"s": "1, \"x\": 2", "n": null, "t": "\"1, \"x\": 2"}"#);
    check_place(Place::RawJson, "[{payout}, {now}, \"{now}\"]", "", "[5.00, null, \"2026-11-22T09:00:01Z\"]");
    check_faults(
        Place::RawJson,
        ADMIN,
        r#"{{"a": "\{pcid}"}}"#,
        &[(10, "a backslash is right before a macro inside a JSON string: write \\\\ for a backslash")],
    );
}

#[test]
fn q3_xml_escapes_in_xml() {
    check_place(Place::RawXml, "<a b=\"{click_id}\"/>", "<&>'\"\u{0}\t", "<a b=\"&lt;&amp;&gt;&#39;&quot;\u{fffd}\t\"/>");
}

#[test]
fn q3_line_breaks_are_refused_in_headers() {
    for hostile in ["a\r\nX: 1", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert_eq!(
            rendered("v {click_id|raw}", Place::Header, hostile),
            Err(RenderFault::ControlInHeader { name: "affiliate_click_id".into() }),
            "{hostile:?}"
        );
    }
    check_place(Place::Header, "v {click_id}", "a\té b", "v a\té b");
    check_faults(
        Place::Header,
        ADMIN,
        "a\r\nb",
        &[
            (2, "a control character, such as a line break: a header's value can't hold one"),
            (3, "a control character, such as a line break: a header's value can't hold one"),
        ],
    );
}

#[test]
fn q3_a_url_has_no_fragment_and_no_control_characters() {
    check_faults(
        Place::Url,
        ADMIN,
        "/a#b\\\tc",
        &[
            (3, "a fragment: a request has none, write %23 for a #"),
            (5, "a backslash: a URL can't hold one, write / or %5C"),
            (6, "a control character: a URL can't hold one"),
        ],
    );
}

#[test]
fn q5_secrets_are_known_by_name_and_never_shown() {
    let template = template("{secret.token} {pcid|hmac_sha256:key|sha1} {sum}", Place::Plain);
    assert_eq!(template.secrets().collect::<Vec<_>>(), ["token", "key"]);
    assert_eq!(template.macros().collect::<Vec<_>>(), ["secret.token", "pcid", "payout"]);
    assert!(template.has_macros());
    let shown = in_scope(&event(), None, |scope| format!("{scope:?}"));
    assert!(shown.contains("token") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_text_that_grows_without_end_is_stopped() {
    let doubling = "|replace:a,aaaaaaaaaaaaaaaaaaaa".repeat(10);
    let out = rendered(&format!("{{click_id{doubling}}}"), Place::Plain, "a");
    assert_eq!(out, Err(RenderFault::TooLong { limit_bytes: 65_536 }));
    let doubling = "|regex:/a/$0$0$0$0$0$0$0$0/".repeat(10);
    let out = rendered(&format!("{{click_id{doubling}}}"), Place::Plain, "a");
    let expense = Expense::RegexInput(32_768);
    assert_eq!(out, Err(RenderFault::TooExpensive { name: "affiliate_click_id".into(), expense }));
    let longer = rendered(
        "{click_id|regex:/a/$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0/}",
        Place::Plain,
        &"a".repeat(2_048),
    );
    assert_eq!(longer, Err(RenderFault::TooLong { limit_bytes: 65_536 }));
    let out = rendered(&"{click_id}".repeat(200), Place::Plain, &"a".repeat(2_048));
    assert_eq!(out, Err(RenderFault::TooLong { limit_bytes: 262_144 }));
}
