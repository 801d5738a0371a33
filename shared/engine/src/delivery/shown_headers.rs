//! The headers of a response as the log and trials show them: the first of them, within bounds, secrets masked (Q5).

use tracking_core::answer::Response;

use crate::secrets::Scrubber;

/// The most headers of a response that are shown.
pub(crate) const MAX_HEADERS: usize = 20;
/// The most bytes of all names and values together.
pub(crate) const MAX_HEADER_BYTES: usize = 2_048;
/// The most bytes of one value; a longer one ends in `…`.
const MAX_VALUE_BYTES: usize = 512;

/// Headers that speak of one connection alone (RFC 9110 §7.6.1).
const OF_CONNECTION: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "proxy-connection"];

/// Returns the headers of a masked response that people see, in the order in which they came. One that does not fit is left out.
pub(crate) fn shown_headers(answer: &Response, scrubber: &Scrubber) -> Vec<(String, String)> {
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut room = MAX_HEADER_BYTES;
    let spoken_of = answer.headers.iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str()));
    for (name, value) in spoken_of.take(MAX_HEADERS) {
        // The values were masked with the response; a name may hold a secret too.
        let (name, value) = (scrubber.scrub(name), shortened(value));
        let Some(left) = room.checked_sub(name.len() + value.len()) else { continue };
        room = left;
        shown.push((name, value));
    }
    shown
}

fn shortened(value: &str) -> String {
    if value.len() <= MAX_VALUE_BYTES {
        return value.to_owned();
    }
    format!("{}…", &value[..value.floor_char_boundary(MAX_VALUE_BYTES)])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracking_core::json;

    use super::*;
    use crate::{delivery::render::masked, secrets::Texts};

    fn shown(headers: Vec<(&str, &str)>) -> Vec<(String, String)> {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let secrets = BTreeMap::from([("token", "s3cr3t-token")]);
        let scrubber = Scrubber::new(&Texts { secrets, ..Texts::default() });
        let answer = masked(Ok(Response::new(200, headers, Vec::new())), &scrubber).unwrap();
        shown_headers(&answer, &scrubber)
    }

    #[test]
    fn case_a11_headers_are_shown_in_order_with_secrets_masked() {
        let shown = shown(vec![
            ("Set-Cookie", "session=s3cr3t-token; Path=/"),
            ("Connection", "close"),
            ("X-Echo-s3cr3t-token", "Bearer s3cr3t-token"),
            ("Set-Cookie", "b=2"),
            ("Location", "https://a.example/?k=s3cr3t%2Dtoken"),
        ]);
        let expected = json!({
            "set-cookie": "session=***; Path=/, b=2", "x-echo-***": "Bearer ***", "location": "https://a.example/?k=***",
        });
        assert_eq!(crate::rows::headers_view(&shown), expected);
    }

    #[test]
    fn case_a11_headers_are_bounded_in_number_and_in_bytes() {
        let names: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
        assert_eq!(shown(names.iter().map(|name| (name.as_str(), "1")).collect()).len(), 20);
        let long = "ž".repeat(400);
        let shown = shown(names.iter().map(|name| (name.as_str(), long.as_str())).collect());
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[0], ("x-0".to_owned(), format!("{}…", "ž".repeat(256))));
        let small = shown_after_long(&long);
        assert_eq!(small.last().map(String::as_str), Some("x-small"), "one that does not fit leaves room for others");
    }

    fn shown_after_long(long: &str) -> Vec<String> {
        let headers = vec![("x-a", long), ("x-b", long), ("x-c", long), ("x-d", long), ("x-small", "1")];
        shown(headers).into_iter().map(|(name, _)| name).collect()
    }
}
