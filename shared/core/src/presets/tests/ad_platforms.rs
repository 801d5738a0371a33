use super::*;

/// A lead with nothing but the required fields.
fn bare_lead() -> Value {
    sale_but(|detail| {
        let conversion = detail["conversion"].as_object_mut().unwrap();
        let known = ["conversion_id", "version", "change", "source", "affiliate_id", "advertiser_id", "offer_id"];
        conversion.retain(|key, _| known.contains(&key));
        conversion.insert("type".to_owned(), json!("lead"));
        detail["transactions"] = json!([]);
    })
}

#[test]
fn ga4_hears_of_sales_and_leads() {
    let url = "POST https://www.google-analytics.com/mp/collect?measurement_id=G-ABC123XYZ0&api_secret=s3cr3t%2B1";
    let json = "Content-Type: application/json";
    let body = r#"{"client_id":"1234567890.1763800001","timestamp_micros":1795356207482000,"events":[{"name":"purchase","params":{"transaction_id":"cnv_84213","value":1249.90,"currency":"CZK","coupon":"WINTER10"}}]}"#;
    check("ga4", &sale(), &[url, json, body]);
    let body = r#"{"client_id":"","timestamp_micros":1795356207482000,"events":[{"name":"generate_lead","params":{"transaction_id":"cnv_84213"}}]}"#;
    check("ga4", &bare_lead(), &[url, json, body]);
    check_answer("ga4", 204, "", Verdict::Delivered);
}

#[test]
fn ga4_finds_the_client_in_longer_cookies_too() {
    let below_a_subdomain = sale_but(|detail| detail["conversion"]["cookie_params"]["_ga"] = json!("GA1.3.55.66"));
    assert!(sent("ga4", &below_a_subdomain).contains(r#""client_id":"55.66""#));
}

#[test]
fn meta_hears_of_sales_and_leads_with_hashes_of_what_is_personal() {
    let url = "POST https://graph.facebook.com/v21.0/1234567890123456/events?access_token=s3cr3t%2B1";
    let json = "Content-Type: application/json";
    let body = concat!(
        r#"{"data":[{"event_name":"Purchase","event_time":1795356207,"event_id":"cnv_84213","action_source":"website","#,
        r#""event_source_url":"https://shop.example.com/thank-you","user_data":{"#,
        r#""em":["8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12"],"#,
        r#""country":["c4e98e070d2cdcd8b6486826223be4f528c54306c9e9c7191a5af6628ffb32e9"],"#,
        r#""fbp":"fb.1.1763800000000.1098115397","fbc":"fb.1.1763800000000.IwAR0x","client_ip_address":"89.24.1.7","#,
        r#""client_user_agent":"Mozilla/5.0 (iPhone)"},"#,
        r#""custom_data":{"value":1249.90,"currency":"CZK","order_id":"2026-11/4471"}}]}"#,
    );
    check("meta", &sale(), &[url, json, body]);
    let body = concat!(
        r#"{"data":[{"event_name":"Lead","event_time":1795356207,"event_id":"cnv_84213","action_source":"website","#,
        r#""event_source_url":"https://shop.example.com/thank-you"}]}"#,
    );
    check("meta", &bare_lead(), &[url, json, body]);
}

#[test]
fn meta_says_in_the_body_whether_another_try_is_worth_it() {
    check_answer("meta", 200, r#"{"events_received":1,"messages":[],"fbtrace_id":"A1"}"#, Verdict::Delivered);
    check_answer("meta", 200, r#"{"events_received":0,"messages":[],"fbtrace_id":"A1"}"#, Verdict::Failed);
    let invalid = r#"{"error":{"message":"Invalid parameter","type":"OAuthException","code":100,"fbtrace_id":"A1"}}"#;
    check_answer("meta", 400, invalid, Verdict::Failed);
    let expired = r#"{"error":{"message":"Expired","type":"OAuthException","code":190}}"#;
    check_answer("meta", 401, expired, Verdict::Failed);
    check_answer("meta", 400, r#"{"error":{"message":"Too many calls","code":4}}"#, Verdict::Retry);
    check_answer("meta", 200, r#"{"error":{"message":"Invalid parameter","code":100}}"#, Verdict::Failed);
    check_answer("meta", 500, r#"{"error":{"message":"Oops","code":-1}}"#, Verdict::Retry);
    check_answer("meta", 503, "<html>", Verdict::Retry);
}

#[test]
fn tiktok_gets_sales_and_leads_with_hashed_personal_data() {
    let url = "POST https://business-api.tiktok.com/open_api/v1.3/event/track/";
    let headers = "Content-Type: application/json\nAccess-Token: s3cr3t+1";
    let body = concat!(
        r#"{"event_source":"web","event_source_id":"COQDA8RC77U2TMR44LI0","data":[{"event":"Purchase","event_time":1795356207,"#,
        r#""event_id":"cnv_84213","user":{"ttclid":"E.C.P.CvAB-7","ttp":"2F7h37YkS1j57AYSKTI7IHhJPYH","#,
        r#""email":"8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12","ip":"89.24.1.7","#,
        r#""user_agent":"Mozilla/5.0 (iPhone)"},"page":{"url":"https://shop.example.com/thank-you"},"#,
        r#""properties":{"value":1249.90,"currency":"CZK"}}]}"#,
    );
    check("tiktok", &sale(), &[url, headers, body]);
    let body = concat!(
        r#"{"event_source":"web","event_source_id":"COQDA8RC77U2TMR44LI0","data":[{"event":"CompleteRegistration","#,
        r#""event_time":1795356207,"event_id":"cnv_84213","page":{"url":"https://shop.example.com/thank-you"}}]}"#,
    );
    check("tiktok", &bare_lead(), &[url, headers, body]);
}

#[test]
fn tiktok_refuses_with_status_200() {
    check_answer("tiktok", 200, r#"{"code":0,"message":"OK","request_id":"2026"}"#, Verdict::Delivered);
    check_answer("tiktok", 200, r#"{"code":40105,"message":"Access token is incorrect"}"#, Verdict::Failed);
    check_answer("tiktok", 200, r#"{"code":40100,"message":"Too many requests"}"#, Verdict::Retry);
    check_answer("tiktok", 200, r#"{"code":50000,"message":"System error"}"#, Verdict::Retry);
    check_answer("tiktok", 429, r#"{"code":42900,"message":"Too many requests"}"#, Verdict::Retry);
    check_answer("tiktok", 502, "<html>", Verdict::Retry);
}
