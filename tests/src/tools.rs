//! The Python tools that check, build and deploy the stack. Tests get them from here, installed once below the target folder in virtual
//! environments of their own, with every version pinned in `tests/tools`.
//!
//! There are two environments, since SAM and the emulator need different versions of the same library.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use crate::python::{Environment, installed};

/// Returns the folder of SAM's programs: `sam`, `cfn-lint`, `cargo-lambda`, `python` with the SAM translator. Installed at the first call,
/// which takes about a minute.
///
/// # Panics
/// The programs can't be installed: a test that can't run fails.
pub fn sam() -> &'static Path {
    static BIN: LazyLock<PathBuf> =
        LazyLock::new(|| installed(&Environment { name: "sam", requirements: include_str!("../tools/sam.txt") }));
    &BIN
}

/// Returns the folder of the AWS emulator's programs: `ministack`, `python`. Installed at the first call.
///
/// # Panics
/// The programs can't be installed.
pub fn ministack() -> &'static Path {
    static BIN: LazyLock<PathBuf> =
        LazyLock::new(|| installed(&Environment { name: "ministack", requirements: include_str!("../tools/ministack.txt") }));
    &BIN
}

/// Returns a command of one of these folders, which finds the other programs by itself and sends no telemetry. It has a region and made-up
/// credentials, none of the caller's.
pub fn command(bin: &Path, program: &str) -> Command {
    let paths = env::var_os("PATH").unwrap_or_default();
    let paths = [bin.to_owned()].into_iter().chain(env::split_paths(&paths));
    let mut command = Command::new(bin.join(program));
    command.env("PATH", env::join_paths(paths).expect("no folder of the path has a separator in its name"));
    let theirs = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("SAM_CLI_"));
    for name in env::vars_os().map(|(name, _)| name).filter(|name| theirs(name)) {
        command.env_remove(name);
    }
    command.envs([
        ("AWS_REGION", "eu-central-1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("SAM_CLI_TELEMETRY", "0"),
    ]);
    command.stdin(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;
    use crate::python::run;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn two_who_ask_at_once_get_one_whole_environment_also_where_half_of_one_was_left() {
        let under = tempfile::tempdir().unwrap();
        let environment = Environment { name: "empty", requirements: "# nothing\n" };
        let left = environment.folder(under.path()).unwrap();
        fs::create_dir_all(left.join("bin")).unwrap();
        fs::write(left.join("bin/left-over"), "").unwrap();
        let bins: Vec<PathBuf> = thread::scope(|scope| {
            let both = [0, 1].map(|_| scope.spawn(|| environment.install(under.path()).unwrap()));
            both.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(bins, [left.join("bin"), left.join("bin")]);
        assert_eq!(names(under.path()).len(), 2, "the environment and its lock");
        assert!(left.join("complete").exists() && !left.join("bin/left-over").exists());
        let prefix = run(command(&bins[0], "python").args(["-c", "import sys; print(sys.prefix)"])).unwrap();
        assert_eq!(Path::new(prefix.trim()), left);
    }

    #[test]
    fn an_installation_that_fails_leaves_nothing_and_says_why() {
        let under = tempfile::tempdir().unwrap();
        let hash = "0".repeat(64);
        let requirements = format!("--no-index\nno-such-package==1.0 --hash=sha256:{hash}\n");
        let environment = Environment { name: "bad", requirements: &requirements };
        let fault = environment.install(under.path()).unwrap_err();
        assert!(fault.contains("no-such-package"), "{fault}");
        let left = environment.folder(under.path()).unwrap().with_extension("lock");
        assert_eq!(names(under.path()), [left.file_name().unwrap().to_str().unwrap()]);
    }

    /// Makes a wheel with nothing in it but its name, and returns the hash of its file.
    fn wheel(folder: &Path) -> String {
        let script = r#"
import hashlib, sys, zipfile
path = sys.argv[1] + "/tiny-1.0-py3-none-any.whl"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "")
print(hashlib.sha256(open(path, "rb").read()).hexdigest())
"#;
        run(Command::new("python3").args(["-c", script]).arg(folder)).unwrap().trim().to_owned()
    }

    #[test]
    fn f14_a_package_is_installed_only_if_its_file_has_the_pinned_hash() {
        let under = tempfile::tempdir().unwrap();
        let hash = wheel(under.path());
        let install = |pin: &str| {
            let requirements = format!("--no-index\n--find-links {}\ntiny==1.0{pin}\n", under.path().display());
            Environment { name: "tiny", requirements: &requirements }.install(under.path())
        };
        let unpinned = install("").unwrap_err();
        assert!(unpinned.contains("Hashes are required in --require-hashes mode"), "{unpinned}");
        let changed = install(&format!(" --hash=sha256:{}", "0".repeat(64))).unwrap_err();
        assert!(changed.contains("DO NOT MATCH THE HASHES"), "{changed}");
        install(&format!(" --hash=sha256:{hash}")).unwrap();
    }
}
