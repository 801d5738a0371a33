//! A rule, a receiver that can be broken, and changes to send it: for tests of repairs.

use serde_json::{Value, json};
use tracking_embedded::Limits;
use tracking_engine::{backend::Received, sender::Sender};

use crate::{
    receiver::Receiver,
    support::{ADMIN, Api, Response},
};

pub(crate) struct Workshop {
    pub(crate) api: Api,
    pub(crate) receiver: Receiver,
    sender: Sender,
}

impl Workshop {
    /// A receiver that answers with this status.
    pub(crate) async fn new(status: u16) -> Self {
        let sender = Sender::new(true).expect("an HTTP client can be made");
        Self { api: Api::new(), receiver: Receiver::answering(status).await, sender }
    }

    /// A rule of `who` that sends the receiver transaction, result and attempt; 2 attempts a minute apart unless the members say else.
    pub(crate) async fn rule(&self, who: &str, members: Value) -> String {
        let url = format!("{}/p?t={{transaction_id}}&r={{result}}&n={{attempt}}", self.receiver.url);
        let retry = json!({"max_retries": 1, "delay_seconds": 60, "backoff": "fixed"});
        let mut document = json!({"request": {"url": url}, "retry": retry});
        if let (Some(document), Value::Object(members)) = (document.as_object_mut(), members) {
            document.extend(members);
        }
        self.api.rule(who, "sale", document).await
    }

    /// Takes over a change of a sale: its version, and its one transaction's result.
    pub(crate) async fn change(&self, number: u32, version: u32, result: &str) {
        let change = if version == 1 { "created" } else { "updated" };
        let event = json!({"detail-type": "Conversion Changed", "detail": {
            "change_id": format!("chg_{number}_{version}"), "occurred_at": "2026-11-22T09:00:00Z",
            "conversion": {"conversion_id": format!("cnv_{number}"), "version": version, "change": change, "type": "sale",
                "source": "link", "affiliate_id": "aff_a", "advertiser_id": "adv_2", "offer_id": "off_5"},
            "transactions": [{"transaction_id": format!("trx_{number}"), "result": result}]}});
        self.api.engine.matcher().accept(&[event.to_string().as_bytes()]).await.expect("the store is there");
    }

    /// The messages that are due now.
    pub(crate) fn due(&self) -> Vec<Received> {
        self.api.engine.backend().receive(self.api.now(), &Limits::default(), 64).messages
    }

    /// Works messages.
    pub(crate) async fn work(&self, messages: Vec<Received>) {
        let engine = &self.api.engine;
        assert!(engine.worker().work(engine.worker().queue_up(messages), &self.sender, None).await.is_empty());
    }

    /// Works all that is due.
    pub(crate) async fn work_all(&self) {
        loop {
            let messages = self.due();
            if messages.is_empty() {
                return;
            }
            self.work(messages).await;
        }
    }

    /// Lets minutes pass one by one, and works the messages that fall due.
    pub(crate) async fn minutes(&self, minutes: usize) {
        self.steps(minutes, 67).await;
    }

    /// Lets time pass in steps of so many seconds, and works the messages that fall due.
    pub(crate) async fn steps(&self, count: usize, seconds: i64) {
        for _ in 0..count {
            self.api.pass(seconds);
            self.api.engine.sweeper().sweep().await.expect("the store is there");
            self.work_all().await;
        }
    }

    /// Takes over a change, and works everything that follows within some minutes.
    pub(crate) async fn process_change(&self, number: u32, version: u32, result: &str) {
        self.change(number, version, result).await;
        self.work_all().await;
        self.minutes(3).await;
    }

    /// The ids of all deliveries, oldest first.
    pub(crate) async fn deliveries(&self) -> Vec<String> {
        let listed = self.api.get(ADMIN, "/deliveries?limit=1000").await;
        listed.each("id").into_iter().rev().map(ToOwned::to_owned).collect()
    }

    /// One delivery, with its log.
    pub(crate) async fn delivery(&self, id: &str) -> Value {
        self.api.get(ADMIN, &format!("/deliveries/{id}")).await.body
    }

    /// The state of a delivery, its attempts and the most that it may have.
    pub(crate) async fn state_and_attempts(&self, id: &str) -> (String, u64, u64) {
        let shown = self.delivery(id).await;
        let number = |field: &str| shown[field].as_u64().expect("a number");
        (shown["state"].as_str().expect("a state").to_owned(), number("attempts"), number("max_attempts"))
    }

    pub(crate) async fn resend(&self, who: &str, id: &str, body: Value) -> Response {
        self.api.call(who, &format!("POST /deliveries/{id}/resend"), body).await
    }

    pub(crate) async fn cancel(&self, who: &str, id: &str) -> Response {
        self.api.call(who, &format!("POST /deliveries/{id}/cancel"), Value::Null).await
    }
}
