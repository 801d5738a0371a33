//! The Lambda functions' binaries, built for this machine as Cargo builds everything else: in the tests' own target folder and profile.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

/// The functions.
pub const FUNCTIONS: [&str; 4] = ["ingest", "matcher", "delivery", "api"];

/// Returns a function's binary. The first call builds all of them, unless they are as new as their sources.
///
/// # Panics
/// They can't be built.
pub fn bootstrap(function: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(build);
    assert!(FUNCTIONS.contains(&function), "{function} is no function: {FUNCTIONS:?} are");
    FOLDER.join(function)
}

/// Returns the folder of this workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' package is a folder of the workspace")
}

/// Returns `TARGET/PROFILE` of the running test, whose program is in `deps` below it.
fn profile_folder() -> PathBuf {
    let program = env::current_exe().expect("the path of the running test is known");
    let deps = program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("deps")));
    deps.and_then(Path::parent).expect("a test runs from the target folder's deps").to_owned()
}

fn build() -> PathBuf {
    let folder = profile_folder();
    // Every package is named, so that dependencies get the same features as in `cargo test --workspace`.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--workspace", "--bins"]).current_dir(workspace());
    if folder.file_name() == Some(OsStr::new("release")) {
        cargo.arg("--release");
    }
    cargo.env("CARGO_TARGET_DIR", folder.parent().expect("a profile is a folder of the target folder"));
    // Printed at once, whether the test passes or not.
    let _ = writeln!(io::stderr(), "building the functions in {}", folder.display());
    let status = cargo.stdin(Stdio::null()).status().expect("cargo can be run");
    assert!(status.success(), "the functions can't be built: {status}");
    folder
}
