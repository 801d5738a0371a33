//! Ad platforms that receive conversions.

use super::check;

#[test]
fn meta() {
    check(
        r#"{"name": "Meta", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://graph.facebook.com/v21.0/1234567890/events",
                       "query": [{"name": "access_token", "value": "{secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "data[0].event_name", "value": "Purchase"},
                                           {"path": "data[0].event_time", "value": "{timestamp}",
                                            "type": "number"},
                                           {"path": "data[0].event_id", "value": "{conversion_id}"},
                                           {"path": "data[0].action_source", "value": "website"},
                                           {"path": "data[0].user_data.em[0]",
                                            "value": "{query.email|trim|lower|omit_if_empty|sha256}"},
                                           {"path": "data[0].user_data.client_ip_address", "value": "{ip}"},
                                           {"path": "data[0].user_data.client_user_agent",
                                            "value": "{user_agent}"},
                                           {"path": "data[0].custom_data.value", "value": "{value}",
                                            "type": "number"},
                                           {"path": "data[0].custom_data.currency", "value": "{currency}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "error.code", "operator": "equals",
                                           "value": "1|2|4|17"}],
                                 "then": "retry"},
                                {"when": [{"source": "body", "key": "events_received", "operator": "equals",
                                           "value": "0"}],
                                 "then": "failed"}]}}"#,
        &[
            "POST https://graph.facebook.com/v21.0/1234567890/events?access_token=s3cr3t%2B1",
            "Content-Type: application/json",
            concat!(
                r#"{"data":[{"event_name":"Purchase","event_time":1795356207,"event_id":"cnv_84213","action_source":"websit"#,
                r#"e","user_data":{"em":["8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12"],"client_ip_add"#,
                r#"ress":"89.24.1.7","client_user_agent":"Mozilla/5.0 (iPhone)"},"custom_data":{"value":1249.90,"currency":"#,
                r#""CZK"}}]}"#,
            ),
        ],
        &[
            (200, r#"{"events_received":1,"messages":[],"fbtrace_id":"A1"}"#, "delivered"),
            (400, r#"{"error":{"message":"Invalid parameter","code":100}}"#, "failed"),
            (400, r#"{"error":{"message":"Too many calls","code":4}}"#, "retry"),
        ],
    );
}

#[test]
fn ga4() {
    check(
        r#"{"name": "GA4", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://www.google-analytics.com/mp/collect",
                       "query": [{"name": "measurement_id", "value": "G-ABC123"},
                                 {"name": "api_secret", "value": "{secret.api}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "client_id",
                                            "value": "{cookie._ga|regex:/^GA\\d+\\.\\d+\\.(.+)$/$1/}"},
                                           {"path": "events[0].name", "value": "purchase"},
                                           {"path": "events[0].params.transaction_id", "value": "{conversion_id}"},
                                           {"path": "events[0].params.value", "value": "{value}",
                                            "type": "number"},
                                           {"path": "events[0].params.currency", "value": "{currency}"}]}}}"#,
        &[
            "POST https://www.google-analytics.com/mp/collect?measurement_id=G-ABC123&api_secret=s3cr3t%2B1",
            "Content-Type: application/json",
            concat!(
                r#"{"client_id":"1234567890.1763800001","events":[{"name":"purchase","params":{"transaction_id":"cnv_84213""#,
                r#","value":1249.90,"currency":"CZK"}}]}"#,
            ),
        ],
        &[(204, "", "delivered")],
    );
}

