//! The Lambda function `delivery`: sends and records a batch of first tries or retries.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use tracking_aws::Stack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = &Stack::start()?;
    let sender = &stack.sender()?;
    let handle = async |event: LambdaEvent<SqsEvent>| -> Result<SqsBatchResponse, Error> {
        let deadline = Timestamp::from_millisecond(event.context.deadline.try_into()?)?;
        Ok(stack.deliver(event.payload, sender, deadline).await)
    };
    run(service_fn(handle)).await
}
