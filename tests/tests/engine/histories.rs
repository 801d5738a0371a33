//! Ten thousand random histories of one machine: rules of every trigger, changes that come one to three times and out of order, receivers
//! that fail, stall and answer pending, messages handed out twice, and a crash between any two writes. Afterwards nothing is lost (P1),
//! nothing was delivered twice (P2), nothing went backwards (P3), and no delivery had more than n + 1 requests (L1).
//!
//! Then histories whose rules are all flows of up to eight steps with branches, loops, waits and kept variables. People change
//! them and switch them off meanwhile. Some steps wait for callbacks, which come early, late, twice or never (W17); some send the
//! request of a master, which is changed too (W19). No finished step is repeated (W3), no limit is passed (W2), the order is
//! kept (W4), and every flow ends.
//!
//! `HISTORIES=100000 cargo test -p tracking-tests --test engine histories` plays more of both; `HISTORY=123` plays one again.

mod history;

use std::env;

use history::{Dice, Player};
use tracking_tests::world::World;

/// Histories that share a machine: its log and its memory grow with each.
const PER_MACHINE: usize = 250;

/// The percentage of rules that are flows among others.
const FLOWS_AMONG_OTHERS: u64 = 20;

/// The events that must happen in histories of flows.
const FLOWS_HAD: [&str; 16] = [
    "requests of later runs",
    "logins",
    "edits",
    "switched off or on",
    "steps gone",
    "cancelled",
    "callbacks accepted",
    "callbacks cut off",
    "callbacks read",
    "callbacks sent again",
    "callbacks that never came",
    "callbacks too late",
    "edits of a master",
    "edits of a master cut off",
    "mirrored requests",
    "expired",
];

#[test]
fn p1_p2_p3_hold_over_ten_thousand_histories_with_crashes() {
    play_all(10_000, FLOWS_AMONG_OTHERS, &[]);
}

#[test]
fn w2_w3_w4_w17_w19_hold_over_histories_of_flows_with_crashes_callbacks_and_changes() {
    play_all(1_000, 100, &FLOWS_HAD);
}

/// Plays the usual number of histories, with this percentage of flows among the rules. In 1 000 histories or more, each of these
/// events must happen.
#[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a person chooses what is played, and sees what happened")]
fn play_all(usual: u64, flows: u64, happened: &[&str]) {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let histories: Vec<u64> = match number("HISTORY") {
        Some(one) => vec![one],
        None => (0..number("HISTORIES").unwrap_or(usual)).collect(),
    };
    let machines: Vec<Vec<u64>> = histories.chunks(PER_MACHINE).map(<[u64]>::to_vec).collect();
    let next = std::sync::Mutex::new(machines.into_iter());
    let mut totals = history::Totals::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| play(&next, flows))).collect();
        for worker in workers {
            match worker.join() {
                Ok(played) => totals.add(&played),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{totals}");
    if histories.len() >= 1_000 {
        totals.assert_that_everything_happened(happened);
    }
}

fn play(machines: &std::sync::Mutex<std::vec::IntoIter<Vec<u64>>>, flows: u64) -> history::Totals {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut totals = history::Totals::default();
    loop {
        let Some(histories) = machines.lock().expect("no player panics while it picks").next() else { return totals };
        runtime.block_on(async {
            let mut world = World::temporary();
            for number in histories {
                let played = Box::pin(Player::new(&mut world, number, flows, Dice::new(number)).play()).await;
                totals.add(&played);
            }
        });
    }
}