#[test]
fn tiktok() {
    check(
        r#"{"name": "TikTok", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://business-api.tiktok.com/open_api/v1.3/event/track/",
                       "headers": [{"name": "Access-Token", "value": "{secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "event_source", "value": "web"},
                                           {"path": "event_source_id", "value": "COQDA8RC"},
                                           {"path": "data[0].event", "value": "Purchase"},
                                           {"path": "data[0].event_time", "value": "{timestamp}",
                                            "type": "number"},
                                           {"path": "data[0].event_id", "value": "{conversion_id}"},
                                           {"path": "data[0].user.ttclid", "value": "{query.ttclid}"},
                                           {"path": "data[0].properties.value", "value": "{value}",
                                            "type": "number"},
                                           {"path": "data[0].properties.currency", "value": "{currency}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "code", "operator": "equals", "value": "0"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "key": "code", "operator": "equals",
                                           "value": "40100|5*"}],
                                 "then": "retry"}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://business-api.tiktok.com/open_api/v1.3/event/track/",
            "Content-Type: application/json",
            "Access-Token: s3cr3t+1",
            concat!(
                r#"{"event_source":"web","event_source_id":"COQDA8RC","data":[{"event":"Purchase","event_time":1795356207,""#,
                r#"event_id":"cnv_84213","user":{"ttclid":"E.C.P.CvAB-7"},"properties":{"value":1249.90,"currency":"CZK"}}]"#,
                "}",
            ),
        ],
        &[
            (200, r#"{"code":0,"message":"OK"}"#, "delivered"),
            (200, r#"{"code":40002,"message":"Batch.0.properties.contents.0.content_id: Not a valid string"}"#, "failed"),
            (200, r#"{"code":50000,"message":"System error"}"#, "retry"),
        ],
    );
}

#[test]
fn snap() {
    check(
        r#"{"name": "Snap", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://tr.snapchat.com/v3/67d34640/events",
                       "query": [{"name": "access_token", "value": "{secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "data[0].event_name", "value": "PURCHASE"},
                                           {"path": "data[0].event_time", "value": "{timestamp}",
                                            "type": "number"},
                                           {"path": "data[0].event_id", "value": "{conversion_id}"},
                                           {"path": "data[0].action_source", "value": "WEB"},
                                           {"path": "data[0].user_data.em[0]",
                                            "value": "{query.email|trim|lower|omit_if_empty|sha256}"},
                                           {"path": "data[0].user_data.client_ip_address", "value": "{ip}"},
                                           {"path": "data[0].user_data.client_user_agent",
                                            "value": "{user_agent}"},
                                           {"path": "data[0].custom_data.currency", "value": "{currency}"},
                                           {"path": "data[0].custom_data.value", "value": "{value}"}]}}}"#,
        &[
            "POST https://tr.snapchat.com/v3/67d34640/events?access_token=s3cr3t%2B1",
            "Content-Type: application/json",
            concat!(
                r#"{"data":[{"event_name":"PURCHASE","event_time":1795356207,"event_id":"cnv_84213","action_source":"WEB",""#,
                r#"user_data":{"em":["8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12"],"client_ip_address"#,
                r#"":"89.24.1.7","client_user_agent":"Mozilla/5.0 (iPhone)"},"custom_data":{"currency":"CZK","value":"1249."#,
                r#"90"}}]}"#,
            ),
        ],
        &[(200, r#"{"status":"OK"}"#, "delivered"), (400, r#"{"status":"ERROR","reason":"invalid event_name"}"#, "failed")],
    );
}

#[test]
fn pinterest() {
    check(
        r#"{"name": "Pinterest", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api.pinterest.com/v5/ad_accounts/549755885175/events",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "data[0].event_name", "value": "checkout"},
                                           {"path": "data[0].action_source", "value": "web"},
                                           {"path": "data[0].event_time", "value": "{timestamp}",
                                            "type": "number"},
                                           {"path": "data[0].event_id", "value": "{conversion_id}"},
                                           {"path": "data[0].user_data.em[0]",
                                            "value": "{query.email|trim|lower|omit_if_empty|sha256}"},
                                           {"path": "data[0].user_data.client_ip_address", "value": "{ip}"},
                                           {"path": "data[0].user_data.client_user_agent",
                                            "value": "{user_agent}"},
                                           {"path": "data[0].custom_data.currency", "value": "{currency}"},
                                           {"path": "data[0].custom_data.value", "value": "{value}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "num_events_processed", "operator": "equals",
                                           "value": "0"}],
                                 "then": "failed"}]}}"#,
        &[
            "POST https://api.pinterest.com/v5/ad_accounts/549755885175/events",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                r#"{"data":[{"event_name":"checkout","action_source":"web","event_time":1795356207,"event_id":"cnv_84213",""#,
                r#"user_data":{"em":["8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12"],"client_ip_address"#,
                r#"":"89.24.1.7","client_user_agent":"Mozilla/5.0 (iPhone)"},"custom_data":{"currency":"CZK","value":"1249."#,
                r#"90"}}]}"#,
            ),
        ],
        &[
            (
                200,
                concat!(
                    r#"{"num_events_received":1,"num_events_processed":1,"events":[{"status":"processed","error_message":"","wa"#,
                    r#"rning_message":""}]}"#,
                ),
                "delivered",
            ),
            (
                200,
                r#"{"num_events_received":1,"num_events_processed":0,"events":[{"status":"failed","error_message":"invalid"}]}"#,
                "failed",
            ),
            (429, "", "retry"),
        ],
    );
}

