//! Logins of very many deliveries at once (W5).

use std::collections::VecDeque;

use tracking_core::request::Rendered;

use super::*;

const DELIVERIES: usize = 10_000;
/// Deliveries that are claimed before the first of them is answered.
const AT_ONCE: usize = 64;

const FIRST: Reply = Reply::Body(200, r#"{"access_token": "t-o-k-e-n-1", "expires_in": 86400}"#);
const SECOND: Reply = Reply::Body(200, r#"{"access_token": "t-o-k-e-n-2", "expires_in": 86400}"#);

/// The logins and status queries that were answered with success so far.
#[derive(Default)]
struct Seen {
    logins: usize,
    refused: usize,
    served: usize,
}

/// Many deliveries find no token at the same time: one logs in. When half of them are served, the token is revoked.
#[tokio::test]
async fn w5_ten_thousand_deliveries_log_in_twice_with_a_token_that_is_revoked_once() {
    let world = World::temporary();
    world.rule(&Caller::Admin, with_login()).await;
    for batch in 0..DELIVERIES / 500 {
        let sale = |number: usize| {
            let conversion = json!({"conversion_id": format!("cnv_l{number}"), "external_id": "X-1"});
            event(&format!("chg_l{number}"), conversion, json!([transaction(&format!("trx_l{number}"), "created", "pending")]))
        };
        world.post(&(batch * 500..(batch + 1) * 500).map(sale).collect::<Vec<_>>()).await.unwrap();
    }
    let mut seen = Seen::default();
    while seen.served < DELIVERIES {
        let picked = world.pick(AT_ONCE);
        if picked.is_empty() {
            let due = world.next_due().expect("what is open has a waker");
            world.clock.until(due);
            continue;
        }
        let engine = world.engine();
        let mut claimed = VecDeque::new();
        for received in picked {
            if let ClaimOutcome::Send(one) = engine.worker().claim(&received).await.unwrap() {
                claimed.push_back(one);
            }
        }
        while let Some(one) = claimed.pop_front() {
            let reply = seen.reply(&one.request().unwrap());
            let Some(next) = engine.deliveries().conclude(*one, reply.sent()).await.unwrap() else { continue };
            if let ClaimOutcome::Send(one) = engine.worker().go_on(next).await.unwrap() {
                claimed.push_back(one);
            }
        }
        world.clock.pass(SignedDuration::from_millis(100));
    }
    assert_eq!(seen.logins, 2, "one at first, one after the token was revoked");
    // These were claimed with the token before the engine knew that it was revoked.
    assert!((1..=AT_ONCE).contains(&seen.refused), "{} queries were refused", seen.refused);
}

impl Seen {
    fn reply(&mut self, request: &Rendered) -> Reply {
        let token = request.headers.iter().find(|(name, _)| name == "Authorization").map(|(_, value)| value.as_str());
        let is_revoked = self.served >= DELIVERIES / 2;
        match token {
            None => {
                self.logins += 1;
                if is_revoked { SECOND } else { FIRST }
            }
            Some("Bearer t-o-k-e-n-1") if is_revoked => {
                self.refused += 1;
                Reply::Says(401, "revoked")
            }
            Some(_) => {
                self.served += 1;
                Reply::Says(200, "approved")
            }
        }
    }
}

/// One delivery after another asks a login that is down; once it is back, one of them logs in for all.
#[tokio::test]
async fn w5_deliveries_whose_login_failed_do_not_all_log_in_when_it_is_back() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, with_login()).await;
    for number in 0..20 {
        let conversion = json!({"conversion_id": format!("cnv_f{number}"), "external_id": "X-1"});
        let transaction = transaction(&format!("trx_f{number}"), "created", "pending");
        world.post(&[event(&format!("chg_f{number}"), conversion, json!([transaction]))]).await.unwrap();
    }
    world.pass(SignedDuration::from_secs(30), &mut |_| Reply::Says(408, "later")).await;
    let failed = world.arrivals.len();
    assert!(failed >= 20 && world.arrivals.iter().all(|arrival| arrival.url.contains("login")), "{failed}");
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { FIRST } else { Reply::Says(200, "approved") };
    world.pass(SignedDuration::from_mins(10), &mut reply).await;
    let logins = world.arrivals[failed..].iter().filter(|arrival| arrival.url.contains("login")).count();
    assert_eq!((logins, world.arrivals.len() - failed), (1, 21));
    assert!(world.log(&DeliveryFilter::default()).await.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[tokio::test]
async fn w3_a_request_that_was_cut_off_is_charged_to_its_own_step() {
    let mut rule = with_login();
    rule["steps"][1]["retry"] = json!({"max_retries": 0});
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule).await;
    for number in 0..2 {
        let conversion = json!({"conversion_id": format!("cnv_c{number}"), "external_id": "X-1"});
        let transaction = transaction(&format!("trx_c{number}"), "created", "pending");
        world.post(&[event(&format!("chg_c{number}"), conversion, json!([transaction]))]).await.unwrap();
    }
    let first = world.pick(1).remove(0);
    let ClaimOutcome::Send(login) = world.engine().worker().claim(&first).await.unwrap() else { panic!("it logs in") };
    assert!(login.request().unwrap().url.contains("login"));
    drop(login);
    world.restart();
    // The other one logs in meanwhile, so that the first has a token when its message comes again.
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { TOKEN } else { Reply::Says(200, "approved") };
    let other = world.pick(2).into_iter().find(|message| message.body != first.body).unwrap();
    world.work(&other, &mut reply).await.unwrap();
    assert!(world.arrivals.is_empty(), "it waits for the login of the first");
    world.clock.pass(SignedDuration::from_secs(30));
    let other = world.pick(1).remove(0);
    world.work(&other, &mut reply).await.unwrap();
    assert_eq!(world.arrivals.len(), 2);
    world.restart();
    world.pass(SignedDuration::from_mins(15), &mut reply).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert!(log.iter().all(|delivery| delivery["state"] == "delivered"), "{log:?}");
    let asked = world.arrivals.iter().filter(|arrival| !arrival.url.contains("login")).count();
    assert_eq!((asked, world.arrivals.len()), (2, 3), "{:?}", paths(&world.arrivals));
}
