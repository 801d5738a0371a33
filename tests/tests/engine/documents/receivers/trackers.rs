//! Trackers and attribution platforms.

use super::check;

#[test]
fn voluum() {
    check(
        r#"{"name": "Voluum", "conditions": {"result": ["approved"]},
           "request": {"url": "https://track.example.com/postback?cid={affiliate_click_id}&payout={payout}&currency={payout_currency}&txid={transaction_id}&et={conversion_type}"}}"#,
        &["GET https://track.example.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&currency=EUR&txid=trx_9001&et=sale"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn keitaro() {
    check(
        r#"{"name": "Keitaro",
           "request": {"url": "https://track.example.com/KEY/postback?subid={affiliate_click_id}&status={result|map:pending=lead,approved=sale}&payout={payout}&currency={payout_currency|lower}&tid={transaction_id}"}}"#,
        &[concat!(
            "GET https://track.example.com/KEY/postback?subid=wNq7%2B8%2F3%3Dkk&status=sale&payout=62.50&currency=eur",
            "&tid=trx_9001",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn binom() {
    check(
        r#"{"name": "Binom",
           "request": {"url": "https://track.example.com/click.php?cnv_id={affiliate_click_id}&payout={payout}&cnv_status={result}&cnv_currency={payout_currency}"}}"#,
        &[concat!(
            "GET https://track.example.com/click.php?cnv_id=wNq7%2B8%2F3%3Dkk&payout=62.50&cnv_status=approved&cnv_cu",
            "rrency=EUR",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn redtrack() {
    check(
        r#"{"name": "RedTrack", "conditions": {"result": ["approved"]},
           "request": {"url": "https://track.example.com/postback?clickid={affiliate_click_id}&sum={payout}&type={goal}&rdtk_event_id={transaction_id}"}}"#,
        &["GET https://track.example.com/postback?clickid=wNq7%2B8%2F3%3Dkk&sum=62.50&type=sale&rdtk_event_id=trx_9001"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn bemob() {
    check(
        r#"{"name": "BeMob",
           "request": {"url": "https://abcde.bemobtrcks.com/postback?cid={affiliate_click_id}&payout={payout}&txid={transaction_id}&status={result|map:pending=new,approved=confirm,rejected=decline}"}}"#,
        &["GET https://abcde.bemobtrcks.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&txid=trx_9001&status=confirm"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn clickflare() {
    check(
        r#"{"name": "ClickFlare", "conditions": {"result": ["approved"]},
           "request": {"url": "https://track.example.com/cf/cv?click_id={affiliate_click_id}&payout={payout}"}}"#,
        &["GET https://track.example.com/cf/cv?click_id=wNq7%2B8%2F3%3Dkk&payout=62.50"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn peerclick() {
    check(
        r#"{"name": "PeerClick",
           "request": {"url": "https://track.example.com/postback?cid={affiliate_click_id}&payout={payout}&currency={payout_currency}&status={result}&txid={transaction_id}&conversion_id={conversion_id}"}}"#,
        &[concat!(
            "GET https://track.example.com/postback?cid=wNq7%2B8%2F3%3Dkk&payout=62.50&currency=EUR&status=approved&t",
            "xid=trx_9001&conversion_id=cnv_84213",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn funnelflux() {
    check(
        r#"{"name": "FunnelFlux",
           "request": {"url": "https://track.example.com/pb/?hit={affiliate_click_id}&tx={conversion_id}&rev={value|default:0}"},
           "trigger": "conversion_created"}"#,
        &["GET https://track.example.com/pb/?hit=wNq7%2B8%2F3%3Dkk&tx=cnv_84213&rev=1249.90"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn prosper202() {
    check(
        r#"{"name": "Prosper202", "conditions": {"result": ["approved"]},
           "request": {"url": "https://track.example.com/tracking202/static/gpb.php?amount={payout}&subid={query.t202_subid}"}}"#,
        &["GET https://track.example.com/tracking202/static/gpb.php?amount=62.50&subid=5512"],
        &[
            (202, "", "delivered"),
            (200, "<img src='https://p.example/' height='0' width='0' style='display:none' />", "delivered"),
        ],
    );
}

#[test]
fn kochava() {
    check(
        r#"{"name": "Kochava", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://control.kochava.com/track/json",
                       "body": {"format": "json",
                                "fields": [{"path": "action", "value": "event"},
                                           {"path": "kochava_app_id", "value": "koapp-1a2b"},
                                           {"path": "kochava_device_id", "value": "{query.kochava_device_id}"},
                                           {"path": "data.usertime", "value": "{event_at|unixms}",
                                            "type": "number"},
                                           {"path": "data.origination_ip", "value": "{ip}"},
                                           {"path": "data.device_ua", "value": "{user_agent}"},
                                           {"path": "data.event_name", "value": "Purchase"},
                                           {"path": "data.event_data.price", "value": "{value}", "type": "number"},
                                           {"path": "data.event_data.currency", "value": "{currency}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "success", "operator": "equals", "value": "1"}],
                                 "then": "delivered"}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://control.kochava.com/track/json",
            "Content-Type: application/json",
            concat!(
                r#"{"action":"event","kochava_app_id":"koapp-1a2b","kochava_device_id":"ko-1","data":{"usertime":1795356207"#,
                r#"482,"origination_ip":"89.24.1.7","device_ua":"Mozilla/5.0 (iPhone)","event_name":"Purchase","event_data""#,
                r#":{"price":1249.90,"currency":"CZK"}}}"#,
            ),
        ],
        &[(200, r#"{"success":"1"}"#, "delivered"), (200, r#"{"success":"0","error":"invalid app id"}"#, "failed")],
    );
}

#[test]
fn appsflyer() {
    check(
        r#"{"name": "AppsFlyer", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api2.appsflyer.com/inappevent/id123456789",
                       "headers": [{"name": "authentication", "value": "{secret.dev_key}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "appsflyer_id", "value": "{query.appsflyer_id}"},
                                           {"path": "eventName", "value": "af_purchase"},
                                           {"path": "eventValue",
                                            "value": "{{\"af_revenue\":\"{value}\",\"af_order_id\":\"{external_id|json}\"}}"},
                                           {"path": "eventCurrency", "value": "{currency}"},
                                           {"path": "ip", "value": "{ip}"}]}}}"#,
        &[
            "POST https://api2.appsflyer.com/inappevent/id123456789",
            "Content-Type: application/json",
            "authentication: s3cr3t+1",
            concat!(
                r#"{"appsflyer_id":"1415211453000-6513894","eventName":"af_purchase","eventValue":"{\"af_revenue\":\"1249.9"#,
                r#"0\",\"af_order_id\":\"2026-11/4471\"}","eventCurrency":"CZK","ip":"89.24.1.7"}"#,
            ),
        ],
        &[(200, "ok", "delivered"), (400, "", "failed")],
    );
}

#[test]
fn adjust() {
    check(
        r#"{"name": "Adjust", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://s2s.adjust.com/event",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "form",
                                "fields": [{"path": "s2s", "value": "1"},
                                           {"path": "app_token", "value": "4w565xzmb54d"},
                                           {"path": "event_token", "value": "f0ob4r"},
                                           {"path": "gps_adid", "value": "{query.gps_adid|omit_if_empty}"},
                                           {"path": "adid", "value": "{query.adid|omit_if_empty}"},
                                           {"path": "created_at_unix", "value": "{timestamp}"},
                                           {"path": "revenue", "value": "{value}"},
                                           {"path": "currency", "value": "{currency}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "operator": "equals", "value": "OK*"}],
                                 "then": "delivered"},
                                {"when": [{"source": "http_code", "operator": "between", "value": 400,
                                           "value2": 428}],
                                 "then": "failed"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://s2s.adjust.com/event",
            "Content-Type: application/x-www-form-urlencoded",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                "s2s=1&app_token=4w565xzmb54d&event_token=f0ob4r&gps_adid=660e1d86&created_at_unix=1795356207&revenue=124",
                "9.90&currency=CZK",
            ),
        ],
        &[
            (200, "OK", "delivered"),
            (400, r#"{"error":"Event request failed (Invalid app token)"}"#, "failed"),
            (503, "", "retry"),
        ],
    );
}

#[test]
fn branch() {
    check(
        r#"{"name": "Branch", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api2.branch.io/v2/event/standard",
                       "body": {"format": "json",
                                "fields": [{"path": "branch_key", "value": "key_live_1a2b"},
                                           {"path": "name", "value": "PURCHASE"},
                                           {"path": "event_data.revenue", "value": "{value}"},
                                           {"path": "event_data.currency", "value": "{currency}"},
                                           {"path": "user_data.developer_identity", "value": "{query.user_id}"},
                                           {"path": "user_data.user_agent", "value": "{user_agent}"}]}}}"#,
        &[
            "POST https://api2.branch.io/v2/event/standard",
            "Content-Type: application/json",
            concat!(
                r#"{"branch_key":"key_live_1a2b","name":"PURCHASE","event_data":{"revenue":"1249.90","currency":"CZK"},"use"#,
                r#"r_data":{"developer_identity":"u-1","user_agent":"Mozilla/5.0 (iPhone)"}}"#,
            ),
        ],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn singular() {
    check(
        r#"{"name": "Singular", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://s2s.singular.net/api/v2/evt",
                       "body": {"format": "form",
                                "fields": [{"path": "a", "value": "{secret.sdk_key}"},
                                           {"path": "n", "value": "purchase"},
                                           {"path": "sdid", "value": "{query.sdid}"},
                                           {"path": "p", "value": "Web"},
                                           {"path": "i", "value": "com.example.shop"},
                                           {"path": "amt", "value": "{value}"},
                                           {"path": "cur", "value": "{currency}"},
                                           {"path": "umilisec", "value": "{event_at|unixms}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals", "value": "ok"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "key": "status", "operator": "equals",
                                           "value": "error"}],
                                 "then": "failed"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://s2s.singular.net/api/v2/evt",
            "Content-Type: application/x-www-form-urlencoded",
            "a=s3cr3t%2B1&n=purchase&sdid=sd-1&p=Web&i=com.example.shop&amt=1249.90&cur=CZK&umilisec=1795356207482",
        ],
        &[
            (200, r#"{"status":"ok"}"#, "delivered"),
            (200, r#"{"status":"error","reason":"missing argument: n"}"#, "failed"),
            (502, "<html>", "retry"),
        ],
    );
}