#[test]
fn microsoft() {
    check(
        r#"{"name": "Microsoft", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://capi.uet.microsoft.com/v1/12345678/events",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "data[0].eventType", "value": "custom"},
                                           {"path": "data[0].eventId", "value": "{conversion_id}"},
                                           {"path": "data[0].eventTime", "value": "{timestamp}", "type": "number"},
                                           {"path": "data[0].userData.msclkid", "value": "{query.msclkid}"},
                                           {"path": "data[0].customData.value", "value": "{value}",
                                            "type": "number"},
                                           {"path": "data[0].customData.currency", "value": "{currency}"}]}}}"#,
        &[
            "POST https://capi.uet.microsoft.com/v1/12345678/events",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                r#"{"data":[{"eventType":"custom","eventId":"cnv_84213","eventTime":1795356207,"userData":{"msclkid":"ms-1""#,
                r#"},"customData":{"value":1249.90,"currency":"CZK"}}]}"#,
            ),
        ],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn taboola() {
    check(
        r#"{"name": "Taboola", "conditions": {"result": ["approved"]},
           "request": {"url": "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id={affiliate_click_id}&name=purchase&revenue={value}&currency={currency}&orderid={transaction_id}"}}"#,
        &[concat!(
            "GET https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id=wNq7%2B8%2F3%3Dkk&name=purchase&re",
            "venue=1249.90&currency=CZK&orderid=trx_9001",
        )],
        &[(204, "", "delivered"), (400, "", "failed")],
    );
}

