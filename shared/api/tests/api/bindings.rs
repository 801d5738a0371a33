//! A secret's value goes to the request that it was written for, and to no other (Q5, V2).

use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    support::{ADMIN, Api, Response},
};

const SECRET: &str = "admin-s-token";

/// A rule that an admin makes on behalf of an affiliate, with a token in its URL, its headers and its body.
async fn on_behalf(api: &Api, url: &str) -> String {
    let made = api.call(ADMIN, "POST /tracking-apis", document(url)).await;
    assert_eq!((made.status, &made.body["active"]), (201, &json!(true)), "{}", made.text);
    format!("/tracking-apis/{}", made.body["id"].as_str().expect("the answer has it"))
}

fn document(url: &str) -> Value {
    json!({"name": "x", "owner": {"kind": "affiliate", "affiliate_id": "aff_a"}, "retry": {"max_retries": 2},
        "request": {"method": "POST", "url": format!("{url}/p?k={{secret.token}}"),
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}, {"name": "X-Plain", "value": "1"}],
            "body": {"format": "json", "fields": [{"path": "a", "value": "{pcid}"}]}},
        "secret_values": {"token": SECRET}})
}

async fn patch(api: &Api, who: &str, path: &str, body: Value) -> Response {
    let answer = api.call(who, &format!("PATCH {path}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

async fn trial(api: &Api, who: &str, path: &str, send: bool) -> Response {
    api.call(who, &format!("POST {path}/test"), json!({"send": send})).await
}

async fn write(api: &Api, who: &str, path: &str, value: &str) {
    let put = format!("PUT {path}/secrets/token");
    assert_eq!(api.call(who, &put, json!({"value": value})).await.status, 204);
}

const REASON: &str = "secret token must be written again: the URL was changed by another party";

#[track_caller]
fn unbound(answer: &Response, reason: &str) {
    assert_eq!((&answer.body["active"], &answer.body["inactive_reason"]), (&json!(false), &json!(reason)), "{}", answer.text);
    let warnings = answer.body["warnings"].as_array().expect("the answer has it");
    assert!(
        warnings.iter().any(|warning| warning["detail"].as_str().expect("the answer has it").contains(reason)),
        "{warnings:?}"
    );
    assert_eq!(answer.body["secrets"], json!([]));
}

#[tokio::test]
async fn f7_a_value_is_not_bound_to_a_request_that_its_writer_has_not_seen() {
    let api = Api::new();
    let (bank, thief) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let path = on_behalf(&api, &bank.url).await;
    let seen = api.get(ADMIN, &path).await;
    let tag = seen.headers["etag"].to_str().expect("digits in quotes").to_owned();
    patch(&api, "aff_a", &path, json!({"request": {"url": format!("{}/p?k={{secret.token}}", thief.url)}})).await;
    for (line, body) in
        [(format!("PUT {path}/secrets/token"), json!({"value": SECRET})), (format!("DELETE {path}/secrets/token"), Value::Null)]
    {
        let refused = api.call_with(ADMIN, &line, &[("if-match", &tag)], body).await;
        assert_eq!(refused.problem(), (412, "/problems/changed"), "{line}");
    }
    unbound(&api.get(ADMIN, &path).await, REASON);
    let tag = api.get(ADMIN, &path).await.headers["etag"].to_str().expect("digits in quotes").to_owned();
    let line = format!("PUT {path}/secrets/token");
    assert_eq!(api.call_with(ADMIN, &line, &[("if-match", &tag)], json!({"value": SECRET})).await.status, 204);
}

#[tokio::test]
async fn f7_an_affiliate_does_not_get_an_admins_token_by_changing_the_url() {
    let api = Api::new();
    let (bank, thief) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let path = on_behalf(&api, &bank.url).await;
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(bank.heard(), [format!("/p?k={SECRET}")]);
    let url = format!("{}/p?k={{secret.token}}", thief.url);
    unbound(&patch(&api, "aff_a", &path, json!({"request": {"url": url}})).await, REASON);
    unbound(&api.get("aff_a", &path).await, REASON);
    for who in ["aff_a", ADMIN] {
        let refused = trial(&api, who, &path, true).await;
        assert_eq!(refused.problem(), (409, "/problems/conflict"));
        assert_eq!(refused.body["detail"], REASON);
    }
    api.sale(1, "aff_a").await;
    assert_eq!(thief.heard(), [""; 0]);
    // Written again, it goes where its writer sees that it goes.
    write(&api, "aff_a", &path, "own").await;
    let active = api.get("aff_a", &path).await.body;
    assert_eq!((&active["active"], active.get("inactive_reason")), (&json!(true), None));
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(thief.heard(), ["/p?k=own"]);
}

#[tokio::test]
async fn f7_a_preview_shows_that_a_value_is_not_active() {
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    patch(&api, "aff_a", &path, json!({"request": {"url": "http://127.0.0.1:2/p?k={secret.token}"}})).await;
    let shown = trial(&api, "aff_a", &path, false).await;
    assert_eq!(shown.status, 200);
    let request = &shown.body["request"];
    assert_eq!(request["url"], "http://127.0.0.1:2/p?k=(inactive)");
    assert_eq!(request["headers"]["Authorization"], "Bearer (inactive)");
    let refused = api.call(ADMIN, &format!("PUT {path}/secrets/token"), json!({"value": "(inactive)"})).await;
    assert_eq!(refused.status, 422, "no value looks like it");
}

#[tokio::test]
async fn f7_the_other_partys_change_of_what_uses_a_value_unbinds_it() {
    let headers = |value: &str| json!([{"name": "Authorization", "value": value}, {"name": "X-Plain", "value": "1"}]);
    let place = "secret token must be written again: a place that uses it was changed by another party";
    for (change, reason) in [
        (json!({"url": "http://127.0.0.1:1/echo?k={secret.token}"}), REASON),
        (json!({"url": "http://127.0.0.1:2/p?k={secret.token}"}), REASON),
        (json!({"url": "https://127.0.0.1:1/p?k={secret.token}"}), REASON),
        (json!({"method": "PUT"}), "secret token must be written again: the method was changed by another party"),
        (json!({"headers": headers("Bearer {secret.token|base64}")}), place),
        (json!({"headers": [{"name": "X-Plain", "value": "{secret.token}"}]}), place),
        (
            json!({"headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}, {"name": "Range", "value": "bytes=5-"}]}),
            "secret token must be written again: the list of headers was changed by another party",
        ),
        (json!({"query": [{"name": "again", "value": "{secret.token}"}]}), place),
        (json!({"query": [{"name": "mac", "value": "{pcid|hmac_sha256:token}"}]}), place),
        (json!({"body": {"format": "json", "fields": [{"path": "a", "value": "{secret.token}"}]}}), place),
        (json!({"body": {"format": "raw", "content_type": "text/plain", "fields": null, "text": "{secret.token}"}}), place),
    ] {
        let api = Api::new();
        let path = on_behalf(&api, "http://127.0.0.1:1").await;
        unbound(&patch(&api, "aff_a", &path, json!({"request": change})).await, reason);
        // Nobody's further change brings it back: not the way back, nor the writer's own.
        unbound(&api.call("aff_a", &format!("POST {path}/history/1/restore"), Value::Null).await, reason);
        unbound(&patch(&api, ADMIN, &path, json!({"name": "y"})).await, reason);
    }
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    unbound(&patch(&api, "aff_a", &path, json!({"signing": {"secret": "token"}})).await, place);
}

#[tokio::test]
async fn f7_the_other_party_may_change_what_does_not_use_a_value() {
    let api = Api::new();
    let bank = Receiver::answering(200).await;
    let path = on_behalf(&api, &bank.url).await;
    let headers = json!([{"name": "X-Plain", "value": "2"}, {"name": "Authorization", "value": "Bearer {secret.token}"}]);
    for change in [
        json!({"name": "y", "retry": {"max_retries": 1}, "trigger": "transaction_created"}),
        json!({"request": {"headers": headers, "timeout_seconds": 5}}),
        json!({"request": {"query": [{"name": "more", "value": "1"}]}}),
        json!({"request": {"body": {"fields": [{"path": "b", "value": "1"}]}}}),
        json!({"answer": {"otherwise": "failed"}}),
        json!({"active": false}),
        json!({"active": true}),
    ] {
        let changed = patch(&api, "aff_a", &path, change.clone()).await.body;
        assert_eq!((&changed["secrets"], changed.get("inactive_reason")), (&json!(["token"]), None), "{change}");
    }
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(bank.heard(), [format!("/p?k={SECRET}&more=1")]);
}

#[tokio::test]
async fn f7_the_writers_own_party_takes_its_value_along() {
    let api = Api::new();
    let (bank, other) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let path = on_behalf(&api, &bank.url).await;
    let url = |base: &str, path: &str| json!({"request": {"url": format!("{base}/{path}?k={{secret.token}}")}});
    for change in [
        url(&bank.url, "other"),
        json!({"request": {"method": "PUT", "headers": [{"name": "X-Token", "value": "{secret.token|base64}"}]}}),
        url(&other.url, "moved"),
    ] {
        let changed = patch(&api, ADMIN, &path, change.clone()).await.body;
        assert_eq!((&changed["active"], &changed["secrets"]), (&json!(true), &json!(["token"])), "{change}");
    }
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(other.heard(), [format!("/moved?k={SECRET}")]);
    // A value that came along is not listed as a change.
    let history = api.get(ADMIN, &format!("{path}/history")).await;
    assert_eq!(history.text.matches("/secrets/token").count(), 1, "{}", history.text);
    // Rotation needs no change of the rule.
    write(&api, ADMIN, &path, "rotated").await;
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(other.heard(), ["/moved?k=rotated"]);
    unbound(&patch(&api, "aff_a", &path, url(&bank.url, "moved")).await, REASON);
}

#[tokio::test]
async fn f7_one_party_writes_all_values_of_a_rule() {
    let refused = "another party wrote secret token, and one party writes all secrets of a Tracking API: write its value too, in the same \
        request (secret_values), or take it out of the rule and delete it first";
    let api = Api::new();
    for (writer, other) in [(ADMIN, "aff_a"), ("aff_a", ADMIN)] {
        let path = on_behalf(&api, "http://127.0.0.1:1").await;
        write(&api, writer, &path, "its-value").await;
        let guess = json!({"request": {"query": [{"name": "guess", "value": "{secret.guess}"}]}});
        assert_eq!(patch(&api, other, &path, guess).await.body["inactive_reason"], "secret guess has no value yet");
        for (line, body) in [
            (format!("PUT {path}/secrets/guess"), json!({"value": "its-v"})),
            (format!("PATCH {path}"), json!({"secret_values": {"guess": "its-v"}})),
        ] {
            let answer = api.call(other, &line, body).await;
            assert_eq!(answer.problem(), (409, "/problems/conflict"), "{line}");
            assert_eq!(answer.body["detail"], refused);
        }
        let taken_over = patch(&api, other, &path, json!({"secret_values": {"guess": "its-v", "token": "own"}})).await;
        assert_eq!(taken_over.body["secrets"], json!(["guess", "token"]));
    }
}

#[tokio::test]
async fn f7_where_two_parties_have_values_nothing_of_a_response_is_shown() {
    let mut api = Api::new();
    let bank = Receiver::answering(200).await;
    let url = format!("{}/p?k={{secret.token}}&g={{secret.guess}}", bank.url);
    let members = json!({"request": {"url": url}, "secret_values": {"token": "old-value", "guess": "own-value"}});
    let path = format!("/tracking-apis/{}", api.rule("aff_a", "x", members).await);
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["answer"], "/p?k=***&g=***");
    make_old(&mut api, &path, "old-value").await;
    let hidden = "*** (hidden: the secrets of this rule are too long to be searched for, or were written by two parties)";
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["answer"], hidden);
    assert_eq!(bank.heard(), ["/p?k=old-value&g=own-value"; 2]);
}

#[tokio::test]
async fn f7_an_affiliates_value_is_safe_from_admins_too() {
    let api = Api::new();
    let members = json!({"request": {"url": "http://127.0.0.1:1/p?k={secret.token}"}, "secret_values": {"token": "affiliate-s"}});
    let path = format!("/tracking-apis/{}", api.rule("aff_a", "x", members).await);
    let kept = patch(&api, "aff_a", &path, json!({"request": {"url": "http://127.0.0.1:1/q?k={secret.token}"}})).await;
    assert_eq!(kept.body["active"], true);
    unbound(&patch(&api, ADMIN, &path, json!({"request": {"url": "http://127.0.0.1:2/q?k={secret.token}"}})).await, REASON);
}

#[tokio::test]
async fn f7_a_value_that_comes_with_the_change_is_bound_to_who_wrote_it() {
    let api = Api::new();
    let bank = Receiver::answering(200).await;
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    let url = format!("{}/p?k={{secret.token}}", bank.url);
    let change = json!({"request": {"url": url}, "secret_values": {"token": "affiliate-s"}});
    assert_eq!(patch(&api, "aff_a", &path, change).await.body["active"], true);
    let moved = json!({"request": {"url": format!("{}/q?k={{secret.token}}", bank.url)}});
    assert_eq!(patch(&api, "aff_a", &path, moved).await.body["active"], true, "its own");
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(bank.heard(), ["/q?k=affiliate-s"]);
}

#[tokio::test]
async fn f7_a_restored_version_takes_no_value_to_another_host() {
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    patch(&api, ADMIN, &path, json!({"request": {"url": "http://127.0.0.1:1/q?k={secret.token}"}})).await;
    let restore = |version: u32| format!("POST {path}/history/{version}/restore");
    assert_eq!(api.call(ADMIN, &restore(1), Value::Null).await.body["active"], true, "another path, and its own");
    patch(&api, ADMIN, &path, json!({"request": {"url": "http://127.0.0.1:2/q?k={secret.token}"}})).await;
    let elsewhere = api.call(ADMIN, &restore(1), Value::Null).await;
    unbound(&elsewhere, "secret token must be written again: the version that was restored goes to another host");
    write(&api, ADMIN, &path, "new").await;
    unbound(&api.call("aff_a", &restore(2), Value::Null).await, REASON);
}

#[tokio::test]
async fn f7_a_secret_that_is_taken_out_and_put_back_has_no_value() {
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    let without = json!({"request": {"url": "http://127.0.0.1:2/p", "headers": []}});
    let changed = patch(&api, "aff_a", &path, without).await.body;
    assert_eq!((&changed["active"], &changed["secrets"]), (&json!(true), &json!([])));
    let back = patch(&api, "aff_a", &path, json!({"request": {"url": "http://127.0.0.1:2/p?k={secret.token}"}})).await.body;
    assert_eq!((&back["active"], &back["inactive_reason"]), (&json!(false), &json!("secret token has no value yet")));
}

/// The one delivery.
async fn delivery(api: &Api) -> Value {
    let list = api.get(ADMIN, "/deliveries").await;
    let [id] = list.each("id")[..] else { panic!("{}", list.text) };
    api.get(ADMIN, &format!("/deliveries/{id}")).await.body
}

#[tokio::test]
async fn f7_postbacks_wait_uncharged_until_the_value_is_written_again() {
    let api = Api::new();
    let (bank, other) = (Receiver::answering(503).await, Receiver::answering(200).await);
    let path = on_behalf(&api, &bank.url).await;
    api.sale(1, "aff_a").await;
    assert_eq!((delivery(&api).await["attempts"].clone(), bank.heard().len()), (json!(1), 1));
    patch(&api, "aff_a", &path, json!({"request": {"url": format!("{}/p?k={{secret.token}}", other.url)}})).await;
    for _ in 0..5 {
        api.pass(100);
        api.work_until(api.now()).await;
    }
    let waiting = delivery(&api).await;
    assert_eq!((&waiting["state"], &waiting["reason"], &waiting["attempts"]), (&json!("waiting"), &json!(REASON), &json!(1)));
    assert!(waiting["next_due"].is_string());
    // A delivery of a later sale waits too.
    api.sale(2, "aff_a").await;
    let list = api.get(ADMIN, "/deliveries").await.body;
    let [newer, _] = list["items"].as_array().unwrap().as_slice() else { panic!("{list}") };
    assert_eq!((&newer["state"], &newer["reason"], &newer["attempts"]), (&json!("waiting"), &json!(REASON), &json!(0)));
    assert_eq!(other.heard(), [""; 0]);
    write(&api, ADMIN, &path, "again").await;
    for _ in 0..5 {
        api.pass(100);
        api.work_until(api.now()).await;
    }
    assert_eq!(other.heard(), ["/p?k=again", "/p?k=again"]);
    let list = api.get(ADMIN, "/deliveries").await;
    assert_eq!(list.each("state"), ["delivered", "delivered"]);
    assert_eq!((&list.body["items"][0]["attempts"], &list.body["items"][1]["attempts"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn f7_a_wait_for_a_value_ends_after_72_hours() {
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    patch(&api, "aff_a", &path, json!({"request": {"url": "http://127.0.0.1:2/p?k={secret.token}"}})).await;
    api.sale(1, "aff_a").await;
    let begun = api.now();
    while api.now() < begun + SignedDuration::from_hours(71) {
        api.pass(3_600);
        api.work_until(api.now()).await;
    }
    assert_eq!(delivery(&api).await["state"], "waiting");
    api.pass(3_600);
    api.work_until(api.now()).await;
    let ended = delivery(&api).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("failed"), &json!(0)));
    assert_eq!(ended["reason"], format!("{REASON}; it was not written within 72 hours"));
}

#[tokio::test]
async fn f7_switched_off_while_it_waits_a_postback_is_cancelled() {
    let api = Api::new();
    let path = on_behalf(&api, "http://127.0.0.1:1").await;
    patch(&api, "aff_a", &path, json!({"request": {"url": "http://127.0.0.1:2/p?k={secret.token}"}})).await;
    api.sale(1, "aff_a").await;
    patch(&api, "aff_a", &path, json!({"active": false})).await;
    api.pass(10);
    api.work_until(api.now()).await;
    assert_eq!(delivery(&api).await["state"], "cancelled");
}

/// Makes a rule's value one that was sealed before there were bindings.
async fn make_old(api: &mut Api, path: &str, value: &str) {
    let id = path.strip_prefix("/tracking-apis/").expect("the row has it");
    let partition = format!("R#{id}");
    let mut head = api.rows(&partition, "HEAD").await.pop().expect("the row has it");
    let mut fields: Value = serde_json::from_str(&head.body).expect("the row has it");
    let write = fields["d"]["secrets"]["token"].as_str().expect("the row has it").to_owned();
    for later in ["unbound", "text"] {
        fields["d"].as_object_mut().expect("the row has it").remove(later);
    }
    fields["d"]["bindings"].as_object_mut().expect("the row has it").remove("token");
    head.body = fields.to_string();
    let mut sealed = value.as_bytes().to_vec();
    let key = RandomizedNonceKey::new(&AES_256_GCM, &[7; 32]).expect("the row has it");
    let place = format!("{id}\ntoken\n{write}");
    let nonce = key.seal_in_place_append_tag(Aad::from(place.as_bytes()), &mut sealed).expect("the row has it");
    let mut row = api.rows(&partition, "K#token#").await.pop().expect("the row has it");
    row.body = json!({"v": 1, "d": BASE64_STANDARD.encode([&nonce.as_ref()[..], &sealed].concat())}).to_string();
    api.meddle(vec![head, row], Vec::new()).await;
    api.restart();
}

#[tokio::test]
async fn f7_a_value_from_before_there_were_bindings_is_bound_at_the_next_change() {
    let (bank, thief) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let moved = json!({"request": {"url": format!("{}/p?k={{secret.token}}", thief.url)}});
    // The history says who wrote it.
    let mut api = Api::new();
    let path = on_behalf(&api, &bank.url).await;
    make_old(&mut api, &path, "old-value").await;
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(bank.heard(), ["/p?k=old-value"]);
    patch(&api, "aff_a", &path, json!({"name": "y"})).await;
    assert_eq!(trial(&api, "aff_a", &path, true).await.body["sent"], true);
    assert_eq!(bank.heard(), ["/p?k=old-value"]);
    unbound(&patch(&api, "aff_a", &path, moved.clone()).await, REASON);
    // Its own party takes it along.
    let mut api = Api::new();
    let path = on_behalf(&api, &bank.url).await;
    make_old(&mut api, &path, "old-value").await;
    assert_eq!(patch(&api, ADMIN, &path, moved.clone()).await.body["active"], true);
    assert_eq!(trial(&api, ADMIN, &path, true).await.body["sent"], true);
    assert_eq!(thief.heard(), ["/p?k=old-value"]);
    // Where the history doesn't reach back so far, every change drops it.
    let mut api = Api::new();
    let path = on_behalf(&api, &bank.url).await;
    make_old(&mut api, &path, "old-value").await;
    let partition = path.replace("/tracking-apis/", "R#");
    let entry = api.rows(&partition, "A#").await.pop().unwrap();
    api.meddle(Vec::new(), vec![entry.key]).await;
    let reason = "secret token must be written again: the URL was changed, and who wrote the secret is not known";
    unbound(&patch(&api, ADMIN, &path, moved).await, reason);
}

#[tokio::test]
async fn f7_a_value_whose_binding_was_meddled_with_is_not_sent() {
    let mut api = Api::new();
    let (bank, thief) = (Receiver::answering(200).await, Receiver::answering(200).await);
    let path = on_behalf(&api, &bank.url).await;
    let partition = path.replace("/tracking-apis/", "R#");
    let mut text = api.rows(&partition, "BODY#").await.pop().unwrap();
    text.body = text.body.replace(&bank.url, &thief.url);
    api.meddle(vec![text], Vec::new()).await;
    api.restart();
    let reason = "secret token must be written again: it was written for another request";
    let refused = trial(&api, "aff_a", &path, true).await;
    assert_eq!((refused.status, &refused.body["detail"]), (409, &json!(reason)));
    api.sale(1, "aff_a").await;
    let waiting = delivery(&api).await;
    assert_eq!((&waiting["state"], &waiting["reason"]), (&json!("waiting"), &json!(reason)));
    assert_eq!((bank.heard().len(), thief.heard().len()), (0, 0));
}
