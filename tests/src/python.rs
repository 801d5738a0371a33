//! Python programs that tests use: installed once below the target folder, in virtual environments of their own, with every version pinned
//! and every file checked against its hash.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tracking_core::hash;

/// Returns the folder below the target folder in which tools are installed. Tests and benches are in `TARGET/PROFILE/deps`.
fn folder_of_tools() -> PathBuf {
    let program = env::current_exe().expect("the path of the running test is known");
    let deps = program.ancestors().find(|folder| folder.file_name() == Some(OsStr::new("deps")));
    let target = deps.and_then(|deps| deps.ancestors().nth(2)).expect("a test runs from the target folder's deps");
    target.join("tools")
}

/// Returns the folder of programs of an environment, which is installed at the first call.
///
/// # Panics
/// The environment can't be installed: a test that can't run fails.
pub(crate) fn installed(environment: &Environment<'_>) -> PathBuf {
    match environment.install(&folder_of_tools()) {
        Ok(bin) => bin,
        Err(fault) => panic!("the Python tools could not be installed: {fault}"),
    }
}

/// A virtual environment, and its packages.
pub(crate) struct Environment<'a> {
    /// The name, as a part of a file's name.
    pub(crate) name: &'a str,
    /// The requirements file for pip: every package with its version and the hashes of its files, dependencies included.
    pub(crate) requirements: &'a str,
}

impl Environment<'_> {
    /// Makes the environment below `under` if there is none, and returns its folder of programs. Two processes that ask at once make it
    /// once; a failed attempt leaves nothing behind.
    pub(crate) fn install(&self, under: &Path) -> Result<PathBuf, String> {
        let with_path = |fault: io::Error| format!("{}: {fault}", under.display());
        let folder = self.folder(under)?;
        fs::create_dir_all(under).map_err(with_path)?;
        let lock = File::create(folder.with_extension("lock")).map_err(with_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say(&format!("another test is installing the Python tools ({}): waiting for it", self.name));
                lock.lock().map_err(with_path)?;
            }
            Err(TryLockError::Error(fault)) => return Err(with_path(fault)),
        }
        // Its programs name their own folder, so that it can't be made elsewhere and moved: the mark says that it is complete.
        let mark = folder.join("complete");
        if !mark.exists() {
            say(&format!("installing the Python tools ({}) in {}: about a minute, once", self.name, folder.display()));
            if let Err(fault) = self.fill(&folder).and_then(|()| fs::write(&mark, "").map_err(with_path)) {
                let _ = fs::remove_dir_all(&folder);
                return Err(fault);
            }
        }
        Ok(folder.join("bin"))
    }

    /// Returns the folder of this list of packages and this version of Python; another list or version has another folder.
    pub(crate) fn folder(&self, under: &Path) -> Result<PathBuf, String> {
        let python = run(Command::new("python3").arg("--version"))?;
        Ok(under.join(format!("{}-{}", self.name, hash::text(&[self.requirements, python.trim()], 12))))
    }

    fn fill(&self, folder: &Path) -> Result<(), String> {
        let with_path = |fault: io::Error| format!("{}: {fault}", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(with_path)?;
        }
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirements).map_err(with_path)?;
        let pip = || {
            let mut pip = Command::new(folder.join("bin/python"));
            pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
            pip
        };
        let what = ["install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"];
        run(pip().args(what).arg(&requirements).args(["--quiet", "--no-compile"]))?;
        run(pip().arg("check"))?;
        Ok(())
    }
}

/// Runs a command. Returns its output, or the reason of its failure.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
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

/// Prints a line for the person who runs the tests, at once and whether the test passes or not.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
