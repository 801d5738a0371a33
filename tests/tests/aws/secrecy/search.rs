//! The secrets that are searched for, and the search.

#[cfg(test)]
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// A secret with the characters that escapes treat differently.
pub(crate) const TOKEN: &str = "a/b Zx9Qv7Lm2Wk4\"ž+\\&?~";
/// Another secret.
pub(crate) const INNER: &str = "Jd4Kf7WsRt5Yb8Nc3Ph6";
/// A token that a login gives and that is kept for later deliveries.
pub(crate) const KEPT: &str = "Vq3Hn8Tz/6Kw1 Rb5Xs9M+g";
/// A token that a login gives for the rest of its delivery.
pub(crate) const OWN: &str = "Ub7Jc2Yd/4Lp0 Fe6Wk8N+h";
/// Letters and digits from the secrets, which no escape touches, in any case; the secrets in base 64 and in hex.
const NEEDLES: [&str; 27] = [
    "Zx9Qv7Lm2Wk4",
    "zx9qv7lm2wk4",
    "ZX9QV7LM2WK4",
    "Jd4Kf7WsRt5Yb8Nc3Ph6",
    "jd4kf7wsrt5yb8nc3ph6",
    "JD4KF7WSRT5YB8NC3PH6",
    "YS9iIFp4OVF2N0xtMldrNCLFvitcJj9",
    "SmQ0S2Y3V3NSdDVZYjhOYzNQaDY",
    "a%2Fb%20Zx9Qv",
    "5a78395176374c6d32576b34",
    "5A78395176374C6D32576B34",
    "4a64344b663757735274355962384e6333506836",
    "4A64344B663757735274355962384E6333506836",
    "Vq3Hn8Tz",
    "vq3hn8tz",
    "VQ3HN8TZ",
    "VnEzSG44VHovNkt3MSBSYjVYczlNK2",
    "Vq3Hn8Tz%2F6Kw1",
    "567133486e38547a",
    "567133486E38547A",
    "Ub7Jc2Yd",
    "ub7jc2yd",
    "UB7JC2YD",
    "VWI3SmMyWWQvNExwMCBGZTZXazhOK2",
    "Ub7Jc2Yd%2F4Lp0",
    "5562374a63325964",
    "5562374A63325964",
];

/// Returns the secrets in a text, each with the text around it.
pub(crate) fn secrets_in(text: &str) -> Vec<String> {
    let around = |at: usize| {
        let (from, to) = (text.floor_char_boundary(at.saturating_sub(120)), text.ceil_char_boundary((at + 80).min(text.len())));
        text[from..to].to_owned()
    };
    NEEDLES.iter().filter_map(|needle| text.find(needle)).map(around).collect()
}

#[test]
fn secrets_are_found_where_they_are() {
    assert_eq!(secrets_in("all is well"), Vec::<String>::new());
    assert_eq!(secrets_in(&format!("it is {TOKEN}!")).len(), 1);
    for (token, hex) in [(KEPT, "567133486e38547a2f364b773120526235587339"), (OWN, "5562374a633259642f344c703020466536576b38")] {
        assert_eq!((secrets_in(token).len(), secrets_in(hex).len(), secrets_in(&BASE64_STANDARD.encode(token)).len()), (1, 1, 1));
    }
    assert_eq!(secrets_in("ž SmQ0S2Y3V3NSdDVZYjhOYzNQaDY= ž"), ["ž SmQ0S2Y3V3NSdDVZYjhOYzNQaDY= ž"]);
}
