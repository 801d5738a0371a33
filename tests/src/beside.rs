//! Programs that run beside a test, on loopback, and end with it however it ends: also if it is killed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

/// Runs the program in the background and waits for its own input to end, which it does when the test is gone. An interrupt from the
/// keyboard is meant for the test.
const WATCH: &str = r#"
trap '' INT HUP
"$@" </dev/null &
program=$!
read -r _
kill -TERM "$program" 2>/dev/null
(sleep 10; kill -KILL "$program") >/dev/null 2>&1 &
watch=$!
wait "$program"
kill "$watch" 2>/dev/null
"#;

/// How long an ended program may take to go: more than the watch gives it.
const PATIENCE: Duration = Duration::from_secs(15);

/// A program that runs. It is told to end when this is dropped, or when the test's process ends; what doesn't end by itself is killed.
#[derive(Debug)]
pub struct Beside {
    watch: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Beside {
    /// Starts a program with its arguments, its environment (nothing of this process's but `PATH`), and its folder. What it writes
    /// goes to this file.
    ///
    /// # Panics
    /// It can't be started.
    pub fn start(program: &Command, log: &Path) -> Self {
        Self::try_start(program, log).unwrap_or_else(|fault| panic!("{program:?} can't be started: {fault}"))
    }

    fn try_start(program: &Command, log: &Path) -> io::Result<Self> {
        let out = File::create(log)?;
        let mut watch = Command::new("sh");
        watch.args([OsStr::new("-c"), OsStr::new(WATCH), OsStr::new("watch"), program.get_program()]).args(program.get_args());
        watch.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            watch.env("PATH", path);
        }
        watch.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = program.get_current_dir() {
            watch.current_dir(folder);
        }
        let mut watch = watch.stdin(Stdio::piped()).stdout(out.try_clone()?).stderr(out).spawn()?;
        let input = watch.stdin.take();
        Ok(Self { watch, input, log: log.to_owned() })
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|fault| fault.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Tells it to end, and waits until it has.
    pub fn end(&mut self) {
        drop(self.input.take());
        let step = Duration::from_millis(20);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            if !matches!(self.watch.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(step);
        }
        // The watch itself hangs.
        let _gone = self.watch.kill();
        let _reaped = self.watch.wait();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port of this machine that nobody listens on now.
///
/// # Panics
/// There is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    listener.local_addr().expect("it listens").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(program: &Beside) -> u32 {
        for _ in 0..500 {
            if let Ok(pid) = program.log().trim().parse() {
                return pid;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("it doesn't say its number: {}", program.log());
    }

    fn runs(pid: u32) -> bool {
        Command::new("kill").args(["-0", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
    }

    #[test]
    fn a_program_ends_when_its_handle_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$; exec sleep 600"]);
        let program = Beside::start(&command, &folder.path().join("log"));
        let pid = pid(&program);
        assert!(runs(pid));
        drop(program);
        assert!(!runs(pid));
    }

    #[test]
    fn a_program_sees_nothing_of_our_environment_but_what_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"${CARGO_MANIFEST_DIR:-nothing} $GIVEN\"; echo end"]).env("GIVEN", "given");
        let mut program = Beside::start(&command, &folder.path().join("log"));
        for _ in 0..500 {
            if program.log().ends_with("end\n") {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        program.end();
        assert_eq!(program.log(), "nothing given\nend\n");
    }
}
