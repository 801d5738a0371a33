//! `tracking bench`: loads a temporary server, and a bare HTTP client beside it, and prints the figures of both.
//!
//! The server is this binary in a process of its own, with a data folder that is removed afterwards. Receivers are in this process. The
//! bare client sends the same number of requests to the same receivers. It has no rules, no log and no retries, so it shows the cost of
//! sending alone.

mod load;
mod plot;
mod receivers;
mod report;
mod server;

use std::{io, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use tokio::time::{Instant, sleep};

use crate::edge;
use load::{Load, bare};
use receivers::{Arrivals, Habits};
use report::{Figures, Report};
use server::Server;

/// The time without an arrival after which missing postbacks count as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// The options of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking bench
  tracking bench --events 20000 --receivers 16
  tracking bench --rate 200 --events 4000 --latency-ms 50 --plot latency.svg
  tracking bench --hang 5 --fail 5 --json

Without --rate the events are posted as fast as their postbacks arrive. CPU, memory and disk are the server's alone, read from /proc: on other
systems than Linux they are left out. The figures of two runs compare only on a machine that does nothing else.

Exit code: 0 if every postback arrived once, 1 if one was lost or came twice, 2 if the work could not be done.")]
pub struct BenchArgs {
    /// Events with a postback each, 100 to 1000000
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    events: u32,
    /// Events a second, 1 to 100000 [default: as many as arrive]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,
    /// Receivers that answer, each of an affiliate with a rule of its own, 1 to 200
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=200))]
    receivers: u32,
    /// Receivers that never answer; each tenth event has one more postback, to one of them
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=50))]
    hang: u32,
    /// The time that a receiver takes for its answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    latency_ms: u32,
    /// Of a hundred first attempts, how many are answered with 503; they are sent again after a second
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    fail: u32,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Draw the latency over time into this file, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The reasons for which the bench could not run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The temporary server does not start or answer.
    #[error("the temporary server: {0}")]
    Server(String),
    /// A folder, port, process or file fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A call to the temporary server fails.
    #[error("the temporary server can't be reached")]
    Http(#[from] reqwest::Error),
}

/// Runs the bench and prints its figures.
///
/// # Errors
/// The server, a receiver or a folder can't be made.
pub async fn bench(args: BenchArgs) -> Result<ExitCode, BenchError> {
    let events = args.events as usize;
    let habits = Habits { latency: Duration::from_millis(args.latency_ms.into()), fail_percent: args.fail as usize };
    let arrivals = Arc::new(Arrivals::new(events));
    let answering = receivers::start(args.receivers, &arrivals, habits).await?;
    let hanging = receivers::hang(args.hang).await?;
    let server = Server::start().await?;
    server.make_rules(&answering, &hanging).await?;
    let bar = report::bar(events);
    let before = server.usage();
    let began = Instant::now();
    let load = Load { events, rate: args.rate, receivers: args.receivers as usize, hang: args.hang as usize };
    load.post(&server.poster, &arrivals, &bar).await?;
    let mut last = (0, Instant::now());
    while arrivals.count() < events && last.1.elapsed() < PATIENCE {
        bar.set_position(arrivals.count() as u64);
        if arrivals.count() > last.0 {
            last = (arrivals.count(), Instant::now());
        }
        sleep(Duration::from_millis(5)).await;
    }
    let took = arrivals.last().saturating_sub(arrivals.since(began));
    let used = server.usage().since(before);
    bar.finish_and_clear();
    drop(server);
    let bare = bare(load, answering).await?;
    let tracking = Figures::new(arrivals.latencies(), took, used);
    let report = Report { events, twice: arrivals.twice(), tracking, bare };
    edge::result(&if args.json { report.json() } else { report.table() });
    if let Some(file) = args.plot {
        std::fs::write(&file, plot::svg(&arrivals.over_time()))?;
        edge::remark(&format!("latency over time: {}", file.display()));
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
