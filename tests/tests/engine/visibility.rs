//! An affiliate learns nothing of other owners' deliveries (V2).

#![expect(clippy::unwrap_used, reason = "tests")]

use tracking_core::{caller::Caller, id::Id, json};
use tracking_engine::{Accepted, DeliveryFilter};
use tracking_tests::world::{Reply, World, event, transaction};

/// Sends two sales for one rule of `aff_7` and two rules of the admins. Returns the affiliate's rule and one of the admins'.
async fn two_sales(world: &mut World) -> [Id; 2] {
    let rule = |name: &str| json!({"name": name, "request": {"url": "http://127.0.0.1:9/p?t={transaction_id}"}});
    let own = world.rule(&affiliate("aff_7"), rule("own")).await;
    world.rule(&Caller::Admin, rule("other")).await;
    let another = world.rule(&Caller::Admin, rule("another")).await;
    for n in [1, 2] {
        let conversion = json!({"conversion_id": format!("cnv_{n}")});
        let sale = event(&format!("chg_{n}"), conversion, json!([transaction("trx_1", "created", "pending")]));
        world.post(&[sale]).await.unwrap();
    }
    world.work_all(&mut |_| Reply::Says(200, "ok")).await;
    assert_eq!(world.arrivals.len(), 6);
    [own, another]
}

fn affiliate(id: &str) -> Caller {
    Caller::Affiliate(id.parse().unwrap())
}

/// Returns the number of items on each page of at most one item, until there is no next page.
async fn pages(world: &World, caller: &Caller, filter: &DeliveryFilter) -> Vec<usize> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.engine().log().list(caller, filter, 1, cursor.as_deref()).await.unwrap();
        pages.push(page.items.len());
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn v2_a_cursor_of_a_conversions_deliveries_shows_nothing_of_other_owners() {
    let mut world = World::temporary();
    two_sales(&mut world).await;
    let filter = DeliveryFilter { conversion_id: Some("cnv_1".parse().unwrap()), ..DeliveryFilter::default() };
    assert_eq!(pages(&world, &affiliate("aff_7"), &filter).await, [1]);
    assert_eq!(pages(&world, &affiliate("aff_8"), &filter).await, [0]);
    assert_eq!(pages(&world, &Caller::Admin, &filter).await, [1, 1, 1]);
}

#[tokio::test]
async fn v2_a_cursor_of_a_rules_deliveries_shows_nothing_of_other_owners() {
    let world = World::temporary();
    let request = json!({"url": "http://127.0.0.1:9/p?t={transaction_id}"});
    let rule = world.rule(&affiliate("aff_7"), json!({"name": "own", "request": request, "delay": {"mode": "final"}})).await;
    // More than one call reads: a list that finds nothing among them has a next page.
    for n in 0..6 {
        let many = (0..1_000).map(|t| transaction(&format!("trx_{t}"), "created", "pending")).collect();
        let taken = world.post(&[event(&format!("chg_{n}"), json!({"conversion_id": format!("cnv_{n}")}), many)]).await.unwrap();
        assert!(matches!(taken[..], [Accepted::Yes(_)]), "{taken:?}");
    }
    let filter = DeliveryFilter { tracking_api_id: Some(rule), ..DeliveryFilter::default() };
    assert_eq!(pages(&world, &affiliate("aff_8"), &filter).await, [0]);
    let seen = world.engine().log().list(&affiliate("aff_7"), &filter, 1_000, None).await.unwrap();
    assert_eq!((seen.items.len(), seen.next.is_some()), (1_000, true));
}

#[tokio::test]
async fn v2_a_deleted_rules_deliveries_stay_its_owners() {
    let mut world = World::temporary();
    let [own, another] = two_sales(&mut world).await;
    for (caller, rule) in [(affiliate("aff_7"), own), (Caller::Admin, another)] {
        world.engine().writer().delete_rule(&caller, &rule, Some(1)).await.unwrap();
        let filter = DeliveryFilter { tracking_api_id: Some(rule), ..DeliveryFilter::default() };
        assert_eq!(pages(&world, &caller, &filter).await, [1, 1]);
        assert_eq!(pages(&world, &affiliate("aff_8"), &filter).await, [0]);
    }
}
