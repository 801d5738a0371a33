//! What a function makes once, when its environment starts: log, settings, clients, engine.

use aws_config::{BehaviorVersion, SdkConfig};
use jiff::{SignedDuration, Timestamp};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use tracking_engine::{Clock, Engine, backend::Unavailable, secrets::Vault};

use crate::{Aws, BadSettings, Settings, data_key};

/// How long what was read of a rule counts when matching: well within the 10 s that a change may take to be seen everywhere.
const RULE_LIFETIME: SignedDuration = SignedDuration::from_secs(5);
/// When a running attempt is shown as running: what takes less is not worth its writes.
const SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(10);
/// How long a record waits for others at most.
const RECORD_WINDOW: SignedDuration = SignedDuration::from_millis(20);

/// An engine over a stack, and what it was made of.
#[derive(Debug)]
pub struct Stack {
    /// The engine.
    pub engine: Engine<Aws>,
    /// The settings.
    pub settings: Settings,
    pub(crate) clock: Clock,
}

/// Why a function can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment is not as it should be.
    #[error(transparent)]
    Settings(#[from] BadSettings),
    /// The data key could not be had.
    #[error("the key of the secrets can't be had: {0}")]
    DataKey(#[from] Unavailable),
    /// TLS could not be set up.
    #[error("requests can't be sent: {0}")]
    Sender(String),
}

impl Stack {
    /// The stack that this process's environment names, with its log begun. `secrets`: whether it opens or seals any, and so needs
    /// the data key.
    ///
    /// # Errors
    /// Settings that are missing or wrong, all at once; or a data key that can't be had.
    pub async fn start(secrets: bool) -> Result<Self, StartError> {
        let variables: Vec<(String, String)> = std::env::vars().collect();
        log(&variables);
        let settings = Settings::read(variables)?;
        let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
        Self::connect(&config, settings, Clock::new(machine), secrets).await
    }

    /// The stack of these settings, with this clock.
    ///
    /// # Errors
    /// The data key can't be had.
    pub async fn connect(config: &SdkConfig, settings: Settings, clock: Clock, secrets: bool) -> Result<Self, StartError> {
        let aws = Aws::new(config, &settings, clock.clone());
        let vault: Vault =
            if secrets { data_key::vault(config, &settings, &aws.table).await? } else { data_key::without_secrets() };
        let how = tracking_engine::Settings {
            private_targets: settings.private_targets,
            log_retention: SignedDuration::from_hours(24 * i64::from(settings.log_retention_days)),
            rule_lifetime: Some(RULE_LIFETIME),
            record_window: RECORD_WINDOW,
            shown_after: SHOWN_AFTER,
            keep_events: settings.keep_events,
        };
        Ok(Self { engine: Engine::new(aws, clock.clone(), vault, how), settings, clock })
    }

    pub(crate) fn aws(&self) -> &Aws {
        self.engine.backend()
    }
}

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the edge that reads the clock")]
fn machine() -> Timestamp {
    Timestamp::now()
}

/// Begins the log as Lambda's own variables want it. What others than this product say comes from warnings on only: at finer levels
/// HTTP clients write down requests, and those hold secrets.
fn log(variables: &[(String, String)]) {
    let of = |name: &str| variables.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let level = of("AWS_LAMBDA_LOG_LEVEL").parse().unwrap_or(LevelFilter::INFO);
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("tracking", level);
    let log = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer();
    // A log that was begun before is kept: it is another's.
    let _begun = if of("AWS_LAMBDA_LOG_FORMAT").eq_ignore_ascii_case("json") {
        log.with(layer.json().flatten_event(true).with_current_span(false)).try_init()
    } else {
        log.with(layer.with_ansi(false)).try_init()
    };
}
