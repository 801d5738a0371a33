//! The tools in Python that check, build and deploy the stack: each test that needs them gets them from here, installed once below the
//! target folder in virtual environments of their own, with every version pinned in `tests/tools`.
//!
//! There are two of them, since SAM and the emulator want different versions of the same library.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use tracking_core::hash;

/// The programs of SAM and what goes with it: `sam`, `cfn-lint`, `cargo-lambda`, `python` with the SAM translator. Installed at the
/// first call, which takes about a minute.
///
/// # Panics
/// If they can't be installed: a test that can't run fails.
pub fn sam() -> &'static Path {
    static BIN: LazyLock<PathBuf> =
        LazyLock::new(|| installed(&Environment { name: "sam", requirements: include_str!("../tools/sam.txt") }));
    &BIN
}

/// The programs of the emulator of AWS: `ministack`, `python`. Installed at the first call.
///
/// # Panics
/// If they can't be installed.
pub fn ministack() -> &'static Path {
    static BIN: LazyLock<PathBuf> =
        LazyLock::new(|| installed(&Environment { name: "ministack", requirements: include_str!("../tools/ministack.txt") }));
    &BIN
}

/// A command of one of these folders of programs, which finds the others by itself and reports to nobody. It has a region and made-up
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

/// The folder below the target folder in which tools are installed. Tests and benches stand in `TARGET/PROFILE/deps`.
fn tools_folder() -> PathBuf {
    let program = env::current_exe().expect("the path of the running test is known");
    let deps = program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("deps")));
    let target = deps.and_then(|deps| deps.ancestors().nth(2)).expect("a test runs from the target folder's deps");
    target.join("tools")
}

fn installed(environment: &Environment) -> PathBuf {
    match environment.install(&tools_folder()) {
        Ok(bin) => bin,
        Err(fault) => panic!("the Python tools could not be installed: {fault}"),
    }
}

/// A virtual environment, and what is to be in it.
struct Environment<'a> {
    name: &'a str,
    /// What pip reads: every package with its version, those that packages need among them.
    requirements: &'a str,
}

impl Environment<'_> {
    /// Makes it below `under` unless it is there, and returns its folder of programs. Two processes that ask at once make it once; one
    /// that fails leaves nothing behind.
    fn install(&self, under: &Path) -> Result<PathBuf, String> {
        let told = |fault: io::Error| format!("{}: {fault}", under.display());
        let folder = self.folder(under)?;
        fs::create_dir_all(under).map_err(told)?;
        let lock = File::create(folder.with_extension("lock")).map_err(told)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say(&format!("another test is installing the Python tools ({}): waiting for it", self.name));
                lock.lock().map_err(told)?;
            }
            Err(TryLockError::Error(fault)) => return Err(told(fault)),
        }
        // Its programs name their own folder, so that it can't be made elsewhere and moved: the mark says that it is whole.
        let mark = folder.join("complete");
        if !mark.exists() {
            say(&format!("installing the Python tools ({}) in {}: about a minute, once", self.name, folder.display()));
            if let Err(fault) = self.fill(&folder).and_then(|()| fs::write(&mark, "").map_err(told)) {
                let _ = fs::remove_dir_all(&folder);
                return Err(fault);
            }
        }
        Ok(folder.join("bin"))
    }

    /// Another list, or another Python, is another folder.
    fn folder(&self, under: &Path) -> Result<PathBuf, String> {
        let python = run(Command::new("python3").arg("--version"))?;
        Ok(under.join(format!("{}-{}", self.name, hash::text(&[self.requirements, python.trim()], 12))))
    }

    fn fill(&self, folder: &Path) -> Result<(), String> {
        let told = |fault: io::Error| format!("{}: {fault}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(told)?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements).map_err(told)?;
        let pip = || {
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
            pip
        };
        let options = ["install", "--quiet", "--no-deps", "--no-compile", "--only-binary", ":all:", "--requirement"];
        run(pip().args(options).arg(&requirements))?;
        run(pip().arg("check"))?;
        Ok(())
    }
}

/// What a command writes, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let shown = || {
        let words = [command.get_program()].into_iter().chain(command.get_args()).collect::<Vec<_>>();
        words.join(&OsString::from(" ")).to_string_lossy().into_owned()
    };
    let shown = shown();
    let done = command.stdin(Stdio::null()).output().map_err(|fault| format!("{shown}: {fault}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(format!("{shown}: {}\n{}{}", done.status, text(&done.stdout), text(&done.stderr)))
    }
}

/// Tells whoever runs the tests, at once and whether the test passes or not.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

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
        let environment = Environment { name: "bad", requirements: "--no-index\nno-such-package==1.0\n" };
        let fault = environment.install(under.path()).unwrap_err();
        assert!(fault.contains("no-such-package"), "{fault}");
        let left = environment.folder(under.path()).unwrap().with_extension("lock");
        assert_eq!(names(under.path()), [left.file_name().unwrap().to_str().unwrap()]);
    }
}
