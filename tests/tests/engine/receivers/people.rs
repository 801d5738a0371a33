//! People: the visibility of receivers, probing, resetting, and the display of a delivery that waits.

use tracking_core::{delivery::DeliveryId, id::Id, standstill::WaitCause};
use tracking_engine::rules::Refused;

use super::*;

fn affiliate(id: &str) -> Caller {
    Caller::Affiliate(id.parse().unwrap())
}

fn id_of(receiver: &Value) -> Id {
    receiver["id"].as_str().unwrap().parse().unwrap()
}

/// Makes a machine whose receiver is down, with this many deliveries.
async fn down(count: usize) -> World {
    let mut world = machine(rule()).await;
    post(&world, 0..count).await;
    world.work_all(&mut |_| DOWN).await;
    assert_eq!(receiver(&world).await["state"], "open");
    world
}

#[tokio::test]
async fn v2_an_affiliate_sees_its_own_receivers_alone() {
    let mut world = World::temporary();
    for id in ["aff_1", "aff_2"] {
        let mut rule = rule();
        rule["conditions"] = json!({"affiliate": [id]});
        world.rule(&affiliate(id), rule).await;
        for number in 0..15 {
            let conversion = json!({"conversion_id": format!("cnv_{id}_{number}"), "affiliate_id": id});
            world.post(&[event(&format!("chg_{id}_{number}"), conversion, json!([]))]).await.unwrap();
        }
    }
    world.work_all(&mut |_| DOWN).await;
    let engine = world.engine();
    let service = engine.receivers();
    let (own, _) = service.page(&affiliate("aff_1"), 100, None).await.unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["owner"], json!({"kind": "affiliate", "affiliate_id": "aff_1"}));
    let (all, next) = service.page(&Caller::Admin, 1, None).await.unwrap();
    let (rest, end) = service.page(&Caller::Admin, 1, next).await.unwrap();
    assert_eq!((all.len(), rest.len(), end), (1, 1, None));
    assert_ne!(all[0]["id"], rest[0]["id"]);
    let id = id_of(&own[0]);
    let other = affiliate("aff_2");
    assert_eq!(service.one(&other, &id).await, Err(Refused::NotFound));
    assert_eq!(service.probe(&other, &id).await, Err(Refused::NotFound));
    assert_eq!(service.reset(&other, &id).await, Err(Refused::NotFound));
    assert_eq!(service.one(&Caller::Admin, &id).await.unwrap()["id"], own[0]["id"]);
}

#[tokio::test]
async fn b3_a_person_probes_at_once() {
    let mut world = down(50).await;
    let id = id_of(&receiver(&world).await);
    let probed = world.engine().receivers().probe(&Caller::Admin, &id).await.unwrap();
    assert_eq!((probed["state"].as_str(), probed["waiting"].as_u64()), (Some("open"), Some(39)), "{probed}");
    world.work_all(&mut |_| OK).await;
    assert_eq!(receiver(&world).await["state"], "closed");
    let refused = world.engine().receivers().probe(&Caller::Admin, &id).await;
    assert_eq!(refused, Err(Refused::Conflict("it is closed: only a receiver that is open is probed".to_owned())));
}

#[tokio::test]
async fn b5_a_person_resets_and_what_waits_goes_out() {
    let mut world = down(50).await;
    let failed = world.arrivals.len();
    let id = id_of(&receiver(&world).await);
    let reset = world.engine().receivers().reset(&Caller::Admin, &id).await.unwrap();
    assert_eq!(reset["state"], "half_open", "{reset}");
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len() - failed, 40);
    assert_eq!(receiver(&world).await["state"], "closed");
    assert_eq!(kinds(&world), ["Receiver Down", "Receiver Up"]);
}

#[tokio::test]
async fn b5_a_reset_of_one_that_is_still_down_opens_it_again_without_a_word() {
    let mut world = down(50).await;
    let failed = world.arrivals.len();
    let id = id_of(&receiver(&world).await);
    world.engine().receivers().reset(&Caller::Admin, &id).await.unwrap();
    world.work_all(&mut |_| DOWN).await;
    assert!(world.arrivals.len() - failed <= 2, "{}", world.arrivals.len());
    assert_eq!(receiver(&world).await["state"], "open");
    assert_eq!(kinds(&world), ["Receiver Down"]);
}

#[tokio::test]
async fn b4_internals_say_that_a_delivery_waits_for_its_receiver() {
    let world = down(12).await;
    let waiting = waiting(&world).await;
    let id = DeliveryId::parse(waiting[0]["id"].as_str().unwrap()).unwrap();
    let internals = world.engine().log().internals(&id).await.unwrap();
    assert_eq!(internals.cause, WaitCause::Receiver);
    assert_eq!(
        internals.why,
        "Its receiver 127.0.0.1:9 is down since 2026-11-22T09:00:00Z and is probed; it waits uncharged, at most until 2026-11-25T09:00:00Z"
    );
    assert_eq!(internals.row.unwrap().waits_for_receiver, Some(id_of(&receiver(&world).await)));
}

#[tokio::test]
async fn p6_what_waits_for_a_receiver_ends_with_its_rule() {
    let mut world = World::temporary();
    let id = world.rule(&Caller::Admin, rule()).await;
    post(&world, 0..40).await;
    world.work_all(&mut |_| DOWN).await;
    world.engine().writer().delete_rule(&Caller::Admin, &id, None).await.unwrap();
    world.pass(HOUR, &mut |_| DOWN).await;
    are(&states(&world).await, &[("cancelled", 40)]);
}
