//! Checkpoints: another thread folds the log into the file, so that no commit waits for it.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// Changed rows, or written bytes of rows and messages, after which the log is folded in if the last time was [`EVERY`] ago. A short
/// log is folded in with a short sync; a long sync delays the commits beside it.
const FEW_ROWS: u64 = 500;
const FEW_BYTES: usize = 1 << 20;
/// The interval between two short checkpoints.
const EVERY: Duration = Duration::from_millis(250);
/// Changed rows, or written bytes, after which the log is folded in at once.
const MANY_ROWS: u64 = 4_000;
const MANY_BYTES: usize = 8 << 20;
/// Pages of the log that are left for the writer, and the passes after which it gets what is left.
const REST: i64 = 64;
const PASSES: usize = 4;

/// The thread that folds the log in when asked.
///
/// While it folds, the writer appends: it never reaches the end, and the log starts over only once all of it is folded in. So it leaves a
/// short rest, which the writer folds in between two transactions. `SQLite` syncs the file only at the end of the log; the thread syncs what
/// it folded in, or the writer would wait for all of it.
pub(super) struct Checkpointer {
    nudge: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// `true` once the thread is done and the rest is the writer's.
    rest: Arc<AtomicBool>,
    /// The number of changed rows and the time at the last request for a checkpoint, and the bytes written since.
    folded_at: u64,
    asked_at: Instant,
    bytes: usize,
}

impl Checkpointer {
    /// Starts the thread. `data` is the file that it syncs, if commits must be on disk.
    pub(super) fn start(connection: Connection, data: Option<Arc<File>>) -> std::io::Result<Self> {
        let (nudge, nudges) = sync_channel(1);
        let rest = Arc::<AtomicBool>::default();
        let is_left = Arc::clone(&rest);
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            while nudges.recv().is_ok() {
                for _ in 0..PASSES {
                    let left = fold(&connection);
                    // A fault of the disk shows again when SQLite syncs the file.
                    let _synced = data.as_ref().map(|data| data.sync_data());
                    if left <= REST {
                        break;
                    }
                }
                is_left.store(true, Ordering::Release);
            }
        })?;
        Ok(Self { nudge: Some(nudge), thread: Some(thread), rest, folded_at: 0, asked_at: now(), bytes: 0 })
    }

    /// Notes the number of rows changed since the start, and the bytes of a transaction. Asks for a checkpoint now and then.
    pub(super) fn written(&mut self, rows: u64, bytes: usize) {
        self.bytes += bytes;
        let is_over = |few: u64, bytes: usize| rows - self.folded_at >= few || self.bytes >= bytes;
        if (is_over(MANY_ROWS, MANY_BYTES) || is_over(FEW_ROWS, FEW_BYTES) && now() - self.asked_at >= EVERY)
            && let Some(nudge) = &self.nudge
        {
            (self.folded_at, self.asked_at, self.bytes) = (rows, now(), 0);
            // Full: a checkpoint is asked for already.
            let _asked = nudge.try_send(());
        }
    }

    /// Folds in the rest that the thread left, if there is one, on the writer's connection.
    pub(super) fn fold_rest(&self, writer: &Connection) {
        if self.rest.swap(false, Ordering::Acquire) {
            fold(writer);
        }
    }

    /// Ends the thread after its current checkpoint.
    pub(super) fn end(&mut self) {
        self.nudge = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook, and nothing depends on it.
            let _ended = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Folds in as much of the log as is possible without waiting. Returns the number of its pages that are left, 0 if that is not known.
fn fold(connection: &Connection) -> i64 {
    let left =
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?));
    left.unwrap_or_else(|error| {
        tracing::warn!(%error, "the log grows: it could not be folded in");
        0
    })
}

#[expect(clippy::disallowed_methods, reason = "the interval between checkpoints is one of this process, not of the engine")]
fn now() -> Instant {
    Instant::now()
}
