//! `tracking`: reads the command line and runs the command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracking_local::{
    bench::{self, BenchArgs},
    console_link::{self, ConsoleArgs},
    demo::{self, DemoArgs},
    edge,
    inspect::{self, InspectArgs},
    openapi,
    send::{self, SendArgs},
    serve::{self, ServeArgs},
    token::{self, TokenArgs},
};

/// The allocator of the whole process, also for the store's own memory: what a burst of requests took goes back to the system (ADR 0020).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Sends postbacks about affiliate conversions: the whole engine on one machine
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true, max_term_width = 120)]
struct Cli {
    /// The level of the log on stderr: error, warn, info, debug, or a filter by module
    /// [default: info; of demo: warn]
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play sample events to sample receivers, and check what arrives
    Demo(DemoArgs),
    /// Run API and engine on a data folder
    Serve(ServeArgs),
    /// Post events from files to a server
    Send(SendArgs),
    /// Make a token for the local server
    Token(TokenArgs),
    /// Print a link to the console, signed in
    Console(ConsoleArgs),
    /// Say why a delivery does not move, and show what decides it
    Inspect(InspectArgs),
    /// Load a temporary server, and print throughput, latency and cost beside a bare HTTP client
    Bench(BenchArgs),
    /// Print the description of the HTTP API
    Openapi,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo prints its own progress.
    let usual = if matches!(cli.command, Command::Demo(_) | Command::Bench(_)) { "warn" } else { "info" };
    if let Err(fault) = edge::log(cli.log.as_deref().unwrap_or(usual)) {
        edge::remark(&format!("error: {fault}"));
        return ExitCode::from(2);
    }
    let done = match cli.command {
        Command::Demo(args) => demo::demo(args).await.map_err(|error| edge::error_text(&error)),
        Command::Serve(args) => serve::serve(args).await.map(|()| ExitCode::SUCCESS).map_err(|error| edge::error_text(&error)),
        Command::Bench(args) => bench::bench(args).await.map_err(|error| edge::error_text(&error)),
        Command::Send(args) => send::send(args).await.map_err(|error| edge::error_text(&error)),
        Command::Inspect(args) => inspect::inspect(args).await.map_err(|error| edge::error_text(&error)),
        Command::Openapi => {
            openapi::openapi();
            Ok(ExitCode::SUCCESS)
        }
        Command::Console(args) => {
            console_link::console(args).map(|()| ExitCode::SUCCESS).map_err(|error| edge::error_text(&error))
        }
        Command::Token(args) => token::token(args).map(|()| ExitCode::SUCCESS).map_err(|error| edge::error_text(&error)),
    };
    done.unwrap_or_else(|fault| {
        edge::remark(&format!("error: {fault}"));
        ExitCode::from(2)
    })
}
