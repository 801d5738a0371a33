//! AWS's own emulator of the Lambda runtime, with one function in it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tracking_tests::{
    beside::{Beside, free_port},
    tools,
};

/// The time after which a function without an answer counts as hanging.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A function in the emulator. It starts with its first event.
pub(crate) struct Rie {
    url: String,
    client: reqwest::Client,
    /// The lock of the emulator, which fails if it is called twice at once.
    turn: Mutex<()>,
    process: Beside,
}

impl Rie {
    /// Starts an emulator with this binary and this environment, its log in this folder.
    pub(crate) async fn start(binary: &Path, environment: &BTreeMap<String, String>, folder: &Path) -> Self {
        let (port, runtime_port) = (free_port(), free_port());
        let mut command = Command::new(emulator());
        command.args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")]);
        command.args(["--runtime-api-address", &format!("127.0.0.1:{runtime_port}")]).arg(binary);
        let own = [
            ("AWS_LAMBDA_FUNCTION_NAME", "function"),
            ("AWS_LAMBDA_FUNCTION_TIMEOUT", "150"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
        ];
        command.current_dir(folder).envs(own).envs(environment);
        let process = Beside::start(&command, &folder.join("rie.log"));
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).build().unwrap();
        let rie = Self { url: format!("http://127.0.0.1:{port}"), client, turn: Mutex::default(), process };
        rie.listens().await;
        rie
    }

    #[expect(clippy::disallowed_methods, reason = "a program that doesn't start is waited for by the machine's clock")]
    async fn listens(&self) {
        let begun = Instant::now();
        let address = self.url.strip_prefix("http://").expect("it is a URL");
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(begun.elapsed() < ANSWER_TIMEOUT, "the emulator doesn't listen:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Invokes the function with an event. Returns its answer; a failure is an answer with an `errorType`. So is the lack of an answer: the
    /// emulator returns that for a function that doesn't start.
    pub(crate) async fn invoke(&self, event: &Value) -> Value {
        let _turn = self.turn.lock().await;
        let url = format!("{}/2015-03-31/functions/function/invocations", self.url);
        let answer = self.client.post(url).body(event.to_string()).send().await;
        let answer = answer.unwrap_or_else(|fault| panic!("no answer: {fault}\n{}", self.log()));
        let text = answer.text().await.unwrap();
        if text.is_empty() {
            return json!({"errorType": "no answer"});
        }
        serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{fault}: {text:?}\n{}", self.log()))
    }

    /// Returns the output of emulator and function so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Returns the lines that the function itself has written, all of which are JSON.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let lines = self.log();
        lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object).collect()
    }
}

/// Returns the path of the emulator's binary, which comes with SAM.
fn emulator() -> PathBuf {
    let python =
        tools::command(tools::sam(), "python").args(["-c", "import samcli; print(samcli.__path__[0])"]).output().unwrap();
    let package = String::from_utf8(python.stdout).unwrap();
    let emulator = Path::new(package.trim()).join("local/rapid/aws-lambda-rie-x86_64");
    assert!(emulator.exists(), "there is no {}", emulator.display());
    emulator
}
