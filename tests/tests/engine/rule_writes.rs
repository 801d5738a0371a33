//! Concurrent changes of rules: no change is lost, no change's text ends up under another's head, and a deleted rule that is made again is
//! a new one.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::task::JoinSet;
use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_engine::{
    ClaimOutcome, Clock, Engine, Settings,
    backend::{Backend, Order, Partition, Range},
    rules::{Filter, New, Refused},
    secrets::Vault,
};
use tracking_tests::{
    crash::{Crashing, Cut},
    world::{Reply, World, event, transaction},
};

type Machine = Arc<Engine<Crashing<tracking_embedded::Store>>>;

fn rule(name: &str, url: &str) -> Value {
    json!({"name": name, "request": {"url": format!("http://127.0.0.1:9/{url}")}})
}

/// Starts another process on the same store.
fn another(world: &World) -> Machine {
    let clock = world.clock.clone();
    let settings = Settings { private_targets: true, rule_lifetime: Some(SignedDuration::ZERO), ..Settings::default() };
    Arc::new(Engine::new(world.fate(), Clock::new(move || clock.now()), Vault::new(&[7; 32]), settings))
}

fn key() -> New {
    New::IdempotencyKey("same".to_owned())
}

async fn make(engine: &Machine, document: Value) -> Id {
    engine.writer().create_rule(&Caller::Admin, &document, key()).await.unwrap().0.id
}

async fn places(engine: &Machine, partition: &str) -> Vec<String> {
    let partition = Partition::Table(partition.to_owned());
    let items = engine.backend().query(&partition, &Range::default(), Order::Ascending, 1_000).await.unwrap();
    items.into_iter().map(|item| item.key.sort).collect()
}

/// Returns the places that a rule's head names, the head included, and the number of entries in its history.
async fn stored(engine: &Machine, id: &Id) -> (Vec<String>, usize) {
    let (entries, named): (Vec<_>, Vec<_>) =
        places(engine, &format!("R#{id}")).await.into_iter().partition(|place| place.starts_with("A#"));
    (named, entries.len())
}

