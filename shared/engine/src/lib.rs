//! The steps of a postback: ingest, match, deliver, settle; keys and rows; and the port to a store with queues.
//!
//! The way of an event: [`Engine::accept`] reads it and matches it against the rules ([`matching`]), one message per postback goes to
//! the delivery lane; [`Engine::work`] takes messages and runs each as claim → send → conclude → record ([`deliver`], [`record`]);
//! what is to wait goes to the retry lane or, for long, to due rows ([`due`]); final postbacks are held back in [`settle`].
//!
//! The order of effects is always: first what makes the next step certain, then what says that this one is done.

pub mod backend;
mod backfill;
mod deliver;
mod deliveries;
mod due;
mod explain;
mod health;
mod heavy;
pub mod idempotency;
pub mod internals;
mod kept;
mod keys;
mod limits;
mod matching;
mod offers;
mod pace;
mod record;
mod rejected;
mod repair;
mod replay;
mod rows;
pub mod rules;
pub mod secrets;
pub mod sender;
mod settle;
mod spans;
mod tally;
mod trial;
mod turns;
mod unreadable;
mod work;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};

pub use deliver::{Claimed, Claiming, Sent};
pub use deliveries::{DeliveryFilter, DeliveryPage};
pub use matching::{Accepted, Matched};
pub use spans::delivery_named_in;
pub use tally::Tally;
pub use work::{Failed, Lined, Unworked};

use backend::{Backend, Effects, Item, Key, Swap, Swapped, Unavailable};
use secrets::Vault;

/// Where the time comes from: the machine at the edges, the hand of a test elsewhere.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks this.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// How an engine is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether receivers at addresses that are not public may be named and called.
    pub private_targets: bool,
    /// How long ended deliveries stay in the log; at least 31 days.
    pub log_retention: SignedDuration,
    /// How long what was read of a rule counts when matching; `None` where this process alone changes rules.
    pub rule_lifetime: Option<SignedDuration>,
    /// The memory for rules, their secrets and the index, as they were last read, in bytes.
    pub cache_bytes: usize,
    /// How long a record may wait at most for others to be written with; none waits once no attempt is under way.
    pub record_window: SignedDuration,
    /// Attempts that run longer than this are shown as `sending` in the lists: a write more, for people only.
    pub shown_after: SignedDuration,
    /// Whether changes are kept for as long as the log, to explain later what they led to.
    pub keep_events: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private_targets: false,
            log_retention: SignedDuration::from_hours(24 * 90),
            rule_lifetime: None,
            cache_bytes: 64 * 1024 * 1024,
            record_window: SignedDuration::ZERO,
            shown_after: SignedDuration::from_secs(1),
            keep_events: false,
        }
    }
}

/// Ended deliveries are kept for so long at least: a line takes an attempt that has no record after 30 days for one whose record
/// has expired.
const SHORTEST_RETENTION: SignedDuration = SignedDuration::from_hours(24 * 31);

/// The bytes of stored rows at which a page ends early: what carries answers on AWS takes 6 MB, and each request in work holds a page.
const MOST_PAGE_BYTES: usize = 1024 * 1024;

/// The engine over one store.
#[derive(Debug)]
pub struct Engine<B> {
    backend: B,
    clock: Clock,
    vault: Vault,
    settings: Settings,
    rules: rules::Cache,
    recorder: record::Recorder,
    pace: pace::Pace,
    turns: turns::Turns,
    dry_trials: limits::DryTrials,
    tally: tally::Tallying,
    unreadable: unreadable::UnreadableKeys,
    heavy: heavy::HeavyWork,
    stopping: AtomicBool,
}

/// A number that no other call gives, in whatever process.
///
/// # Panics
/// The system gives no random bytes.
pub fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_be_bytes(bytes)
}

impl<B: Backend> Engine<B> {
    /// An engine over this store. `vault` seals the rules' secrets.
    pub fn new(backend: B, clock: Clock, vault: Vault, mut settings: Settings) -> Self {
        settings.log_retention = settings.log_retention.max(SHORTEST_RETENTION);
        let rules = rules::Cache::new(settings.rule_lifetime, settings.cache_bytes);
        Self {
            backend,
            clock,
            vault,
            settings,
            rules,
            recorder: record::Recorder::default(),
            pace: pace::Pace::default(),
            turns: turns::Turns::default(),
            dry_trials: limits::DryTrials::default(),
            tally: tally::Tallying::default(),
            unreadable: unreadable::UnreadableKeys::default(),
            heavy: heavy::HeavyWork::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The store.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The process is about to end: [`Engine::work`] begins no new send. What is being sent is concluded as ever.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What happened since this was last asked.
    pub fn tally(&self) -> Tally {
        self.tally.take()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One item, strongly consistent.
    async fn get_one(&self, key: Key) -> Result<Option<Item>, Unavailable> {
        Ok(self.backend.get(&[key]).await?.pop().flatten())
    }

    async fn swap_one(&self, swap: Swap) -> Swapped {
        let outcome = self.backend.swap(vec![swap]).await.pop();
        outcome.unwrap_or_else(|| Swapped::Unavailable(Unavailable("the store gave no answer".to_owned())))
    }

    async fn commit_one(&self, effects: Effects) -> Result<(), Unavailable> {
        if effects == Effects::default() {
            return Ok(());
        }
        let outcome = self.backend.commit(vec![effects]).await.pop();
        outcome.unwrap_or_else(|| Err(Unavailable("the store gave no answer".to_owned())))
    }
}
