//! Every example of docs/flows.md, run to its end.

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::IncomingRequest;
use tracking_tests::world::{Arrival, Reply, World};

use crate::flows::{begun, ends, sale};

/// The response of all receivers of the page; each step reads the part that it needs.
const BODY: Reply = Reply::Body(
    200,
    r#"{"id": "L-17", "access_token": "t-o-k-e-n-1", "expires_in": 3600, "status": "approved", "amount": "2000"}"#,
);

/// Returns the rules of docs/flows.md with the requests that the page shows after them.
fn documented() -> Vec<(Value, Vec<String>)> {
    let page = include_str!("../../../../docs/flows.md");
    let mut examples = Vec::new();
    for part in page.split("```json\n").skip(1) {
        let (block, rest) = part.split_once("```").unwrap();
        let mut rule = json::parse(block.as_bytes()).unwrap();
        // The other blocks are parts of rules.
        if rule.get("steps").is_some() {
            rule["secret_values"] = json!({"client": "c-s-1", "key": "k-1"});
            let requests = rest.split("```http\n").nth(1).map_or("", |requests| requests.split_once("```").unwrap().0);
            examples.push((rule, requests.lines().map(ToOwned::to_owned).collect()));
        }
    }
    examples
}

/// Plays the example of this name for this many days with these responses.
async fn played(name: &str, days: i64, replies: &mut dyn FnMut(&Arrival) -> Reply) -> World {
    let rule = documented().into_iter().find(|(rule, _)| rule["name"] == name).unwrap().0;
    let mut world = begun(rule).await;
    for _ in 0..days {
        world.pass(SignedDuration::from_hours(24), replies).await;
    }
    world
}

fn urls(world: &World) -> Vec<&str> {
    world.arrivals.iter().map(|arrival| arrival.url.as_str()).collect()
}

#[tokio::test]
async fn every_flow_of_the_page_sends_what_the_page_says() {
    let examples = documented();
    assert_eq!(examples.len(), 12);
    let (masters, others): (Vec<_>, Vec<_>) = examples.into_iter().partition(|(rule, _)| rule["active"] == false);
    assert_eq!(masters.len(), 1);
    for (rule, expected) in others {
        let world = World::temporary();
        let master = world.rule(&Caller::Admin, masters[0].0.clone()).await;
        let named = rule.to_string().replace("trk_login", master.as_str());
        let mut world = sold(world, json::parse(named.as_bytes()).unwrap()).await;
        world.pass(SignedDuration::from_hours(1), &mut |_| BODY).await;
        hears(&world).await;
        world.pass(SignedDuration::from_hours(72), &mut |_| BODY).await;
        assert_eq!(urls(&world), expected, "{}", rule["name"]);
        assert_eq!(world.only_delivery().await["state"], "delivered", "{}", rule["name"]);
    }
}

/// Adds this rule to the machine, and posts one sale.
async fn sold(world: World, rule: Value) -> World {
    world.rule(&Caller::Admin, rule).await;
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world
}

/// The signature of [`PAYMENT`] with the key k-1.
const SIGNATURE: &str = "sha256=9cb834db420a70639a119ba82001536106e293d48f3d945bcd5aa7f4d09459bd";
const PAYMENT: &str = r#"{"order": {"ref": "X-77", "total": "2000"}}"#;

/// Sends the callback or the webhook that the page's delivery waits for, if it waits for one.
async fn hears(world: &World) {
    let delivery = world.only_delivery().await;
    let sent = |headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        IncomingRequest { method: "POST".to_owned(), query: String::new(), headers, body: body.as_bytes().to_vec() }
    };
    match delivery["step"].as_str() {
        Some("decision") => {
            let body = json::parse(world.arrivals[0].body.as_deref().unwrap().as_bytes()).unwrap();
            let token = body["callback"].as_str().unwrap().rsplit('/').next().unwrap();
            let callback = sent(&[], r#"{"status": "approved", "amount": "12.50"}"#);
            world.call_back(token, callback).await.unwrap();
        }
        Some("paid") => {
            let rule = delivery["tracking_api_id"].as_str().unwrap().parse().unwrap();
            let rule = world.engine().rules().rule(&Caller::Admin, &rule).await.unwrap().resource;
            let webhook = rule["webhook_id"].as_str().unwrap();
            let signed = sent(&[("x-signature", SIGNATURE)], PAYMENT);
            assert_eq!(world.send_webhook(webhook, signed).await, Ok(1));
        }
        _ => {}
    }
}

#[tokio::test]
async fn w1_the_page_s_branches_end_small_and_refused_sales() {
    let asked = ["https://api.bank.example/leads/X-77"];
    let small = Reply::Body(200, r#"{"status": "approved", "amount": "1000"}"#);
    let world = played("Report large sales", 1, &mut |_| small).await;
    assert_eq!(urls(&world), asked);
    ends(&world.only_delivery().await, "delivered", "the flow has ended");
    let world = played("Report large sales", 1, &mut |_| Reply::Body(200, r#"{"status": "rejected"}"#)).await;
    assert_eq!(urls(&world), asked);
    ends(&world.only_delivery().await, "failed", "step refused: the bank refused lead X-77");
}

#[tokio::test]
async fn l2_the_page_s_30_days_are_30_days() {
    let world = played("Ask for 30 days", 40, &mut |_| Reply::Body(200, r#"{"id": "L-17", "status": "new"}"#)).await;
    assert_eq!(world.arrivals.len(), 32, "one creates, 31 ask");
    let lasted = world.arrivals[31].at.duration_since(world.arrivals[1].at).as_hours();
    assert!((720..=920).contains(&lasted), "{lasted} h");
    ends(&world.only_delivery().await, "failed", "step silent: the network has not decided within 30 days");
}

#[tokio::test]
async fn w5_the_page_s_login_is_repeated_for_every_query_once_the_token_has_expired() {
    let pending = Reply::Body(200, r#"{"access_token": "t-o-k-e-n-1", "expires_in": 3600, "status": "pending"}"#);
    let world = played("Bank status", 2, &mut |_| pending).await;
    let logins = urls(&world).iter().filter(|url| url.ends_with("/token")).count();
    // A wait is an hour, plus or minus a tenth, and the token lives 59 minutes.
    assert_eq!(world.arrivals.len() - logins, 31);
    assert!((20..=31).contains(&logins), "{logins}");
    assert_eq!(world.only_delivery().await["state"], "unresolved");
}
