//! A store that crashes on demand: the n-th writing call is cut off before or after it takes effect, and then no call is answered until the
//! test revives the store. Production code has no part in this.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped};

/// The moment at which a writing call is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before it takes effect.
    Before,
    /// After it takes effect, without an answer.
    After,
}

/// Any store, until it crashes. Clones crash together.
#[derive(Debug, Clone)]
pub struct Crashing<B> {
    inner: B,
    fate: Arc<Mutex<Fate>>,
}

#[derive(Debug, Default)]
struct Fate {
    writes: u64,
    cut: Option<(u64, Cut)>,
    down: bool,
}

impl<B: Backend> Crashing<B> {
    /// Makes a store that works until a crash is planned.
    pub fn new(inner: B) -> Self {
        Self { inner, fate: Arc::default() }
    }

    /// Returns the store inside, for calls that the port doesn't have.
    pub fn inner(&self) -> &B {
        &self.inner
    }

    /// Plans a crash at the n-th `swap` or `commit` from now, 1 being the next.
    pub fn crash_at(&self, n: u64, cut: Cut) {
        let mut fate = self.fate();
        fate.cut = Some((fate.writes + n, cut));
    }

    /// Returns the number of calls of `swap` and `commit` that reached the store, including one that was cut off.
    pub fn writes(&self) -> u64 {
        self.fate().writes
    }

    /// Returns true if the store crashed.
    pub fn is_down(&self) -> bool {
        self.fate().down
    }

    /// Makes the store answer again, with no crash planned. The caller must forget the memory of the process that died.
    pub fn revive(&self) {
        let mut fate = self.fate();
        fate.down = false;
        fate.cut = None;
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> Result<(), StoreError> {
        if self.is_down() { Err(crashed()) } else { Ok(()) }
    }

    /// Counts a writing call. Returns the moment of its cut-off, if it is cut off.
    fn write(&self) -> Result<Option<Cut>, StoreError> {
        let mut fate = self.fate();
        if fate.down {
            return Err(crashed());
        }
        fate.writes += 1;
        let cut = fate.cut.filter(|(n, _)| *n == fate.writes).map(|(_, cut)| cut);
        fate.down = cut.is_some();
        match cut {
            Some(Cut::Before) => Err(crashed()),
            cut => Ok(cut),
        }
    }
}

fn crashed() -> StoreError {
    StoreError::Unavailable("it crashed".to_owned())
}

impl<B: Backend> Backend for Crashing<B> {
    fn incarnation(&self) -> u64 {
        self.inner.incarnation()
    }

    fn is_transactional(&self) -> bool {
        self.inner.is_transactional()
    }

    fn longest_wait(&self) -> SignedDuration {
        self.inner.longest_wait()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.up()?;
        self.inner.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.up()?;
        self.inner.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        let count = swaps.len();
        let lost = || vec![Swapped::Unavailable(crashed()); count];
        match self.write() {
            Err(_) => lost(),
            Ok(None) => self.inner.swap(swaps).await,
            Ok(Some(_)) => {
                self.inner.swap(swaps).await;
                lost()
            }
        }
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        let lost = vec![Err(crashed()); effects.len()];
        match self.write() {
            Err(_) => lost,
            Ok(None) => self.inner.commit(effects).await,
            Ok(Some(_)) => {
                self.inner.commit(effects).await;
                lost
            }
        }
    }
}
