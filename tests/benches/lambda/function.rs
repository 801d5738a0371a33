//! A running function, with the runtime API that it talks to.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tracking_tests::{bootstraps::bootstrap, cloud::Cloud, runtime_api::RuntimeApi};

use crate::cpu;

/// A function that has asked for its first event. It ends when this is dropped.
pub(crate) struct Function {
    api: RuntimeApi,
    process: Child,
    /// The time from exec to its request for the first event.
    pub(crate) started_in: Duration,
}

impl Function {
    #[expect(clippy::disallowed_methods, reason = "a bench measures")]
    pub(crate) async fn start(name: &str, cloud: &Cloud) -> Self {
        let api = RuntimeApi::start().await;
        let mut command = Command::new(bootstrap(name));
        command.env_clear().envs(cloud.environment()).envs(api.environment()).env("AWS_LAMBDA_LOG_LEVEL", "WARN");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let begun = Instant::now();
        let process = command.spawn().expect("a function can be started");
        api.asked().await;
        Self { started_in: begun.elapsed(), api, process }
    }

    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        self.api.invoke(event).await
    }

    /// Returns the processor time that the function has used so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(&self.process.id().to_string())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
