use std::fmt::Write as _;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
};
use proptest::prelude::*;
use tracking_core::answer::Cut;

use super::{super::automaton::tests::steps, *};

fn scrubber(values: &[&str]) -> Scrubber {
    Scrubber::new(&texts(values, &[]))
}

/// Secrets, each by itself as its name, and the texts that a request made of them.
fn texts<'a>(secrets: &[&'a str], derived: &[&str]) -> Texts<'a> {
    Texts {
        secrets: secrets.iter().map(|value| (*value, *value)).collect(),
        derived: derived.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn body(scrubber: &Scrubber, body: &str, is_cut: bool) -> String {
    let whole = Response::new(200, Vec::new(), body.as_bytes().to_vec());
    let answer = scrubber.answer(if is_cut { whole.cut(Cut::TooLong) } else { whole });
    String::from_utf8(answer.body().to_vec()).unwrap()
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let scrubber = scrubber(&["Jd4K", "Jd4Kf7Ws", "7WsTail", r#"a/b "c"\ž%2"#, "x"]);
    assert_eq!(scrubber.scrub(text), expected, "{text}");
    assert_eq!(body(&scrubber, text, false), expected, "{text}");
}

#[test]
fn q5_echoed_secrets_are_masked_in_every_form() {
    check(r#"x a/b "c"\ž%2 y"#, "x *** y");
    check("a%2Fb%20%22c%22%5C%C5%BE%252|a%2fb+%22c%22%5c%c5%be%252", "***|***");
    check(
        "a%252Fb%2520%2522c%2522%255C%25C5%25be%25252 %7b%22t%22%3A%22a%2fb+%5C%22c%5c%22%5c%5c%5cu017e%252%22%7D",
        "*** %7b%22t%22%3A%22***%22%7D",
    );
    check(r#"{"t":"a/b \"c\"\\ž%2"} a\/b \u0022c\u0022\\\u017E%2 %61/b "c"\ž%2"#, r#"{"t":"***"} *** ***"#);
    check(r#"\u{61}\/b \"c\"\\\u{17e}%2 \u{61"#, r"*** \u{61");
    check(r#"{"d":"{\"t\":\"a\\/b \\\"c\\\"\\\\\\u017e%2\"}"}"#, r#"{"d":"{\"t\":\"***\"}"}"#);
    check(r"<b>a/b &quot;c&#34;\ž%2</b>", "<b>***</b>");
    check(r"<b>a/b &#x0000022;c&#00000000000000000034;\ž%2</b>", "<b>***</b>");
    check("YS9iICJjIlzFviUy Sm Smp SmQ0Sw== SmQ0Sw YS9iICJjIlzFviUy", "*** Sm Smp *** *** ***");
}

#[test]
fn q5_secrets_that_share_letters_go_under_one_mask() {
    check("Jd4K Jd4Kf7Ws Jd4Kf7WsTail Jd4Jd4KK", "*** *** *** Jd4***K");
}

#[test]
fn q5_a_secret_that_begins_another_leaves_none_of_it() {
    for values in [["pass", "password-Secret"], ["password-Secret", "pass"]] {
        assert_eq!(scrubber(&values).scrub("password-Secret pass"), "*** ***");
    }
}

#[test]
fn q5_what_is_no_secret_stays() {
    for text in [
        "",
        "a/b",
        "%",
        "%2",
        "\\",
        "\\u",
        "\\\\\\",
        "&",
        "a%2Fb+",
        "a%252",
        "a%25252Fb",
        "a\\/b \\u002",
        "ž\u{10ffff}",
        "x",
        r#"a/b "c"\ž%"#,
    ] {
        check(text, text);
    }
}

#[test]
fn f8_hex_and_base64_within_longer_texts_are_masked() {
    check("4a64344b 4A64344B 61 2f", "*** *** 61 2f");
    check("jd4k-JD4KF7WS", "***-***");
    // "u:" and "u:p" before 7WsTail-0, and "!" after it.
    let scrubber = scrubber(&["7WsTail_0"]);
    assert_eq!(scrubber.scrub("dTo3V3NUYWlsXzAh dTpwN1dzVGFpbF8wIQ=="), "dTo***Ah dTpw***IQ==");
    assert_eq!(scrubber.scrub("7wstail/0, 7WSTAIL_0, 7WsTail-0, 7WsTail0"), "***, ***, 7WsTail-0, 7WsTail0");
}

#[test]
fn f8_masked_json_stays_json() {
    let scrubber = scrubber(&["n12345", "12345", "true", r#"k":"v"#]);
    let check = |text: &str, expected: &str| {
        assert_eq!(body(&scrubber, text, false), expected);
        assert!(tracking_core::json::is_json(expected.trim_start_matches('\u{feff}').as_bytes()), "{expected}");
    };
    check(r#"{"a": 12345, "b": [-1.12345e3, true, 5]}"#, r#"{"a": "***", "b": ["***", "***", 5]}"#);
    check(r#"{"a\n12345": 1, "12345x" : 2, "c": "\\n12345\u0031"}"#, r#"{"a***": 1, "***x2" : 2, "c": "\\***\u0031"}"#);
    check(r#"{"k":"v"}"#, r#"{"***":"***"}"#);
    check("\u{feff}12345", "\"***\"");
    check(r#""\ud83d\ude0012345\ud83d\ude00""#, r#""\ud83d\ude00***\ud83d\ude00""#);
}

#[test]
fn f8_half_a_character_is_never_left() {
    let scrubber = scrubber(&["ab\u{17e}"]);
    // The second byte of another character, escaped, completes the secret's last one.
    assert_eq!(scrubber.scrub("ab\u{17e}c ab\u{c5}%BE"), "***c ab\u{c5}%BE");
    assert_eq!(scrubber.scrub("ab%C5%BE\u{17e}"), "***\u{17e}");
}

#[test]
fn f8_the_end_of_a_response_that_was_cut_is_masked_whatever_it_is() {
    let scrubber = scrubber(&["Zx9Qv7Lm2Wk4"]);
    let begins = "a".repeat(1_000);
    for (end, escaped) in [("Zx9Qv7L", 0), ("Zx9Qv7X", 0), ("aaaaaaa", 0), ("%5a%789", 4), ("%5b%789", 4)] {
        let text = format!("{begins}{end}");
        assert_eq!(body(&scrubber, &text, false), text);
        assert_eq!(body(&scrubber, &text, true), format!("{}***", &text[..text.len() - 64 - escaped]), "{end}");
    }
    assert_eq!(body(&scrubber, "t=ok", true), "***", "a short one goes whole");
}

#[test]
fn f4_where_too_much_would_be_searched_for_answers_are_hidden() {
    let scrubber = Scrubber::new(&texts(&["Zx9Qv7Lm2Wk4"], &[&"b".repeat(512 << 10)]));
    let answer = scrubber.answer(Response::new(200, vec![("a".to_owned(), "b".to_owned())], b"{}".to_vec()));
    assert_eq!(answer.headers, [("a".to_owned(), "***".to_owned())]);
    let hidden = "*** (hidden: the secrets of this rule are too long to be searched for, or were written by two parties)";
    assert_eq!(String::from_utf8_lossy(answer.body()), hidden);
    assert_eq!(scrubber.scrub("no answer: Zx9Qv7Lm2Wk4"), "no answer: ***");
}

#[test]
fn f4_masking_takes_a_bounded_number_of_steps_a_byte() {
    let secret = format!("{}b", "a".repeat(4_095));
    let texts = texts(&[&secret], &[&secret.repeat(3), &format!("x {secret}")]);
    steps();
    let scrubber = Scrubber::new(&texts);
    let built = steps();
    // 20 483 bytes of values, their beginnings in base 64 and hex; each byte is read once when added and at most twice when linked.
    assert!(built <= 3 * 25_000, "{built}");
    let text = "a".repeat(65_536);
    assert_eq!(body(&scrubber, &text, false), text);
    let searched = steps();
    assert!(searched <= 2 * 65_536, "{searched}");
    // Escapes around escapes, of every kind: sixteen layers at most.
    let text = "%25&amp;amp;quot;\\\\u005c\\\\%5c%26aaaa".repeat(65_536 / 36);
    assert_eq!(body(&scrubber, &text, false), text);
    let searched = steps();
    assert!(searched <= 16 * 2 * 65_536, "{searched}");
}

#[test]
fn f4_fifty_secrets_of_4_kib_are_searched_for() {
    let secrets: Vec<String> = (0..50).map(|number| noise(number, 4_096)).collect();
    let values: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let scrubber = scrubber(&values);
    assert!(matches!(scrubber, Scrubber::Searching(_)));
    let built = steps();
    assert!(built <= 3 * MAX_SHAPE_BYTES, "{built}");
    let text = format!("{}|{}|{}", secrets[3], secrets[49], BASE64_STANDARD.encode(&secrets[7]));
    assert_eq!(scrubber.scrub(&text), "***|***|***==");
}

/// Letters and digits without a pattern.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[usize::try_from(state % 62).unwrap()])
    };
    (0..length).map(|_| letter()).collect()
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Plain,
    Percent,
    PercentLower,
    Form,
    Json,
    JsonAscii,
    Html,
    HtmlNumbers,
    Hex,
    HexUpper,
    Base64,
    Base64Bare,
    Base64Url,
    Base64UrlBare,
    Lower,
    Upper,
}

impl Encoding {
    const NESTED: [Self; 8] =
        [Self::Plain, Self::Percent, Self::PercentLower, Self::Form, Self::Json, Self::JsonAscii, Self::Html, Self::HtmlNumbers];
    const ALL: [Self; 16] = [
        Self::Plain,
        Self::Percent,
        Self::PercentLower,
        Self::Form,
        Self::Json,
        Self::JsonAscii,
        Self::Html,
        Self::HtmlNumbers,
        Self::Hex,
        Self::HexUpper,
        Self::Base64,
        Self::Base64Bare,
        Self::Base64Url,
        Self::Base64UrlBare,
        Self::Lower,
        Self::Upper,
    ];

    fn of(self, text: &str) -> String {
        let hex = |text: &str| text.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
        let percent_with = |text: &str, escape: fn(u8) -> String| {
            text.bytes().fold(String::new(), |out, byte| {
                if is_plain(byte) { format!("{out}{}", char::from(byte)) } else { out + &escape(byte) }
            })
        };
        let percent = |text: &str| percent_with(text, |byte| format!("%{byte:02X}"));
        let percent_lower = |text: &str| percent_with(text, |byte| format!("%{byte:02x}"));
        match self {
            Self::Plain => text.to_owned(),
            Self::Percent => percent(text),
            Self::PercentLower => percent_lower(text),
            Self::Form => percent(text).replace("%20", "+"),
            Self::Json => serde_json::to_string(text).unwrap().trim_matches('"').to_owned(),
            Self::JsonAscii => text.encode_utf16().fold(String::new(), |out, unit| format!("{out}\\u{unit:04x}")),
            Self::Html => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;"),
            Self::HtmlNumbers => text.chars().fold(String::new(), |mut out, c| {
                write!(out, "&#x{:x};", u32::from(c)).unwrap();
                out
            }),
            Self::Hex => hex(text),
            Self::HexUpper => hex(text).to_uppercase(),
            Self::Base64 => BASE64_STANDARD.encode(text),
            Self::Base64Bare => BASE64_STANDARD_NO_PAD.encode(text),
            Self::Base64Url => BASE64_URL_SAFE.encode(text),
            Self::Base64UrlBare => BASE64_URL_SAFE_NO_PAD.encode(text),
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn f8_a_secret_in_any_encoding_in_any_other_is_masked(
        // A quote at an end would be trimmed by the test's own JSON encoding.
        secret in r"[a-zA-Z0-9][ -~ž😀]{3,24}[a-zA-Z0-9]",
        inner in prop::sample::select(&Encoding::ALL[..]),
        outer in prop::sample::select(&Encoding::NESTED[..]),
        before in "[g-z ,.:;<>(){}ž=?]{0,6}[ ,:(]",
        after in "[ ,)}][g-z ,.:;<>(){}ž=?]{0,6}",
    ) {
        let scrubber = scrubber(&[&secret]);
        let around = |middle: &str| outer.of(&format!("{before}{middle}{after}"));
        let echo = around(&inner.of(&secret));
        let expected = format!("{}***{}", outer.of(&before), outer.of(&after));
        prop_assume!(![&before, &after].iter().any(|text| text.len() >= secret.len()));
        prop_assert_eq!(scrubber.scrub(&echo), expected, "{}", echo);
    }

    #[test]
    fn f8_a_text_without_the_secret_stays(text in r#"\PC{0,60}|[%\\&"u0-9a-f;#x]{0,60}"#) {
        let scrubber = scrubber(&["Zx9Qv7Lm2Wk4\u{2603}"]);
        prop_assert_eq!(scrubber.scrub(&text), text.clone());
        prop_assert_eq!(body(&scrubber, &text, false), text);
    }

    #[test]
    fn f8_masked_json_stays_json_whatever_it_is(
        strings in prop::collection::vec(r#"[ -~ž😀"\\]{0,12}"#, 1..6),
        numbers in prop::collection::vec(any::<i32>(), 1..6),
        secret in r#"[0-9]{4}|["\\a-d,:{}\[\]]{4}|\\u[0-9]{3}"#,
    ) {
        let document = tracking_core::json!({"s": strings, "n": numbers, strings[0].clone(): numbers[0], secret.clone(): secret.clone()});
        let masked = body(&scrubber(&[&secret]), &document.to_string(), false);
        prop_assert!(tracking_core::json::is_json(masked.as_bytes()), "{} {}", document, masked);
    }
}

#[test]
fn f8_values_of_two_parties_hide_a_response_whole() {
    let scrubber = Scrubber::hiding(&texts(&["zq7kX9wv", "zq7"], &[]).secrets);
    let text = r#"{"error": "bad token: zq7kX9wv (campaign blue)"}"#;
    assert_eq!(body(&scrubber, text, false), HIDDEN);
    assert_eq!(scrubber.scrub("refused: zq7kX9wv"), "refused: ***");
}

#[test]
fn case_a5_an_answer_that_is_cut_stays_cut() {
    let cut = || Response::new(200, Vec::new(), b"{\"a\":\"my-secret\"".to_vec()).cut(Cut::TooLong);
    for scrubber in [Scrubber::Idle, scrubber(&["my-secret"]), Scrubber::hiding(&texts(&["my-secret"], &[]).secrets)] {
        assert!(scrubber.answer(cut()).is_cut());
    }
}

#[test]
fn case_a7_lines_of_json_stay_json() {
    let scrubber = scrubber(&["12345"]);
    assert_eq!(body(&scrubber, "{\"a\":12345}\n{\"b\":\"x12345\"}\n", false), "{\"a\":\"***\"}\n{\"b\":\"x***\"}\n");
}
