//! Status APIs that answer with many conversions: the rule finds its own by the id.

use super::check;

#[test]
fn affise_conversions() {
    check(
        r#"{"name": "Affise status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://api-example.affise.com/3.0/stats/conversions?date_from={conversion_at|date:%Y-%m-%d}&date_to={now|date:%Y-%m-%d}&limit=500",
                       "headers": [{"name": "API-Key", "value": "{secret.key}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "conversions[action_id={external_id}].status",
                                           "operator": "equals", "value": "confirmed"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.conversions[action_id={external_id}].payouts}"}},
                                {"when": [{"source": "body", "key": "conversions[action_id={external_id}].status",
                                           "operator": "equals", "value": "declined|not_found"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "conversions[action_id={external_id}].status",
                                           "operator": "equals", "value": "pending|hold"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "GET https://api-example.affise.com/3.0/stats/conversions?date_from=2026-11-22&date_to=2026-11-23&limit=500",
            "API-Key: s3cr3t+1",
        ],
        &[
            (
                200,
                r#"{"status":1,"conversions":[{"action_id":"2026-11/4471","status":"confirmed","payouts":6.5}]}"#,
                "delivered result=approved payout=6.5",
            ),
            (
                200,
                concat!(
                    r#"{"status":1,"conversions":[{"action_id":"other","status":"confirmed","payouts":9},{"action_id":"2026-11/"#,
                    r#"4471","status":"hold","payouts":6.5}]}"#,
                ),
                "pending",
            ),
            (200, r#"{"status":1,"conversions":[]}"#, "retry"),
        ],
    );
}

#[test]
fn tradedoubler_transactions() {
    check(
        r#"{"name": "Tradedoubler status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://connect.tradedoubler.com/publisher/report/transactions?limit=100",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "items[orderNr={external_id}].status",
                                           "operator": "equals", "value": "A"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.items[orderNr={external_id}].commission}"}},
                                {"when": [{"source": "body", "key": "items[orderNr={external_id}].status",
                                           "operator": "equals", "value": "D"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "items[orderNr={external_id}].status",
                                           "operator": "equals", "value": "P"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://connect.tradedoubler.com/publisher/report/transactions?limit=100", "Authorization: Bearer s3cr3t+1"],
        &[
            (
                200,
                r#"{"items":[{"transactionId":"TXN-001","status":"A","commission":12.5,"orderNr":"2026-11/4471"}],"total":1}"#,
                "delivered result=approved payout=12.5",
            ),
            (200, r#"{"items":[{"status":"P","commission":12.5,"orderNr":"2026-11/4471"}]}"#, "pending"),
        ],
    );
}

#[test]
fn cake_conversions() {
    check(
        r#"{"name": "CAKE status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://example.cakemarketing.com/affiliates/api/5/reports.asmx/Conversions?api_key={secret.key}&affiliate_id=12&start_date={conversion_at|date:%m/%d/%Y}&end_date={now|date:%m/%d/%Y}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body",
                                           "key": "conversion_report_response.conversions.conversion[conversion_id={external_id}].disposition",
                                           "operator": "equals", "value": "Approved"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.conversion_report_response.conversions.conversion[conversion_id={external_id}].price}"}},
                                {"when": [{"source": "body",
                                           "key": "conversion_report_response.conversions.conversion[conversion_id={external_id}].disposition",
                                           "operator": "equals", "value": "Rejected|Returned"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body",
                                           "key": "conversion_report_response.conversions.conversion[conversion_id={external_id}].disposition",
                                           "operator": "equals", "value": "Pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[concat!(
            "GET https://example.cakemarketing.com/affiliates/api/5/reports.asmx/Conversions?api_key=s3cr3t%2B1&affil",
            "iate_id=12&start_date=11%2F22%2F2026&end_date=11%2F23%2F2026",
        )],
        &[
            (
                200,
                concat!(
                    "<conversion_report_response><conversions><conversion><conversion_id>2026-11/4471</conversion_id><disposi",
                    "tion>Approved</disposition><price>12.40</price></conversion></conversions></conversion_report_response>",
                ),
                "delivered result=approved payout=12.40",
            ),
            (
                200,
                concat!(
                    "<conversion_report_response><conversions><conversion><conversion_id>2026-11/4471</conversion_id><disposi",
                    "tion>Pending</disposition></conversion></conversions></conversion_report_response>",
                ),
                "pending",
            ),
            (200, "<conversion_report_response><conversions/></conversion_report_response>", "retry"),
        ],
    );
}

#[test]
fn effiliation_transactions() {
    check(
        r#"{"name": "Effiliation status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://apiv2.effiliation.com/apiv2/transaction.json?key={secret.key}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body",
                                           "key": "transactions[id_transaction={external_id}].etat",
                                           "operator": "equals", "value": "valide"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.transactions[id_transaction={external_id}].commission}"}},
                                {"when": [{"source": "body",
                                           "key": "transactions[id_transaction={external_id}].etat",
                                           "operator": "equals", "value": "refuse"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body",
                                           "key": "transactions[id_transaction={external_id}].etat",
                                           "operator": "equals", "value": "attente"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://apiv2.effiliation.com/apiv2/transaction.json?key=s3cr3t%2B1"],
        &[
            (
                200,
                r#"{"transactions":[{"id_transaction":"2026-11/4471","etat":"valide","commission":"6.00","devise":"EUR"}]}"#,
                "delivered result=approved payout=6.00",
            ),
            (200, r#"{"transactions":[{"id_transaction":"2026-11/4471","etat":"attente","commission":"6.00"}]}"#, "pending"),
        ],
    );
}

#[test]
fn travelpayouts_actions() {
    check(
        r#"{"name": "Travelpayouts status", "trigger": "transaction_created",
           "conditions": {"result": ["pending"]},
           "request": {"url": "https://api.travelpayouts.com/finance/v2/get_user_actions_affecting_balance?currency=usd&from={conversion_at|date:%Y-%m-%d}",
                       "headers": [{"name": "X-Access-Token", "value": "{secret.token}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body",
                                           "key": "actions[action_id={external_id}].action_state",
                                           "operator": "equals", "value": "paid"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.actions[action_id={external_id}].profit}"}},
                                {"when": [{"source": "body",
                                           "key": "actions[action_id={external_id}].action_state",
                                           "operator": "equals", "value": "cancelled"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body",
                                           "key": "actions[action_id={external_id}].action_state",
                                           "operator": "equals", "value": "processing"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "GET https://api.travelpayouts.com/finance/v2/get_user_actions_affecting_balance?currency=usd&from=2026-11-22",
            "X-Access-Token: s3cr3t+1",
        ],
        &[
            (
                200,
                r#"{"actions":[{"action_id":"2026-11/4471","action_state":"paid","profit":"5.00"}],"currency":"usd"}"#,
                "delivered result=approved payout=5.00",
            ),
            (200, r#"{"actions":[{"action_id":"2026-11/4471","action_state":"processing","profit":"5.00"}]}"#, "pending"),
        ],
    );
}

#[test]
fn financeads_sales() {
    check(
        r#"{"name": "financeAds status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://www.financeads.net/api/sale?key={secret.key}&from={conversion_at|date:%Y-%m-%d}"},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body", "key": "sales[sale_id={external_id}].status",
                                           "operator": "equals", "value": "confirmed"}],
                                 "then": "delivered", "set": {"result": "approved",
                                     "payout": "{body.sales[sale_id={external_id}].commission|regex:/,/./}"}},
                                {"when": [{"source": "body", "key": "sales[sale_id={external_id}].status",
                                           "operator": "equals", "value": "cancelled|rejected"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body", "key": "sales[sale_id={external_id}].status",
                                           "operator": "equals", "value": "open|pending"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &["GET https://www.financeads.net/api/sale?key=s3cr3t%2B1&from=2026-11-22"],
        &[
            (
                200,
                concat!(
                    r#"{"sales":[{"sale_id":"2026-11/4471","program_name":"Current Account","status":"confirmed","commission":""#,
                    r#"45,00","currency":"EUR"}],"leads":[]}"#,
                ),
                "delivered result=approved payout=45.00",
            ),
            (200, r#"{"sales":[{"sale_id":"2026-11/4471","status":"open","commission":"45,00"}],"leads":[]}"#, "pending"),
        ],
    );
}

#[test]
fn crm_mate_leads() {
    check(
        r#"{"name": "CRM Mate status", "trigger": "transaction_created", "conditions": {"result": ["pending"]},
           "request": {"url": "https://crm.example.com/api/web-master/leads?date_start={conversion_at|date:%Y-%m-%d}&date_end={now|date:%Y-%m-%d}",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
           "retry": {"max_retries": 30, "backoff": "fixed", "delay_seconds": 43200},
           "answer": {"rules": [{"when": [{"source": "body",
                                           "key": "data.data[email={query.email|trim|lower}].status.name",
                                           "operator": "equals", "value": "Deposit|Approved"}],
                                 "then": "delivered", "set": {"result": "approved"}},
                                {"when": [{"source": "body",
                                           "key": "data.data[email={query.email|trim|lower}].status.name",
                                           "operator": "equals", "value": "Trash|Rejected"}],
                                 "then": "delivered", "set": {"result": "rejected"}},
                                {"when": [{"source": "body",
                                           "key": "data.data[email={query.email|trim|lower}].status.name",
                                           "operator": "equals", "value": "New"}],
                                 "then": "pending"}],
                      "otherwise": "retry"}}"#,
        &[
            "GET https://crm.example.com/api/web-master/leads?date_start=2026-11-22&date_end=2026-11-23",
            "Authorization: Bearer s3cr3t+1",
        ],
        &[
            (
                200,
                concat!(
                    r#"{"success":true,"data":{"data":[{"id":1,"email":"jana.novakova@example.com","status":{"id":1,"name":"New"#,
                    r#""},"is_action":0}],"total":1}}"#,
                ),
                "pending",
            ),
            (
                200,
                concat!(
                    r#"{"success":true,"data":{"data":[{"id":1,"email":"jana.novakova@example.com","status":{"id":4,"name":"Dep"#,
                    r#"osit"},"is_action":1}],"total":1}}"#,
                ),
                "delivered result=approved",
            ),
        ],
    );
}
