//! Networks that receive leads.

use super::check;

#[test]
fn boberdoo() {
    check(
        r#"{"name": "boberdoo", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://example.leadportal.com/genericPostlead.php",
                       "body": {"format": "form",
                                "fields": [{"path": "TYPE", "value": "19"}, {"path": "SRC", "value": "partner"},
                                           {"path": "First_Name", "value": "{query.first_name}"},
                                           {"path": "Primary_Phone", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "operator": "string_contains",
                                           "value": "<status>Matched</status>|<status>Unmatched</status>"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "operator": "string_contains",
                                           "value": "<status>Error</status>"}],
                                 "then": "failed"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://example.leadportal.com/genericPostlead.php",
            "Content-Type: application/x-www-form-urlencoded",
            "TYPE=19&SRC=partner&First_Name=Jana%20%26%20Co&Primary_Phone=%2B420%20777%20123%20456",
        ],
        &[
            (200, "<response><status>Matched</status><lead_id>1234</lead_id></response>", "delivered"),
            (200, "<response><status>Unmatched</status><lead_id>1235</lead_id></response>", "delivered"),
            (200, "<response><status>Error</status><error>Missing: Zip</error></response>", "failed"),
        ],
    );
}

#[test]
fn leadspedia() {
    check(
        r#"{"name": "LeadsPedia", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://example.leadspediatrack.com/post.do",
                       "body": {"format": "form",
                                "fields": [{"path": "lp_campaign_id", "value": "5f0a1b"},
                                           {"path": "lp_campaign_key", "value": "{secret.key}"},
                                           {"path": "lp_s1", "value": "{affiliate_id}"},
                                           {"path": "lp_response", "value": "JSON"},
                                           {"path": "first_name", "value": "{query.first_name}"},
                                           {"path": "phone_home", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "operator": "matches", "value": "(?i)success"}],
                                 "then": "delivered"}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://example.leadspediatrack.com/post.do",
            "Content-Type: application/x-www-form-urlencoded",
            concat!(
                "lp_campaign_id=5f0a1b&lp_campaign_key=s3cr3t%2B1&lp_s1=aff_7&lp_response=JSON&first_name=Jana%20%26%20Co",
                "&phone_home=%2B420%20777%20123%20456",
            ),
        ],
        &[
            (200, r#"{"result":"success","lead_id":"L1","price":"12.40"}"#, "delivered"),
            (200, r#"{"result":"failed","msg":"Duplicate"}"#, "failed"),
        ],
    );
}

#[test]
fn phonexa() {
    check(
        r#"{"name": "Phonexa", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://leads-inst1-client.phonexa.com/lead/",
                       "body": {"format": "json",
                                "fields": [{"path": "apiId", "value": "A1"},
                                           {"path": "apiPassword", "value": "{secret.password}"},
                                           {"path": "productId", "value": "218", "type": "number"},
                                           {"path": "firstName", "value": "{query.first_name}"},
                                           {"path": "cellPhone", "value": "{query.phone}"}]}},
           "retry": {"max_retries": 0},
           "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals",
                                           "value": "1|2|3"}],
                                 "then": "delivered"},
                                {"when": [{"source": "body", "key": "status", "operator": "equals",
                                           "value": "4|5"}],
                                 "then": "failed"}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://leads-inst1-client.phonexa.com/lead/",
            "Content-Type: application/json",
            r#"{"apiId":"A1","apiPassword":"s3cr3t+1","productId":218,"firstName":"Jana & Co","cellPhone":"+420 777 123 456"}"#,
        ],
        &[
            (200, r#"{"status":1,"id":"L1","price":12.40}"#, "delivered"),
            (200, r#"{"status":4,"errors":[{"Duplicate Application":"Duplicate Application"}]}"#, "failed"),
            (500, "", "failed"),
        ],
    );
}

