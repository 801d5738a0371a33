//! Ready receivers: trackers and ad platforms that affiliates send to, and flows for what receivers usually ask for, each as a rule to
//! fill in.
//!
//! A preset is data, one file each in `data`. Its rule is one that [`Definition::parse`](crate::tracking_api::Definition::parse)
//! accepts as it stands; what a person has to fill in stands there as a placeholder, `YOUR-…`, of which the rule warns until it is
//! gone and without which it is inactive. Its retries outlast a receiver that is down for a day. Of vendors no parameter is made up:
//! where their pages differ or couldn't be read, the description says so.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{answer::Verdict, json::Value};

#[cfg(test)]
mod tests;

/// A ready receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its id: lower-case letters, digits and bars.
    pub id: String,
    /// The vendor's name; of a flow, its purpose.
    pub name: String,
    /// What the vendor is to an affiliate.
    pub kind: Kind,
    /// `true` if the rule tells results to the platform, which only admins' rules do: affiliates are not shown it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admins_only: bool,
    /// The vendor's page on what is sent; of a flow, the standard that it keeps to.
    pub documentation: String,
    /// When it sends what, and what to know before.
    pub description: String,
    /// What a person has to write into the rule.
    pub fill_in: Vec<FillIn>,
    /// The secrets that the rule needs a value of (Q5).
    pub secrets: Vec<String>,
    /// The rule, as it would be posted.
    pub tracking_api: Value,
    /// An event, the request that goes out for it, and the meaning of responses.
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
    /// The request that goes out for it, of a rule with one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ExampleRequest>,
    /// Responses and what they mean, of a rule with one request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub responses: Vec<ExampleResponse>,
    /// The requests of a flow in order, each with the response that comes. Those of a step that listens are its receiver's, and the
    /// response is ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExampleStep>,
}

/// A request of a flow, the response that comes, and its meaning.
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
    /// The reason, or what follows.
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

/// What a receiver is to an affiliate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It keeps the affiliate's books: it wants every change of a transaction.
    Tracker,
    /// It shows the affiliate's ads: it wants to know which of them led to a conversion.
    AdPlatform,
    /// It is whatever needs several steps: a login, a status query, office hours.
    Flow,
}

/// Something to write into a rule before it can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillIn {
    /// JSON pointer to the text of the rule that holds the placeholder.
    pub pointer: String,
    /// What it is called.
    pub name: String,
    /// The part of the text to replace.
    pub placeholder: String,
    /// Where to find the value.
    pub description: String,
    /// A value that could stand there.
    pub example: String,
}

const DATA: [&str; 23] = [
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
];

/// All presets: trackers, ad platforms, flows.
pub fn all() -> &'static [Preset] {
    static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
        let read = |text: &&str| serde_json::from_str(text).expect("the data are checked by a test");
        DATA.iter().map(read).collect()
    });
    &ALL
}
