//! The processor time of a postback in the functions, from the bus to the receiver, against that of a plain POST.

use std::{env, process::Command, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tracking_tests::{
    cloud::{Cloud, Queue, failures, sqs_event},
    receiver::{Receiver, Response},
};

use crate::{POST, cpu, function::Function, say};

/// Messages of one invocation.
pub(crate) const BATCH: usize = 10;

/// Processor time, in microseconds.
pub(crate) struct Path {
    /// The time of a postback, in each function.
    pub(crate) functions: Vec<(&'static str, f64)>,
    /// The time of a POST of the same body to the same receiver.
    pub(crate) post: f64,
}

#[expect(clippy::disallowed_methods, reason = "the functions that are measured have the machine's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Sends postbacks from the bus on, in full batches, and measures their processor time.
pub(crate) async fn measure(postbacks: usize) -> Path {
    let receiver = Receiver::start(|_| Response::says(200, "ok")).await;
    let cloud = Cloud::start(now);
    let line = Line::start(cloud, receiver.url()).await;
    // Costs of the first batch alone, such as connections, don't count.
    line.batch(0).await;
    let before = line.cpu();
    for number in 1..=postbacks / BATCH {
        line.batch(number).await;
    }
    let after = line.cpu();
    assert_eq!(receiver.heard().len(), postbacks + BATCH, "each event is one postback");
    let each = |total: Duration| total.as_secs_f64() * 1_000_000.0 / f64::from(u32::try_from(postbacks).expect("not that many"));
    let names = ["ingest", "matcher", "delivery"];
    let functions = names
        .into_iter()
        .zip(before.into_iter().zip(after))
        .map(|(name, (before, after))| (name, each(after.saturating_sub(before))));
    let post = Command::new(env::current_exe().expect("a program knows where it is"))
        .args([POST, receiver.url(), &postbacks.to_string()])
        .output()
        .expect("a program can be run again");
    let micros: u64 = String::from_utf8_lossy(&post.stdout).trim().parse().expect("it says what it took");
    Path { functions: functions.collect(), post: each(Duration::from_micros(micros)) }
}

/// The three functions on an event's way, in order.
pub(crate) struct Line {
    cloud: Cloud,
    ingest: Function,
    matcher: Function,
    delivery: Function,
}

impl Line {
    /// Starts the functions on this AWS, with a rule that posts to this receiver.
    pub(crate) async fn start(cloud: Cloud, url: &str) -> Self {
        make_rule(&Function::start("api", &cloud).await, url).await;
        Self {
            ingest: Function::start("ingest", &cloud).await,
            matcher: Function::start("matcher", &cloud).await,
            delivery: Function::start("delivery", &cloud).await,
            cloud,
        }
    }

    /// Brings a batch of new sales from the bus to the receiver.
    async fn batch(&self, number: usize) {
        self.match_batch(number).await;
        self.deliver().await;
    }

    /// Brings a batch of new sales from the bus to the delivery queue.
    pub(crate) async fn match_batch(&self, number: usize) {
        for place in 0..BATCH {
            assert_eq!(self.ingest.invoke(&sale(number * BATCH + place)).await, Value::Null);
        }
        self.work(&self.matcher, Queue::Events).await;
    }

    /// Delivers a batch.
    pub(crate) async fn deliver(&self) {
        self.work(&self.delivery, Queue::Delivery).await;
    }

    async fn work(&self, function: &Function, queue: Queue) {
        let records = self.cloud.take(queue, BATCH, now());
        assert_eq!(records.len(), BATCH, "a full batch lies in {}", queue.name());
        let answer = function.invoke(&sqs_event(&records)).await;
        assert_eq!(failures(&answer), Vec::<String>::new());
        self.cloud.ack(&records, &[]);
    }

    fn cpu(&self) -> [Duration; 3] {
        [self.ingest.cpu(), self.matcher.cpu(), self.delivery.cpu()]
    }
}

/// Posts this many times, one after another, and prints the processor time in microseconds: this is a process of its own.
pub(crate) async fn post(url: &str, count: usize) {
    let client = reqwest::Client::new();
    let once = async |number: usize| {
        let body = json!({"id": format!("trx_{number}"), "payout": "5.00", "status": "pending"}).to_string();
        let answer = client.post(url).header("content-type", "application/json").body(body).send().await.expect("it answers");
        answer.bytes().await.expect("the answer is whole");
    };
    once(0).await;
    let before = cpu::of("self");
    for number in 0..count {
        once(number).await;
    }
    say(&cpu::of("self").saturating_sub(before).as_micros().to_string());
}

async fn make_rule(api: &Function, url: &str) {
    let rule = json!({
        "name": "bench",
        "request": {"method": "POST", "url": url, "body": {"format": "json", "fields": [
            {"path": "id", "value": "{transaction_id}"}, {"path": "payout", "value": "{payout}"}, {"path": "status", "value": "{result}"},
        ]}},
    });
    let event = json!({
        "version": "2.0", "routeKey": "ANY /{proxy+}", "rawPath": "/tracking-apis", "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "api.example"}, "isBase64Encoded": false,
        "requestContext": {
            "authorizer": {"jwt": {"claims": {"role": "admin"}, "scopes": null}},
            "http": {"method": "POST", "path": "/tracking-apis", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.9"},
            "stage": "$default", "timeEpoch": 1_795_338_000_000_i64,
        },
        "body": rule.to_string(),
    });
    let answer = api.invoke(&event).await;
    assert_eq!(answer["statusCode"], 201, "{answer}");
}

fn sale(number: usize) -> Value {
    json!({
        "version": "0", "id": format!("event-{number}"), "source": "platform.conversions", "detail-type": "Conversion Changed",
        "time": "2026-11-22T09:00:00Z", "account": "000000000000", "region": "eu-central-1", "resources": [],
        "detail": {
            "change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T09:00:00Z",
            "conversion": {
                "conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
                "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5", "channel_id": "chn_1", "country": "CZ",
                "external_id": format!("X-{number}"), "affiliate_click_id": format!("click-{number}"), "value": "100.00",
                "currency": "EUR", "ip": "203.0.113.9", "user_agent": "Mozilla/5.0", "affs": {"affs1": "summer"},
            },
            "transactions": [{"transaction_id": format!("trx_{number}"), "commission_id": "com_1", "type": "sale",
                "result": "pending", "payout": "5.00", "revenue": "8.00", "currency": "EUR"}],
        },
    })
}
