use super::{ADMIN, Template, check, check_faults, check_place};
use crate::{
    macros::modifiers,
    template::{
        Allowed, Place,
        sample::{event, in_scope},
    },
};

#[track_caller]
fn check_refused(text: &str, part: &str) {
    let faults = Template::parse(text, Place::Plain, ADMIN).unwrap_err();
    assert!(faults.len() == 1 && faults[0].detail.contains(part), "{text}: {faults:?}");
}

#[test]
fn q2_every_modifier_of_the_catalogue_is_built() {
    for info in modifiers() {
        let parsed = super::Template::parse(info.example, Place::Plain, ADMIN);
        assert!(parsed.is_ok(), "{}: {parsed:?}", info.example);
    }
}

#[test]
fn q2_texts() {
    for (text, expected) in [
        ("{voucher|default:none} {pcid|default:none}", "none pc-1"),
        ("{result|map:pending=2,approved=1,rejected=3} {pcid|map:a=b}", "1 pc-1"),
        (r"{pcid|map:*=any,\*=star} {pcid|map:pc-1=*|map:*=any,\*=star}", "any star"),
        (r"{currency|map:EUR=a\,b=c}{voucher|map:=none}", "a,b=cnone"),
        ("{currency|lower} {source|upper}", "eur LINK"),
        ("{query.utm_source|prefix:  |suffix:  |trim}.", "mail."),
        ("{offer_name|urlencode} {offer_name|urlencode|urldecode}", "Loan%20CZ Loan CZ"),
        ("{affiliate_click_id|base64} {affiliate_click_id|base64|base64decode}", "Y2xpY2sgMS8y click 1/2"),
        ("{user_agent|base64decode}", "Mozilla/5.0 (X11)"),
        ("{pcid|md5}", "5540003971d7354248ac0a8be452843a"),
        ("{voucher|sha1}", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("{voucher|sha256}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("{value|replace:.,\\,} {value|replace:0,}", "100,00 1."),
        (r"{pcid|prefix:a\|b\}c\\d\:e\,f,g:h{} ", r"a|b}c\d:e,f,g:h{pc-1 "),
        (r"{pcid|regex:/^pc-(\d)$/$1|{x}\/y/} {pcid|regex:/p{1}/q/|upper} {pcid|regex:/z/y/}", "1|{x}/y QC-1 pc-1"),
        ("{pcid|regex:/(?<n>c)/${n}${n}/}", "pcc-1"),
        ("{pcid|prefix:p-|suffix:-s|raw}", "p-pc-1-s"),
    ] {
        check(text, expected);
    }
}

#[test]
fn q2_times() {
    for (text, expected) in [
        ("{now|date:%d.%m.%Y %H:%M:%S}", "22.11.2026 09:00:01"),
        ("{now|date:%Y-%m-%dT%H:%M:%S%:z,Europe/Prague}", "2026-11-22T10:00:01+01:00"),
        (r"{now|date:%H\,%M, America/New_York}", "04,00"),
        ("{conversion_at|unix} {event_at|unixms} {timestamp|unixms}", "1795336200 1795337999120 1795337999120"),
        ("{timestamp|date:%Y}", "2026"),
        ("{query.none|default:2026-01-02T03:04:05+01:00|unix}", "1767319445"),
        ("{pcid|unix} {pcid|date:%Y}{voucher|unix}.", "pc-1 pc-1."),
    ] {
        check(text, expected);
    }
}

#[test]
fn q2_numbers_are_exact_and_round_halves_away_from_zero() {
    let number = |value: &str, modifier: &str, expected: &str| {
        check(&format!("{{voucher|default:{value}|{modifier}}}"), expected);
    };
    number("2.5", "number:0", "3");
    number("-2.5", "number:0", "-3");
    number("1.005", "number:2", "1.01");
    number("1.004", "number:2", "1.00");
    number("12", "number:2", "12.00");
    number("-0.001", "number:2", "0.00");
    number("1e3", "number:1", "1000.0");
    number("12.345", "cents", "1235");
    number("0.1", "cents", "10");
    number("-0.005", "cents", "-1");
    number("x1", "cents", "x1");
    number("x1", "number:3", "x1");
    check("{voucher|number:2}{voucher|cents}.", ".");
    check("{value|cents} {payout|number:0} {attempt|number:1}", "10000 5 2.0");
}

#[test]
fn q2_hmac_is_keyed_with_a_secret() {
    // RFC 4231 has no key "key"; this one is the well-known example of HMAC articles.
    check(
        "{voucher|default:The quick brown fox jumps over the lazy dog|hmac_sha256:key}",
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
    );
    check("{pcid|hmac_sha256:none}.", ".");
}

#[test]
fn q2_omit_if_empty_is_judged_at_its_place_in_the_chain() {
    check_place(Place::QueryValue, "x{voucher|omit_if_empty}", "", "(omitted)");
    check_place(Place::QueryValue, "x{voucher|default:y|omit_if_empty}", "", "xy");
    check_place(Place::QueryValue, "x{voucher|omit_if_empty|default:y}", "", "(omitted)");
    check_place(Place::QueryValue, "x{click_id|omit_if_empty|prefix:p}", "1", "xp1");
}

#[test]
fn q3_raw_switches_percent_encoding_off_and_nothing_else() {
    check_place(Place::QueryValue, "{click_id|urlencode|raw}", "a&b", "a%26b");
    check_place(Place::QueryValue, "{click_id|urlencode}", "a&b", "a%2526b");
    check_place(Place::RawXml, "{click_id|raw}", "<", "&lt;");
}

#[test]
fn q2_broken_arguments_are_refused() {
    let one = |text: &str, detail: &str| check_faults(Place::Plain, ADMIN, text, &[(7, detail)]);
    one("{pcid|map:a=1,b}", "\"b\" has no =: write map:from=to,from=to and \\, for a comma");
    one("{pcid|map:a=1,a=2}", "\"a\" occurs twice in map: keep one of them");
    one("{pcid|number:19}", "\"19\" decimal places are not possible: choose 0 to 18");
    one("{pcid|number:+1}", "\"+1\" decimal places are not possible: choose 0 to 18");
    one("{pcid|replace:a}", "replace takes two texts, the first not empty: write replace:from,to and \\, for a comma");
    one("{pcid|replace:,a}", "replace takes two texts, the first not empty: write replace:from,to and \\, for a comma");
    let unclosed = "a macro without its }: write regex:/from/to/ with three slashes, and } behind it";
    check_faults(Place::Plain, ADMIN, "{pcid|regex:/a/}", &[(1, unclosed)]);
}

#[test]
fn q2_broken_dates_and_expressions_are_refused() {
    let refused = |text: &str, part: &str| {
        let faults = super::Template::parse(text, Place::Plain, ADMIN).map(|_| ()).unwrap_err();
        assert!(faults.len() == 1 && faults[0].offset == 6 && faults[0].detail.contains(part), "{text}: {faults:?}");
    };
    refused("{now|date:%Y,Europe/Atlantis}", "unknown time zone \"Europe/Atlantis\"");
    refused("{now|date:}", "date needs a format");
    refused("{now|date:%!}", "not a format of a time");
    refused("{now|date:a,b,c}", "write date:FORMAT,ZONE");
    refused("{now|regex:/(/x/}", "not a regular expression: unclosed group");
    refused("{now|regex:/(\\w{200}){200}/x/}", "the regular expression takes more than 64 KiB compiled");
    refused("{now|regex:x}", "write regex:/from/to/");
    refused("{now|regex:/a/b/c}", "write regex:/from/to/");
    refused("{now|regex://b/}", "write regex:/from/to/");
    refused(&format!("{{now|regex:/a/{}/}}", "x".repeat(257)), "257 bytes: 256 are allowed");
    refused("{now|hmac_sha256:a b}", "not a name: 1 to 64");
}

#[test]
fn case_b10_cents_go_by_the_currency() {
    for (currency, payout, expected) in [
        ("JPY", "1500", "1500"),
        ("jpy", "1500.5", "1501"),
        ("KRW", "1500.00", "1500"),
        ("KWD", "1.2345", "1235"),
        ("KWD", "12.5", "12500"),
        ("BHD", "0.001", "1"),
        ("EUR", "12.345", "1235"),
        ("XXX", "1", "100"),
    ] {
        let mut event = event();
        let transaction = event.transaction.as_mut().unwrap();
        (transaction.payout, transaction.currency) = (Some(payout.parse().unwrap()), Some(currency.into()));
        let mut out = String::new();
        let template = Template::parse("{payout|cents}", Place::Plain, ADMIN).unwrap();
        in_scope(&event, None, |scope| template.render(scope, &mut out)).unwrap();
        assert_eq!(out, expected, "{currency} {payout}");
    }
}

#[test]
fn case_b10_arithmetic_is_exact() {
    check("{payout|times:0.1|add:0.2}", "0.700");
    check("{result|map:none=1,*=0}", "0");
    check("{result|map:*=0,approved=1}", "1");
    check("{value|divide:3}", "33.333333333333333333333333333");
    check("{value|divide:3|number:2}", "33.33");
    check("{value|subtract:100.5|number:0}", "-1");
    check("{value|times:0.85|number:2}", "85.00");
    check("{pcid|add:1}", "pc-1");
    check("{value|times:9999999999999999999999999999}", "100.00");
    check_refused("{value|divide:0.00}", "nothing can be divided by 0");
    check_refused("{value|add:x}", "expected a number such as 0.85, got \"x\"");
}

#[test]
fn case_b10_a_number_is_read_as_a_unix_time() {
    for (text, expected) in [("1700000000", "2023-11-14"), ("1700000000000", "2023-11-14"), ("0", "1970-01-01"), ("17x", "17x")] {
        let event = crate::template::sample::event_with_click_id(text);
        let mut out = String::new();
        let template = Template::parse("{click_id|date:%Y-%m-%d}", Place::Plain, ADMIN).unwrap();
        in_scope(&event, None, |scope| template.render(scope, &mut out)).unwrap();
        assert_eq!(out, expected);
    }
}

#[test]
fn case_b8_a_format_without_percent_signs_says_what_is_meant() {
    for (format, meant) in [
        ("Y-m-d H:i:s", "%Y-%m-%d %H:%M:%S"),
        ("d.m.Y", "%d.%m.%Y"),
        ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
        ("U", "%s"),
        ("d M y", "%d %b %y"),
        ("Y-m-dTH:i:sZ", "%Y-%m-%dT%H:%M:%SZ"),
        ("iso", "strftime letters such as %Y-%m-%dT%H:%M:%SZ"),
        ("RFC3339", "strftime letters such as %Y-%m-%dT%H:%M:%SZ"),
        ("?", "strftime letters such as %Y-%m-%dT%H:%M:%SZ"),
    ] {
        let text = format!("{{conversion_at|date:{format}}}");
        check_refused(&text, &format!("a format without %: write {meant} if that is meant"));
        let allowed = Allowed { stored: true, ..ADMIN };
        let mut faults = crate::fault::Faults::of_stored_rule();
        assert!(Template::parse_within(&text, Place::Plain, allowed, &mut faults).is_ok(), "a stored rule keeps it: {format}");
    }
}

#[test]
fn case_b8_letters_among_percent_signs_say_what_is_meant() {
    for (format, letters, meant) in [
        ("%Y-m-d", "m", "%Y-%m-%d"),
        ("%d.MM.yyyy", "MM", "%d.%m.%Y"),
        ("%Y-%m-%d H:i:s", "H", "%Y-%m-%d %H:%M:%S"),
        ("Y-%m-%d", "Y", "%Y-%m-%d"),
    ] {
        let text = format!("{{conversion_at|date:{format}}}");
        check_refused(&text, &format!("without % \"{letters}\" is text and no part of the time: write {meant} if that is meant"));
    }
    check("{conversion_at|date:%Hh%M}", "08h30");
    check("{conversion_at|date:%H h %M m}", "08 h 30 m");
    check("{conversion_at|date:%Y-%m-%dT%H:%M:%SZ}", "2026-11-22T08:30:00Z");
    check("{conversion_at|date:%-d.%-m.%Y}", "22.11.2026");
}

#[test]
fn case_b11_a_comma_in_a_format_is_explained() {
    let detail =
        "a comma separates format and time zone, so that \"%d %b\" is read as a zone: write \\, for a comma in the format";
    check_refused("{now|date:%a, %d %b}", detail);
    check_refused("{now|date:%d,%m}", "so that \"%m\" is read as a zone");
    check("{now|date:%a\\, %d %b}", "Sun, 22 Nov");
}

#[test]
fn q2_a_time_is_shifted() {
    check("{conversion_at|date_add:+3d}", "2026-11-25T08:30:00Z");
    check("{conversion_at|date_add:-90m|date:%H:%M}", "07:00");
    check("{conversion_at|date_add:+36h|date_add:-1d|unix}", "1795379400");
    check("{timestamp|date_add:+45s}", "1795338044");
    check("{voucher|default:2026-02-28T23:00:00Z|date_add:+1h}", "2026-03-01T00:00:00Z");
    check("{pcid|date_add:+3d}", "pc-1");
    check("{voucher|date_add:+3d}", "");
    for wrong in ["3d", "+d", "+3", "+3w", "+-3d", "++3d", "+3 d", "+36501d", "+99999999999999999999s", "-1.5h", "+3д"] {
        let detail = format!("expected a sign, a whole number and s, m, h or d, such as +3d, up to 36500 days, got \"{wrong}\"");
        check_refused(&format!("{{now|date_add:{wrong}}}"), &detail);
    }
}

#[test]
fn q2_the_first_match_is_taken() {
    check("{affiliate_click_id|first:/[0-9]+/}", "1");
    check("{affiliate_click_id|first:/([a-z]+) ([0-9])/}", "click");
    check("{affiliate_click_id|first:/ .\\//}", " 1/");
    check("{affiliate_click_id|first:/x|([0-9])}/}", "");
    check("{affiliate_click_id|first:/k|c{1}/|upper}", "C");
    check("{affiliate_click_id|first:/(x)?[0-9]/}", "");
    check("{affiliate_click_id|first:/none/|default:-}", "-");
    check_refused("{pcid|first:/[/}", "regex");
    check_refused("{pcid|first:x}", "not complete: write first:/regex/ and \\/ for a slash");
    check_refused("{pcid|first://}", "not complete: write first:/regex/ and \\/ for a slash");
}
