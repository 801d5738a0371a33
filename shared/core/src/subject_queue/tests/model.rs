//! A model of one queue: arrivals, repeats, crashes, records and restarts in any order keep the promises (P2, P3, L1).

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

use super::*;

const MAX_ATTEMPTS: u32 = 3;

/// One event of the model.
#[derive(Debug, Clone)]
enum Step {
    /// A delivery's message is handed out.
    Arrive(Index),
    /// The last call for a delivery is repeated with its own receive id.
    Repeat(Index),
    /// The sending process is cut off: nothing is recorded.
    Crash,
    /// The request that is being sent gets a response, which is recorded.
    Record { delivered: bool },
    /// The request that is being sent could not leave this machine.
    GiveBack,
    /// Milliseconds pass.
    Pass(i64),
    /// Every process is restarted.
    Restart,
    /// A person asks to send a delivery again.
    Resend(Index),
    /// A person stops a delivery; unless `recorded`, the log does not learn of it.
    Stop { which: Index, recorded: bool },
}

/// An attempt that was claimed.
#[derive(Debug)]
struct Sending {
    who: usize,
    attempt: u32,
    base: u32,
    lease_until: Timestamp,
    receive_id: String,
    /// `true` if nobody will record it.
    cut_off: bool,
    /// `true` if the same call was repeated: it may have been sent twice.
    shared: bool,
}

struct Model {
    play: Play,
    deliveries: Vec<(String, Order)>,
    claimed: Vec<u32>,
    /// The attempts before the present budget.
    base: Vec<u32>,
    /// `true` for a delivery that a person resent, until a newer one is sent.
    resent: Vec<bool>,
    receive_ids: Vec<String>,
    sending: Option<Sending>,
    /// The newest version that has had its first attempt.
    newest: Option<u64>,
    /// The last time at which a delivery polled in vain before its first attempt.
    looked: Vec<Option<Timestamp>>,
    calls: u32,
}

