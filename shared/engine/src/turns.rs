//! Turns: messages about one subject queue that this process handed out one after another claim in that order, however their tasks are
//! scheduled (P3). Between processes, and where a turn takes too long, the subject queue itself decides.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// The longest wait for a turn; after that the claim finds out by itself, without holding a place in memory.
const PATIENCE: Duration = Duration::from_secs(2);

/// The last turn of each subject queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Queues>>);

#[derive(Debug, Default)]
struct Queues {
    taken: u64,
    last: HashMap<String, (u64, oneshot::Receiver<()>)>,
}

/// A turn at a subject queue. Dropping it lets the next one go.
#[derive(Debug)]
pub(crate) struct QueueTurn {
    turns: Turns,
    queue: String,
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    _over: oneshot::Sender<()>,
}

impl Turns {
    /// Takes the next turn at a subject queue.
    pub(crate) fn take(&self, queue: String) -> QueueTurn {
        let (over, ends) = oneshot::channel();
        let mut queues = self.lock();
        queues.taken += 1;
        let number = queues.taken;
        let before = queues.last.insert(queue.clone(), (number, ends)).map(|(_, before)| before);
        drop(queues);
        QueueTurn { turns: self.clone(), queue, number, before, _over: over }
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueTurn {
    /// Waits until the turns ahead are over.
    pub(crate) async fn comes(&mut self) {
        if let Some(before) = self.before.take() {
            // The turn ahead signals its end by dropping its channel.
            let _through = timeout(PATIENCE, before).await;
        }
    }
}

impl Drop for QueueTurn {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        if queues.last.get(&self.queue).is_some_and(|(last, _)| *last == self.number) {
            queues.last.remove(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn p3_turns_come_in_the_order_in_which_they_were_taken() {
        let turns = Turns::default();
        let (mut first, mut second) = (turns.take("a".to_owned()), turns.take("a".to_owned()));
        let mut other = turns.take("b".to_owned());
        let order = Mutex::new(Vec::new());
        let note = |name: &'static str| order.lock().unwrap().push(name);
        let later = async {
            second.comes().await;
            note("second");
        };
        let sooner = async {
            other.comes().await;
            note("other");
            first.comes().await;
            tokio::task::yield_now().await;
            note("first");
            drop(first);
        };
        tokio::join!(later, sooner);
        assert_eq!(*order.lock().unwrap(), ["other", "first", "second"]);
        drop((second, other));
        assert!(turns.lock().last.is_empty(), "nothing is left behind");
    }
}
