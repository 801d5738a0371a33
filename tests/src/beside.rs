//! Programs that run beside a test, on loopback, and end with it however it ends, also if it is killed.

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

/// Runs the program in the background and waits for the end of its own input, which comes when the test is gone. It ignores an interrupt
/// from the keyboard, which is meant for the test.
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

/// The time within which a program must end: more than the script gives it.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A running program. It is asked to end when this is dropped, or when the test's process ends; if it doesn't, it is killed.
#[derive(Debug)]
pub struct Beside {
    watch: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Beside {
    /// Starts a program with its arguments, its environment (nothing of this process's but `PATH`), and its folder. Its output goes to this
    /// file.
    ///
    /// # Panics
    /// The program can't be started.
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

    /// Returns the program's output so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|fault| fault.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Asks the program to end, and waits for its end.
    pub fn end(&mut self) {
        drop(self.input.take());
        let step = Duration::from_millis(20);
        for _ in 0..STOP_TIMEOUT.as_millis() / step.as_millis() {
            if !matches!(self.watch.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(step);
        }
        // The script itself hangs.
        let _gone = self.watch.kill();
        let _reaped = self.watch.wait();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns a port of this machine that nothing listens on now.
///
/// # Panics
/// There is no free port.
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
