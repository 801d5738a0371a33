//! Outages: their beginning, the wait, the probes, the way back.

use tracking_tests::crash::Cut;

use super::*;

#[tokio::test]
async fn b2_a_receiver_that_refuses_opens_at_once_and_the_rest_waits_uncharged() {
    let mut world = machine(rule()).await;
    post(&world, 0..1_000).await;
    world.work_all(&mut |_| DOWN).await;
    assert_eq!(world.arrivals.len(), 10, "ten of a minute");
    let waiting = waiting(&world).await;
    assert_eq!(waiting.len(), 990);
    for delivery in &waiting {
        assert_eq!((delivery["state"].as_str(), delivery["attempts"].as_u64()), (Some("waiting"), Some(0)), "{delivery}");
        assert_eq!(delivery["reason"], "receiver is down since 2026-11-22T09:00:00Z");
    }
    let receiver = receiver(&world).await;
    assert_eq!((receiver["state"].as_str(), receiver["waiting"].as_u64()), (Some("open"), Some(990)), "{receiver}");
    assert_eq!(receiver["host"], "127.0.0.1:9");
    assert!(receiver["last_error"].as_str().is_some_and(|error| error.contains("silent")), "{receiver}");
    assert_eq!(receiver["next_probe"], "2026-11-22T09:00:30Z");
    assert_eq!(kinds(&world), ["Receiver Down"]);
}

#[tokio::test]
async fn b5_everything_is_delivered_within_a_minute_of_its_return_once_each() {
    let mut world = machine(rule()).await;
    post(&world, 0..300).await;
    world.pass(MINUTE * 5, &mut |_| DOWN).await;
    let failed = world.arrivals.len();
    assert!(failed < 40, "few are tried while it is down: {failed}");
    // The next probe comes within ten minutes, and lets the others go.
    let id = receiver(&world).await["id"].as_str().unwrap().parse().unwrap();
    world.engine().receivers().probe(&Caller::Admin, &id).await.unwrap();
    world.pass(MINUTE, &mut |_| OK).await;
    let states = states(&world).await;
    // Deliveries that failed before wait for their retries.
    assert!(states["delivered"] >= 300 - 10, "{states:?}");
    world.pass(HOUR * 3, &mut |_| OK).await;
    in_order(&world.arrivals[failed..], 300, 1);
    assert_eq!(kinds(&world), ["Receiver Down", "Receiver Up"]);
    let receiver = receiver(&world).await;
    assert_eq!((receiver["state"].as_str(), receiver["waiting"].as_u64()), (Some("closed"), Some(0)), "{receiver}");
}

#[tokio::test]
async fn b4_a_day_down_with_default_settings_exhausts_nothing_and_keeps_the_order() {
    let mut world = machine(rule()).await;
    post(&world, 0..40).await;
    world.pass(HOUR, &mut |_| DOWN).await;
    for number in 0..40 {
        world.post(&[change(number, 2)]).await.unwrap();
    }
    world.pass(HOUR * 23, &mut |_| DOWN).await;
    let states_then = states(&world).await;
    assert_eq!(states_then.get("exhausted"), None, "{states_then:?}");
    let failed = world.arrivals.len();
    assert!(failed < 250, "{failed}");
    world.pass(HOUR * 8, &mut |_| OK).await;
    let states = states(&world).await;
    assert_eq!(states.get("waiting"), None, "{states:?}");
    assert_eq!(states.get("exhausted"), None, "{states:?}");
    // A change that was tried before the newer one came may have been superseded by it, as usual.
    assert!(states["delivered"] >= 40 && states["delivered"] + states["superseded"] == 80, "{states:?}");
    let mut newest: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arrival in &world.arrivals[failed..] {
        let (conversion, event) = arrival.url.split_once("c=").unwrap().1.split_once("&e=").unwrap();
        newest.entry(conversion.to_owned()).or_default().push(event.to_owned());
    }
    assert_eq!(newest.len(), 40);
    for (conversion, events) in newest {
        assert!(events.is_sorted() && events.last().unwrap() == "conversion_updated", "{conversion}: {events:?}");
    }
    assert_eq!(kinds(&world), ["Receiver Down", "Receiver Up"]);
}

#[tokio::test]
async fn p3_a_newer_change_waits_behind_an_older_one_that_waits_for_the_receiver() {
    let mut world = machine(rule()).await;
    post(&world, 0..10).await;
    world.work_all(&mut |_| DOWN).await;
    // The receiver is down. Both changes of another conversion come, the newer one first.
    world.post(&[change(77, 1)]).await.unwrap();
    world.work_all(&mut |_| DOWN).await;
    world.post(&[change(77, 2)]).await.unwrap();
    world.work_all(&mut |_| DOWN).await;
    assert_eq!(waiting(&world).await.len(), 2);
    let failed = world.arrivals.len();
    world.pass(HOUR * 2, &mut |_| OK).await;
    let of: Vec<_> = world.arrivals[failed..].iter().filter(|arrival| arrival.url.contains("cnv_00077")).cloned().collect();
    in_order(&of, 1, 2);
}

