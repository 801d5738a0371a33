//! Affiliate platforms and networks that receive conversions.

use super::check;

#[test]
fn everflow() {
    check(
        r#"{"name": "Everflow", "conditions": {"result": ["approved"]},
           "request": {"url": "https://www.trk.example.com/?nid=1234&transaction_id={affiliate_click_id}&amount={value|omit_if_empty}&adv1={transaction_id}"}}"#,
        &["GET https://www.trk.example.com/?nid=1234&transaction_id=wNq7%2B8%2F3%3Dkk&amount=1249.90&adv1=trx_9001"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn tune() {
    check(
        r#"{"name": "TUNE", "conditions": {"result": ["approved"]},
           "request": {"url": "https://example.go2cloud.org/aff_lsr?transaction_id={affiliate_click_id}&amount={value}&adv_sub={transaction_id}"},
           "answer": {"rules": [{"when": [{"source": "body", "key": "success", "operator": "string_starts_with",
                                           "value": "true"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "key": "success", "operator": "string_starts_with",
                                           "value": "false"}],
                                 "then": "failed"}]}}"#,
        &["GET https://example.go2cloud.org/aff_lsr?transaction_id=wNq7%2B8%2F3%3Dkk&amount=1249.90&adv_sub=trx_9001"],
        &[(200, "success=true;", "delivered"), (200, "success=false; err_msg=Invalid transaction", "failed")],
    );
}

#[test]
fn cake() {
    check(
        r#"{"name": "CAKE", "conditions": {"result": ["approved"]},
           "request": {"url": "https://trk.example.com/p.ashx?o=769&e=123&f=pb&r={affiliate_click_id}&t={transaction_id}&p={payout}"}}"#,
        &["GET https://trk.example.com/p.ashx?o=769&e=123&f=pb&r=wNq7%2B8%2F3%3Dkk&t=trx_9001&p=62.50"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn affise() {
    check(
        r#"{"name": "Affise",
           "request": {"url": "https://offers.example.com/postback?clickid={affiliate_click_id}&action_id={transaction_id}&sum={payout}&goal={conversion_type}&status={result|map:approved=1,pending=2,rejected=3}"}}"#,
        &[concat!(
            "GET https://offers.example.com/postback?clickid=wNq7%2B8%2F3%3Dkk&action_id=trx_9001&sum=62.50&goal=sale",
            "&status=1",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn scaleo() {
    check(
        r#"{"name": "Scaleo",
           "request": {"url": "https://workspace.scaletrk.com/track/conv-addchange?click_id={affiliate_click_id}&goal_alias={conversion_type}&conv_status={result}&amount={value}&token={secret.token}"}}"#,
        &[concat!(
            "GET https://workspace.scaletrk.com/track/conv-addchange?click_id=wNq7%2B8%2F3%3Dkk&goal_alias=sale&conv_",
            "status=approved&amount=1249.90&token=s3cr3t%2B1",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn trackier() {
    check(
        r#"{"name": "Trackier",
           "request": {"url": "https://demo.vnative.co/acquisition?click_id={affiliate_click_id}&txn_id={transaction_id}&goal_value={conversion_type}&sale_amount={value}&status={result}"}}"#,
        &[concat!(
            "GET https://demo.vnative.co/acquisition?click_id=wNq7%2B8%2F3%3Dkk&txn_id=trx_9001&goal_value=sale&sale_",
            "amount=1249.90&status=approved",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn post_affiliate_pro() {
    check(
        r#"{"name": "Post Affiliate Pro", "conditions": {"result": ["approved"]},
           "request": {"url": "https://example.postaffiliatepro.com/scripts/sale.php?visitorId={affiliate_click_id}&TotalCost={value}&OrderID={transaction_id}&PStatus=A&Currency={currency}"}}"#,
        &[concat!(
            "GET https://example.postaffiliatepro.com/scripts/sale.php?visitorId=wNq7%2B8%2F3%3Dkk&TotalCost=1249.90&",
            "OrderID=trx_9001&PStatus=A&Currency=CZK",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn impact() {
    check(
        r#"{"name": "impact.com", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api.impact.com/Advertisers/IRabc123/Conversions",
                       "headers": [{"name": "Authorization", "value": "Basic {var.login|base64}"},
                                   {"name": "Accept", "value": "application/json"}],
                       "body": {"format": "json",
                                "fields": [{"path": "CampaignId", "value": "3641"},
                                           {"path": "ActionTrackerId", "value": "2240"},
                                           {"path": "ClickId", "value": "{affiliate_click_id}"},
                                           {"path": "EventDate", "value": "{event_at}"},
                                           {"path": "OrderId", "value": "{transaction_id}"},
                                           {"path": "Amount", "value": "{value}"},
                                           {"path": "CurrencyCode", "value": "{currency}"}]}},
           "variables": {"login": "IRabc123:{secret.auth_token}"},
           "answer": {"rules": [{"when": [{"source": "body", "key": "Status", "operator": "equals",
                                           "value": "QUEUED"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "key": "Status", "operator": "equals",
                                           "value": "ERROR"}],
                                 "then": "failed"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://api.impact.com/Advertisers/IRabc123/Conversions",
            "Content-Type: application/json",
            "Authorization: Basic SVJhYmMxMjM6czNjcjN0KzE=",
            "Accept: application/json",
            concat!(
                r#"{"CampaignId":"3641","ActionTrackerId":"2240","ClickId":"wNq7+8/3=kk","EventDate":"2026-11-22T14:03:27.4"#,
                r#"82Z","OrderId":"trx_9001","Amount":"1249.90","CurrencyCode":"CZK"}"#,
            ),
        ],
        &[
            (200, r#"{"Status":"QUEUED","QueuedUri":"/Advertisers/IRabc123/APISubmissions/A-77"}"#, "delivered"),
            (400, r#"{"Status":"ERROR","errors":[{"field":"OrderId","level":"ERROR"}]}"#, "failed"),
        ],
    );
}

#[test]
fn awin() {
    check(
        r#"{"name": "Awin", "conditions": {"result": ["approved"]},
           "request": {"url": "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=12345&amount={value}&ch=aw&parts=DEFAULT:{value}&vc={voucher}&cr={currency}&ref={transaction_id}&testmode=0&cks={query.awc}"}}"#,
        &[concat!(
            "GET https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=12345&amount=1249.90&ch=aw&parts=DEFAULT:1249.90",
            "&vc=WINTER10&cr=CZK&ref=trx_9001&testmode=0&cks=1001_1403695822_a430",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn cj() {
    check(
        r#"{"name": "CJ", "conditions": {"result": ["approved"]},
           "request": {"url": "https://www.emjcd.com/u?CID=1500000&TYPE=400000&METHOD=S2S&CJEVENT={query.cjevent}&EVENTTIME={event_at}&OID={transaction_id}&CURRENCY={currency}&amount={value}"}}"#,
        &[concat!(
            "GET https://www.emjcd.com/u?CID=1500000&TYPE=400000&METHOD=S2S&CJEVENT=cj-1&EVENTTIME=2026-11-22T14%3A03",
            "%3A27.482Z&OID=trx_9001&CURRENCY=CZK&amount=1249.90",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn rakuten() {
    check(
        r#"{"name": "Rakuten", "conditions": {"result": ["approved"]},
           "request": {"url": "https://track.linksynergy.com/ep?mid=45678&xml=1&source=example&ord={transaction_id}&tr={query.ranSiteID}&land={click_at|date:%Y%m%d_%H%M}&qlist=1&amtlist={value|cents}"},
           "answer": {"rules": [{"when": [{"source": "body", "key": "response.error", "operator": "is_not_empty"}],
                                 "then": "failed"},
                                {"when": [{"source": "body", "key": "response.summary.transactions.bad",
                                           "operator": "bigger_than", "value": "0"}],
                                 "then": "failed"},
                                {"when": [{"source": "body", "key": "response.summary.transactions.good",
                                           "operator": "bigger_than", "value": "0"}],
                                 "then": "delivered"}],
                      "otherwise": "retry"}}"#,
        &[concat!(
            "GET https://track.linksynergy.com/ep?mid=45678&xml=1&source=example&ord=trx_9001&tr=ran-1&land=20261122_",
            "1340&qlist=1&amtlist=124990",
        )],
        &[
            (
                200,
                concat!(
                    "<response><unique_id>uniqueId</unique_id><summary><transactions><good>1</good><bad>0</bad></transactions",
                    "></summary></response>",
                ),
                "delivered",
            ),
            (
                200,
                concat!(
                    "<response><unique_id>uniqueId</unique_id><summary><transactions><good>0</good><bad>1</bad></transactions",
                    "></summary></response>",
                ),
                "failed",
            ),
            (200, "<response><error>Access denied</error></response>", "failed"),
        ],
    );
}

#[test]
fn tradedoubler() {
    check(
        r#"{"name": "Tradedoubler", "conditions": {"result": ["approved"]},
           "request": {"url": "https://tbs.tradedoubler.com/report?organization=100000&event=200000&ordernumber={transaction_id}&ordervalue={value}&currency={currency}&voucher={voucher}&tduid={query.tduid}"}}"#,
        &[concat!(
            "GET https://tbs.tradedoubler.com/report?organization=100000&event=200000&ordernumber=trx_9001&ordervalue",
            "=1249.90&currency=CZK&voucher=WINTER10&tduid=td-1",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn admitad() {
    check(
        r#"{"name": "Admitad", "conditions": {"result": ["approved"]},
           "request": {"url": "https://ad.admitad.com/tt?postback=1&campaign_code=1a2b3c&postback_key={secret.postback_key}&action_code=1&tariff_code=1&payment_type=sale&uid={query.admitad_uid}&order_id={transaction_id}&price={value}&currency_code={currency}"}}"#,
        &[concat!(
            "GET https://ad.admitad.com/tt?postback=1&campaign_code=1a2b3c&postback_key=s3cr3t%2B1&action_code=1&tari",
            "ff_code=1&payment_type=sale&uid=ad-1&order_id=trx_9001&price=1249.90&currency_code=CZK",
        )],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn refersion() {
    check(
        r#"{"name": "Refersion", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api.refersion.com/v2/conversion/manual_credit",
                       "headers": [{"name": "Refersion-Public-Key", "value": "pub_1a2b"},
                                   {"name": "Refersion-Secret-Key", "value": "{secret.key}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "id", "value": "12345", "type": "number"},
                                           {"path": "commission", "value": "{payout}", "type": "number"},
                                           {"path": "status", "value": "{result|upper}"},
                                           {"path": "currency", "value": "{payout_currency}"},
                                           {"path": "notes", "value": "{transaction_id}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "conversion_id", "operator": "is_not_empty"}],
                                 "then": "delivered", "set": {"external_id": "{body.conversion_id}"}}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://api.refersion.com/v2/conversion/manual_credit",
            "Content-Type: application/json",
            "Refersion-Public-Key: pub_1a2b",
            "Refersion-Secret-Key: s3cr3t+1",
            r#"{"id":12345,"commission":62.50,"status":"APPROVED","currency":"EUR","notes":"trx_9001"}"#,
        ],
        &[(200, r#"{"conversion_id":12345}"#, "delivered external_id=12345"), (422, r#"{"error":"id"}"#, "failed")],
    );
}

#[test]
fn tapfiliate() {
    check(
        r#"{"name": "Tapfiliate", "conditions": {"result": ["approved"]},
           "request": {"method": "POST", "url": "https://api.tapfiliate.com/1.6/conversions/",
                       "headers": [{"name": "X-Api-Key", "value": "{secret.key}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "program_id", "value": "shop"},
                                           {"path": "external_id", "value": "{transaction_id}"},
                                           {"path": "amount", "value": "{value}", "type": "number"},
                                           {"path": "click_id", "value": "{query.tap_click_id}"}]}}}"#,
        &[
            "POST https://api.tapfiliate.com/1.6/conversions/",
            "Content-Type: application/json",
            "X-Api-Key: s3cr3t+1",
            r#"{"program_id":"shop","external_id":"trx_9001","amount":1249.90,"click_id":"tap-1"}"#,
        ],
        &[(201, r#"{"id":"conv-1","amount":1249.90,"commissions":[]}"#, "delivered"), (422, "{}", "failed")],
    );
}

#[test]
fn kwanko() {
    check(
        r#"{"name": "Kwanko", "conditions": {"result": ["approved"]},
           "request": {"url": "https://action.metaffiliation.com/trk.php?mclic=G4A2B1&argann={transaction_id}&argmon={value}&nacur={currency}"}}"#,
        &["GET https://action.metaffiliation.com/trk.php?mclic=G4A2B1&argann=trx_9001&argmon=1249.90&nacur=CZK"],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}
