//! Answers as the services' JSON protocols write them.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What an action answers.
pub(super) type Answer = Result<Value, Refused>;

/// An answer that refuses a call.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) body: Value,
    /// The code by its former name, in a header.
    pub(super) query_error: Option<String>,
}

impl Refused {
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({"__type": code, "message": message}), query_error: None }
    }

    /// A fault of the caller.
    pub(super) fn bad(code: &str, message: &str) -> Self {
        Self::new(400, code, message)
    }

    /// A fault of SQS's caller. The client goes by the name that it had before SQS spoke JSON.
    pub(super) fn sqs(code: &str, message: &str) -> Self {
        let former = match code {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            "InvalidAttributeName" | "MissingParameter" => code.to_owned(),
            _ => format!("AWS.SimpleQueueService.{code}"),
        };
        let refused = Self::bad(&format!("com.amazonaws.sqs#{code}"), message);
        Self { query_error: Some(format!("{former};Sender")), ..refused }
    }

    /// An action that this AWS doesn't have.
    pub(super) fn unknown(action: &str) -> Self {
        Self::bad("UnknownOperationException", &format!("this AWS knows no {action}"))
    }
}

/// Reads a request; a field that is not known here is refused, for it would go unheeded.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Refused> {
    serde_json::from_str(body).map_err(|error| Refused::bad("SerializationException", &error.to_string()))
}