#[tokio::test]
async fn b4_what_has_waited_for_72_hours_ends_and_names_the_receiver() {
    let mut world = machine(rule()).await;
    post(&world, 0..200).await;
    world.pass(HOUR * 70, &mut |_| DOWN).await;
    let states_then = states(&world).await;
    are(&states_then, &[("waiting", 200)]);
    world.pass(HOUR * 12, &mut |_| DOWN).await;
    let ended = log(&world).await;
    let named = |delivery: &&Value| {
        delivery["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("receiver 127.0.0.1:9 was down for 72 hours, since 2026-11-22T09:00:00Z"))
    };
    let count = ended.iter().filter(named).count();
    assert!(count >= 150, "{count} of 200: {:?}", states(&world).await);
    assert!(ended.iter().all(|delivery| delivery["state"] == "exhausted"), "{:?}", states(&world).await);
    assert_eq!(kinds(&world), ["Receiver Down"]);
}

#[tokio::test]
async fn b2_a_receiver_with_one_postback_an_hour_opens_at_its_third_failure() {
    let mut world = machine(with(json!({"retry": {"max_retries": 0}}))).await;
    for number in 0..5 {
        post(&world, number..number + 1).await;
        world.pass(HOUR, &mut |_| DOWN).await;
    }
    are(&states(&world).await, &[("exhausted", 3), ("waiting", 2)]);
    assert_eq!(kinds(&world), ["Receiver Down"]);
    assert_eq!(world.arrivals.len(), 3);
    world.pass(HOUR * 68, &mut |_| OK).await;
    are(&states(&world).await, &[("delivered", 2), ("exhausted", 3)]);
}

#[tokio::test]
async fn b1_a_rule_that_reads_500_as_delivered_or_pending_keeps_its_receiver_closed() {
    for then in ["delivered", "pending", "failed"] {
        let answer = json!({"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "500"}], "then": then}]});
        let mut world = machine(with(json!({"answer": answer}))).await;
        post(&world, 0..30).await;
        world.work_all(&mut |_| Reply::Says(500, "fine")).await;
        assert_eq!(world.arrivals.len(), 30, "{then}");
        assert_eq!(receivers(&world).await.len(), 0, "{then}");
    }
}

#[tokio::test]
async fn b1_a_healthy_receiver_has_no_row_and_one_that_fails_now_and_then_stays_closed() {
    let mut world = machine(rule()).await;
    post(&world, 0..30).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(receivers(&world).await.len(), 0);
    post(&world, 30..60).await;
    let mut count = 0;
    let mut sometimes = |_: &Arrival| {
        count += 1;
        if count % 5 == 0 { DOWN } else { OK }
    };
    world.pass(HOUR, &mut sometimes).await;
    assert_eq!(receiver(&world).await["state"], "closed");
    are(&states(&world).await, &[("delivered", 60)]);
    assert_eq!(receiver_events(&world).len(), 0);
}

#[tokio::test]
async fn b5_a_machine_that_dies_between_record_and_drain_goes_on_after_its_restart() {
    let mut world = machine(rule()).await;
    post(&world, 0..60).await;
    world.work_all(&mut |_| DOWN).await;
    let failed = world.arrivals.len();
    // The probe is answered and recorded, and the machine dies at each write that follows in turn.
    for cut in 1..12 {
        world.clock.pass(MINUTE);
        {
            let fate = world.fate();
            fate.crash_at(fate.writes() + cut, Cut::After);
        }
        let _cut_off = world.engine().sweeper().sweep().await.is_err();
        while let Some(received) = world.pick(1).pop() {
            if world.work(&received, &mut |_| OK).await.is_err() {
                break;
            }
        }
        world.restart();
    }
    world.pass(HOUR * 10, &mut |_| OK).await;
    let states = states(&world).await;
    are(&states, &[("delivered", 60)]);
    assert!(world.arrivals.len() - failed < 60 + 12, "at most one repeat for each death");
    let mut ids: Vec<(String, String)> = receiver_events(&world)
        .into_iter()
        .map(|(kind, detail)| (kind, detail["event_id"].as_str().unwrap().to_owned()))
        .collect();
    ids.dedup();
    let kinds: Vec<&str> = ids.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["Receiver Down", "Receiver Up"], "{ids:?}");
}

#[tokio::test]
async fn b6_events_name_the_receiver_and_its_owner() {
    let world = World::temporary();
    let affiliate = Caller::Affiliate("aff_7".parse().unwrap());
    let mut rule = rule();
    rule["conditions"] = json!({"affiliate": ["aff_7"]});
    world.rule(&affiliate, rule).await;
    let mut world = world;
    post(&world, 0..12).await;
    world.work_all(&mut |_| Reply::Silence).await;
    world.pass(HOUR, &mut |_| OK).await;
    let events = receiver_events(&world);
    let down = &events[0].1;
    let receiver = receiver(&world).await;
    assert_eq!(down["receiver_id"], receiver["id"]);
    assert_eq!(down["owner"], json!({"kind": "affiliate", "affiliate_id": "aff_7"}));
    assert_eq!((down["host"].as_str(), down["since"].as_str()), (Some("127.0.0.1:9"), Some("2026-11-22T09:00:00Z")));
    assert_eq!(down["reason"], "no answer: the test's receiver is silent");
    assert!(down["event_id"].as_str().unwrap().starts_with("evt_"));
    let up = &events[1].1;
    assert!(up["since"].as_str().unwrap().parse::<Timestamp>().unwrap() > down["since"].as_str().unwrap().parse().unwrap());
    assert_eq!(events.len(), 2);
}
