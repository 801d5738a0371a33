//! The processor time of a process.

use std::{fs, time::Duration};

/// What one tick of Linux's account is, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that a process has taken so far, all its threads together; `self` is the caller's own.
pub(crate) fn of(process: &str) -> Duration {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs, on Linux");
    // The name stands in brackets, and may hold anything.
    let (_, fields) = line.rsplit_once(") ").expect("a name stands in brackets");
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u32>().expect("ticks are a number"));
    TICK * ticks.sum::<u32>()
}
