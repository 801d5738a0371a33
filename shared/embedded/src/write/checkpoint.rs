//! Checkpoints: another thread folds the log into the file, so that no commit waits for it.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
};

use rusqlite::Connection;

/// Changed rows after which the log is folded in.
const ROWS: u64 = 4_000;
/// Written bytes of rows and messages after which the log is folded in, however few the rows: about a quarter of the length at which the
/// writer would have to do it.
const BYTES: usize = 8 << 20;

/// The thread that folds the log in when asked.
pub(super) struct Checkpointer {
    nudge: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    folded_at: u64,
    bytes: usize,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (nudge, nudges) = sync_channel(1);
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            while nudges.recv().is_ok() {
                if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                    tracing::warn!(%error, "the log grows: it could not be folded in");
                }
            }
        })?;
        Ok(Self { nudge: Some(nudge), thread: Some(thread), folded_at: 0, bytes: 0 })
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

    /// Ends the thread after its current checkpoint.
    pub(super) fn end(&mut self) {
        self.nudge = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook, and nothing depends on it.
            let _ended = thread.join();
        }
    }
}
