//! Status APIs that answer with one conversion.

use super::check;

#[test]
fn awin_transactions() {
    check(
        r#"{"name": "Awin status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.awin.com/publishers/123456/transactions/?ids={external_id}&timezone=UTC",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "[0].commissionStatus", "operator": "equals",
                                           "value": "approved"}],
                                 "then": "delivered",
                                 "set": {"result": "approved", "payout": "{body.[0].commissionAmount.amount}"}},
                                {"when": [{"source": "body", "key": "[0].commissionStatus", "operator": "equals",
                                           "value": "declined|deleted"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "[0].commissionStatus", "operator": "equals",
                                           "value": "pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "GET https://api.awin.com/publishers/123456/transactions/?ids=2026-11%2F4471&timezone=UTC",
            "Authorization: Bearer s3cr3t+1",
        ],
        &[
            (
                200,
                r#"[{"id":1001,"commissionStatus":"approved","commissionAmount":{"amount":8.0,"currency":"GBP"}}]"#,
                "delivered result=approved payout=8.0",
            ),
            (200, r#"[{"id":1001,"commissionStatus":"pending","commissionAmount":{"amount":8.0,"currency":"GBP"}}]"#, "pending"),
            (200, "[]", "retry"),
        ],
    );
}

#[test]
fn cj_commissions() {
    check(
        r#"{"name": "CJ status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://commissions.api.cj.com/query", "method": "POST",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "raw", "content_type": "application/json",
                                "text": "{{\"query\":\"{{ publisherCommissions(forPublishers: [\\\"1500000\\\"], orderIds: [\\\"{external_id|json}\\\"]) {{ records {{ actionStatus validationStatus pubCommissionAmountUsd }} }} }}\"}}"}},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body",
                                           "key": "data.publisherCommissions.records[0].validationStatus",
                                           "operator": "equals", "value": "DECLINED|declined"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body",
                                           "key": "data.publisherCommissions.records[0].actionStatus",
                                           "operator": "equals", "value": "LOCKED|locked|CLOSED|closed"}],
                                 "then": "delivered",
                                 "set": {"result": "approved",
                                         "payout": "{body.data.publisherCommissions.records[0].pubCommissionAmountUsd}"}},
                                {"when": [{"source": "body",
                                           "key": "data.publisherCommissions.records[0].actionStatus",
                                           "operator": "equals", "value": "NEW|new|EXTENDED|extended"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://commissions.api.cj.com/query",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                r#"{"query":"{ publisherCommissions(forPublishers: [\"1500000\"], orderIds: [\"2026-11/4471\"]) { records {"#,
                r#" actionStatus validationStatus pubCommissionAmountUsd } } }"}"#,
            ),
        ],
        &[
            (
                200,
                concat!(
                    r#"{"data":{"publisherCommissions":{"records":[{"commissionId":"C-1001","actionStatus":"LOCKED","pubCommiss"#,
                    r#"ionAmountUsd":"8.00"}]}}}"#,
                ),
                "delivered result=approved payout=8.00",
            ),
            (
                200,
                r#"{"data":{"publisherCommissions":{"records":[{"actionStatus":"EXTENDED","pubCommissionAmountUsd":"8.00"}]}}}"#,
                "pending",
            ),
            (
                200,
                r#"{"data":{"publisherCommissions":{"records":[{"actionStatus":"closed","pubCommissionAmountUsd":"7.50"}]}}}"#,
                "delivered result=approved payout=7.50",
            ),
            (
                200,
                r#"{"data":{"publisherCommissions":{"records":[{"actionStatus":"locked","validationStatus":"DECLINED"}]}}}"#,
                "delivered result=rejected",
            ),
            (200, r#"{"errors":[{"message":"bad token"}]}"#, "retry"),
        ],
    );
}

