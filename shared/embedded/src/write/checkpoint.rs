//! Checkpoints: another thread folds the log into the file, so that no commit waits for it.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::Connection;

/// Changed rows after which the log is folded in.
const ROWS: u64 = 4_000;
/// Written bytes of rows and messages after which the log is folded in, however few the rows.
const BYTES: usize = 8 << 20;
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
    folded_at: u64,
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
        Ok(Self { nudge: Some(nudge), thread: Some(thread), rest, folded_at: 0, bytes: 0 })
    }

    /// Notes the number of rows changed since the start, and the bytes of a transaction. Asks for a checkpoint now and then.
    pub(super) fn written(&mut self, rows: u64, bytes: usize) {
        self.bytes += bytes;
        if (rows - self.folded_at >= ROWS || self.bytes >= BYTES)
            && let Some(nudge) = &self.nudge
        {
            (self.folded_at, self.bytes) = (rows, 0);
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
