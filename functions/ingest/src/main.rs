//! The Lambda function `ingest`: an event of the platform's bus goes on to the events queue.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use tracking_aws::Stack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = &Stack::start()?;
    run(service_fn(async |event: LambdaEvent<Value>| -> Result<(), Error> { Ok(stack.ingest(&event.payload).await?) })).await
}