impl Model {
    fn new(orders: &[(u64, u8)]) -> Self {
        let deliveries: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(n, (version, rank))| (format!("d{n}"), Order { version: *version, rank: *rank }))
            .collect();
        let count = deliveries.len();
        Self {
            play: Play { max_attempts: MAX_ATTEMPTS, ..Play::new() },
            deliveries,
            claimed: vec![0; count],
            base: vec![0; count],
            resent: vec![false; count],
            receive_ids: vec![String::new(); count],
            sending: None,
            newest: None,
            looked: vec![None; count],
            calls: 0,
        }
    }

    fn is_over(&self, who: usize) -> bool {
        self.play.log.get(&delivery(&self.deliveries[who].0)).is_some_and(|record| record.ended)
    }

    fn arrive(&mut self, who: usize) {
        self.calls += 1;
        self.receive_ids[who] = format!("t{}", self.calls);
        self.request(who);
    }

    fn request(&mut self, who: usize) {
        let (name, order) = self.deliveries[who].clone();
        let receive_id = self.receive_ids[who].clone();
        let was_over = self.is_over(who);
        let said = self.play.request(&name, order, &receive_id);
        let now = self.play.now;
        let live = self.sending.as_ref().filter(|sending| sending.lease_until > now);
        match said {
            Claims(attempt) | Overtakes(attempt, _) => {
                assert!(live.is_none(), "two claims at once: {live:?}");
                assert!(!was_over, "{name} was over");
                assert!(attempt <= self.base[who] + MAX_ATTEMPTS, "L1: attempt {attempt} of {name}");
                assert_eq!(attempt, self.claimed[who] + 1, "every attempt is counted once");
                let forward = self.newest.is_none_or(|newest| order.version >= newest);
                assert!(forward || self.resent[who], "P3: {name} goes backwards");
                if attempt == 1 && !self.resent[who] {
                    self.assert_nobody_known_goes_first(order);
                }
                if let Overtakes(_, overtaken) = said {
                    for id in overtaken {
                        self.overtake(&id);
                    }
                }
                for (other, (_, others)) in self.deliveries.iter().enumerate() {
                    self.resent[other] &= others.version >= order.version;
                }
                self.newest = self.newest.max(Some(order.version));
                self.claimed[who] = attempt;
                let lease_until = now + SignedDuration::from_secs(55);
                self.sending =
                    Some(Sending { who, attempt, base: self.base[who], lease_until, receive_id, cut_off: false, shared: false });
            }
            Mine(attempt) => {
                let mine = live.expect("a lease that lasts");
                assert_eq!((mine.who, mine.attempt, &mine.receive_id), (who, attempt, &receive_id));
                self.sending = self.sending.take().map(|sending| Sending { shared: true, ..sending });
            }
            Ended => assert!(was_over, "{name} is not over"),
            Superseded => {
                assert!(self.newest.is_some_and(|newest| order.version < newest), "{name} is not older");
                self.play.end(&name, self.claimed[who]);
            }
            Spent(attempts) | CutOff(attempts) => {
                assert_eq!(attempts, self.base[who] + MAX_ATTEMPTS);
                self.play.end(&name, attempts);
            }
            Stopped(attempts) => {
                assert_eq!(attempts, self.claimed[who]);
                self.play.end(&name, attempts);
            }
            Wait(_) | Park(_) => {
                if self.claimed[who] == 0 {
                    self.looked[who] = Some(now);
                }
            }
        }
    }

    /// Ends a delivery that the queue has forgotten: of an attempt that was cut off nothing is known any more.
    fn overtake(&mut self, id: &DeliveryId) {
        let who = self.deliveries.iter().position(|(name, _)| delivery(name) == *id).expect("the queue has no others");
        if let Some(record) = self.play.log.get_mut(id) {
            record.ended = true;
            self.claimed[who] = record.attempts;
        }
    }

    /// P3: a delivery that polled in the last three seconds is known, so that no later one's first attempt is sent before its own.
    fn assert_nobody_known_goes_first(&self, order: Order) {
        for (other, (name, others)) in self.deliveries.iter().enumerate() {
            let known =
                self.looked[other].is_some_and(|looked| self.play.now.duration_since(looked) < SignedDuration::from_secs(3));
            let first = known && self.claimed[other] == 0 && !self.is_over(other) && *others < order;
            assert!(!first, "P3: {name} was known and goes first");
        }
    }

    fn record(&mut self, delivered: bool) {
        let Some(sending) = self.sending.take_if(|sending| !sending.cut_off) else { return };
        let (name, _) = &self.deliveries[sending.who];
        let name = name.clone();
        // An attempt that outlived its lease counts only if nobody has claimed since.
        if self.play.now > sending.lease_until && !self.play.queue.holds(&delivery(&name), sending.attempt, sending.base) {
            return;
        }
        if delivered || sending.attempt == sending.base + MAX_ATTEMPTS {
            self.play.end(&name, sending.attempt);
        } else {
            self.play.again(&name, sending.attempt);
        }
    }

    /// L1: a request that can't have left is not counted; one that may have left stays counted.
    fn give_back(&mut self) {
        let Some(sending) = self.sending.take_if(|sending| !sending.cut_off) else { return };
        let name = self.deliveries[sending.who].0.clone();
        let (queue, id) = (&self.play.queue, delivery(&name));
        let has_claim =
            |entry: &Entry| entry.id == id && entry.claim.as_ref().is_some_and(|claim| claim.receive_id == sending.receive_id);
        let was_held = queue.holds(&id, sending.attempt, sending.base) && queue.entries.iter().any(has_claim);
        let given = self.play.give_back(&name, sending.attempt, &sending.receive_id);
        assert_eq!(given.is_some(), was_held && !sending.shared, "{sending:?}");
        if given.is_none() {
            self.sending = Some(Sending { cut_off: true, ..sending });
            return;
        }
        if self.play.log.get(&delivery(&name)).is_some_and(|record| record.attempts >= sending.attempt) {
            return; // its lease had run out, and the log counts it as cut off
        }
        self.claimed[sending.who] -= 1;
        if self.claimed[sending.who] == 0 {
            self.looked[sending.who] = Some(self.play.now);
        }
    }

    fn step(&mut self, step: &Step) {
        let count = self.deliveries.len();
        match step {
            Step::Arrive(index) => self.arrive(index.index(count)),
            Step::Repeat(index) => self.request(index.index(count)),
            Step::Crash => {
                if let Some(sending) = &mut self.sending {
                    sending.cut_off = true;
                }
            }
            Step::Record { delivered } => self.record(*delivered),
            Step::GiveBack => self.give_back(),
            Step::Pass(millis) => self.play.now += SignedDuration::from_millis(*millis),
            Step::Restart => {
                self.play.incarnation += 1;
                self.sending = None;
            }
            Step::Resend(index) => self.resend(index.index(count)),
            Step::Stop { which, recorded } => self.stop(which.index(count), *recorded),
        }
    }

    /// Returns true if a person may give an instruction: the log has the delivery, and it is not being sent.
    fn may_be_asked_for(&self, name: &str) -> bool {
        let id = delivery(name);
        let record = self.play.log.get(&id);
        record.is_some_and(|record| self.play.queue.sending_until(&id, record.attempts, self.play.present()).is_none())
    }

    fn resend(&mut self, who: usize) {
        let (name, order) = self.deliveries[who].clone();
        if self.may_be_asked_for(&name) {
            self.play.resend(&name, order);
            self.base[who] = self.claimed[who];
            self.resent[who] = true;
            assert_eq!(self.play.base(&name), self.base[who], "every attempt is known");
        }
    }

    fn stop(&mut self, who: usize, recorded: bool) {
        let (name, order) = self.deliveries[who].clone();
        if self.may_be_asked_for(&name) && !self.is_over(who) {
            assert_eq!(self.play.instruct(Instruction::Stop, &name, order), self.claimed[who]);
            self.resent[who] = false;
            self.looked[who] = None;
            if recorded {
                self.play.end(&name, self.claimed[who]);
            }
        }
    }

    /// Records a failure for every attempt until all deliveries have ended.
    fn drain(&mut self) {
        for _ in 0..1_000 {
            for who in 0..self.deliveries.len() {
                if !self.is_over(who) {
                    self.arrive(who);
                    self.record(false);
                }
            }
            if (0..self.deliveries.len()).all(|who| self.is_over(who)) {
                return;
            }
            self.play.now += SignedDuration::from_millis(1_500);
        }
        panic!("P1: not all deliveries ended: {:?}", self.play.queue);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<Index>().prop_map(Step::Arrive),
        2 => any::<Index>().prop_map(Step::Repeat),
        1 => Just(Step::Crash),
        4 => any::<bool>().prop_map(|delivered| Step::Record { delivered }),
        2 => Just(Step::GiveBack),
        4 => select(&[200, 1_500, 10_000, 60_000, 3_600_000][..]).prop_map(Step::Pass),
        1 => Just(Step::Restart),
        2 => any::<Index>().prop_map(Step::Resend),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(which, recorded)| Step::Stop { which, recorded }),
    ]
}

proptest! {
    #[test]
    fn p2_p3_l1_f6_any_history_of_a_queue_keeps_the_promises(
        orders in vec((1..5_u64, 0..2_u8), 1..=6),
        steps in vec(step(), 0..80),
    ) {
        let mut model = Model::new(&orders);
        for step in &steps {
            model.step(step);
        }
        model.drain();
        for who in 0..orders.len() {
            prop_assert!(model.claimed[who] <= model.base[who] + MAX_ATTEMPTS);
            model.arrive(who);
            prop_assert!(model.is_over(who));
        }
        prop_assert!(model.play.queue.entries.len() <= 6);
    }

    #[test]
    fn p2_of_many_that_claim_at_once_one_wins(hands in 2..10_usize, version in 0..9_u64) {
        // Each reads the same queue; the compare-and-set lets one write, and the others read the new queue.
        let mut play = Play::new();
        let won = play.decide("a", updated(version), "t0");
        let Decision::Claim { queue, attempt: 1, .. } = won else { panic!("{won:?}") };
        play.queue = queue;
        for hand in 1..hands {
            prop_assert_eq!(play.request("a", updated(version), &format!("t{hand}")), Wait(55));
        }
    }
}
