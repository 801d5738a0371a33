//! The cost of a hostile affiliate to the others: another affiliate's postbacks, the server's memory and its liveness, while the attacker
//! tries everything that the budgets bound: first each attack by itself, then all of them at once.
//!
//! `cargo bench -p tracking-local --bench hostile`; with `-- --only f4` (also several times) only these attacks run, by their names
//! in [`attacks`], or [`anonymous`]; with `-- --only together` all of them at once, none by itself. It takes about seven minutes once it is
//! built, and ends with 1 if a limit is passed.

mod anonymous;
mod attacks;
mod receivers;
mod server;
mod targets;
mod victim;

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    process::{Command, ExitCode},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

use crate::{
    attacks::Attacker,
    server::{Memory, Server},
    victim::{Load, Victim},
};

/// The name of all attacks at once.
const TOGETHER: &str = "together";
/// The time of an attack by itself.
const ONE: Duration = Duration::from_secs(20);
/// The time of all attacks at once.
const ALL: Duration = Duration::from_mins(1);
/// Events before the first that counts.
const WARM_UP: usize = 40;
/// Events of the quiet load.
const QUIET_EVENTS: usize = 200;
/// The pause between two events of the victim: 20 a second.
const EVERY: Duration = Duration::from_millis(50);
/// The highest p99 under attack, as a multiple of the quiet one.
const MAX_RATIO: f64 = 3.0;
/// The lowest value of the quiet p99, so that noise does not decide.
const LEAST_QUIET: Duration = Duration::from_millis(5);
/// The most anonymous memory of the server, in KiB.
const MAX_ANONYMOUS_KIB: u64 = 128 * 1024;

fn main() -> ExitCode {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().on_thread_start(give_way).build();
    runtime.expect("a runtime can be made").block_on(bench())
}

/// Lets this thread, one of the attacker's, run only where the server leaves a processor idle: in production the attacker has its own. A low
/// priority is not enough: a thread of the server that wakes up is not placed on a processor that is busy with it.
fn give_way() {
    let this = std::fs::read_link("/proc/thread-self").expect("the system shows its threads");
    let thread = this.file_name().expect("it ends with the thread's id");
    let changed = Command::new("chrt").args(["--idle", "--pid", "0"]).arg(thread).status();
    assert!(
        changed.is_ok_and(|status| status.success()),
        "chrt of util-linux is needed: it gives the attacker's threads the policy idle"
    );
}

