//! The shape of the repository: the dependencies of its packages, and the texts that no file may hold.

mod arrows;
mod documents;
mod json;
mod modules;
mod stack;
mod supply;
mod tidiness;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the workspace's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace's folder").to_owned()
}

/// A file of the repository, as text.
struct File {
    /// Its path from the root, with `/` between the parts.
    path: String,
    text: String,
}

/// Returns every text file of the repository, sorted by path: without files that git ignores, or that are not UTF-8.
fn files() -> Vec<File> {
    let root = root();
    let ignored = fs::read_to_string(root.join(".gitignore")).expect("the repository has a .gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).filter(|line| !line.is_empty()).collect();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository can be read") {
            let entry = entry.expect("an entry of a folder can be read");
            let path = entry.path();
            let name = path.strip_prefix(&root).expect("the entry is below the root").to_string_lossy().replace('\\', "/");
            if name == ".git" || name.ends_with("__pycache__") || ignored.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().expect("the kind of an entry can be read").is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push(File { path: name, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.iter().any(|file| file.path == "Cargo.toml"), "the workspace's files were found");
    found
}

/// Returns the files whose names end with this text.
fn files_ending(end: &str) -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(end)).collect()
}

/// Fails with all faults, if there are any.
#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
