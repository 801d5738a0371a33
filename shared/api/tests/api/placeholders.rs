//! Rules with placeholders: inactive until they are filled in (D3).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

const URL: &str = "/request/url";
const TOKEN: &str = "/request/headers/0/value";

fn unfilled() -> Value {
    json!({"name": "R", "request": {"url": "https://YOUR-DOMAIN.example/p?t={transaction_id}&n=YOUR-NETWORK-ID",
        "headers": [{"name": "X-Token", "value": "YOUR_TOKEN"}]}})
}

fn placeholder(name: &str) -> String {
    format!("{name} is a placeholder: write your own value in its place before the rule is active")
}

#[tokio::test]
async fn case_d3_a_rule_with_placeholders_is_inactive_until_all_are_filled_in() {
    let api = Api::new();
    for mut rule in [unfilled(), json!({"active": true})] {
        if rule.get("request").is_none() {
            rule = unfilled();
            rule["active"] = true.into();
        }
        let made = api.call("aff_a", "POST /tracking-apis", rule).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let reason = "placeholders YOUR-DOMAIN, YOUR-NETWORK-ID, YOUR_TOKEN are not filled in yet";
        assert_eq!((&made.body["active"], &made.body["inactive_reason"]), (&json!(false), &json!(reason)));
        let path = format!("/tracking-apis/{}", made.body["id"].as_str().unwrap());
        let id = made.body["id"].as_str().unwrap();
        assert!(!api.get("aff_a", "/tracking-apis?active=true").await.each("id").contains(&id));

        // The document that was read is written back as it is: it stays asked to be active.
        let back = api.call("aff_a", &format!("PUT {path}"), made.body.clone()).await;
        assert_eq!((back.status, &back.body["inactive_reason"]), (200, &json!(reason)), "{}", back.text);
        let some = json!({"request": {"url": "https://track.example.com/p?t={transaction_id}"}});
        let some = api.call("aff_a", &format!("PATCH {path}"), some).await;
        assert_eq!(some.body["inactive_reason"], "placeholder YOUR_TOKEN is not filled in yet");
        let all = json!({"request": {"headers": [{"name": "X-Token", "value": "t0ken"}]}});
        let all = api.call("aff_a", &format!("PATCH {path}"), all).await;
        assert_eq!((&all.body["active"], all.body.get("inactive_reason")), (&json!(true), None), "it turns active by itself");
    }
}

#[tokio::test]
async fn case_d5_off_stays_off_whatever_reason_is_given() {
    let api = Api::new();
    let mut rule =
        json!({"name": "R", "request": {"url": "https://a.example/?k={secret.key}"}, "active": false, "inactive_reason": "x"});
    let made = api.call("aff_a", "POST /tracking-apis", rule.clone()).await;
    assert_eq!((&made.body["active"], made.body.get("inactive_reason")), (&json!(false), None), "{}", made.text);
    let path = format!("/tracking-apis/{}", made.body["id"].as_str().unwrap());
    for change in [json!({"active": false, "inactive_reason": "y"}), json!({"inactive_reason": "y"})] {
        assert_eq!(api.call("aff_a", &format!("PATCH {path}"), change.clone()).await.body["active"], false, "{change}");
    }
    assert_eq!(api.call("aff_a", &format!("PUT {path}"), rule.clone()).await.body["active"], false);
    rule["secret_values"] = json!({"key": "k"});
    assert_eq!(api.call("aff_a", &format!("PUT {path}"), rule).await.body["active"], false, "nor does its secret switch it on");
    let on = api.call("aff_a", &format!("PATCH {path}"), json!({"active": true})).await;
    assert_eq!(on.body["active"], true, "{}", on.text);
    let off = api.call("aff_a", &format!("PATCH {path}"), json!({"active": false, "inactive_reason": null})).await;
    assert_eq!(off.body["active"], false);
}

#[tokio::test]
async fn case_d3_switching_it_on_names_every_placeholder_with_its_place() {
    let api = Api::new();
    let made = api.call(ADMIN, "POST /tracking-apis", unfilled()).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    let faults = [placeholder("YOUR-DOMAIN"), placeholder("YOUR-NETWORK-ID"), placeholder("YOUR_TOKEN")];
    let expected = [(URL, faults[0].as_str()), (URL, faults[1].as_str()), (TOKEN, faults[2].as_str())];
    let mut whole = unfilled();
    whole["active"] = true.into();
    for (verb, body) in [("PATCH", json!({"active": true})), ("PUT", whole)] {
        let refused = api.call(ADMIN, &format!("{verb} /tracking-apis/{id}"), body).await;
        assert_eq!(refused.problem().0, 422, "{}", refused.text);
        assert_eq!(refused.faults(), expected, "{verb}");
    }
    let bulk = api.call(ADMIN, "POST /tracking-apis/bulk", json!({"ids": [id], "action": "activate"})).await;
    assert_eq!(bulk.body["results"][0]["status"], 422, "{}", bulk.text);
    assert_eq!(api.get(ADMIN, &format!("/tracking-apis/{id}")).await.body["version"], 1, "nothing was changed");
    let on = json!({"active": true, "request": {"url": "https://a.example/", "headers": []}});
    assert_eq!(api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), on).await.body["active"], true);
}

#[tokio::test]
async fn case_d3_a_preset_as_it_stands_is_inactive_and_explained_as_such() {
    let api = Api::new();
    let presets = api.get("aff_a", "/presets").await;
    let presets = presets.body["items"].as_array().unwrap();
    assert!(presets.len() >= 15);
    for preset in presets {
        let made = api.call("aff_a", "POST /tracking-apis", preset["tracking_api"].clone()).await;
        let reason = made.body["inactive_reason"].as_str().unwrap_or_else(|| panic!("{}", made.text)).to_owned();
        assert!(reason.starts_with("placeholder"), "{}: {reason}", preset["id"]);
        for name in preset["fill_in"].as_array().unwrap() {
            let written = name["placeholder"].as_str().unwrap().trim_start_matches("https://").trim_end_matches('/');
            assert!(reason.contains(written.trim_end_matches(".example")), "{}: {written} in {reason}", preset["id"]);
        }
        let path = format!("/tracking-apis/{}", made.body["id"].as_str().unwrap());
        let tried = api.call("aff_a", &format!("POST {path}/test"), json!({})).await;
        assert_eq!(tried.body["fires"], false, "{}", tried.text);
        assert_eq!(api.call("aff_a", &format!("DELETE {path}"), Value::Null).await.status, 204);
    }
}
