//! The settings of a function, read from its environment. All faults are reported at once.

use std::{collections::HashMap, fmt, str::FromStr};

/// The variables that the functions read, the same for all of them. Besides them they read AWS's own.
pub const NAMES: &[&str] = &[
    "TRACKING_STAGE",
    "TRACKING_TABLE",
    "TRACKING_BUS",
    "TRACKING_EVENTS_QUEUE",
    "TRACKING_DELIVERY_QUEUE",
    "TRACKING_RETRY_QUEUE",
    "TRACKING_REJECTED_QUEUE",
    "TRACKING_EVENTS_DEAD_LETTERS",
    "TRACKING_DELIVERY_DEAD_LETTERS",
    "TRACKING_RETRY_DEAD_LETTERS",
    "TRACKING_DATA_KEY",
    "TRACKING_LOG_RETENTION_DAYS",
    "TRACKING_MAX_CONCURRENCY",
    "TRACKING_KEEP_EVENTS",
    "TRACKING_PRIVATE_TARGETS",
    "TRACKING_PUBLIC_URL",
    "TRACKING_ROLE_CLAIM",
    "TRACKING_AFFILIATE_CLAIM",
    "TRACKING_JWT_ISSUER",
    "TRACKING_CONSOLE_CLIENT_ID",
    "TRACKING_CONSOLE_SCOPES",
    "TRACKING_CONSOLE_ORIGINS",
];

/// A function's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The stage: a dimension of every metric.
    pub stage: String,
    /// The table's name.
    pub table: String,
    /// The name of the bus that we publish on.
    pub bus: String,
    /// The URL of the events queue.
    pub events_queue: String,
    /// The URL of the delivery queue: first tries.
    pub delivery_queue: String,
    /// The URL of the retry queue.
    pub retry_queue: String,
    /// The URL of the queue of bad events.
    pub rejected_queue: String,
    /// The URL of the events queue's dead letters.
    pub events_dead_letters: String,
    /// The URL of the delivery queue's dead letters.
    pub delivery_dead_letters: String,
    /// The URL of the retry queue's dead letters.
    pub retry_dead_letters: String,
    /// The KMS key that wraps the data key of secrets.
    pub data_key: String,
    /// The days for which ended deliveries stay in the log: 31 to 3 650.
    pub log_retention_days: u32,
    /// The highest number of environments that work the retry queue: they share its room. 2 to 1 000.
    pub max_concurrency: u32,
    /// `true` if changes are kept to be explained later.
    pub keep_events: bool,
    /// `true` if receivers at addresses that are not public may be called; for trials only.
    pub private_targets: bool,
    /// The address at which receivers reach the HTTP API; empty if no request may hold a callback URL.
    pub public_url: String,
    /// The name of the token claim that is `admin` or `affiliate`.
    pub role_claim: String,
    /// The name of the claim of an affiliate's token that identifies the affiliate.
    pub affiliate_claim: String,
    /// The issuer of tokens, where people sign in to the console.
    pub jwt_issuer: String,
    /// The console's client id at the issuer; empty if nobody signs in there.
    pub console_client_id: String,
    /// The scopes that the console asks for, separated by spaces.
    pub console_scopes: String,
    /// Further URLs that the console's sign-in connects to, separated by spaces.
    pub console_origins: String,
}

/// The faults of the environment: a sentence for each variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSettings(pub Vec<String>);

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the environment is not as it should be: {}", self.0.join("; "))
    }
}

impl std::error::Error for BadSettings {}

impl Settings {
    /// Reads the settings from these variables.
    ///
    /// # Errors
    /// All variables that are missing or have invalid values.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadSettings> {
        let mut reader = Reader { variables: variables.into_iter().collect(), faults: Vec::new() };
        let settings = Self {
            stage: reader.text("TRACKING_STAGE"),
            table: reader.text("TRACKING_TABLE"),
            bus: reader.text("TRACKING_BUS"),
            events_queue: reader.url("TRACKING_EVENTS_QUEUE"),
            delivery_queue: reader.url("TRACKING_DELIVERY_QUEUE"),
            retry_queue: reader.url("TRACKING_RETRY_QUEUE"),
            rejected_queue: reader.url("TRACKING_REJECTED_QUEUE"),
            events_dead_letters: reader.url("TRACKING_EVENTS_DEAD_LETTERS"),
            delivery_dead_letters: reader.url("TRACKING_DELIVERY_DEAD_LETTERS"),
            retry_dead_letters: reader.url("TRACKING_RETRY_DEAD_LETTERS"),
            data_key: reader.text("TRACKING_DATA_KEY"),
            log_retention_days: reader.number("TRACKING_LOG_RETENTION_DAYS", 31, 3_650),
            max_concurrency: reader.number("TRACKING_MAX_CONCURRENCY", 2, 1_000),
            keep_events: reader.one_of("TRACKING_KEEP_EVENTS"),
            private_targets: reader.one_of("TRACKING_PRIVATE_TARGETS"),
            public_url: reader.public_url("TRACKING_PUBLIC_URL"),
            role_claim: reader.text("TRACKING_ROLE_CLAIM"),
            affiliate_claim: reader.text("TRACKING_AFFILIATE_CLAIM"),
            jwt_issuer: reader.text("TRACKING_JWT_ISSUER"),
            console_client_id: reader.text_or_empty("TRACKING_CONSOLE_CLIENT_ID"),
            console_scopes: reader.text_or_empty("TRACKING_CONSOLE_SCOPES"),
            console_origins: reader.text_or_empty("TRACKING_CONSOLE_ORIGINS"),
        };
        if reader.faults.is_empty() { Ok(settings) } else { Err(BadSettings(reader.faults)) }
    }
}

