//! The modes and owners of a data folder's files. Keys and database belong to their owner alone; a file that others could read or change is
//! refused, with the command that repairs it.
//!
//! - **Nobody else may write to the folder.** So nobody else can swap its files between the check by name and the opening.
//! - **Nobody else may read or write the files.** The folder itself may be listed (0755): all that is in it is private.
//! - **The owner is the user of this process, or root.** A symbolic link in place of a file is refused.

use std::{
    fmt,
    fs::{self, DirBuilder, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// The bits of a mode that let others write to a folder.
const OTHERS_WRITE: u32 = 0o022;
/// The bits of a mode that let others read a file.
const OTHERS_READ: u32 = 0o044;

/// A folder or a file that others could read or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    path: PathBuf,
    is_folder: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The mode lets others in.
    Mode(u32),
    /// The path belongs to `owner`, and this process runs as `user`.
    Owner { owner: u32, user: u32 },
    /// A symbolic link is in place of the file.
    Link,
    /// The path is a folder, a pipe or a device.
    NotAFile,
}

/// Every path of a data folder that others could read or change; at least one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Exposed(pub Vec<Exposure>);

/// The reasons to refuse a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Others could read or change it.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The operating system refuses the file.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl fmt::Display for Exposed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, exposure) in self.0.iter().enumerate() {
            write!(formatter, "{}{exposure}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.path.file_name() {
            Some(name) if !self.is_folder => name.to_string_lossy(),
            _ => "the data folder".into(),
        };
        let place = quoted(&self.path);
        match self.kind {
            Kind::Mode(mode) if self.is_folder => {
                write!(formatter, "{name} can be written to by others (mode {mode:04o}): run: chmod go-w {place}")
            }
            Kind::Mode(mode) => {
                let how = match (mode & OTHERS_READ != 0, mode & OTHERS_WRITE != 0) {
                    (true, true) => "read and written",
                    (true, false) => "read",
                    (false, _) => "written",
                };
                write!(formatter, "{name} can be {how} by others (mode {mode:04o}): run: chmod 600 {place}")
            }
            Kind::Owner { owner, user } => {
                write!(formatter, "{name} belongs to user {owner}, this runs as user {user}: run: chown {user} {place}")
            }
            Kind::Link => {
                let new = quoted(&self.path.with_added_extension("new"));
                write!(formatter, "{name} is a symbolic link: run: cp -pL {place} {new} && mv {new} {place}")
            }
            Kind::NotAFile if self.is_folder => write!(formatter, "{place} is not a folder: choose another one with --data"),
            Kind::NotAFile => write!(formatter, "{name} is not a regular file: move {place} out of the data folder"),
        }
    }
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.starts_with('-') { format!("./{text}") } else { text.into_owned() };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:,@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The user of this process.
fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Judges a folder or a file by its metadata.
fn judge(path: &Path, is_folder: bool, found: &Metadata, user: u32) -> Option<Exposure> {
    let mode = found.mode() & 0o7777;
    let denied = if is_folder { OTHERS_WRITE } else { OTHERS_READ | OTHERS_WRITE };
    let kind = if found.is_symlink() {
        Kind::Link
    } else if found.is_dir() != is_folder || (!is_folder && !found.is_file()) {
        Kind::NotAFile
    } else if found.uid() != user && found.uid() != 0 {
        Kind::Owner { owner: found.uid(), user }
    } else if mode & denied != 0 {
        Kind::Mode(mode)
    } else {
        return None;
    };
    Some(Exposure { path: path.to_owned(), is_folder, kind })
}

/// Makes a folder for its owner alone, if there is none.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Checks a folder and those of its files that exist. None is opened, so that no lock of this process is lost.
///
/// # Errors
/// Every path that others could read or change, or a path that can't be examined.
pub fn check(folder: &Path, names: &[&str]) -> Result<(), FileError> {
    let user = user();
    let found = match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let mut exposed: Vec<Exposure> = judge(folder, true, &found, user).into_iter().collect();
    if found.is_dir() {
        exposed.extend(check_files(folder, names, user)?);
    }
    if exposed.is_empty() { Ok(()) } else { Err(Exposed(exposed).into()) }
}

/// Checks the files of a folder alone.
pub(crate) fn check_names(folder: &Path, names: &[&str]) -> Result<(), FileError> {
    let exposed = check_files(folder, names, user())?;
    if exposed.is_empty() { Ok(()) } else { Err(Exposed(exposed).into()) }
}

