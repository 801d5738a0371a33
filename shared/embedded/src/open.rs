//! Opening a folder: its lock, its file, its connections.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::files::{self, Exposed, FileError};

/// The store's file, and the files that `SQLite` keeps beside it.
pub const FILES: [&str; 3] = [FILE, "tracking.db-wal", "tracking.db-shm"];
const FILE: &str = "tracking.db";

/// The guarantee of an answered commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// An answered commit survives a loss of power.
    #[default]
    Full,
    /// An answered commit survives the end of the process, not a loss of power. Only for simulations in tests, which commit a million
    /// times.
    Relaxed,
}

/// The reasons for which a folder can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process: stop that one, or choose another folder", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or its lock file can't be made.
    #[error("{} can't be opened: it must be a folder that this user may write to", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no store to read.
    #[error("{} holds no data of a server: name the folder that the server uses with --data", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// Others could read or change the store's files.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The file was written by a newer program.
    #[error("the store has format {found}, this program knows formats up to {known}: use the newer program")]
    Newer {
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: usize,
    },
    /// The file was written by an older program, and may only be read here.
    #[error("the store has format {found}, this program reads format {known}: `tracking serve` on this folder brings it there")]
    Older {
        /// Its format.
        found: i64,
        /// The format that this program reads.
        known: usize,
    },
    /// `SQLite` can't open or read the file.
    #[error("the store's file can't be opened")]
    File(#[from] rusqlite::Error),
    /// The system refuses the writing thread.
    #[error("the store's thread can't be started")]
    Thread(#[source] io::Error),
}

/// The store's file.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// A locked folder. It is unlocked when this is dropped, even while a process that was forked meanwhile still has the lock's file.
pub(crate) struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file unlocks the folder too, once nobody else has it.
        let _refused = self.file.unlock();
    }
}

/// Makes the folder for its owner alone, if there is none, and locks it. The returned file is the store's.
///
/// The store's file is made for its owner alone too, since the log holds the requests that receivers were sent; `SQLite` gives the files
/// beside it the same mode. Files that others could read or change are refused.
pub(crate) fn lock(folder: &Path) -> Result<(Lock, File), OpenError> {
    let fault = |source| OpenError::Folder { folder: folder.to_owned(), source };
    let refused = |error| match error {
        FileError::Exposed(exposed) => OpenError::Exposed(exposed),
        FileError::System(source) => fault(source),
    };
    files::make_folder(folder).map_err(fault)?;
    let path = folder.join("tracking.lock");
    tighten(&path);
    let file = files::open(&path, File::options().create(true).truncate(false).write(true)).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => {
            let lock = Lock { file };
            files::check_names(folder, &FILES).map_err(refused)?;
            let data =
                files::open(&file_in(folder), File::options().create(true).truncate(false).write(true)).map_err(refused)?;
            Ok((lock, data))
        }
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(fault(source)),
    }
}

/// Makes a lock file private that an earlier version left readable. The file is empty, but anyone who can open it can lock it.
fn tighten(path: &Path) {
    if path.symlink_metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o077 != 0) {
        // The file's opening reports a mode that can't be changed.
        let _refused = fs::set_permissions(path, Permissions::from_mode(0o600));
    }
}

/// The time that a connection waits for another one of ours. That happens only while the file is opened or closed.
const BUSY: Duration = Duration::from_secs(5);

/// The length in bytes beyond which the log is truncated when it starts over.
const LOG_BYTES: i64 = 64 << 20;

/// Opens a connection that may write. It has the larger cache, and no commit of it folds the log in: the checkpointer says when.
pub(crate) fn writing(folder: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file_in(folder))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let synchronous = match durability {
        Durability::Full => "full",
        Durability::Relaxed => "off",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(crate) fn reading(folder: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(file_in(folder), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// Keeps statements as they were compiled. `SQLite` would compile one again whenever its values change, in case another index suits them
/// better, which took more than half the time of a range read.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A forked process has copies of all descriptors until it runs another program, and each copy would keep the folder locked.
    #[test]
    fn a_folder_is_unlocked_while_its_lock_is_inherited() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (locked, _data) = lock(folder.path()).expect("nobody has locked it");
        let _inherited = locked.file.try_clone().expect("a descriptor is free");
        assert!(matches!(lock(folder.path()), Err(OpenError::InUse { .. })));
        drop(locked);
        assert!(lock(folder.path()).is_ok());
    }
}
