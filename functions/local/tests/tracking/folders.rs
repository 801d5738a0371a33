//! Data folders that others could read or write to: nothing in them is used.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use crate::support::{Server, folder, run, text, token};

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

/// Checks that each command that reads a key refuses the folder with this text, and uses the folder after the command in the text.
#[track_caller]
fn check(data: &Path, expected: &str) {
    let folder = data.to_str().expect("temporary folders are named in text");
    let expected = expected.replace("/data", folder);
    for arguments in [
        &["serve", "--listen", "127.0.0.1:0", "--data", folder][..],
        &["token", "--admin", "--data", folder],
        &["send", "--server", "http://127.0.0.1:9", "--data", folder, "/dev/null"],
    ] {
        let refused = run(arguments);
        let message = text(&refused.stderr);
        assert_eq!((refused.status.code(), text(&refused.stdout).as_str()), (Some(2), ""), "{arguments:?}: {message}");
        assert!(message.ends_with(&format!(": {expected}\n")), "{arguments:?}: {message}, expected {expected}");
    }
    let (_, command) = expected.split_once(": run: ").expect("it names a command");
    let mended = std::process::Command::new("sh").args(["-c", command]).status().expect("a shell can be run");
    assert!(mended.success(), "{command}");
    token(data, &["--admin"]);
}

/// Makes a folder that a server has used.
fn used() -> tempfile::TempDir {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    data
}

#[test]
fn f12_a_folder_that_others_could_write_to_is_refused() {
    let data = used();
    for (mode, expected) in [
        (0o777, "the data folder can be written to by others (mode 0777): run: chmod go-w /data"),
        (0o775, "the data folder can be written to by others (mode 0775): run: chmod go-w /data"),
        (0o1777, "the data folder can be written to by others (mode 1777): run: chmod go-w /data"),
    ] {
        set(data.path(), mode);
        check(data.path(), expected);
    }
}

#[test]
fn f12_files_that_others_could_read_are_refused() {
    let data = used();
    for (name, mode, expected) in [
        ("token.key", 0o666, "token.key can be read and written by others (mode 0666): run: chmod 600 /data/token.key"),
        ("token.key", 0o640, "token.key can be read by others (mode 0640): run: chmod 600 /data/token.key"),
        ("secrets.key", 0o644, "secrets.key can be read by others (mode 0644): run: chmod 600 /data/secrets.key"),
        ("tracking.db", 0o644, "tracking.db can be read by others (mode 0644): run: chmod 600 /data/tracking.db"),
        ("tracking.db", 0o602, "tracking.db can be written by others (mode 0602): run: chmod 600 /data/tracking.db"),
    ] {
        set(&data.path().join(name), mode);
        check(data.path(), expected);
    }
}

#[test]
fn f12_a_link_in_a_key_s_place_is_refused() {
    let (data, elsewhere) = (used(), folder());
    let (key, moved) = (data.path().join("token.key"), elsewhere.path().join("moved"));
    fs::copy(&key, &moved).expect("a key can be copied");
    fs::remove_file(&key).expect("the file is ours");
    symlink(&moved, &key).expect("a link can be made");
    check(
        data.path(),
        "token.key is a symbolic link: run: cp -pL /data/token.key /data/token.key.new && mv /data/token.key.new /data/token.key",
    );
    assert!(fs::symlink_metadata(&key).expect("it is there").is_file());
}

#[test]
fn f12_a_new_folder_is_private_whatever_the_umask() {
    let parent = folder();
    let data = parent.path().join("made/data");
    let line = format!("umask 0; exec '{}' token --admin --data '{}'", env!("CARGO_BIN_EXE_tracking"), data.display());
    let token = std::process::Command::new("sh").args(["-c", &line]).output().expect("a shell can be run");
    assert!(token.status.success());
    let server = Server::start(&data, &[]);
    let mode = |path: &Path| fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).expect("the folder is ours") {
        let path = entry.expect("the folder can be listed").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(server);
}

#[test]
fn f12_a_folder_that_may_be_listed_is_used() {
    let data = folder();
    for mode in [0o750, 0o755] {
        set(data.path(), mode);
        drop(Server::start(data.path(), &[]));
    }
}