/// Returns the URLs that a change sends.
async fn sent(world: &mut World, change: &str) -> Vec<String> {
    let before = world.arrivals.len();
    let conversion = json!({"conversion_id": format!("cnv_{change}")});
    world.post(&[event(change, conversion, json!([transaction("trx_1", "created", "pending")]))]).await.unwrap();
    world.work_all(&mut |_| Reply::Says(200, "ok")).await;
    world.arrivals[before..].iter().map(|arrival| arrival.url.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_parallel_puts_one_wins_with_its_text_and_secret() {
    for round in 0..20 {
        let mut world = World::temporary();
        let engines = [world.engine(), another(&world)];
        let id = make(&engines[0], rule("first", "{conversion_id}")).await;
        let mut tasks = JoinSet::new();
        for n in 0..8 {
            let (engine, id) = (engines[n % (1 + round % 2)].clone(), id.clone());
            tasks.spawn(async move {
                let mut document = rule(&format!("put {n}"), &format!("{n}/{{secret.token}}"));
                document["secret_values"] = json!({"token": format!("value-{n}")});
                (n, engine.writer().replace_rule(&Caller::Admin, &id, &document, Some(1)).await)
            });
        }
        let mut winner = None;
        for (n, put) in tasks.join_all().await {
            match put {
                Ok(view) => assert_eq!((winner.replace(n), view.version), (None, 2), "one alone wins"),
                Err(refused) => assert_eq!(refused, Refused::Changed { current: 2 }),
            }
        }
        let winner = winner.unwrap();
        let fresh = another(&world);
        let view = fresh.rules().rule(&Caller::Admin, &id).await.unwrap();
        assert_eq!((view.version, &view.resource["name"]), (2, &json!(format!("put {winner}"))));
        drop((engines, fresh));
        world.restart();
        assert_eq!(sent(&mut world, "chg_1").await, [format!("http://127.0.0.1:9/{winner}/value-{winner}")]);
        let engine = world.engine();
        let (named, entries) = stored(&engine, &id).await;
        assert_eq!((named.len(), entries), (3, 2), "a text, a secret, the head, two changes: the losers left nothing");
        assert_eq!(places(&engine, "INTENT").await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn parallel_patches_without_if_match_are_all_kept() {
    for round in 0..10 {
        let mut world = World::temporary();
        let engines = [world.engine(), another(&world)];
        let id = make(&engines[0], rule("first", "{conversion_id}")).await;
        let mut tasks = JoinSet::new();
        for n in 0..8 {
            let (engine, id) = (engines[n % (1 + round % 2)].clone(), id.clone());
            tasks.spawn(async move {
                let patch = json!({"request": {"headers": [{"name": "X-N", "value": n.to_string()}]}, "active": true});
                if n % 2 == 0 {
                    engine.writer().patch_rule(&Caller::Admin, &id, &patch, None).await.map(drop)
                } else {
                    engine.writer().put_secret(&Caller::Admin, &id, (&format!("s{n}"), "value"), None).await
                }
            });
        }
        for done in tasks.join_all().await {
            done.unwrap();
        }
        let view = another(&world).rules().rule(&Caller::Admin, &id).await.unwrap();
        assert_eq!((view.version, &view.resource["name"]), (9, &json!("first")));
        let engine = world.engine();
        let (named, entries) = stored(&engine, &id).await;
        assert_eq!((named.len(), entries), (6, 9), "the head, the text, four secrets; an entry for each change");
        drop((engines, engine));
        world.restart();
        assert_eq!(sent(&mut world, "chg_1").await, ["http://127.0.0.1:9/cnv_chg_1"], "its index copy is there");
    }
}

#[tokio::test]
async fn p6_a_rule_deleted_and_made_again_has_its_new_text_and_secret_alone() {
    let mut world = World::temporary();
    let with = |name: &str, value: &str| {
        let mut document = rule(name, &format!("{name}/{{secret.token}}"));
        document["secret_values"] = json!({"token": value});
        document
    };
    let id = make(&world.engine(), with("old", "one")).await;
    assert_eq!(sent(&mut world, "chg_1").await, ["http://127.0.0.1:9/old/one"]);
    // A waiting delivery that the old rule owes is not sent by the new one.
    let pending = json!([transaction("trx_1", "created", "pending")]);
    world.post(&[event("chg_2", json!({"conversion_id": "cnv_2"}), pending)]).await.unwrap();
    let waiting = world.pick(1).pop().unwrap();
    let engine = world.engine();
    engine.writer().delete_rule(&Caller::Admin, &id, None).await.unwrap();
    assert_eq!(engine.rules().rule(&Caller::Admin, &id).await, Err(Refused::NotFound));
    assert_eq!(engine.writer().delete_rule(&Caller::Admin, &id, None).await, Err(Refused::NotFound));
    assert_eq!(stored(&engine, &id).await, (vec!["HEAD".to_owned()], 2));
    assert_eq!(places(&engine, "U#all").await, [""; 0]);
    assert_eq!(places(&engine, "U#admin").await, [id.as_str()], "the way to its deliveries");
    assert_eq!(make(&engine, with("new", "two")).await, id);
    let view = engine.rules().rule(&Caller::Admin, &id).await.unwrap();
    assert_eq!((view.version, &view.resource["name"]), (3, &json!("new")));
    assert_eq!(engine.log().list_rules(&Caller::Admin, &Filter::default(), 10, None).await.unwrap().0.len(), 1);
    assert!(matches!(engine.worker().claim(&waiting).await.unwrap(), ClaimOutcome::NothingToSend), "the old rule's postback");
    assert_eq!(sent(&mut world, "chg_3").await, ["http://127.0.0.1:9/new/two"]);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_rule() {
    let world = World::temporary();
    let engine = world.engine();
    let id = make(&engine, rule("one", "p")).await;
    let patch = json!({"name": "renamed"});
    engine.writer().patch_rule(&Caller::Admin, &id, &patch, None).await.unwrap();
    let again = engine.writer().create_rule(&Caller::Admin, &rule("one", "p"), key()).await.unwrap();
    assert_eq!((again.0.id, again.0.version, again.1), (id, 2, false));
    let other = engine.writer().create_rule(&Caller::Admin, &rule("two", "p"), key()).await;
    let why = "this Idempotency-Key made another rule before: use a new key";
    assert_eq!(other, Err(Refused::Conflict(why.to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_post_many_times_at_once_makes_one_rule() {
    let world = World::temporary();
    let engines = [world.engine(), another(&world)];
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let engine = engines[n % 2].clone();
        tasks.spawn(async move { engine.writer().create_rule(&Caller::Admin, &rule("one", "p"), key()).await.unwrap().1 });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|new| *new).count(), 1);
    assert_eq!(places(&engines[0], "U#all").await.len(), 1);
}

#[tokio::test]
async fn a_change_cut_off_anywhere_leaves_one_text_and_its_copies_after_the_clean_up() {
    for (n, cut) in [(1, Cut::After), (2, Cut::Before), (2, Cut::After), (3, Cut::Before)] {
        let mut world = World::temporary();
        let id = make(&world.engine(), rule("one", "one")).await;
        world.fate().crash_at(n, cut);
        world.engine().writer().replace_rule(&Caller::Admin, &id, &rule("two", "two"), None).await.unwrap_err();
        world.restart();
        // The clean-up must not touch a change that comes before it.
        world.engine().writer().patch_rule(&Caller::Admin, &id, &json!({"active": true}), None).await.unwrap();
        world.clock.pass(SignedDuration::from_mins(6));
        world.engine().sweeper().sweep().await.unwrap();
        let engine = world.engine();
        assert_eq!(places(&engine, "INTENT").await, [""; 0]);
        // Before the swap the change never happened, after it it did: its history entry is removed or kept accordingly.
        let happened = usize::from((n, cut) == (2, Cut::After) || n == 3);
        let (named, entries) = stored(&engine, &id).await;
        assert_eq!((named.len(), entries), (2, 2 + happened), "{n} {cut:?}");
        assert_eq!(sent(&mut world, "chg_1").await.len(), 1);
    }
}
