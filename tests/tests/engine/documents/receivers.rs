//! The receivers of docs/receivers.md, one test a row: a rule as a person writes it, its request, and the meaning of its responses. The
//! last test ties the rows of the page to the tests.

mod ad_platforms;
mod affiliate_platforms;
mod lead_networks;
mod status_apis;
mod status_lists;
mod trackers;

use std::collections::BTreeMap;

use tracking_core::{caller::Owner, change::Change, json, json::Value};

use crate::documents::{
    exchange::{Exchange, parsed},
    markdown::{code, page, rows, section},
};

/// The sources of the tests.
const TESTS: [&str; 6] = [
    include_str!("receivers/ad_platforms.rs"),
    include_str!("receivers/affiliate_platforms.rs"),
    include_str!("receivers/lead_networks.rs"),
    include_str!("receivers/status_apis.rs"),
    include_str!("receivers/status_lists.rs"),
    include_str!("receivers/trackers.rs"),
];
/// The fewest receivers that the page lists.
const FEWEST: usize = 40;

/// Returns a new sale with one transaction of this result.
fn sale(result: &str) -> Value {
    json!({
        "change_id": "chg_550231", "occurred_at": "2026-11-22T14:03:27.482Z",
        "conversion": {
            "conversion_id": "cnv_84213", "version": 4, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_31", "offer_id": "off_12", "offer_name": "Boty CZ", "country": "CZ",
            "external_id": "2026-11/4471", "affiliate_click_id": "wNq7+8/3=kk", "value": "1249.90", "currency": "CZK",
            "voucher": "WINTER10", "click_at": "2026-11-22T13:40:00Z", "created_at": "2026-11-22T14:03:00Z",
            "query_params": {"email": " Jana.Novakova@Example.COM ", "first_name": "Jana & Co", "phone": "+420 777 123 456",
                "ttclid": "E.C.P.CvAB-7", "awc": "1001_1403695822_a430", "cjevent": "cj-1", "tduid": "td-1", "admitad_uid": "ad-1",
                "ranSiteID": "ran-1", "msclkid": "ms-1", "t202_subid": "5512", "gps_adid": "660e1d86", "sdid": "sd-1",
                "appsflyer_id": "1415211453000-6513894", "kochava_device_id": "ko-1", "user_id": "u-1", "tap_click_id": "tap-1"},
            "cookie_params": {"_ga": "GA1.1.1234567890.1763800001"},
            "ip": "89.24.1.7", "user_agent": "Mozilla/5.0 (iPhone)"
        },
        "transactions": [{"transaction_id": "trx_9001", "change": "created", "result": result, "payout": "62.50", "currency": "EUR"}]
    })
}

/// Checks the request of a rule about a new sale, approved or else pending, and the meaning of responses.
#[track_caller]
fn check(rule: &str, request: &[&str], responses: &[(u16, &str, &str)]) {
    let changes = ["approved", "pending"]
        .map(|result| Change::parse_detail(&sale(result), "").expect("the sale is in the platform's form"));
    let exchange = Exchange::new(&parsed(rule), &Owner::Admin, &changes);
    assert_eq!(exchange.request(), request);
    for (status, body, meaning) in responses {
        assert_eq!(exchange.meaning(*status, body), *meaning, "{status} {body}");
    }
}

/// Returns the tests by their names, with their texts.
fn tests() -> BTreeMap<&'static str, &'static str> {
    let parts = TESTS.iter().flat_map(|source| source.split("\n#[test]\nfn ").skip(1));
    let named = parts.map(|part| part.split_once("()").expect("a test has a name"));
    let mut tests = BTreeMap::new();
    for (name, text) in named {
        assert!(tests.insert(name, text).is_none(), "two tests are named {name}");
    }
    tests
}

/// Returns the faults of a row: its page, its test, and its quotes of request and answers must exist.
fn faults(row: &[String], tests: &mut BTreeMap<&str, &str>) -> Vec<String> {
    let [receiver, request, answer, known, rule, test] = row else { return vec![format!("{row:?}: not six cells")] };
    let mut faults = Vec::new();
    let name = code(test).first().copied().unwrap_or_default();
    let Some(body) = tests.remove(name) else {
        return vec![format!("{receiver}: there is no test `{name}`, or another row has it")];
    };
    let quoted = code(request).into_iter().chain(code(answer));
    faults.extend(quoted.filter(|quoted| !body.contains(quoted)).map(|quoted| format!("{name}: the test has no `{quoted}`")));
    if code(request).is_empty() || !receiver.contains("](https://") || known.is_empty() {
        faults.push(format!("{name}: the row lacks a request, a page or where it is known from"));
    }
    if code(answer).is_empty() && answer != "not checked" {
        faults.push(format!("{name}: quote an answer, or write that it was not checked"));
    }
    if !rule.starts_with("yes") && !rule.starts_with("partly") {
        faults.push(format!("{name}: say whether a rule serves it"));
    }
    faults
}

#[test]
fn every_row_of_the_page_is_a_test_and_every_test_a_row() {
    let page = page("receivers.md");
    let rows = rows(section(&page, "All receivers"));
    assert!(rows.len() >= FEWEST, "{} receivers are listed", rows.len());
    let mut tests = tests();
    let mut all: Vec<String> = rows.iter().flat_map(|row| faults(row, &mut tests)).collect();
    all.extend(tests.keys().map(|name| format!("{name}: no row of docs/receivers.md names this test")));
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}
