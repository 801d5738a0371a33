//! Ten thousand random histories of one machine: rules of every trigger, changes that come one to three times and out of order,
//! receivers that fail, stall and answer pending, messages handed out twice, and a crash between any two writes. Afterwards nothing is
//! lost (P1), nothing is delivered twice (P2), nothing went backwards (P3), and no delivery had more than n + 1 requests (L1).
//!
//! `HISTORIES=100000 cargo test -p tracking-tests --test histories` plays more; `HISTORY=123` plays one again.

mod history;

use std::env;

use history::{Dice, Player};
use tracking_tests::world::World;

/// Histories that share a machine: its log and its memory grow with each.
const PER_MACHINE: u64 = 250;

#[test]
fn p1_p2_p3_hold_over_ten_thousand_histories_with_crashes() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let histories: Vec<u64> = match number("HISTORY") {
        Some(one) => vec![one],
        None => (0..number("HISTORIES").unwrap_or(10_000)).collect(),
    };
    let machines: Vec<Vec<u64>> = histories.chunks(PER_MACHINE as usize).map(<[u64]>::to_vec).collect();
    let next = std::sync::Mutex::new(machines.into_iter());
    let mut totals = history::Totals::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(|| play(&next))).collect();
        for worker in workers {
            match worker.join() {
                Ok(played) => totals.add(&played),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    println!("{totals}");
    if histories.len() >= 1_000 {
        totals.assert_that_everything_happened();
    }
}

fn play(machines: &std::sync::Mutex<std::vec::IntoIter<Vec<u64>>>) -> history::Totals {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut totals = history::Totals::default();
    loop {
        let Some(histories) = machines.lock().expect("no player panics while it picks").next() else { return totals };
        runtime.block_on(async {
            let mut world = World::temporary();
            for number in histories {
                let played = Player::new(&mut world, number, Dice::new(number)).play().await;
                totals.add(&played);
            }
        });
    }
}