#[test]
fn leadbyte() {
    check(
        r#"{"name": "LeadByte", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://example.leadbyte.com/restapi/v1.3/leads",
                       "query": [{"name": "key", "value": "{secret.key}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "campid", "value": "LOANS"}, {"path": "sid", "value": "12"},
                                           {"path": "firstname", "value": "{query.first_name}"},
                                           {"path": "phone1", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals",
                                           "value": "Success"}],
                                 "then": "delivered", "set": {"external_id": "{body.results[0].queueId}"}}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://example.leadbyte.com/restapi/v1.3/leads?key=s3cr3t%2B1",
            "Content-Type: application/json",
            r#"{"campid":"LOANS","sid":"12","firstname":"Jana & Co","phone1":"+420 777 123 456"}"#,
        ],
        &[
            (
                200,
                concat!(
                    r#"{"status":"Success","code":1,"message":"","results":[{"queueId":"ac1e0206-6d6fd2fa","status":"Queued","c"#,
                    r#"ode":1}]}"#,
                ),
                "delivered external_id=ac1e0206-6d6fd2fa",
            ),
            (200, r#"{"status":"Error","code":-2,"message":"Invalid key"}"#, "failed"),
        ],
    );
}

#[test]
fn leadconduit() {
    check(
        r#"{"name": "LeadConduit", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://app.leadconduit.com/v2/PostLeadAction",
                       "body": {"format": "form",
                                "fields": [{"path": "xxCampaignId", "value": "c1"},
                                           {"path": "firstname", "value": "{query.first_name}"},
                                           {"path": "phone1", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "response.result", "operator": "equals",
                                           "value": "success"}],
                                 "then": "delivered", "set": {"external_id": "{body.response.leadId}"}},
                                {"when": [{"source": "body", "key": "response.result", "operator": "equals",
                                           "value": "failure|error"}],
                                 "then": "failed"}],
                      "otherwise": "retry"}}"#,
        &[
            "POST https://app.leadconduit.com/v2/PostLeadAction",
            "Content-Type: application/x-www-form-urlencoded",
            "xxCampaignId=c1&firstname=Jana%20%26%20Co&phone1=%2B420%20777%20123%20456",
        ],
        &[
            (
                200,
                concat!(
                    r#"<?xml version="1.0"?><!DOCTYPE response SYSTEM "http://production.leadconduit.com/ap/dtd/response-v2-bas"#,
                    r#"ic.dtd"><response><result>success</result><leadId>03l9</leadId></response>"#,
                ),
                "delivered external_id=03l9",
            ),
            (
                200,
                concat!(
                    r#"<?xml version="1.0"?><!DOCTYPE response SYSTEM "http://production.leadconduit.com/ap/dtd/response-v2-bas"#,
                    r#"ic.dtd"><response><result>failure</result><reason>duplicate</reason></response>"#,
                ),
                "failed",
            ),
        ],
    );
}

