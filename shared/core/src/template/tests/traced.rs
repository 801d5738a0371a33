//! The trace of each macro for people who try a rule.

use super::{ADMIN, Place, Template, event, in_scope, template};
use crate::{
    change::Change,
    event::EventKind,
    macros::catalogue,
    template::{Allowed, Scope},
    testing,
};

/// Checks the trace of each macro: its text, its origin, its value, the rendered text, and whether it is missing.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str, &str, &str, bool)]) {
    let event = event();
    let transactions: Vec<_> = event.transaction.iter().cloned().collect();
    in_scope(&event, None, |scope| {
        let template = template(text, Place::Url);
        let traced: Vec<_> = template.trace(scope, &transactions).collect();
        let rows: Vec<_> = traced.iter().map(|one| (one.written, &*one.from, &*one.value, &*one.text, one.missing)).collect();
        assert_eq!(rows, expected);
    });
}

#[test]
fn the_trace_of_a_macro_has_its_value_and_its_origin() {
    check(
        "https://ž.example/{{x}}?a={external_id|lower|prefix:é}&b={sum|cents}&c={query.q.dotted}{voucher|default:none}",
        &[
            ("{external_id|lower|prefix:é}", "/conversion/external_id", "X-77", "éx-77", false),
            ("{sum|cents}", "/transactions/0/payout", "5.00", "500", false),
            ("{query.q.dotted}", "/conversion/query_params/q.dotted", "d", "d", false),
            ("{voucher|default:none}", "/conversion/voucher", "", "none", true),
        ],
    );
    check(
        "https://a.example/?{now|unix}{attempt}{tracking_api_id}{var.ticket}{pcid|omit_if_empty}{cookie.a/b|omit_if_empty}",
        &[
            ("{now|unix}", "the time", "2026-11-22T09:00:01Z", "1795338001", false),
            ("{attempt}", "the delivery", "2", "2", false),
            ("{tracking_api_id}", "the rule", "trk_1", "trk_1", false),
            ("{var.ticket}", "an earlier answer", "T-5", "T-5", false),
            ("{pcid|omit_if_empty}", "/conversion/pcid", "pc-1", "pc-1", false),
            ("{cookie.a/b|omit_if_empty}", "/conversion/cookie_params/a~1b", "", "", true),
        ],
    );
}

#[test]
fn q5_text_made_with_a_secret_is_masked_even_where_values_are_rendered() {
    check(
        "https://a.example/?{secret.token|base64}{pcid|hmac_sha256:key}{secret.other|default:x}",
        &[
            ("{secret.token|base64}", "secret token", "***", "***", false),
            ("{pcid|hmac_sha256:key}", "/conversion/pcid", "pc-1", "***", false),
            ("{secret.other|default:x}", "secret other", "", "***", true),
        ],
    );
}

#[test]
fn q5_a_hash_that_is_made_with_a_secret_is_a_mask_where_secrets_are_masked() {
    let text = "{pcid|hmac_sha256:key|upper}/{secret.token|md5}/{pcid|md5}";
    let template = Template::parse(text, Place::Plain, ADMIN).unwrap();
    let event = Change::parse_detail(&testing::detail(), "").unwrap().events().pop().unwrap();
    in_scope(&event, None, |scope| {
        let mut shown = String::new();
        template.render(&Scope { masks: true, ..scope.clone() }, &mut shown).unwrap();
        assert_eq!(shown, "***/***/5540003971d7354248ac0a8be452843a");
        let mut sent = String::new();
        template.render(scope, &mut sent).unwrap();
        assert!(!sent.contains('*') && sent.len() == 64 + 32 + 32 + 2, "{sent}");
    });
}

/// Each macro's origin points to the field with its value.
#[test]
fn origins_point_to_the_fields_that_were_read() {
    let detail = testing::detail();
    let change = Change::parse_detail(&detail, "").unwrap();
    let event = change.events().pop().unwrap();
    assert_eq!(event.kind, EventKind::TransactionUpdated);
    let mut pointed = 0;
    for info in catalogue().iter().filter(|info| !info.answer_only) {
        let text = format!("{{{}}}", info.name.replace("<key>", "utm_source").replace("<name>", "token"));
        let template = Template::parse(&text, Place::Plain, Allowed { answer: true, ..ADMIN }).unwrap();
        in_scope(&event, None, |scope| {
            let traced = template.trace(scope, &change.transactions).next().unwrap();
            assert_eq!(traced.written, text);
            if !traced.from.starts_with('/') || matches!(info.name, "timestamp" | "is_final" | "event") {
                return;
            }
            pointed += 1;
            let there = detail.pointer(&traced.from).and_then(|value| value.as_str()).unwrap_or_default();
            let same = there.parse::<jiff::Timestamp>().map_or_else(|_| there.to_owned(), |time| time.to_string());
            assert_eq!((&*traced.value, traced.missing), (&*same, there.is_empty()), "{text} from {}", traced.from);
        });
    }
    assert!(pointed > 40, "{pointed}");
}
