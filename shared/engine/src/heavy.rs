//! Work on the processor that may take milliseconds: it leaves the threads that serve everybody, one piece at a time for each owner, and at a
//! low priority, so that an expensive rule costs its own owner's time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{sync::Semaphore, task::spawn_blocking};
use tracking_core::caller::Owner;

/// Pieces of one owner that run at once.
const AT_ONCE: usize = 1;
/// The nice value of its threads: about a tenth of a busy processor.
const NICE: i32 = 10;
/// Gates that are kept; those that nobody uses go first.
const MOST_GATES: usize = 1_024;

/// The gates of the owners.
#[derive(Debug, Default)]
pub(crate) struct HeavyWork(Mutex<HashMap<Owner, Arc<Semaphore>>>);

impl HeavyWork {
    /// Runs a piece of an owner's work on a thread of its own, once no other piece of that owner's runs. It runs to its end, also when
    /// nobody waits for it any more. Without an owner the work is light, and runs here and now.
    pub(crate) async fn run<T: Send + 'static>(&self, owner: Option<Owner>, work: impl FnOnce() -> T + Send + 'static) -> T {
        let Some(owner) = owner else { return work() };
        let permit = self.gate(owner).acquire_owned().await.expect("a gate is never closed");
        let done = spawn_blocking(move || {
            lower_priority(NICE);
            let done = work();
            drop(permit);
            done
        });
        match done.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn gate(&self, owner: Owner) -> Arc<Semaphore> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= MOST_GATES {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(gates.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

/// Gives this thread a smaller share of a busy processor for as long as it lives: all its pieces are of one kind. `nice` is from 1 to 19.
/// On Linux only, where a priority is a thread's.
#[cfg(target_os = "linux")]
pub fn lower_priority(nice: i32) {
    // If the system refuses, the work is only less polite.
    let _refused = rustix::process::setpriority_process(None, nice);
}

/// Does nothing: a priority of one thread is known on Linux only.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority(_nice: i32) {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn f3_an_owner_has_one_heavy_piece_at_a_time_and_holds_up_no_other() {
        let heavy = Arc::new(HeavyWork::default());
        let owner = |id: &str| Owner::Affiliate { affiliate_id: id.parse().unwrap() };
        let (release, held) = mpsc::channel::<()>();
        let first = {
            let heavy = Arc::clone(&heavy);
            tokio::spawn(async move { heavy.run(Some(owner("aff_1")), move || held.recv().is_ok()).await })
        };
        while heavy.gate(owner("aff_1")).available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(heavy.run(Some(owner("aff_2")), || 2).await, 2, "another owner's runs");
        let second = {
            let heavy = Arc::clone(&heavy);
            tokio::spawn(async move { heavy.run(Some(owner("aff_1")), || 1).await })
        };
        tokio::task::yield_now().await;
        assert!(!second.is_finished(), "the owner's own waits");
        release.send(()).unwrap();
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (true, 1));
    }

    #[tokio::test]
    async fn f3_a_piece_that_panics_leaves_the_gate_open() {
        let heavy = Arc::new(HeavyWork::default());
        let panicking = Arc::clone(&heavy);
        let panicked = tokio::spawn(async move { panicking.run(Some(Owner::Admin), || panic!("on purpose")).await });
        assert!(panicked.await.unwrap_err().is_panic());
        assert_eq!(heavy.run(Some(Owner::Admin), || 1).await, 1);
    }
}
