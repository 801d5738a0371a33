//! The keys of a data folder: 32 random bytes each, in files that only their owner can read.
//!
//! `token.key` signs tokens, `secrets.key` seals the rules' secrets. The first process that needs a key makes it; two processes that ask at
//! once get the same one. Losing `token.key` voids the tokens, losing `secrets.key` the secrets. No key of a folder is used while others
//! could read or change any of its files ([`files`]).

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use tempfile::NamedTempFile;
use tracking_core::caller::Caller;
use tracking_embedded::{
    FILES,
    files::{self, Exposed, FileError},
};
use tracking_http_api::auth::LocalTokens;

use crate::clock;

/// The key that signs tokens.
const TOKEN_KEY: &str = "token.key";
/// The key that seals secrets.
const SECRETS_KEY: &str = "secrets.key";
/// Bytes of a key.
const LENGTH: usize = 32;

/// The reasons for which there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file or its folder can't be read or made.
    #[error("{} can't be read or made: the folder must be one that this user may write to", path.display())]
    File {
        /// The key's file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Others could read or change files of the folder.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The file holds something else.
    #[error("{} holds {length} bytes, a key has 32: bring the right file back", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// The length of the file in bytes.
        length: u64,
    },
    /// A token is asked for, and the folder of the server has no key.
    #[error("there is no {}: name the folder that the server uses with --data", path.display())]
    Missing {
        /// The key's file.
        path: PathBuf,
    },
    /// The operating system returns no random bytes.
    #[error("the system gives no random bytes")]
    NoDice,
}

/// Returns the key for secrets of this data folder; makes it if there is none.
pub fn secrets_key(folder: &Path) -> Result<[u8; LENGTH], KeyError> {
    find_or_make(folder, SECRETS_KEY)
}

/// Returns the maker and checker of this data folder's tokens, for a running server or without one.
pub fn tokens(folder: &Path) -> Result<LocalTokens, KeyError> {
    Ok(LocalTokens::new(&find_or_make(folder, TOKEN_KEY)?, clock::now))
}

/// Returns the tokens as [`tokens`] does, for a folder that has its key already.
pub fn existing_tokens(folder: &Path) -> Result<LocalTokens, KeyError> {
    let path = folder.join(TOKEN_KEY);
    check(folder)?;
    match read(&path)? {
        Some(key) => Ok(LocalTokens::new(&key, clock::now)),
        None => Err(KeyError::Missing { path }),
    }
}

/// Makes a token that is valid from now on for this many days.
pub fn token(tokens: &LocalTokens, caller: &Caller, days: u16) -> String {
    let lifetime = SignedDuration::from_hours(24 * i64::from(days));
    tokens.mint(caller, clock::now().saturating_add(lifetime).unwrap_or(Timestamp::MAX))
}

/// Refuses a folder if others could read or change its keys or its store.
fn check(folder: &Path) -> Result<(), KeyError> {
    let [store, log, index] = FILES;
    files::check(folder, &[TOKEN_KEY, SECRETS_KEY, store, log, index]).map_err(|error| refused(folder, error))
}

fn refused(path: &Path, error: FileError) -> KeyError {
    match error {
        FileError::Exposed(exposed) => KeyError::Exposed(exposed),
        FileError::System(source) => KeyError::File { path: path.to_owned(), source },
    }
}

fn find_or_make(folder: &Path, name: &str) -> Result<[u8; LENGTH], KeyError> {
    let path = folder.join(name);
    check(folder)?;
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    make(folder, &path).map_err(|source| KeyError::File { path: path.clone(), source })??;
    // Another process may have been first: the key in the file counts.
    read(&path)?.ok_or(KeyError::Missing { path })
}

fn read(path: &Path) -> Result<Option<[u8; LENGTH]>, KeyError> {
    let fault = |source| KeyError::File { path: path.to_owned(), source };
    let mut file = match files::open(path, File::options().read(true)) {
        Ok(file) => file,
        Err(FileError::System(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(path, error)),
    };
    let length = file.metadata().map_err(fault)?.len();
    if length != LENGTH as u64 {
        return Err(KeyError::NotAKey { path: path.to_owned(), length });
    }
    let mut key = [0; LENGTH];
    file.read_exact(&mut key).map_err(fault)?;
    Ok(Some(key))
}

/// Writes a new key to a temporary file and moves it to its place, unless another process was faster.
fn make(folder: &Path, path: &Path) -> io::Result<Result<(), KeyError>> {
    files::make_folder(folder)?;
    let mut key = [0; LENGTH];
    if aws_lc_rs::rand::fill(&mut key).is_err() {
        return Ok(Err(KeyError::NoDice));
    }
    // Temporary files are made for their owner alone (0600).
    let mut file = NamedTempFile::with_prefix_in(".key-", folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    File::open(folder)?.sync_all()?;
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Barrier, thread};

    use super::*;

    #[test]
    fn q5_keys_last_and_are_their_owners_alone() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let key = secrets_key(&folder).unwrap();
        assert_eq!(secrets_key(&folder).unwrap(), key);
        assert_ne!(key, find_or_make(&folder, TOKEN_KEY).unwrap());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join("secrets.key"))), (0o700, 0o600));
        let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing is left beside the keys: {names:?}");
    }

    #[test]
    fn all_who_ask_at_once_get_the_same_key() {
        let folder = folder();
        let barrier = Barrier::new(8);
        let keys: Vec<_> = thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                secrets_key(folder.path()).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_short_or_missing_key_is_refused() {
        let folder = folder();
        write(&folder.path().join("token.key"), b"short", 0o600);
        let message = tokens(folder.path()).unwrap_err().to_string();
        assert!(message.ends_with("token.key holds 5 bytes, a key has 32: bring the right file back"), "{message}");
        let message = existing_tokens(&folder.path().join("else")).unwrap_err().to_string();
        assert!(message.ends_with("token.key: name the folder that the server uses with --data"), "{message}");
    }

    #[test]
    fn f12_no_key_is_used_while_others_could_read_any_file() {
        for name in ["token.key", "secrets.key", "tracking.db", "tracking.db-wal", "tracking.db-shm"] {
            let folder = folder();
            tokens(folder.path()).unwrap();
            let path = folder.path().join(name);
            write(&path, &[7; 32], 0o644);
            let expected = format!("{name} can be read by others (mode 0644): run: chmod 600 {}", path.display());
            assert_eq!(tokens(folder.path()).unwrap_err().to_string(), expected);
            assert_eq!(existing_tokens(folder.path()).unwrap_err().to_string(), expected);
            assert_eq!(secrets_key(folder.path()).unwrap_err().to_string(), expected);
            write(&path, &[7; 32], 0o600);
            assert!(existing_tokens(folder.path()).is_ok());
        }
    }

    /// Makes a folder that is private whatever the umask.
    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}
