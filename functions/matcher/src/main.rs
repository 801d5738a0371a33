//! The Lambda function `matcher`: makes one message per postback from the events of a queue, and sweeps by its schedule.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde::Deserialize;
use tracking_aws::Stack;

/// An invocation by the schedule or by the events queue.
#[derive(Deserialize)]
struct Invocation {
    #[serde(default)]
    sweep: bool,
    #[serde(default, rename = "Records")]
    records: Vec<SqsMessage>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = &Stack::start()?;
    let handle = async |event: LambdaEvent<Invocation>| -> Result<Option<SqsBatchResponse>, Error> {
        if event.payload.sweep {
            stack.sweep().await?;
            return Ok(None);
        }
        let mut batch = SqsEvent::default();
        batch.records = event.payload.records;
        Ok(Some(stack.match_events(batch).await))
    };
    run(service_fn(handle)).await
}
