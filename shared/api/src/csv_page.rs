//! The log as CSV (RFC 4180), for spreadsheets: one page, with the address of the next in the `Link` header.
//!
//! **No cell is a formula.** A text that begins with `=`, `+`, `-`, `@`, a tab or a line break gets an apostrophe before it, which
//! spreadsheets take for the mark of a text.

use axum::{
    http::{
        HeaderMap, HeaderValue, Uri,
        header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, LINK, VARY},
    },
    response::{IntoResponse, Response},
};
use tracking_core::json::Value;
use tracking_engine::DeliveryPage;

/// The fields of a delivery, in the order of the columns.
const COLUMNS: [&str; 26] = [
    "id",
    "tracking_api_id",
    "owner",
    "change_id",
    "event",
    "conversion_id",
    "transaction_id",
    "affiliate_id",
    "state",
    "reason",
    "attempts",
    "max_attempts",
    "next_due",
    "is_final",
    "is_correction",
    "created_at",
    "ended_at",
    "offer_id",
    "click_id",
    "external_id",
    "result",
    "payout",
    "currency",
    "http_status",
    "duration_ms",
    "step",
];

/// Money, which may begin with a minus.
const PAYOUT: &str = "payout";

/// Returns true if the caller would rather have CSV than JSON.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let quality = |wanted: &str| -> u32 {
        let ranges = accepted.iter().filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1_000), thousandths)?;
            name.eq_ignore_ascii_case(wanted).then_some(weight)
        });
        ranges.max().unwrap_or(0)
    };
    let csv = quality("text/csv");
    csv > 0 && csv >= quality("application/json")
}

/// The thousandths of a weight from 0 to 1 with at most three digits (RFC 9110 §12.4.2).
fn thousandths(weight: &str) -> Option<u32> {
    let (whole, digits) = weight.split_once('.').unwrap_or((weight, ""));
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let thousandths: u32 = format!("{digits:0<3}").parse().ok()?;
    Some((whole * 1_000 + thousandths).min(1_000))
}

/// A page of deliveries. `uri` is the address of this page.
pub(crate) fn response(page: &DeliveryPage, uri: &Uri) -> Response {
    let mut response = (
        [
            (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
            (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"deliveries.csv\"")),
            (VARY, HeaderValue::from_static("Accept")),
        ],
        text(&page.items),
    )
        .into_response();
    let link = page.next.as_deref().and_then(|cursor| HeaderValue::from_str(&next_link(uri, cursor)).ok());
    response.headers_mut().extend(link.map(|link| (LINK, link)));
    response
}

/// The header with the address of the next page: this one's, with another cursor.
fn next_link(uri: &Uri, cursor: &str) -> String {
    let others = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let mut query: Vec<String> = others.map(|pair| pair.replace('<', "%3C").replace('>', "%3E")).collect();
    query.push(format!("cursor={cursor}"));
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

fn text(items: &[Value]) -> Vec<u8> {
    let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let lines = items.iter().map(|item| COLUMNS.map(|column| cell(item, column)));
    for line in std::iter::once(COLUMNS.map(str::to_owned)).chain(lines) {
        rows.write_record(line).expect("every line has the same number of cells, and memory takes them");
    }
    rows.into_inner().expect("memory takes every line")
}

fn cell(item: &Value, column: &str) -> String {
    match item.get(column) {
        Some(Value::Object(owner)) => owner.get("affiliate_id").and_then(Value::as_str).unwrap_or("admin").to_owned(),
        Some(Value::String(text)) if column != PAYOUT => harmless(text),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
        // A row that can't be read, as admins see it.
        None if column == "reason" => item.get("unreadable").map_or_else(String::new, |key| format!("unreadable: {key}")),
        None => String::new(),
    }
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: bool) {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]);
        assert_eq!(is_wanted(&headers), expected, "{accept}");
    }

    #[test]
    fn csv_is_sent_only_if_the_accept_header_prefers_it() {
        check("text/csv", true);
        check("Text/CSV; header=present, */*;q=0.1", true);
        check("application/json;q=0.5, text/csv", true);
        check("text/csv;q=0.5, application/json", false);
        check("text/csv;q=0", false);
        check("text/csv;q=many", false);
        check("text/csv;q=0.001", true);
        check("text/csv;q=0.85, application/json;q=0.9", false);
        check("*/*", false);
        check("text/html,application/xhtml+xml", false);
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn texts_are_no_formulas() {
        let cells: Vec<String> = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a=1", ""].map(harmless).into();
        assert_eq!(cells, ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "a=1", ""]);
    }

    #[test]
    fn the_next_page_has_the_same_query() {
        let link = |uri: &str| next_link(&uri.parse().unwrap(), "abc");
        assert_eq!(
            link("/deliveries?state=failed&limit=2&cursor=x"),
            "</deliveries?state=failed&limit=2&cursor=abc>; rel=\"next\""
        );
        assert_eq!(link("/deliveries"), "</deliveries?cursor=abc>; rel=\"next\"");
    }
}