fn check_files(folder: &Path, names: &[&str], user: u32) -> io::Result<Vec<Exposure>> {
    let mut exposed = Vec::new();
    for name in names {
        let path = folder.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) => exposed.extend(judge(&path, false, &found, user)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(exposed)
}

/// Opens a private file and checks the opened file. A new file belongs to its owner alone from the start; a pipe doesn't block.
///
/// # Errors
/// Others could read or change the file, or the system refuses it.
pub fn open(path: &Path, options: &mut OpenOptions) -> Result<File, FileError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = options.mode(0o600).custom_flags(flags.cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => {
            // A link or a pipe is reported as such, in place of the system's error on opening it.
            let found = fs::symlink_metadata(path).ok().filter(|found| !found.is_file());
            let exposure = found.and_then(|found| judge(path, false, &found, user()));
            return Err(exposure.map_or(FileError::System(error), |exposure| Exposed(vec![exposure]).into()));
        }
    };
    match judge(path, false, &file.metadata()?, user()) {
        Some(exposure) => Err(Exposed(vec![exposure]).into()),
        None => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Returns the error's message, with `/data` for the folder.
    #[track_caller]
    fn refused<T>(checked: Result<T, FileError>, folder: &Path) -> String {
        match checked {
            Err(FileError::Exposed(exposed)) => exposed.to_string().replace(folder.to_str().unwrap(), "/data"),
            Err(error) => panic!("{error}"),
            Ok(_) => String::new(),
        }
    }

    #[track_caller]
    fn check_file_mode(mode: u32, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        fs::write(&path, "x").unwrap();
        set(&path, mode);
        set(folder.path(), 0o700);
        assert_eq!(refused(check(folder.path(), &["secrets.key", "absent"]), folder.path()), expected);
        assert_eq!(refused(open(&path, File::options().read(true)), folder.path()), expected, "as opened");
    }

    #[test]
    fn f12_a_file_that_others_could_read_or_write_is_refused() {
        check_file_mode(0o600, "");
        check_file_mode(0o400, "");
        check_file_mode(0o700, "");
        check_file_mode(0o644, "secrets.key can be read by others (mode 0644): run: chmod 600 /data/secrets.key");
        check_file_mode(0o640, "secrets.key can be read by others (mode 0640): run: chmod 600 /data/secrets.key");
        check_file_mode(0o604, "secrets.key can be read by others (mode 0604): run: chmod 600 /data/secrets.key");
        check_file_mode(0o666, "secrets.key can be read and written by others (mode 0666): run: chmod 600 /data/secrets.key");
        check_file_mode(0o620, "secrets.key can be written by others (mode 0620): run: chmod 600 /data/secrets.key");
    }

    #[track_caller]
    fn check_folder_mode(mode: u32, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), mode);
        assert_eq!(refused(check(folder.path(), &[]), folder.path()), expected);
    }

    #[test]
    fn f12_a_folder_that_others_could_write_to_is_refused() {
        for listed in [0o700, 0o750, 0o755, 0o711] {
            check_folder_mode(listed, "");
        }
        check_folder_mode(0o777, "the data folder can be written to by others (mode 0777): run: chmod go-w /data");
        check_folder_mode(0o1777, "the data folder can be written to by others (mode 1777): run: chmod go-w /data");
        check_folder_mode(0o770, "the data folder can be written to by others (mode 0770): run: chmod go-w /data");
        check_folder_mode(0o702, "the data folder can be written to by others (mode 0702): run: chmod go-w /data");
    }

    #[test]
    fn f12_all_faults_of_a_folder_are_reported_at_once() {
        let folder = tempfile::tempdir().unwrap();
        set(folder.path(), 0o770);
        for name in ["a", "b c"] {
            fs::write(folder.path().join(name), "").unwrap();
            set(&folder.path().join(name), 0o644);
        }
        let expected = "the data folder can be written to by others (mode 0770): run: chmod go-w /data\n\
            a can be read by others (mode 0644): run: chmod 600 /data/a\n\
            b c can be read by others (mode 0644): run: chmod 600 '/data/b c'";
        assert_eq!(refused(check(folder.path(), &["a", "b c"]), folder.path()), expected);
    }

    #[test]
    fn f12_links_and_pipes_are_no_files_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let link = "token.key is a symbolic link: run: cp -pL /data/token.key /data/token.key.new && \
            mv /data/token.key.new /data/token.key";
        for target in ["elsewhere", "absent"] {
            fs::write(at("elsewhere"), "x").unwrap();
            symlink(at(target), at("token.key")).unwrap();
            assert_eq!(refused(check(folder.path(), &["token.key"]), folder.path()), link);
            assert_eq!(refused(open(&at("token.key"), File::options().read(true)), folder.path()), link);
            assert_eq!(refused(open(&at("token.key"), File::options().write(true).create(true)), folder.path()), link);
            fs::remove_file(at("token.key")).unwrap();
        }
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let pipe = "pipe is not a regular file: move /data/pipe out of the data folder";
        assert_eq!(refused(open(&at("pipe"), File::options().read(true)), folder.path()), pipe);
        assert_eq!(refused(check(folder.path(), &["pipe"]), folder.path()), pipe);
    }

    #[test]
    fn f12_another_user_s_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let found = fs::metadata(folder.path()).unwrap();
        let (owner, other) = (found.uid(), found.uid() + 1);
        let message = judge(Path::new("/data"), true, &found, other).map(|exposure| exposure.to_string());
        // Root may own a folder that others use.
        let expected = format!("the data folder belongs to user {owner}, this runs as user {other}: run: chown {other} /data");
        assert_eq!(message, Some(expected).filter(|_| owner != 0));
        let of_another =
            Exposure { path: "/data/token.key".into(), is_folder: false, kind: Kind::Owner { owner: 7, user: 1000 } };
        assert_eq!(
            of_another.to_string(),
            "token.key belongs to user 7, this runs as user 1000: run: chown 1000 /data/token.key"
        );
    }

    #[test]
    fn f12_what_is_made_is_private_from_the_start() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new/data");
        make_folder(&folder).unwrap();
        let path = folder.join("made");
        open(&path, File::options().write(true).create_new(true)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    }

    #[test]
    fn a_path_is_quoted_where_a_shell_would_take_it_apart() {
        let pairs = [("/a/b-c.1", "/a/b-c.1"), ("-x", "./-x"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")];
        for (path, expected) in pairs {
            assert_eq!(quoted(Path::new(path)), expected);
        }
    }
}
