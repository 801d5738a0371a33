//! The catalogue of step kinds, as `GET /step-kinds` serves it.

use serde::Serialize;

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StepKindInfo {
    /// The key that a step of this kind has.
    pub kind: &'static str,
    /// Its purpose.
    pub description: &'static str,
    /// The fields of the step besides name, title, when, unless.
    pub fields: &'static [&'static str],
    /// A step of this kind, as JSON.
    pub example: &'static str,
}

/// Every kind of step.
pub const STEP_KINDS: &[StepKindInfo] = &[
    StepKindInfo {
        kind: "call",
        description: "Sends a request and reads the response. The step is over when an answer rule says delivered.",
        fields: &["call", "answer", "retry", "on_exhausted", "go", "max_runs"],
        example: r#"{"name": "status", "call": {"url": "https://api.example/leads/{external_id}"}, "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"}]}, "retry": {"max_retries": 30, "delay_seconds": 3600, "backoff": "fixed"}}"#,
    },
    StepKindInfo {
        kind: "set",
        description: "Sets variables from texts. A value with keep_seconds is read by later deliveries of the rule too.",
        fields: &["set", "go", "max_runs"],
        example: r#"{"name": "sign", "set": {"variables": {"text": "{conversion_id}:{payout}"}}}"#,
    },
    StepKindInfo {
        kind: "switch",
        description: "Goes on at the first case that holds, else at the step's own go.",
        fields: &["switch", "go", "max_runs"],
        example: r#"{"name": "is_large", "switch": [{"when": [{"source": "macro", "key": "payout", "operator": "bigger_than", "value": "1000"}], "go": "report"}], "go": "end"}"#,
    },
    StepKindInfo {
        kind: "wait",
        description: "Waits: seconds, until a time, after a time of the event, within hours of a day, or for the next day that counts.",
        fields: &["wait", "go", "max_runs"],
        example: r#"{"name": "hours", "wait": {"within": {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00", "time_zone": "Europe/Prague"}}}"#,
    },
    StepKindInfo {
        kind: "listen",
        description: "Waits for a callback at {callback_url}, or with match for a webhook of the rule, and reads it as a response is read.",
        fields: &["listen", "on_timeout", "go", "max_runs"],
        example: r#"{"name": "confirm", "listen": {"timeout_seconds": 86400, "answer": {"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}], "then": "delivered"}], "otherwise": "failed"}}, "on_timeout": "fail"}"#,
    },
    StepKindInfo {
        kind: "mirror",
        description: "Sends the request of another rule's step, as it is then, with this rule's own secrets and variables.",
        fields: &["mirror", "on_exhausted", "go", "max_runs"],
        example: r#"{"name": "login", "mirror": {"tracking_api_id": "trk_1", "step": "login"}}"#,
    },
    StepKindInfo {
        kind: "emit",
        description: "Publishes a Tracking API Event on the platform's bus, in an admin's rule. Repeats of it have the same event_id.",
        fields: &["emit", "go", "max_runs"],
        example: r#"{"name": "publish", "emit": {"name": "Large Sale", "fields": {"payout": "{payout}"}, "count": 1}}"#,
    },
    StepKindInfo {
        kind: "end",
        description: "Ends the flow: delivered if a request was sent, else skipped.",
        fields: &["end"],
        example: r#"{"name": "enough", "end": {"reason": "nothing to report"}}"#,
    },
    StepKindInfo {
        kind: "fail",
        description: "Ends the flow as failed.",
        fields: &["fail"],
        example: r#"{"name": "refused", "fail": {"reason": "the bank refused the lead"}}"#,
    },
];
