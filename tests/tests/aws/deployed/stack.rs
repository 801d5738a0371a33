//! The stack of `template.yaml`, deployed by `sam deploy` once for all of these tests, with the functions' real binaries.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write as _,
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    sync::LazyLock,
};

use aws_config::SdkConfig;
use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::{runtime::Runtime, sync::OnceCell};
use tracking_tests::tools;

use crate::deployed::{
    api::Api,
    bus::Bus,
    issuer::{AUDIENCE, Issuer},
    ministack::{Ministack, REGION},
    package::{CONCURRENCY, package},
    queues::Queues,
};

const NAME: &str = "tracking-e2e";
const BUCKET: &str = "packages";

/// The stack's parameters, besides the issuer.
const PARAMETERS: &[&str] = &["Stage=e2e", "PrivateTargets=true", "KeepEvents=true"];
/// The address in callback URLs. Tests send what comes there to the emulator's gateway.
pub(crate) const PUBLIC_URL: &str = "https://callbacks.example";

/// The deployed stack, and helpers of the tests.
pub(crate) struct Stack {
    pub(crate) api: Api,
    pub(crate) bus: Bus,
    pub(crate) queues: Queues,
    pub(crate) issuer: Issuer,
    pub(crate) config: SdkConfig,
    /// The stack's resources: physical names by logical ones.
    pub(crate) resources: HashMap<String, String>,
    ministack: Ministack,
    /// The lock of the folder, held as long as this run uses it.
    _folder: File,
}

/// Runs a test on the stack. The first one deploys it; if one fails, the stack's errors are printed.
pub(crate) fn on_stack(test: impl AsyncFnOnce(&Stack)) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));
    static STACK: OnceCell<Option<Stack>> = OnceCell::const_new();
    RUNTIME.block_on(async {
        let deployed = STACK.get_or_init(async || AssertUnwindSafe(Stack::deploy()).catch_unwind().await.ok()).await;
        let stack = deployed.as_ref().expect("the stack was deployed; if not, the first panic above says why");
        if let Err(panic) = AssertUnwindSafe(test(stack)).catch_unwind().await {
            say(&format!("what the stack complains about:\n{}", stack.ministack.complaints()));
            resume_unwind(panic);
        }
    });
}

impl Stack {
    async fn deploy() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deployed");
        let lock = fresh(&folder);
        let template = package(&folder);
        let issuer = Issuer::start().await;
        let ministack = Ministack::start(&folder).await;
        let config = ministack.config().await;
        make_bucket(&ministack).await;
        deploy(&template, &ministack, &issuer);
        let resources = resources(&ministack).await;
        Self {
            api: Api::new(&ministack.url, &resources["HttpApi"]),
            bus: Bus::watch(&config).await,
            queues: Queues::watch(&config, &resources),
            issuer,
            config,
            resources,
            ministack,
            _folder: lock,
        }
    }

    /// Returns every item of the table, as text.
    pub(crate) async fn items(&self) -> Vec<String> {
        let table = aws_sdk_dynamodb::Client::new(&self.config);
        let scan = table.scan().table_name(&self.resources["Table"]).consistent_read(true);
        let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        items.expect("the table can be read").iter().map(|item| format!("{item:?}")).collect()
    }

    /// Returns the output of emulator and functions so far.
    pub(crate) fn log(&self) -> String {
        self.ministack.log()
    }

    /// Invokes a function directly with an event. Returns its answer.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Value {
        let path = format!("/2015-03-31/functions/{}/invocations", self.resources[function]);
        let request = reqwest::Client::new().post(format!("{}{path}", self.ministack.url)).body(event.to_string());
        let answer = request.header("authorization", signature("lambda")).send().await.unwrap();
        assert!(answer.headers().get("x-amz-function-error").is_none(), "{function} failed: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// Returns the environment that the template gives the delivery function.
    pub(crate) async fn settings(&self) -> Vec<(String, String)> {
        let path = format!("/2015-03-31/functions/{}/configuration", self.resources["DeliveryFunction"]);
        let request = reqwest::Client::new().get(format!("{}{path}", self.ministack.url));
        let response = request.header("authorization", signature("lambda")).send().await.unwrap();
        let configuration: Value = response.json().await.unwrap();
        let variables =
            configuration["Environment"]["Variables"].as_object().unwrap_or_else(|| panic!("no environment: {configuration}"));
        variables.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }
}

/// Makes an empty folder that no other run uses at the same time.
fn fresh(folder: &Path) -> File {
    fs::create_dir_all(folder.parent().expect("it is a folder's folder")).unwrap();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    lock
}

async fn make_bucket(ministack: &Ministack) {
    let body = format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    );
    let request = reqwest::Client::new().put(format!("{}/{BUCKET}", ministack.url));
    let answer = request.header("authorization", signature("s3")).body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "no bucket: {}", answer.text().await.unwrap_or_default());
}

/// Returns a signature: the emulator reads region and service from it, and doesn't check it.
fn signature(service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=test/20261122/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0")
}

fn deploy(template: &Path, ministack: &Ministack, issuer: &Issuer) {
    let mut sam = tools::command(tools::sam(), "sam");
    sam.arg("deploy").arg("--template-file").arg(template);
    sam.args(["--stack-name", NAME, "--s3-bucket", BUCKET, "--region", REGION, "--no-confirm-changeset", "--no-progressbar"]);
    sam.args(["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides"]);
    sam.args(PARAMETERS).args([
        format!("MaxConcurrency={CONCURRENCY}"),
        format!("JwtIssuer={}", issuer.url),
        format!("JwtAudience={AUDIENCE}"),
        format!("PublicUrl={PUBLIC_URL}"),
    ]);
    sam.envs([("AWS_ENDPOINT_URL", ministack.url.as_str()), ("SAM_CLI_POLL_DELAY", "0.2")]);
    say("deploying the stack on the emulator");
    let done = sam.output().expect("sam can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        done.status.success(),
        "sam deploy failed:\n{}\n{}\nthe emulator:\n{}",
        text(&done.stdout),
        text(&done.stderr),
        ministack.complaints()
    );
}

/// Returns physical names by logical ones.
async fn resources(ministack: &Ministack) -> HashMap<String, String> {
    let form = [("Action", "DescribeStackResources"), ("Version", "2010-05-15"), ("StackName", NAME)];
    let body = form.map(|(name, value)| format!("{name}={value}")).join("&");
    let request = reqwest::Client::new().post(&ministack.url).header("authorization", signature("cloudformation"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    let xml = request.send().await.unwrap().text().await.unwrap();
    let inside = |text: &str, tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(value, _)| value.to_owned())
    };
    let members = xml.split("<member>").skip(1);
    let found: HashMap<_, _> = members
        .filter_map(|member| Some((inside(member, "LogicalResourceId")?, inside(member, "PhysicalResourceId")?)))
        .collect();
    assert!(!found.is_empty(), "the stack has no resources: {xml}");
    found
}

/// Prints a line for the person who runs the tests, whether the test passes or not.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
