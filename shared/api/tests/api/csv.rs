//! The log as CSV.

use serde_json::{Value, json};

use crate::{
    support::{ADMIN, Api, Response},
    workshop::Workshop,
};

const HEADER: &str = "id,tracking_api_id,owner,change_id,event,conversion_id,transaction_id,affiliate_id,state,reason,attempts,max_attempts,\
                      next_due,is_final,is_correction,created_at,ended_at,offer_id,click_id,external_id,result,payout,currency,http_status,\
                      duration_ms,step";

async fn csv(api: &Api, who: &str, path: &str) -> Response {
    let answer = api.call_with(who, &format!("GET {path}"), &[("accept", "text/csv")], Value::Null).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/csv; charset=utf-8; header=present")));
    answer
}

/// The next page's address.
fn next(answer: &Response) -> Option<String> {
    let link = answer.header("link")?;
    let (address, relation) = link.split_once('>').expect("an address in brackets");
    assert_eq!(relation, "; rel=\"next\"");
    Some(address.trim_start_matches('<').to_owned())
}

#[tokio::test]
async fn deliveries_come_as_csv_page_by_page() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule("aff_a", json!({})).await;
    for number in 1..=5 {
        shop.process_change(number, 1, "pending").await;
    }
    let mut path = Some(format!("/deliveries?tracking_api_id={rule}&limit=2"));
    let mut ids = Vec::new();
    while let Some(page) = path {
        let answer = csv(&shop.api, "aff_a", &page).await;
        let lines: Vec<&str> = answer.text.split_terminator("\r\n").collect();
        assert_eq!(lines[0], HEADER);
        ids.extend(lines[1..].iter().map(|line| line.split(',').next().unwrap_or_default().to_owned()));
        path = next(&answer);
    }
    let json = shop.api.get("aff_a", "/deliveries").await;
    assert_eq!(json.header("vary"), Some("Accept"));
    assert_eq!(ids, json.each("id"));
    let names: Vec<&str> = json.body["items"][0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut columns: Vec<&str> = HEADER.split(',').collect();
    columns.sort_unstable();
    assert_eq!(columns, names, "every field of an item is a column");
    assert_eq!(csv(&shop.api, "aff_b", "/deliveries").await.text, format!("{HEADER}\r\n"));
    let refused = shop.api.call_with(ADMIN, "GET /deliveries?limit=0", &[("accept", "text/csv")], Value::Null).await;
    assert_eq!(refused.problem().0, 400);
}

#[tokio::test]
async fn a_text_of_a_visitor_is_no_formula_in_csv() {
    let api = Api::new();
    api.rule("aff_a", "x", json!({})).await;
    api.event(&json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_1", "version": 1, "change": "created", "type": "sale", "source": "link", "affiliate_id": "aff_a",
            "advertiser_id": "adv_2", "offer_id": "off_5", "affiliate_click_id": "=HYPERLINK(\"https://evil.example\",\"a,b\")",
            "external_id": "@SUM(1)\r\n-2"},
        "transactions": [{"transaction_id": "trx_1", "result": "approved", "payout": "-5.00", "currency": "EUR"}],
    }))
    .await;
    let answer = csv(&api, "aff_a", "/deliveries").await;
    let line = answer.text.split_once("\r\n").unwrap().1;
    let expected = "off_5,\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"a,b\"\")\",\"'@SUM(1)\r\n-2\",approved,-5.00,EUR,";
    assert!(line.contains(expected), "{line}");
    assert!(line.contains(",aff_a,chg_1,transaction_created,cnv_1,trx_1,aff_a,"), "the owner is its affiliate: {line}");
}
