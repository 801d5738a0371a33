//! The parts that a function makes once, when its environment starts: log, settings, clients, engine.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, environment::EnvironmentVariableCredentialsProvider, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use jiff::{SignedDuration, Timestamp};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use tracking_engine::{Clock, Engine};

use crate::{Aws, BadSettings, Settings, data_key};

/// Time limits: for connecting to AWS, for one try of a call, and for a call with its repetitions. A call that hangs delays a batch that
/// was sent and is not recorded yet.
const CONNECTING: Duration = Duration::from_secs(1);
const TRYING: Duration = Duration::from_secs(3);
const CALLING: Duration = Duration::from_secs(10);
/// The time for which a cached rule is used when matching: well within the 10 s after which a change must be seen everywhere.
const RULE_LIFETIME: SignedDuration = SignedDuration::from_secs(5);
/// The memory for cached rules, in bytes: an eighth of a function's memory.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// The time after which a running attempt is shown as running: a shorter attempt is not worth the writes.
const SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// The longest time that a record waits for others.
const RECORD_WINDOW: SignedDuration = SignedDuration::from_millis(20);

/// An engine on AWS, with its settings.
#[derive(Debug)]
pub struct Stack {
    /// The engine.
    pub engine: Engine<Aws>,
    /// The settings.
    pub settings: Settings,
    pub(crate) clock: Clock,
}

/// The reasons for which a function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment has missing or invalid variables.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// TLS could not be set up.
    #[error("requests can't be sent: {0}")]
    Sender(String),
}

impl Stack {
    /// Starts the log and makes the stack that this process's environment names. A fault is written to the log.
    ///
    /// # Errors
    /// Settings that are missing or wrong, all at once.
    pub fn start() -> Result<Self, StartError> {
        let variables: Vec<(String, String)> = std::env::vars().collect();
        log(&variables);
        let config = config(&variables);
        match Settings::read(variables) {
            Ok(settings) => Ok(Self::new(&config, settings, Clock::new(machine))),
            Err(error) => {
                tracing::error!(%error, "the function can't start");
                Err(error.into())
            }
        }
    }

    /// Makes the stack of these settings, with this clock.
    pub fn new(config: &SdkConfig, settings: Settings, clock: Clock) -> Self {
        let aws = Aws::new(config, &settings, clock.clone());
        let vault = data_key::vault(config, &settings, &aws.table);
        let how = tracking_engine::Settings {
            private_targets: settings.private_targets,
            public_url: Some(settings.public_url.clone()).filter(|url| !url.is_empty()),
            log_retention: SignedDuration::from_hours(24 * i64::from(settings.log_retention_days)),
            rule_lifetime: Some(RULE_LIFETIME),
            cache_bytes: CACHE_BYTES,
            record_window: RECORD_WINDOW,
            shown_after: SHOWN_AFTER,
            keep_events: settings.keep_events,
        };
        Self { engine: Engine::new(aws, clock.clone(), vault, how), settings, clock }
    }

    pub(crate) fn aws(&self) -> &Aws {
        self.engine.backend()
    }
}

/// Returns the configuration of the clients. Lambda passes it in variables alone, so that no chain of sources is asked, nor linked. One
/// HTTP client serves all clients.
fn config(variables: &[(String, String)]) -> SdkConfig {
    let of = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECTING).operation_attempt_timeout(TRYING).operation_timeout(CALLING);
    let timeouts = timeouts.build();
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(of("AWS_REGION").map(Region::new))
        .credentials_provider(credentials)
        .timeout_config(timeouts)
        .http_client(http);
    config.set_endpoint_url(of("AWS_ENDPOINT_URL"));
    config.build()
}

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
fn machine() -> Timestamp {
    Timestamp::now()
}

/// Starts the log as Lambda's own variables say. Other crates log warnings and errors only: at finer levels HTTP clients write requests,
/// and those hold secrets.
fn log(variables: &[(String, String)]) {
    let of = |name: &str| variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let level = of("AWS_LAMBDA_LOG_LEVEL").parse().unwrap_or(LevelFilter::INFO);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("tracking", level);
    let log = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer();
    // A logger that was set before is kept.
    let _begun = if of("AWS_LAMBDA_LOG_FORMAT").eq_ignore_ascii_case("json") {
        log.with(layer.json().flatten_event(true).with_current_span(false)).try_init()
    } else {
        log.with(layer.with_ansi(false)).try_init()
    };
}