/// Reads variables and collects their faults.
struct Reader {
    variables: HashMap<String, String>,
    faults: Vec<String>,
}

impl Reader {
    fn text(&mut self, name: &str) -> String {
        let value = self.variables.get(name).filter(|value| !value.is_empty()).cloned();
        value.unwrap_or_else(|| {
            self.faults.push(format!("{name} is missing"));
            String::new()
        })
    }

    fn text_or_empty(&mut self, name: &str) -> String {
        self.variables.get(name).cloned().unwrap_or_else(|| self.text(name))
    }

    /// Reads the address at which others reach us, or an empty text.
    fn public_url(&mut self, name: &str) -> String {
        let value = self.text_or_empty(name);
        if value.is_empty() {
            return value;
        }
        tracking_engine::parse_public_url(&value).unwrap_or_else(|fault| {
            self.faults.push(format!("{name}: {fault}"));
            String::new()
        })
    }

    fn url(&mut self, name: &str) -> String {
        let value = self.text(name);
        if !value.is_empty() && !value.starts_with("https://") && !value.starts_with("http://") {
            self.faults.push(format!("{name} is no URL of a queue: {value}"));
        }
        value
    }

    fn number(&mut self, name: &str, least: u32, most: u32) -> u32 {
        self.parsed(name, &format!("a number from {least} to {most}"), |number| (least..=most).contains(number))
    }

    fn one_of(&mut self, name: &str) -> bool {
        self.parsed(name, "true or false", |_| true)
    }

    fn parsed<T: FromStr + Default>(&mut self, name: &str, allowed: &str, fits: impl Fn(&T) -> bool) -> T {
        let value = self.text(name);
        let parsed = value.parse().ok().filter(fits);
        if parsed.is_none() && !value.is_empty() {
            self.faults.push(format!("{name} must be {allowed}, not {value}"));
        }
        parsed.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> HashMap<String, String> {
        let value = |name: &str| match name {
            name if name.ends_with("_QUEUE") || name.ends_with("_LETTERS") => "https://sqs.example/000000000000/q",
            "TRACKING_LOG_RETENTION_DAYS" => "90",
            "TRACKING_MAX_CONCURRENCY" => "100",
            "TRACKING_KEEP_EVENTS" | "TRACKING_PRIVATE_TARGETS" => "false",
            "TRACKING_PUBLIC_URL" => "https://tracking.example/",
            _ => "x",
        };
        NAMES.iter().map(|name| ((*name).to_owned(), value(name).to_owned())).collect()
    }

    #[test]
    fn a_whole_environment_is_read() {
        let settings = Settings::read(whole()).unwrap();
        assert_eq!((settings.log_retention_days, settings.max_concurrency, settings.keep_events), (90, 100, false));
        assert_eq!(settings.public_url, "https://tracking.example");
    }

    #[test]
    fn every_variable_is_needed_and_all_that_are_missing_are_named() {
        let BadSettings(faults) = Settings::read([]).unwrap_err();
        let missing: Vec<String> = NAMES.iter().map(|name| format!("{name} is missing")).collect();
        assert_eq!(faults, missing);
    }

    #[test]
    fn every_value_that_cannot_be_is_named_with_what_may_be() {
        let mut variables = whole();
        for (name, value) in [
            ("TRACKING_LOG_RETENTION_DAYS", "30"),
            ("TRACKING_MAX_CONCURRENCY", "many"),
            ("TRACKING_KEEP_EVENTS", "yes"),
            ("TRACKING_RETRY_QUEUE", "retry"),
            ("TRACKING_TABLE", ""),
            ("TRACKING_PUBLIC_URL", "tracking.example"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        let BadSettings(faults) = Settings::read(variables).unwrap_err();
        assert_eq!(
            faults,
            [
                "TRACKING_TABLE is missing",
                "TRACKING_RETRY_QUEUE is no URL of a queue: retry",
                "TRACKING_LOG_RETENTION_DAYS must be a number from 31 to 3650, not 30",
                "TRACKING_MAX_CONCURRENCY must be a number from 2 to 1000, not many",
                "TRACKING_KEEP_EVENTS must be true or false, not yes",
                "TRACKING_PUBLIC_URL: expected an address such as https://tracking.example, got \"tracking.example\"",
            ]
        );
    }
}
