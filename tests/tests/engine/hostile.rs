//! Any text of a visitor of a tracking link is kept unchanged on the whole way: accepted, stored, sent, logged, listed, explained.
//!
//! `PROPTEST_CASES=20000` plays more conversions.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_engine::{Accepted, DeliveryFilter};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{OK, Receiver},
    world::{Reply, World, event, transaction},
};

/// Conversions that are played together.
const TOGETHER: usize = 64;

/// The texts that a visitor sends: other parameters and cookies, and the texts that a postback carries on.
#[derive(Debug)]
struct Visit {
    others: BTreeMap<String, String>,
    /// A parameter, a cookie, a sub-parameter, the offer's name, the click id.
    texts: [String; 5],
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<String>(),
        1 => "[ -~]{0,40}",
        1 => prop::sample::select(vec![
            "$serde_json::private::Number", "$serde_json::private::RawValue", "{secret.token}", "%00%0d%0a", "\u{0}", "\u{feff}", "1e999",
            "{\"$serde_json::private::Number\":\"x\"}", "\\ud800", "../..", "' OR 1=1 --", "]]>", "\u{202e}abc", "__proto__",
        ]).prop_map(str::to_owned),
    ]
}

fn visit() -> impl Strategy<Value = Visit> {
    (prop::collection::btree_map(text(), text(), 0..5), [text(), text(), text(), text(), text()])
        .prop_map(|(others, texts)| Visit { others, texts })
}

fn conversion(number: usize, visit: &Visit) -> Value {
    let [parameter, cookie, affs, offer, click] = &visit.texts;
    let with = |text: &str| {
        let mut all = visit.others.clone();
        all.insert("k".to_owned(), text.to_owned());
        json!(all)
    };
    let conversion = json!({
        "conversion_id": format!("cnv_{number}"), "query_params": with(parameter), "cookie_params": with(cookie),
        "affs": {"affs1": affs, "$serde_json::private::Number": "x"}, "offer_name": offer, "affiliate_click_id": click,
    });
    event(&format!("chg_{number}"), conversion, json!([transaction(&format!("trx_{number}"), "created", "approved")]))
}

fn rule(url: &str) -> Value {
    json!({
        "name": "r",
        "request": {"url": format!("{url}/?t={{transaction_id}}&p={{query.k}}&c={{cookie.k}}&a={{affs1}}&o={{offer_name}}&i={{click_id}}")},
    })
}

/// Returns the values of a request's query but the first.
fn carried(target: &str) -> (String, [String; 5]) {
    let query = target.split_once('?').unwrap().1;
    let decode = |pair: &str| {
        let value = pair.split_once('=').unwrap().1;
        percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned()
    };
    let mut values = query.split('&').map(decode);
    (values.next().unwrap(), std::array::from_fn(|_| values.next().unwrap()))
}

/// Plays as many conversions as there are cases, some at a time.
fn batches(mut play: impl FnMut(usize, &[Visit])) {
    let mut runner = TestRunner::default();
    let cases = usize::try_from(runner.config().cases).unwrap();
    for first in (0..cases).step_by(TOGETHER) {
        let visits: Vec<Visit> =
            (first..cases.min(first + TOGETHER)).map(|_| visit().new_tree(&mut runner).unwrap().current()).collect();
        play(first, &visits);
    }
}

#[test]
fn f1_any_text_goes_all_the_way_on_one_machine() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut world = World::keeping_events();
    runtime.block_on(world.rule(&Caller::Admin, rule("http://127.0.0.1:9")));
    batches(|first, visits| {
        runtime.block_on(async {
            let events: Vec<Value> = visits.iter().enumerate().map(|(n, visit)| conversion(first + n, visit)).collect();
            let accepted = world.post(&events).await.unwrap();
            assert_eq!(accepted, vec![Accepted::Yes(1); visits.len()], "{visits:?}");
            world.arrivals.clear();
            world.work_all(&mut |_| Reply::Says(200, "ok")).await;
            assert_eq!(world.arrivals.len(), visits.len());
            let sent: BTreeMap<String, [String; 5]> = world.arrivals.iter().map(|arrival| carried(&arrival.url)).collect();
            for (n, visit) in visits.iter().enumerate() {
                assert_eq!(sent[&format!("trx_{}", first + n)], visit.texts);
                look(&world, first + n, &events[n]).await;
            }
        });
    });
}

/// Reads a conversion's delivery in the list, singly, and explained.
async fn look(world: &World, number: usize, event: &Value) {
    let engine = world.engine();
    let conversion: Id = format!("cnv_{number}").parse().unwrap();
    let filter = DeliveryFilter { conversion_id: Some(conversion.clone()), ..DeliveryFilter::default() };
    let listed = engine.log().list(&Caller::Admin, &filter, 10, None).await.unwrap().items;
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &json!("delivered")));
    let id = serde_json::from_str(&listed[0]["id"].to_string()).unwrap();
    let single = engine.log().delivery(&Caller::Admin, &id).await.unwrap();
    assert_eq!(single["log"][0]["status"], 200);
    let (explained, _) = engine.log().explain_conversion(&Caller::Admin, &conversion, 10, None).await.unwrap();
    assert_eq!(
        (explained.len(), &explained[0]["complete"], &explained[0]["changes"][0]["fires"]),
        (1, &json!(true), &json!(true))
    );
    let body = json::parse(json!({"event": event}).to_string().as_bytes()).unwrap();
    let (explained, _) = engine.log().explain(&Caller::Admin, &body, 10, None).await.unwrap();
    assert_eq!(explained[0]["fires"], true);
}

#[test]
fn f1_any_text_goes_all_the_way_on_aws() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let receiver = runtime.block_on(Receiver::start(|_| OK));
    let mut functions = runtime
        .block_on(async { Functions::start_with(&[("TRACKING_KEEP_EVENTS", "true"), ("TRACKING_PRIVATE_TARGETS", "true")]) });
    runtime.block_on(functions.rule(&Caller::Admin, rule(receiver.url())));
    let mut seen = BTreeSet::new();
    batches(|first, visits| {
        runtime.block_on(async {
            for (n, visit) in visits.iter().enumerate() {
                functions.ingest(&conversion(first + n, visit)).await;
            }
            while functions.work(Queue::Events).await > 0 {}
            while functions.work(Queue::Delivery).await > 0 {}
            let sent: BTreeMap<String, [String; 5]> = receiver.heard().iter().map(|postback| carried(&postback.target)).collect();
            for (n, visit) in visits.iter().enumerate() {
                assert_eq!(sent[&format!("trx_{}", first + n)], visit.texts);
                seen.insert(first + n);
            }
            let conversion: Id = format!("cnv_{first}").parse().unwrap();
            let (explained, _) =
                functions.stack().engine.log().explain_conversion(&Caller::Admin, &conversion, 10, None).await.unwrap();
            assert_eq!(explained[0]["changes"][0]["fires"], true);
        });
    });
    let log = runtime.block_on(functions.log());
    assert_eq!(log.len(), seen.len());
    assert!(log.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(functions.cloud.depth(Queue::Rejected).visible, 0);
}
