//! The events that Lambda hands to functions.

use serde_json::{Value, json};

/// Returns a new sale of an affiliate with one pending transaction, as the bus passes it on.
pub(crate) fn sale(affiliate: &str, conversion: &str) -> Value {
    json!({
        "version": "0", "id": "5f0f8d0e-1111-4222-8333-444455556666", "source": "platform.conversions",
        "detail-type": "Conversion Changed", "time": "2026-11-22T09:00:00Z", "account": "000000000000",
        "region": "eu-central-1", "resources": [],
        "detail": {
            "change_id": format!("chg_{conversion}"), "occurred_at": "2026-11-22T09:00:00Z",
            "conversion": {
                "conversion_id": conversion, "version": 1, "change": "created", "type": "sale", "source": "link",
                "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": "off_5",
            },
            "transactions": [{"transaction_id": format!("trx_{conversion}"), "result": "pending"}],
        },
    })
}

/// Returns a request as API Gateway passes it on, with the claims of a token unless they are null.
pub(crate) fn request(line: &str, claims: &Value, body: &Value) -> Value {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut event = json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": path, "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "api.example"},
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "domainName": "api.example", "domainPrefix": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9", "userAgent": "tests"},
            "requestId": "request", "routeKey": "ANY /{proxy+}", "stage": "$default",
            "time": "22/Nov/2026:09:00:00 +0000", "timeEpoch": 1_795_338_000_000_i64,
        },
        "isBase64Encoded": false,
    });
    if !claims.is_null() {
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": claims, "scopes": null}});
    }
    if !body.is_null() {
        event["body"] = body.to_string().into();
    }
    event
}