#[test]
fn leadconduit_json() {
    check(
        r#"{"name": "LeadConduit recipient", "trigger": "conversion_created",
           "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://crm.example.com/leads",
                       "body": {"format": "json",
                                "fields": [{"path": "first_name", "value": "{query.first_name}"},
                                           {"path": "phone_1", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "outcome", "operator": "equals",
                                           "value": "success"}],
                                 "then": "delivered", "set": {"external_id": "{body.lead.id}"}},
                                {"when": [{"source": "body", "key": "outcome", "operator": "is_not_empty"}],
                                 "then": "failed"},
                                {"when": [{"source": "body", "key": "result.outcome", "operator": "equals",
                                           "value": "success"}],
                                 "then": "delivered", "set": {"external_id": "{body.result.lead.id}"}}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://crm.example.com/leads",
            "Content-Type: application/json",
            r#"{"first_name":"Jana & Co","phone_1":"+420 777 123 456"}"#,
        ],
        &[
            (200, r#"{"outcome":"success","reason":"","lead":{"id":"1234","last_name":"Smith"}}"#, "delivered external_id=1234"),
            (200, "<result><outcome>success</outcome><reason/><lead><id>1234</id></lead></result>", "delivered external_id=1234"),
            (200, r#"{"outcome":"failure","reason":"duplicate"}"#, "failed"),
        ],
    );
}

#[test]
fn dr_cash() {
    check(
        r#"{"name": "dr.cash", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://order.drcash.sh/v1/order",
                       "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                       "body": {"format": "json",
                                "fields": [{"path": "stream_code", "value": "iu244"},
                                           {"path": "client.phone", "value": "{query.phone}"},
                                           {"path": "client.name", "value": "{query.first_name}"},
                                           {"path": "client.ip", "value": "{ip}"},
                                           {"path": "sub1", "value": "{affiliate_click_id}"}]}},
           "answer": {"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}],
                                 "then": "delivered"}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://order.drcash.sh/v1/order",
            "Content-Type: application/json",
            "Authorization: Bearer s3cr3t+1",
            concat!(
                r#"{"stream_code":"iu244","client":{"phone":"+420 777 123 456","name":"Jana & Co","ip":"89.24.1.7"},"sub1":"#,
                r#""wNq7+8/3=kk"}"#,
            ),
        ],
        &[(200, r#"{"uuid":"1"}"#, "delivered"), (422, "{}", "failed")],
    );
}

#[test]
fn leadbit() {
    check(
        r#"{"name": "LeadBit", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "http://wapi.leadbit.com/api/pub/new-order/{secret.token}",
                       "body": {"format": "form",
                                "fields": [{"path": "flow_hash", "value": "slHk"},
                                           {"path": "landing", "value": "https://landing.example/"},
                                           {"path": "phone", "value": "{query.phone}"},
                                           {"path": "name", "value": "{query.first_name}"},
                                           {"path": "country", "value": "{country}"},
                                           {"path": "sub1", "value": "{affiliate_click_id}"}]}}}"#,
        &[
            "POST http://wapi.leadbit.com/api/pub/new-order/s3cr3t%2B1",
            "Content-Type: application/x-www-form-urlencoded",
            concat!(
                "flow_hash=slHk&landing=https%3A%2F%2Flanding.example%2F&phone=%2B420%20777%20123%20456&name=Jana%20%26%2",
                "0Co&country=CZ&sub1=wNq7%2B8%2F3%3Dkk",
            ),
        ],
        &[(200, "", "delivered"), (500, "", "retry")],
    );
}

#[test]
fn leadcraft() {
    check(
        r#"{"name": "LeadCraft", "trigger": "conversion_created", "conditions": {"conversion_type": ["sale"]},
           "request": {"method": "POST", "url": "https://api.leadcraft.ru/v1/webmasters/lead",
                       "body": {"format": "json",
                                "fields": [{"path": "type", "value": "lead"},
                                           {"path": "api_token", "value": "{secret.token}"},
                                           {"path": "applied_at", "value": "{conversion_at|date:%Y-%m-%d}"},
                                           {"path": "sales[0].campaignID", "value": "e435e95f"},
                                           {"path": "phone", "value": "{query.phone}"}]}},
           "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals",
                                           "value": "received"}],
                                 "then": "delivered", "set": {"external_id": "{body.id}"}}],
                      "otherwise": "failed"}}"#,
        &[
            "POST https://api.leadcraft.ru/v1/webmasters/lead",
            "Content-Type: application/json",
            concat!(
                r#"{"type":"lead","api_token":"s3cr3t+1","applied_at":"2026-11-22","sales":[{"campaignID":"e435e95f"}],"pho"#,
                r#"ne":"+420 777 123 456"}"#,
            ),
        ],
        &[
            (
                201,
                r#"{"id":234,"status":"received","details":{"e435e95f-6dd0-4df5-bae3-26c47a710f80":{"status":"accepted"}}}"#,
                "delivered external_id=234",
            ),
            (403, r#"{"code":403,"message":"AuthorizationException"}"#, "failed"),
        ],
    );
}
