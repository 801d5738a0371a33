//! Writing: one thread takes every waiting job, does them in one transaction, and answers when the data is on disk.
//!
//! A job that fails takes its whole group with it: no job of the group is done, and each caller gets the error. If the thread ends early,
//! all present and later callers get an error too.
//!
//! Long jobs take turns ([`queue`]), so that a short one waits for no more than two of other callers' long ones.

mod apply;
mod checkpoint;
mod ids;
mod queue;

use std::{
    fs::File,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{Notify, oneshot};
use tracking_engine::backend::{Effects, StoreError, Swap, Swapped};

use crate::{
    lanes::{DueTime, Lanes, PendingAck},
    open::OpenError,
    read::unavailable,
};
pub(crate) use apply::PURGE;
use checkpoint::Checkpointer;
use ids::MessageIds;
use queue::Jobs;

/// The sender of an answer. The caller may have stopped waiting.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something to write.
pub(crate) enum WriteRequest {
    Swap {
        swaps: Vec<Swap>,
        answer: Reply<Vec<Swapped>>,
    },
    Commit {
        effects: Vec<Effects>,
        answer: Reply<()>,
    },
    /// Removes a bounded number of items that expired at or before this time, and returns the number.
    Purge {
        until: i64,
        answer: Reply<usize>,
    },
    /// Ends the thread as a bug would.
    #[cfg(test)]
    Panic,
}

impl WriteRequest {
    /// Returns the length of the rows and messages that the job writes, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Swap { swaps, .. } => swaps.iter().filter_map(|swap| swap.new.as_ref()).map(|item| item.body.len()).sum(),
            Self::Commit { effects, .. } => effects.iter().map(bytes).sum(),
            Self::Purge { .. } => 0,
            #[cfg(test)]
            Self::Panic => 0,
        }
    }
}

fn bytes(effects: &Effects) -> usize {
    let items = effects.put.iter().chain(&effects.put_published).map(|item| item.body.len());
    items.chain(effects.send.iter().map(|message| message.body.len())).sum()
}

/// The result of a job.
enum Done {
    Swapped(Vec<Swapped>),
    Committed,
    Purged(usize),
}

/// The result of each job, and the messages with their new ids, each in order.
type Written = (Vec<Done>, Vec<(i64, DueTime)>);

/// Lanes that the writer and the readers of the queue share.
pub(crate) type SharedLanes = Arc<Mutex<Lanes>>;

/// Locks the lanes. After a panic they hold the last noted state.
pub(crate) fn lock(lanes: &Mutex<Lanes>) -> MutexGuard<'_, Lanes> {
    lanes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writing thread.
pub(crate) struct Writer {
    connection: Connection,
    ids: MessageIds,
    lanes: SharedLanes,
    changed: Arc<Notify>,
    checkpointer: Checkpointer,
}

/// Starts the writing thread. `data` is the file that checkpoints sync, if commits must be on disk. The thread ends when every sender of
/// jobs is gone, after the last job.
pub(crate) fn start(
    connection: Connection,
    checkpoints: Connection,
    data: Option<Arc<File>>,
    lanes: SharedLanes,
    changed: Arc<Notify>,
) -> Result<(Sender<WriteRequest>, std::thread::JoinHandle<()>), OpenError> {
    let ids = MessageIds::load(&connection)?;
    let checkpointer = Checkpointer::start(checkpoints, data).map_err(OpenError::Thread)?;
    let writer = Writer { connection, ids, lanes, changed, checkpointer };
    let (sender, jobs) = channel();
    let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&jobs));
    Ok((sender, thread.map_err(OpenError::Thread)?))
}

