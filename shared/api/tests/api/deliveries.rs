//! The log as callers see it (V2, docs/api.md).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

async fn busy() -> (Api, String, String) {
    let api = Api::new();
    let of_a = api.rule("aff_a", "A's", Value::Null).await;
    let of_admin = api.rule(ADMIN, "all", Value::Null).await;
    api.sale(1, "aff_a").await;
    api.sale(2, "aff_b").await;
    (api, of_a, of_admin)
}

#[tokio::test]
async fn v2_deliveries_go_by_the_rules_owner() {
    let (api, of_a, of_admin) = busy().await;
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("id").len(), 3);
    let own = api.get("aff_a", "/deliveries").await;
    assert_eq!(own.each("tracking_api_id"), [of_a.as_str()]);
    assert_eq!(api.get("aff_b", "/deliveries").await.each("id").len(), 0, "only an admin's rule sent aff_b's sale");
    assert_eq!(api.get("aff_a", &format!("/deliveries?tracking_api_id={of_admin}")).await.each("id").len(), 0);
    assert_eq!(api.get("aff_a", "/deliveries?conversion_id=cnv_1").await.each("id").len(), 1);

    let hidden = api.get(ADMIN, &format!("/deliveries?tracking_api_id={of_admin}&affiliate_id=aff_a")).await;
    let hidden = api.get("aff_a", &format!("/deliveries/{}", hidden.each("id")[0])).await;
    let absent = api.get("aff_a", "/deliveries/dlv_0123456789abcdefghjkmnpqrstvwxyz").await;
    assert_eq!(hidden.problem(), (404, "/problems/not-found"));
    assert_eq!((&hidden.text, &hidden.headers), (&absent.text, &absent.headers));
    assert_eq!(api.get("aff_a", "/deliveries/nonsense").await.text, absent.text);
}

#[tokio::test]
async fn deliveries_are_filtered() {
    let (api, of_a, of_admin) = busy().await;
    for (query, conversions) in [
        (format!("tracking_api_id={of_admin}"), &["cnv_2", "cnv_1"][..]),
        (format!("tracking_api_id={of_a}"), &["cnv_1"]),
        ("affiliate_id=aff_b".to_owned(), &["cnv_2"]),
        ("conversion_id=cnv_2".to_owned(), &["cnv_2"]),
        ("state=waiting&affiliate_id=aff_b".to_owned(), &["cnv_2"]),
        ("state=delivered".to_owned(), &[]),
        ("to=2026-11-22T09:00:00Z".to_owned(), &[]),
        ("from=2026-11-22T09:00:00Z&affiliate_id=aff_b".to_owned(), &["cnv_2"]),
        ("tracking_api_id=trk_none".to_owned(), &[]),
    ] {
        assert_eq!(api.get(ADMIN, &format!("/deliveries?{query}")).await.each("conversion_id"), conversions, "{query}");
    }
    let mut seen = Vec::new();
    let mut path = "/deliveries?limit=1".to_owned();
    loop {
        let page = api.get(ADMIN, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(page.each("id").into_iter().map(ToOwned::to_owned));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("/deliveries?limit=1&cursor={next}");
    }
    assert_eq!(seen, api.get(ADMIN, "/deliveries").await.each("id"));
}

#[tokio::test]
async fn a_delivery_shows_its_attempts() {
    let (api, of_a, _) = busy().await;
    let listed = api.get("aff_a", "/deliveries").await;
    let id = listed.each("id")[0];
    let delivery = api.get("aff_a", &format!("/deliveries/{id}")).await;
    assert_eq!((delivery.status, &delivery.body["id"]), (200, &json!(id)));
    assert_eq!((&delivery.body["tracking_api_id"], &delivery.body["state"]), (&json!(of_a), &json!("waiting")));
    let log = delivery.body["log"].as_array().unwrap();
    assert_eq!((log.len(), &log[0]["attempt"], &log[0]["status"]), (1, &json!(1), &Value::Null));
    assert_eq!(log[0]["request"]["url"], "http://127.0.0.1:1/p?t=trx_1");
}
