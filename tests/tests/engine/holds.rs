//! Holds when changes come at once, move to another affiliate, or outlive their rule.

#![expect(clippy::unwrap_used, reason = "tests")]

use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_engine::DeliveryFilter;
use tracking_tests::world::{Reply, World, event, transaction};

const OK: Reply = Reply::Says(200, "ok");

fn rule(conditions: &Value, delay: &Value) -> Value {
    json!({
        "name": "final", "conditions": conditions, "delay": delay,
        "request": {"url": "http://127.0.0.1:9/?v={updated_at|unix}&r={result}&k={is_correction}"},
    })
}

fn change(conversion: &str, version: u64, result: &str) -> Value {
    let kind = if version == 1 { "created" } else { "updated" };
    let fields = json!({
        "conversion_id": conversion, "version": version, "change": kind,
        "updated_at": format!("1970-01-01T00:00:{version:02}Z"),
    });
    event(&format!("chg_{conversion}_{version}"), fields, json!([transaction(&format!("trx_{conversion}"), kind, result)]))
}

/// Returns the queries that arrived about a conversion, in order.
fn queries(world: &World, from: usize) -> Vec<String> {
    world.arrivals[from..].iter().map(|arrival| arrival.url.split_once('?').unwrap().1.to_owned()).collect()
}

#[tokio::test]
async fn f1_changes_that_come_at_once_make_one_final() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(&json!({"result": ["approved"]}), &json!({"mode": "final"}))).await;
    for n in 0..60 {
        let conversion = format!("cnv_{n}");
        let before = world.arrivals.len();
        world.post(&[change(&conversion, 1, "pending")]).await.unwrap();
        let (rejected, approved) = ([change(&conversion, 2, "rejected")], [change(&conversion, 3, "approved")]);
        let posted = if n % 2 == 0 {
            tokio::join!(world.post(&rejected), world.post(&approved))
        } else {
            tokio::join!(world.post(&approved), world.post(&rejected))
        };
        assert!(posted.0.is_ok() && posted.1.is_ok());
        world.work_all(&mut |_| OK).await;
        assert_eq!(queries(&world, before), ["v=3&r=approved&k=0"], "{conversion}");
    }
}

#[tokio::test]
async fn f4_a_correction_that_comes_with_the_final_is_not_lost() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(&json!({}), &json!({"mode": "final", "corrections": true}))).await;
    for n in 0..60 {
        let conversion = format!("cnv_{n}");
        let before = world.arrivals.len();
        world.post(&[change(&conversion, 1, "pending")]).await.unwrap();
        let (approved, rejected) = ([change(&conversion, 2, "approved")], [change(&conversion, 3, "rejected")]);
        let posted = tokio::join!(world.post(&approved), world.post(&rejected));
        assert!(posted.0.is_ok() && posted.1.is_ok());
        world.work_all(&mut |_| OK).await;
        let sent = queries(&world, before);
        // Whichever event was accepted first, the newest state is sent last, once.
        assert_eq!(sent.last().map(|query| &query[..14]), Some("v=3&r=rejected"), "{sent:?}");
        assert!(sent == ["v=3&r=rejected&k=0"] || sent == ["v=2&r=approved&k=0", "v=3&r=rejected&k=1"], "{sent:?}");
    }
}

#[tokio::test]
async fn v3_an_affiliate_learns_nothing_of_a_conversion_that_moved_away() {
    let mut world = World::temporary();
    let own: Id = "aff_7".parse().unwrap();
    world.rule(&Caller::Affiliate(own.clone()), rule(&json!({}), &json!({"mode": "final"}))).await;
    let moved = |version: u64, result: &str| {
        let mut moved = change("cnv_1", version, result);
        moved["detail"]["conversion"]["affiliate_id"] = json!("aff_8");
        moved["detail"]["conversion"]["voucher"] = json!("SECRET-VOUCHER");
        moved
    };
    world.post(&[change("cnv_1", 1, "pending"), moved(2, "approved"), moved(3, "rejected")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0);
    let seen = world.engine().log().list(&Caller::Affiliate(own), &DeliveryFilter::default(), 10, None).await.unwrap().items;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0]["state"], &seen[0]["change_id"]), (&json!("skipped"), &json!("chg_cnv_1_1")));
    assert_eq!(seen[0]["reason"], "the conversion belongs to another affiliate now");
    let text = json!(seen).to_string();
    assert!(!text.contains("aff_8") && !text.contains("VOUCHER") && !text.contains("chg_cnv_1_2"), "{text}");
}

#[tokio::test]
async fn the_log_lists_what_was_held_at_once_once() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(&json!({}), &json!({"mode": "final"}))).await;
    for n in 0..20 {
        let conversion = format!("cnv_{n}");
        let versions: Vec<[Value; 1]> = (1..=4).map(|version| [change(&conversion, version, "pending")]).collect();
        let posted =
            tokio::join!(world.post(&versions[0]), world.post(&versions[1]), world.post(&versions[2]), world.post(&versions[3]));
        assert!(posted.0.is_ok() && posted.1.is_ok() && posted.2.is_ok() && posted.3.is_ok());
    }
    let (mut seen, mut cursor) = (0, None);
    loop {
        let page = world.engine().log().list(&Caller::Admin, &DeliveryFilter::default(), 2, cursor.as_deref()).await.unwrap();
        seen += page.items.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 20);
    world.work_all(&mut |_| OK).await;
}
