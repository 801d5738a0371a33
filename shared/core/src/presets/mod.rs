//! Presets: trackers and ad platforms for affiliates, and flows for common tasks, each as a rule to fill in.
//!
//! A preset is data, one file each in `data`. [`RuleDefinition::parse`](crate::tracking_api::RuleDefinition::parse) accepts its rule
//! unchanged; values that a person must fill in are placeholders, `YOUR-…`. With a placeholder the rule has a warning
//! and is inactive. Its retries outlast a receiver that is down for a day. No parameter of a vendor is invented:
//! where the vendor's pages differ or couldn't be read, the description says so.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{answer::Verdict, json::Value};

#[cfg(test)]
mod tests;

/// A rule to fill in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its id: lower-case letters, digits and bars.
    pub id: String,
    /// The vendor's name; of a flow, its purpose.
    pub name: String,
    /// The kind of receiver.
    pub kind: PresetKind,
    /// `true` if the rule publishes results to the platform, which only admins' rules may do: affiliates don't see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admins_only: bool,
    /// The preset that the rule is made of whose steps it mirrors (W19).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// The vendor's page about the request; of a flow, the standard that it follows.
    pub documentation: String,
    /// The events on which it sends, and remarks to read before using it.
    pub description: String,
    /// The values that a person must write into the rule.
    pub fill_in: Vec<FillIn>,
    /// The secrets for which the rule needs a value (Q5).
    pub secrets: Vec<String>,
    /// The rule, as a `POST` sends it.
    pub tracking_api: Value,
    /// An event, its request, and the meaning of responses.
    pub example: Example,
}

/// A worked example: placeholders are replaced by their examples, and each secret has the value `s3cr3t+1`. It has a request with
/// responses, or the steps of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The detail of the event.
    #[serde(default = "event")]
    pub event: Value,
    /// The request for it, in a rule with one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ExampleRequest>,
    /// Responses and their meaning, in a rule with one request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<ExampleResponse>,
    /// The requests of a flow in order, each with the response that comes. Those of a step that listens are its receiver's, and the
    /// response is ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExampleStep>,
}

/// A request of a flow, its response, and the meaning of the response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleStep {
    /// The step's name.
    pub step: String,
    /// The request.
    pub request: ExampleRequest,
    /// The response.
    pub response: StepResponse,
    /// The verdict.
    pub means: Verdict,
    /// The reason, or the continuation.
    pub because: String,
}

/// A response to a step of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResponse {
    /// The status.
    pub status: u16,
    /// The headers that matter, in order.
    pub headers: Vec<ExampleHeader>,
    /// The body; it may be empty.
    pub body: String,
}

/// A request without the headers that every request carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleRequest {
    /// The method.
    pub method: String,
    /// The URL with its query.
    pub url: String,
    /// The headers, in order.
    pub headers: Vec<ExampleHeader>,
    /// The body, if there is one.
    pub body: Option<String>,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleHeader {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A response and its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleResponse {
    /// The status.
    pub status: u16,
    /// The body; empty if only the status decides.
    pub body: String,
    /// The verdict.
    pub means: Verdict,
    /// The reason.
    pub because: String,
}

/// The event of the examples.
fn event() -> Value {
    serde_json::from_str(include_str!("data/event.json")).expect("the data are checked by a test")
}

/// The kind of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresetKind {
    /// The affiliate's tracker: it needs every change of a transaction.
    Tracker,
    /// The platform of the affiliate's ads: it needs to know which ads led to a conversion.
    AdPlatform,
    /// A task of several steps: a login, a status query, office hours.
    Flow,
}

/// A value to write into a rule before it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillIn {
    /// JSON pointer to the text of the rule that holds the placeholder.
    pub pointer: String,
    /// The name of the value.
    pub name: String,
    /// The part of the text to replace.
    pub placeholder: String,
    /// The place at which to find the value.
    pub description: String,
    /// An example of the value.
    pub example: String,
}

const DATA: [&str; 24] = [
    include_str!("data/voluum.json"),
    include_str!("data/keitaro.json"),
    include_str!("data/redtrack.json"),
    include_str!("data/binom.json"),
    include_str!("data/bemob.json"),
    include_str!("data/everflow.json"),
    include_str!("data/affise.json"),
    include_str!("data/tune.json"),
    include_str!("data/cake.json"),
    include_str!("data/scaleo.json"),
    include_str!("data/trackier.json"),
    include_str!("data/post_affiliate_pro.json"),
    include_str!("data/ga4.json"),
    include_str!("data/meta.json"),
    include_str!("data/tiktok.json"),
    include_str!("data/oauth2_client_credentials.json"),
    include_str!("data/login_json.json"),
    include_str!("data/login_form_cookie.json"),
    include_str!("data/create_and_poll.json"),
    include_str!("data/create_and_callback.json"),
    include_str!("data/poll_30_days.json"),
    include_str!("data/office_hours.json"),
    include_str!("data/sign_several_values.json"),
    include_str!("data/several_channels.json"),
];

/// All presets: trackers, ad platforms, flows.
pub fn all() -> &'static [Preset] {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let read = |text: &&str| serde_json::from_str(text).expect("the data are checked by a test");
        DATA.iter().map(read).collect()
    });
    &ALL
}
