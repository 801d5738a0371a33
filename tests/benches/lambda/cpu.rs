//! The processor time of a process.

use std::{fs, time::Duration};

/// The length of a tick in Linux's accounting, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time that a process has used so far, all its threads together; `self` is the caller's own.
pub(crate) fn of(process: &str) -> Duration {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs, on Linux");
    // The name is in brackets, and may hold any character.
    let (_, fields) = line.rsplit_once(") ").expect("a name is in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("ticks are a number"));
    TICK * ticks.sum::<u32>()
}