#[test]
fn outbrain() {
    check(
        r#"{"name": "Outbrain", "conditions": {"result": ["approved"]},
           "request": {"url": "https://tr.outbrain.com/unifiedPixel?ob_click_id={affiliate_click_id}&name=purchase&orderId={transaction_id}&orderValue={value}&currency={currency}"}}"#,
        &[concat!(
            "GET https://tr.outbrain.com/unifiedPixel?ob_click_id=wNq7%2B8%2F3%3Dkk&name=purchase&orderId=trx_9001&or",
            "derValue=1249.90&currency=CZK",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn exoclick() {
    check(
        r#"{"name": "ExoClick", "conditions": {"result": ["approved"]},
           "request": {"url": "https://s.magsrv.com/tag.php?goal=1a2b3c&value={payout}&tag={affiliate_click_id}"}}"#,
        &["GET https://s.magsrv.com/tag.php?goal=1a2b3c&value=62.50&tag=wNq7%2B8%2F3%3Dkk"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn trafficstars() {
    check(
        r#"{"name": "TrafficStars", "conditions": {"result": ["approved"]},
           "request": {"url": "https://tsyndicate.com/api/v1/cpa/action?key={secret.key}&clickid={affiliate_click_id}&goalid=0&value={payout}"},
           "answer": {"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}],
                                 "then": "delivered"}],
                      "otherwise": "retry"}}"#,
        &["GET https://tsyndicate.com/api/v1/cpa/action?key=s3cr3t%2B1&clickid=wNq7%2B8%2F3%3Dkk&goalid=0&value=62.50"],
        &[(200, "", "delivered"), (202, "", "retry")],
    );
}

#[test]
fn reddit() {
    check(
        r#"{"name": "Reddit", "conditions": {"result": ["approved"]},
           "request": {"method": "POST",
                       "url": "https://ads-api.reddit.com/api/v3/pixels/t2_abc/conversion_events",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "data.events[0].event_at", "value": "{event_at|unixms}",
                                            "type": "number"},
                                           {"path": "data.events[0].action_source", "value": "WEBSITE"},
                                           {"path": "data.events[0].type.tracking_type", "value": "PURCHASE"},
                                           {"path": "data.events[0].click_id", "value": "{affiliate_click_id}"},
                                           {"path": "data.events[0].metadata.conversion_id",
                                            "value": "{conversion_id}"},
                                           {"path": "data.events[0].metadata.value", "value": "{value}",
                                            "type": "number"},
                                           {"path": "data.events[0].metadata.currency", "value": "{currency}"}]}}}"#,
        &[
            "POST https://ads-api.reddit.com/api/v3/pixels/t2_abc/conversion_events",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                r#"{"data":{"events":[{"event_at":1795356207482,"action_source":"WEBSITE","type":{"tracking_type":"PURCHASE"#,
                r#""},"click_id":"wNq7+8/3=kk","metadata":{"conversion_id":"cnv_84213","value":1249.90,"currency":"CZK"}}]}"#,
                "}",
            ),
        ],
        &[(200, r#"{"message":"Successfully processed 1 conversion events."}"#, "delivered"), (400, "{}", "failed")],
    );
}

#[test]
fn linkedin() {
    check(
        r#"{"name": "LinkedIn", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api.linkedin.com/rest/conversionEvents",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"},
                                   {"name": "LinkedIn-Version", "value": "202511"},
                                   {"name": "X-Restli-Protocol-Version", "value": "2.0.0"}],
                       "body": {"format": "json",
                                "fields": [{"path": "conversion", "value": "urn:lla:llaPartnerConversion:23456"},
                                           {"path": "conversionHappenedAt", "value": "{event_at|unixms}",
                                            "type": "number"},
                                           {"path": "conversionValue.currencyCode", "value": "{currency}"},
                                           {"path": "conversionValue.amount", "value": "{value}"},
                                           {"path": "eventId", "value": "{conversion_id}"},
                                           {"path": "user.userIds[0].idType", "value": "SHA256_EMAIL"},
                                           {"path": "user.userIds[0].idValue",
                                            "value": "{query.email|trim|lower|omit_if_empty|sha256}"}]}}}"#,
        &[
            "POST https://api.linkedin.com/rest/conversionEvents",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            "LinkedIn-Version: 202511",
            "X-Restli-Protocol-Version: 2.0.0",
            concat!(
                r#"{"conversion":"urn:lla:llaPartnerConversion:23456","conversionHappenedAt":1795356207482,"conversionValue"#,
                r#"":{"currencyCode":"CZK","amount":"1249.90"},"eventId":"cnv_84213","user":{"userIds":[{"idType":"SHA256_E"#,
                r#"MAIL","idValue":"8cd6c0cca1d3fafbc9b8157c99d0ac49f1be4a7f0e6734209721d7ceca5bdb12"}]}}"#,
            ),
        ],
        &[
            (201, "", "delivered"),
            (401, r#"{"status":401,"serviceErrorCode":65601,"code":"REVOKED_ACCESS_TOKEN"}"#, "failed"),
            (422, r#"{"message":"Index: 0, ERROR :: /conversionValue/amount :: field is required","status":422}"#, "failed"),
        ],
    );
}
