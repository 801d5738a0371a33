//! Answers as the services' JSON protocols write them.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The answer of an action.
pub(super) type Reply = Result<Value, Refused>;

/// An answer that refuses a call.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) body: Value,
    /// The error's code by its former name, in a header.
    pub(super) query_error: Option<String>,
}

impl Refused {
    pub(super) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, body: json!({"__type": code, "message": message}), query_error: None }
    }

    /// Returns a fault of the caller.
    pub(super) fn bad(code: &str, message: &str) -> Self {
        Self::new(400, code, message)
    }

    /// Returns a fault of SQS's caller. The client knows the error by its name from before SQS used JSON.
    pub(super) fn sqs(code: &str, message: &str) -> Self {
        let former = match code {
            "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
            "InvalidAttributeName" | "MissingParameter" => code.to_owned(),
            _ => format!("AWS.SimpleQueueService.{code}"),
        };
        let refused = Self::bad(&format!("com.amazonaws.sqs#{code}"), message);
        Self { query_error: Some(format!("{former};Sender")), ..refused }
    }

    /// Returns the fault for an action that this AWS doesn't have.
    pub(super) fn unknown(action: &str) -> Self {
        Self::bad("UnknownOperationException", &format!("this AWS knows no {action}"))
    }
}

/// Reads a request; an unknown field is refused, since it would be ignored.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Refused> {
    serde_json::from_str(body).map_err(|error| Refused::bad("SerializationException", &error.to_string()))
}