impl Writer {
    fn run(mut self, jobs: &Receiver<WriteRequest>) {
        let (mut jobs, mut group) = (Jobs::of(jobs), Vec::new());
        while jobs.next_group(&mut group) {
            self.work(&mut group);
            self.checkpointer.fold_rest(&self.connection);
        }
        self.checkpointer.end();
        if let Err(error) = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the log is kept: the next start reads it");
        }
    }

    /// Does a group of jobs and answers each.
    fn work(&mut self, group: &mut Vec<WriteRequest>) {
        let (due, acks) = self.begin(group);
        let written = self.write(group, &due, &acks);
        match written {
            Ok((done, placed)) => {
                let signal = self.note(group, placed, &acks);
                if signal {
                    self.changed.notify_one();
                }
                for (job, done) in group.drain(..).zip(done) {
                    answer(job, Ok(done));
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = group.len(), "a group of jobs could not be written");
                self.ids.failed();
                let mut lanes = lock(&self.lanes);
                acks.into_iter().flatten().for_each(|ack| lanes.ack_failed(ack));
                drop(lanes);
                let fault = unavailable(&error);
                group.drain(..).for_each(|job| answer(job, Err(fault.clone())));
            }
        }
    }

    /// Returns the due time of each message, and the valid acks, each in the order of the jobs.
    fn begin(&self, group: &[WriteRequest]) -> (Vec<DueTime>, Vec<Option<PendingAck>>) {
        let mut lanes = lock(&self.lanes);
        let due = effects(group).flat_map(|effects| &effects.send).map(|message| lanes.due(message.not_before)).collect();
        let acks = effects(group).flat_map(|effects| &effects.acks).map(|ack| lanes.accept_ack(ack)).collect();
        (due, acks)
    }

    /// Writes the group in one transaction. Returns the result of each job, and the ids of the messages.
    fn write(&mut self, group: &[WriteRequest], due: &[DueTime], acks: &[Option<PendingAck>]) -> rusqlite::Result<Written> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut due = due.iter().copied();
        let mut acks = acks.iter();
        let mut placed = Vec::with_capacity(due.len());
        let mut done = Vec::with_capacity(group.len());
        for job in group {
            done.push(match job {
                WriteRequest::Swap { swaps, .. } => {
                    Done::Swapped(swaps.iter().map(|swap| apply::swap(&transaction, swap)).collect::<Result<_, _>>()?)
                }
                WriteRequest::Commit { effects, .. } => {
                    for effects in effects {
                        apply::effects(&transaction, effects, (&mut self.ids, &mut due), &mut placed, &mut acks)?;
                    }
                    Done::Committed
                }
                WriteRequest::Purge { until, .. } => Done::Purged(apply::purge(&transaction, *until)?),
                #[cfg(test)]
                WriteRequest::Panic => panic!("asked to"),
            });
        }
        let rows = transaction.total_changes();
        transaction.commit()?;
        self.checkpointer.written(rows, group.iter().map(WriteRequest::bytes).sum());
        Ok((done, placed))
    }

    /// Notes in the lanes what is on disk now. Returns true if receivers of messages must be woken.
    fn note(&self, group: &mut [WriteRequest], placed: Vec<(i64, DueTime)>, acks: &[Option<PendingAck>]) -> bool {
        if placed.is_empty() && acks.is_empty() {
            return false;
        }
        let mut lanes = lock(&self.lanes);
        let sent = group.iter_mut().flat_map(|job| match job {
            WriteRequest::Commit { effects, .. } => effects.as_mut_slice(),
            _ => &mut [],
        });
        for ((id, due), message) in placed.into_iter().zip(sent.flat_map(|effects| effects.send.drain(..))) {
            lanes.sent(id, due, message);
        }
        acks.iter().flatten().for_each(|ack| lanes.ack_written(*ack));
        true
    }
}

/// All effects of a group, in order.
fn effects(group: &[WriteRequest]) -> impl Iterator<Item = &Effects> {
    group.iter().flat_map(|job| match job {
        WriteRequest::Commit { effects, .. } => effects.as_slice(),
        _ => &[],
    })
}

/// Answers a job. The caller may have gone.
fn answer(job: WriteRequest, done: Result<Done, StoreError>) {
    match (job, done) {
        (WriteRequest::Swap { answer, .. }, Ok(Done::Swapped(swapped))) => drop(answer.send(Ok(swapped))),
        (WriteRequest::Commit { answer, .. }, Ok(Done::Committed)) => drop(answer.send(Ok(()))),
        (WriteRequest::Purge { answer, .. }, Ok(Done::Purged(count))) => drop(answer.send(Ok(count))),
        (WriteRequest::Swap { answer, .. }, Err(fault)) => drop(answer.send(Err(fault))),
        (WriteRequest::Commit { answer, .. }, Err(fault)) => drop(answer.send(Err(fault))),
        (WriteRequest::Purge { answer, .. }, Err(fault)) => drop(answer.send(Err(fault))),
        (_, _) => unreachable!("each job is answered in its own kind"),
    }
}
