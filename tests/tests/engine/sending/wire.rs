//! Q1: the request on the wire, byte for byte, from a rule and an event to a receiver.

use tracking_core::{json, json::Value};
use tracking_tests::world::{event, transaction};

use crate::sending::support::{Receiver, engine, ok, post, rule, sender, soon, store, work};

/// Returns the one request that a rule sends, with fixed texts for the receiver's address and the delivery's id.
async fn wire(mut request: Value) -> String {
    let receiver = Receiver::saying(ok("")).await;
    let host = receiver.address.to_string();
    request["url"] = format!("http://{host}{}", request["url"].as_str().unwrap()).into();
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = engine(store.clone(), true);
    rule(&engine, json!({"name": "wire", "request": request, "secret_values": {"token": "a/b \"c\""}})).await.unwrap();
    let conversion = json!({"external_id": "X-77/ž & co", "affiliate_click_id": "click \"1\"\n2"});
    post(&engine, &event("chg_1", conversion, json!([transaction("trx_1", "created", "approved")]))).await;
    soon(work(&engine, &store, &sender())).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let id = requests[0].split("Tracking-Delivery-Id: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    assert!(id.starts_with("dlv_"), "{id}");
    let version = concat!("tracking-api/", env!("CARGO_PKG_VERSION"));
    requests[0].replace(id, "dlv_1").replace(&host, "127.0.0.1:80").replace(version, "tracking-api/1")
}

#[tokio::test]
async fn q1_a_get_with_a_query() {
    let request = json!({
        "url": "/p/{external_id}?fixed=1&id={external_id}", "query": [{"name": "s", "value": "{result|map:approved=1}"}, {"name": "t", "value": "{secret.token}"}],
        "headers": [{"name": "X-Name", "value": "{external_id}"}, {"name": "Authorization", "value": "Bearer {secret.token}"}],
    });
    let expected = "GET /p/X-77%2F%C5%BE%20%26%20co?fixed=1&id=X-77%2F%C5%BE%20%26%20co&s=1&t=a%2Fb%20%22c%22 HTTP/1.1\r\n\
        Tracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\nX-Name: X-77/ž & co\r\nAuthorization: Bearer a/b \"c\"\r\n\
        Accept: */*\r\nHost: 127.0.0.1:80\r\n\r\n";
    assert_eq!(wire(request).await, expected);
}

#[tokio::test]
async fn q1_a_post_of_json() {
    let request = json!({
        "method": "POST", "url": "",
        "body": {"format": "json", "fields": [
            {"path": "a.b[0]", "value": "{affiliate_click_id}"}, {"path": "n", "value": "{payout}", "type": "number"},
            {"path": "t", "value": "{secret.token}"},
        ]},
    });
    let expected = "POST / HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\n\
        Content-Type: application/json\r\nAccept: */*\r\nHost: 127.0.0.1:80\r\nContent-Length: 55\r\n\r\n\
        {\"a\":{\"b\":[\"click \\\"1\\\"\\n2\"]},\"n\":5.00,\"t\":\"a/b \\\"c\\\"\"}";
    assert_eq!(wire(request).await, expected);
}

#[tokio::test]
async fn q1_a_form() {
    let request = json!({
        "method": "PUT", "url": "/f",
        "body": {"format": "form", "fields": [
            {"path": "id", "value": "{external_id}"}, {"path": "none", "value": "{voucher|omit_if_empty}"}, {"path": "e", "value": ""},
        ]},
    });
    let expected = "PUT /f HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nAccept: */*\r\nHost: 127.0.0.1:80\r\nContent-Length: 30\r\n\r\n\
        id=X-77%2F%C5%BE%20%26%20co&e=";
    assert_eq!(wire(request).await, expected);
}

#[tokio::test]
async fn q1_a_multipart_form() {
    let fields = json!([{"path": "id", "value": "{external_id}"}, {"path": "a \"b\"", "value": "{affiliate_click_id}"}]);
    let request = json!({"method": "POST", "url": "/m", "body": {"format": "multipart", "fields": fields}});
    let sent = wire(request).await;
    let boundary = sent.split("boundary=").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    assert_eq!(boundary.len(), 33, "{boundary}");
    let expected = "POST /m HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\n\
        Content-Type: multipart/form-data; boundary=B\r\nAccept: */*\r\nHost: 127.0.0.1:80\r\nContent-Length: 237\r\n\r\n\
        --B\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nX-77/ž & co\r\n\
        --B\r\nContent-Disposition: form-data; name=\"a %22b%22\"\r\n\r\nclick \"1\"\n2\r\n--B--\r\n";
    assert_eq!(sent.replace(boundary, "B"), expected);
    let (_, body) = sent.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 237);
}

#[tokio::test]
async fn q1_a_raw_text() {
    let request = json!({
        "method": "PATCH", "url": "/r",
        "headers": [{"name": "Content-Type", "value": "application/vnd.bank+xml"}, {"name": "X-Empty", "value": "{voucher}"}],
        "body": {"format": "raw", "content_type": "application/xml", "text": "<id>{external_id}</id>"},
    });
    let expected = "PATCH /r HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\n\
        Content-Type: application/vnd.bank+xml\r\nX-Empty:\r\nAccept: */*\r\nHost: 127.0.0.1:80\r\nContent-Length: 25\r\n\r\n\
        <id>X-77/ž &amp; co</id>";
    assert_eq!(wire(request).await, expected);
}

#[tokio::test]
async fn q1_what_has_an_empty_body_says_so() {
    let rest = "Accept: */*\r\nHost: 127.0.0.1:80\r\n\r\n";
    let ours = "HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\n";
    for method in ["POST", "PUT", "PATCH"] {
        let expected = format!("{method} /x {ours}Content-Length: 0\r\n{rest}");
        assert_eq!(wire(json!({"method": method, "url": "/x"})).await, expected);
    }
    assert_eq!(wire(json!({"method": "DELETE", "url": "/x"})).await, format!("DELETE /x {ours}{rest}"));
    let empty = json!({"format": "raw", "content_type": "text/plain", "text": "{voucher}"});
    let expected = format!("POST /x {ours}Content-Type: text/plain\r\nContent-Length: 0\r\n{rest}");
    assert_eq!(wire(json!({"method": "POST", "url": "/x", "body": empty})).await, expected);
}

#[tokio::test]
async fn case_b6_names_of_headers_go_out_as_they_are_written() {
    let headers = ["Access-Token", "X-API-key", "x_under_score", "lower", "UPPER-CASE", "content-type", "USER-agent"];
    let headers: Vec<Value> = headers.iter().map(|name| json!({"name": name, "value": "v"})).collect();
    let expected = "GET /x HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nAccess-Token: v\r\nX-API-key: v\r\nx_under_score: v\r\n\
        lower: v\r\nUPPER-CASE: v\r\ncontent-type: v\r\nUSER-agent: v\r\nAccept: */*\r\nHost: 127.0.0.1:80\r\n\r\n";
    assert_eq!(wire(json!({"url": "/x", "headers": headers})).await, expected);
    let signed = json!({"method": "POST", "url": "/x", "headers": [{"name": "ACCEPT", "value": "a/b"}]});
    let expected = "POST /x HTTP/1.1\r\nTracking-Delivery-Id: dlv_1\r\nUser-Agent: tracking-api/1\r\nACCEPT: a/b\r\n\
        Content-Length: 0\r\nHost: 127.0.0.1:80\r\n\r\n";
    assert_eq!(wire(signed).await, expected);
}