async fn bench() -> ExitCode {
    let Some(only) = only() else { return ExitCode::from(2) };
    raise_descriptors();
    let server = Arc::new(Server::start());
    let victim = Victim::start(&server).await;
    let is_chosen = |name: &&str| only.is_empty() || only.contains(name);
    // First, while the store is small and the machine at rest.
    let mut is_held = !is_chosen(&anonymous::NAME) || anonymous::run(&server, &victim).await;
    let alone: Vec<_> = attacks::NAMES.into_iter().filter(is_chosen).collect();
    let at_once = if is_chosen(&TOGETHER) { attacks::NAMES.to_vec() } else { alone.clone() };
    if !at_once.is_empty() {
        is_held &= attack(&server, &victim, &alone, at_once).await;
    }
    server.end();
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Attacks the server in each of the ways of the first list by itself, then in those of the second at once. Returns true if the limits are
/// kept.
async fn attack(server: &Arc<Server>, victim: &Victim, alone: &[&'static str], at_once: Vec<&'static str>) -> bool {
    let hostile = Arc::new(Attacker::prepare(server).await);
    victim.load("warm", WARM_UP, EVERY).await;
    let before = server.written();
    let quiet = victim.load("quiet", QUIET_EVENTS, EVERY).await;
    report("quiet", &quiet, server.memory(), server.written() - before);
    let mut is_held = true;
    for name in alone {
        let attacked = under(server, victim, &hostile, (name, vec![name], ONE)).await;
        is_held &= are_kept(&[late(&quiet, &attacked), lost(&attacked)]);
    }
    if at_once.len() > 1 {
        let attacked = under(server, victim, &hostile, (TOGETHER, at_once, ALL)).await;
        is_held &= are_kept(&[late(&quiet, &attacked), lost(&attacked)]);
    }
    say("answers to the attacker:");
    for (attack, outcomes) in hostile.outcomes() {
        say(&format!("  {attack}: {}", in_words(&outcomes)));
    }
    is_held & are_kept(&[lost(&quiet), large(server.memory())])
}

/// Loads the victim during these attacks.
async fn under(
    server: &Arc<Server>,
    victim: &Victim,
    hostile: &Arc<Attacker>,
    (name, attacks, time): (&'static str, Vec<&'static str>, Duration),
) -> Load {
    let before = server.written();
    let attacks = tokio::spawn(Arc::clone(hostile).run(now() + time, attacks));
    let events = usize::try_from(time.as_millis() / EVERY.as_millis()).expect("a small number");
    let attacked = victim.load(name, events, EVERY).await;
    attacks.await.expect("the attacks don't panic");
    report(name, &attacked, server.memory(), server.written() - before);
    attacked
}

/// Returns the attacks that the arguments choose; none means all.
fn only() -> Option<Vec<&'static str>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut only = Vec::new();
    for pair in arguments.windows(2).filter(|pair| pair[0] == "--only") {
        let mut names = attacks::NAMES.into_iter().chain([anonymous::NAME, TOGETHER]);
        let Some(name) = names.find(|name| *name == pair[1]) else {
            say(&format!("expected one of {}, {}, {TOGETHER}, got {}", attacks::NAMES.join(", "), anonymous::NAME, pair[1]));
            return None;
        };
        only.push(name);
    }
    Some(only)
}

fn report(phase: &str, load: &Load, memory: Memory, written: u64) {
    say(&format!(
        "{phase}: {} of {} postbacks, p50 {:.2?}, p99 {:.2?}, worst {:.2?}; /healthz worst {:.2?}, {} of {} failed; server: peak {} MiB, of it \
         anonymous {} MiB, {} MiB written",
        load.times.len(),
        load.posted,
        load.percentile(50),
        load.percentile(99),
        load.percentile(100),
        load.worst_health,
        load.failed_health,
        load.asked_health,
        memory.peak_kib / 1024,
        memory.anonymous_kib / 1024,
        written >> 20,
    ));
    let slowest: Vec<String> = load.slowest.iter().map(|(number, time)| format!("{number}: {time:.0?}")).collect();
    say(&format!("  slowest, by the event's number ({EVERY:?} apart): {}", slowest.join(", ")));
}

/// The limit of the time of the victim's postbacks.
fn late(quiet: &Load, attacked: &Load) -> (bool, String) {
    let quiet = quiet.percentile(99).max(LEAST_QUIET);
    let late = attacked.percentile(99).as_secs_f64() / quiet.as_secs_f64();
    let text = format!("p99 {late:.1} times the quiet one, counted as at least {LEAST_QUIET:?}: at most {MAX_RATIO} is allowed");
    (late <= MAX_RATIO, text)
}

/// The limit of lost postbacks.
fn lost(load: &Load) -> (bool, String) {
    (load.lost() == 0, format!("{} postbacks lost: none is allowed", load.lost()))
}

/// The limit of the server's memory.
fn large(peak: Memory) -> (bool, String) {
    let text = format!("{} MiB of anonymous memory: at most {} are allowed", peak.anonymous_kib / 1024, MAX_ANONYMOUS_KIB / 1024);
    (peak.anonymous_kib <= MAX_ANONYMOUS_KIB, text)
}

/// Prints limits, each with `true` if it was kept. Returns true if all were kept.
fn are_kept(limits: &[(bool, String)]) -> bool {
    for (kept, limit) in limits {
        say(&format!("{} {limit}", if *kept { "kept:" } else { "EXCEEDED:" }));
    }
    limits.iter().all(|(kept, _)| *kept)
}

/// The outcomes of requests as a text, each with its count.
fn in_words(outcomes: &BTreeMap<String, usize>) -> String {
    let counts: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} × {outcome}")).collect();
    counts.join(", ")
}

/// Raises the limit of descriptors, so that this process can hold the ends of all connections.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the soft limit may be the hard one");
    }
}

fn say(line: &str) {
    writeln!(io::stdout(), "{line}").expect("stdout takes a line");
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}
