//! The Lambda function `matcher`: events from their queue to one message per postback, and the sweep by its schedule.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use tracking_aws::Stack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = &Stack::start()?;
    let handle = async |event: LambdaEvent<Value>| -> Result<Value, Error> {
        if event.payload["sweep"] == true {
            stack.sweep().await?;
            return Ok(Value::Null);
        }
        let response = stack.match_events(serde_json::from_value(event.payload)?).await;
        Ok(serde_json::to_value(response)?)
    };
    run(service_fn(handle)).await
}
