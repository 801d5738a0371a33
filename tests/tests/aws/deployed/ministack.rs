//! The emulator of AWS: started on loopback for one run of these tests, in a folder of its own.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::Credentials;
use tracking_tests::{
    beside::{Beside, free_port},
    tools,
};

/// The region.
pub(crate) const REGION: &str = "eu-central-1";
/// The time within which it must start: it takes a second, unless the machine is busy.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A running emulator.
pub(crate) struct Ministack {
    pub(crate) url: String,
    process: Beside,
}

impl Ministack {
    /// Starts the emulator, with its data and its log in this folder, and waits until it answers.
    #[expect(clippy::disallowed_methods, reason = "a program that doesn't start is waited for by the machine's clock")]
    pub(crate) async fn start(folder: &Path) -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = tools::command(tools::ministack(), "ministack");
        command.current_dir(folder).envs([
            // Without this variable the functions would call the real AWS.
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("BIND_HOST", "127.0.0.1"),
            ("GATEWAY_PORT", &port.to_string()),
            ("MINISTACK_HOST", "localhost"),
            ("MINISTACK_REGION", REGION),
            // Servers of other protocols, on fixed ports.
            ("IOT_MTLS_ENABLED", "0"),
            ("SFTP_ENABLED", "0"),
        ]);
        command.env("TMPDIR", folder).env("S3_DATA_DIR", folder.join("s3"));
        let started = Self { process: Beside::start(&command, &folder.join("ministack.log")), url };
        let begun = Instant::now();
        let client = reqwest::Client::new();
        let health = format!("{}/_ministack/health", started.url);
        while client.get(&health).send().await.is_err() {
            assert!(begun.elapsed() < START_TIMEOUT, "the emulator doesn't answer:\n{}", started.process.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started
    }

    /// Returns the configuration for clients of the emulator.
    pub(crate) async fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "the emulator takes any");
        let config = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(&self.url);
        config.region(Region::new(REGION)).credentials_provider(credentials).load().await
    }

    /// Returns the output of the emulator and the functions so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Returns the latest errors of the emulator and of the functions, or at least the end of their log.
    pub(crate) fn complaints(&self) -> String {
        const MOST: usize = 60;
        let log = self.process.log();
        let bad = ["ERROR", "WARN", "panicked", "Traceback"];
        let mut lines: Vec<&str> = log.lines().filter(|line| bad.iter().any(|word| line.contains(word))).collect();
        if lines.is_empty() {
            lines = log.lines().collect();
        }
        lines[lines.len().saturating_sub(MOST)..].join("\n")
    }
}