#[test]
fn impact_actions() {
    check(
        r#"{"name": "impact.com status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.impact.com/Mediapartners/IRabc123/Actions/{external_id}",
                       "headers": [{"name": "Authorization", "value": "Basic {var.login|base64}"},
                                   {"name": "Accept", "value": "application/json"}]},
           "variables": {"login": "IRabc123:{secret.auth_token}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "State", "operator": "equals",
                                           "value": "APPROVED"}],
                                 "then": "delivered", "set": {"result": "approved", "payout": "{body.Payout}"}},
                                {"when": [{"source": "body", "key": "State", "operator": "equals",
                                           "value": "REVERSED"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "State", "operator": "equals",
                                           "value": "PENDING"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "GET https://api.impact.com/Mediapartners/IRabc123/Actions/2026-11%2F4471",
            "Authorization: Basic SVJhYmMxMjM6czNjcjN0KzE=",
            "Accept: application/json",
        ],
        &[
            (
                200,
                r#"{"Id":"1000.4636.158133","State":"APPROVED","Payout":"0.88","Amount":"21.99"}"#,
                "delivered result=approved payout=0.88",
            ),
            (200, r#"{"Id":"1000.4636.158133","State":"REVERSED","Payout":"0.00"}"#, "delivered result=rejected"),
            (200, r#"{"Id":"1000.4636.158133","State":"PENDING"}"#, "pending"),
        ],
    );
}

#[test]
fn everflow_events() {
    check(
        r#"{"name": "Everflow status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.eflow.team/v1/networks/reporting/events/{affiliate_click_id}",
                       "headers": [{"name": "X-Eflow-Api-Key", "value": "{secret.key}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "events[0].status", "operator": "equals",
                                           "value": "approved"}],
                                 "then": "delivered",
                                 "set": {"result": "approved", "payout": "{body.events[0].payout}"}},
                                {"when": [{"source": "body", "key": "events[0].status", "operator": "equals",
                                           "value": "rejected|invalid"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "events[0].status", "operator": "equals",
                                           "value": "pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://api.eflow.team/v1/networks/reporting/events/wNq7%2B8%2F3%3Dkk", "X-Eflow-Api-Key: s3cr3t+1"],
        &[
            (
                200,
                r#"{"events":[{"conversion_id":"aabbccdd","status":"approved","payout":5.0}]}"#,
                "delivered result=approved payout=5.0",
            ),
            (200, r#"{"events":[{"status":"pending","payout":5.0}]}"#, "pending"),
            (200, r#"{"events":[]}"#, "retry"),
        ],
    );
}

#[test]
fn partnerize_conversions() {
    check(
        r#"{"name": "Partnerize status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.partnerize.com/reporting/report_publisher/publisher/1007802/conversion?conversion_reference={external_id}",
                       "headers": [{"name": "Authorization", "value": "Basic {var.login|base64}"}]},
           "variables": {"login": "app:{secret.api_key}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "conversions.conversion[0].conversion_status",
                                           "operator": "equals", "value": "approved"}],
                                 "then": "delivered",
                                 "set": {"result": "approved",
                                         "payout": "{body.conversions.conversion[0].publisher_commission}"}},
                                {"when": [{"source": "body", "key": "conversions.conversion[0].conversion_status",
                                           "operator": "equals", "value": "rejected"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "conversions.conversion[0].conversion_status",
                                           "operator": "equals", "value": "pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            concat!(
                "GET https://api.partnerize.com/reporting/report_publisher/publisher/1007802/conversion?conversion_refere",
                "nce=2026-11%2F4471",
            ),
            "Authorization: Basic YXBwOnMzY3IzdCsx",
        ],
        &[
            (
                200,
                concat!(
                    r#"{"conversions":{"conversion":[{"conversion_id":"conv_001","conversion_status":"approved","publisher_comm"#,
                    r#"ission":"9.00"}]}}"#,
                ),
                "delivered result=approved payout=9.00",
            ),
            (
                200,
                r#"{"conversions":{"conversion":[{"conversion_status":"rejected","publisher_commission":"9.00"}]}}"#,
                "delivered result=rejected",
            ),
        ],
    );
}

#[test]
fn tune_conversions() {
    check(
        r#"{"name": "TUNE status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://example.api.hasoffers.com/Apiv3/json?Target=Affiliate_Report&Method=getConversions&api_key={secret.key}&filters[Stat.ad_id][values][]={external_id}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "response.data.data[0].Stat.status",
                                           "operator": "equals", "value": "approved"}],
                                 "then": "delivered",
                                 "set": {"result": "approved",
                                         "payout": "{body.response.data.data[0].Stat.payout}"}},
                                {"when": [{"source": "body", "key": "response.data.data[0].Stat.status",
                                           "operator": "equals", "value": "rejected"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "response.data.data[0].Stat.status",
                                           "operator": "equals", "value": "pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[concat!(
            "GET https://example.api.hasoffers.com/Apiv3/json?Target=Affiliate_Report&Method=getConversions&api_key=s",
            "3cr3t%2B1&filters[Stat.ad_id][values][]=2026-11%2F4471",
        )],
        &[
            (
                200,
                r#"{"response":{"status":1,"data":{"data":[{"Stat":{"status":"approved","payout":"5.00"}}]}}}"#,
                "delivered result=approved payout=5.00",
            ),
            (200, r#"{"response":{"status":-1,"errors":[{"publicMessage":"bad key"}]}}"#, "retry"),
        ],
    );
}

#[test]
fn tapfiliate_conversion() {
    check(
        r#"{"name": "Tapfiliate status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.tapfiliate.com/1.6/conversions/{external_id}/",
                       "headers": [{"name": "X-Api-Key", "value": "{secret.key}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "commissions[0].approved",
                                           "operator": "is_true"}],
                                 "then": "delivered",
                                 "set": {"result": "approved", "payout": "{body.commissions[0].amount}"}},
                                {"when": [{"source": "body", "key": "commissions[0].approved",
                                           "operator": "is_false"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "id", "operator": "is_not_empty"},
                                          {"source": "body", "key": "commissions[0].approved",
                                           "operator": "is_empty"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://api.tapfiliate.com/1.6/conversions/2026-11%2F4471/", "X-Api-Key: s3cr3t+1"],
        &[
            (
                200,
                r#"{"id":"conv-1","commissions":[{"id":"com-1","amount":50.0,"approved":true}]}"#,
                "delivered result=approved payout=50.0",
            ),
            (200, r#"{"id":"conv-1","commissions":[{"id":"com-1","amount":50.0,"approved":null}]}"#, "pending"),
            (
                200,
                r#"{"id":"conv-1","commissions":[{"id":"com-1","amount":50.0,"approved":false}]}"#,
                "delivered result=rejected",
            ),
        ],
    );
}

#[test]
fn kwanko_conversions() {
    check(
        r#"{"name": "Kwanko status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.kwanko.com/publisher/conversions?id={external_id}",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "data[0].status", "operator": "equals",
                                           "value": "validated|confirmed|approved"}],
                                 "then": "delivered",
                                 "set": {"result": "approved", "payout": "{body.data[0].commission}"}},
                                {"when": [{"source": "body", "key": "data[0].status", "operator": "equals",
                                           "value": "refused|rejected|cancelled"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "data[0].status", "operator": "equals",
                                           "value": "pending|waiting"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://api.kwanko.com/publisher/conversions?id=2026-11%2F4471", "Authorization: Bearer s3cr3t+1"],
        &[
            (
                200,
                r#"{"data":[{"id":"30001","status":"validated","commission":6.0,"currency":"EUR"}]}"#,
                "delivered result=approved payout=6.0",
            ),
            (200, r#"{"data":[{"id":"30001","status":"pending","commission":6.0}]}"#, "pending"),
        ],
    );
}
