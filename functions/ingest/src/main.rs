//! The Lambda function `ingest`: passes an event of the platform's bus on to the events queue.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;
use tracking_aws::Stack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = &Stack::start()?;
    // The event as it came: nothing is parsed twice, and its numbers keep their digits.
    run(service_fn(async |event: LambdaEvent<Box<RawValue>>| -> Result<(), Error> {
        Ok(stack.ingest(event.payload.get()).await?)
    }))
    .await
}
