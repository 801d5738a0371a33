//! Changes of one row that others may change at the same time.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Store;
use crate::{
    backend::{Backend, Item, Key, StoreError, Swap, Swapped},
    random, rows,
};

/// The most tries of a change.
const MAX_TRIES: u32 = 30;
/// The longest pause before the third try; it doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// The decision of a change, with its result.
pub(crate) enum Update<R> {
    /// The row stays as it is.
    Keep(R),
    /// The row is replaced by this item, which has its key.
    Put(Item, R),
}

impl<B: Backend> Store<B> {
    /// Changes one row by compare-and-set. `change` sees the row as it is stored; after a conflict it sees the newer one. The second try
    /// follows at once, each further one after a pause with full jitter, so that many callers that change one row do not meet again.
    ///
    /// # Errors
    /// The error of `change`; the row can't be read; the store is unavailable; or others were faster each time
    /// ([`StoreError::Contended`]).
    pub(crate) async fn update<T: DeserializeOwned, R, E: From<StoreError>>(
        &self,
        key: &Key,
        mut change: impl FnMut(Option<T>) -> Result<Update<R>, E>,
    ) -> Result<R, E> {
        let mut stored = self.get_one(key.clone()).await?;
        for tries in 0..MAX_TRIES {
            if tries > 1 {
                tokio::time::sleep(pause(tries, random())).await;
            }
            let expect = stored.as_ref().map(|item| item.rev);
            let row = stored.as_ref().map(rows::read_item).transpose()?;
            let (new, result) = match change(row)? {
                Update::Keep(result) => return Ok(result),
                Update::Put(new, result) => (new, result),
            };
            match self.swap_one(Swap { key: key.clone(), expect, new: Some(new) }).await {
                Swapped::Done => return Ok(result),
                Swapped::Conflict(newer) => stored = newer,
                Swapped::Unavailable(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Contended(format!("row {} / {}", key.partition, key.sort)).into())
    }
}

/// The pause before a try, as dice decide: between nothing and the longest.
fn pause(tries: u32, dice: u64) -> Duration {
    let longest = LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(tries - 2));
    longest * u32::try_from(dice % 1_000).unwrap_or_default() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let longest: Vec<u128> = [2, 3, 4, 7, 8, 29].map(|tries| pause(tries, 999).as_micros()).to_vec();
        assert_eq!(longest, [999, 1_998, 3_996, 31_968, 31_968, 31_968]);
        assert_eq!(pause(29, 1_000), Duration::ZERO);
    }
}
