//! A store that dies at a chosen write.

use std::sync::{Arc, Mutex, PoisonError};

use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Range, Swap, Swapped, Unavailable};

/// A backend whose process can be made to die before or after any `swap` or `commit`.
#[derive(Debug, Clone)]
pub struct Crashing<B> {
    inner: B,
    fate: Arc<Mutex<Fate>>,
}

#[derive(Debug, Default)]
struct Fate {
    /// Writes that still work.
    writes_left: Option<u32>,
    /// Whether the fatal write takes effect before its answer is lost.
    takes_effect: bool,
    dead: bool,
}

/// What a write is to do.
enum Verdict {
    Live,
    DieBefore,
    DieAfter,
}

impl<B> Crashing<B> {
    /// A backend that lives until told otherwise.
    pub fn new(inner: B) -> Self {
        Self { inner, fate: Arc::default() }
    }

    /// Lets `writes` more writes through; the next one is cut: after it took effect, or before.
    pub fn die_after(&self, writes: u32, takes_effect: bool) {
        *self.lock() = Fate { writes_left: Some(writes), takes_effect, dead: false };
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdict(&self) -> Verdict {
        let mut fate = self.lock();
        if fate.dead {
            return Verdict::DieBefore;
        }
        match &mut fate.writes_left {
            None => Verdict::Live,
            Some(0) => {
                fate.dead = true;
                if fate.takes_effect { Verdict::DieAfter } else { Verdict::DieBefore }
            }
            Some(left) => {
                *left -= 1;
                Verdict::Live
            }
        }
    }

    fn alive(&self) -> Result<(), Unavailable> {
        if self.is_dead() { Err(dead()) } else { Ok(()) }
    }
}

fn dead() -> Unavailable {
    Unavailable("the process is dead".to_owned())
}

impl<B: Backend> Backend for Crashing<B> {
    fn run(&self) -> u64 {
        self.inner.run()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Unavailable> {
        self.alive()?;
        self.inner.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, Unavailable> {
        self.alive()?;
        self.inner.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        let lost = |n: usize| (0..n).map(|_| Swapped::Unavailable(dead())).collect();
        let count = swaps.len();
        match self.verdict() {
            Verdict::Live => self.inner.swap(swaps).await,
            Verdict::DieBefore => lost(count),
            Verdict::DieAfter => {
                self.inner.swap(swaps).await;
                lost(count)
            }
        }
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), Unavailable>> {
        let lost = |n: usize| (0..n).map(|_| Err(dead())).collect();
        let count = effects.len();
        match self.verdict() {
            Verdict::Live => self.inner.commit(effects).await,
            Verdict::DieBefore => lost(count),
            Verdict::DieAfter => {
                self.inner.commit(effects).await;
                lost(count)
            }
        }
    }
}
