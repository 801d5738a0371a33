//! The receivers: one for each sample rule, on a loopback port of its own, answering by its script.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, Request, State},
    http::{StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use reqwest::Client;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet, time::Instant};

use super::sample::{SampleRule, Scripted};

/// The time that a callback may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The header with the id of the delivery (Q1).
const DELIVERY_ID: &str = "tracking-delivery-id";

/// One request as a receiver got it.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// The key of the rule that the receiver belongs to.
    pub(super) key: String,
    pub(super) at: Instant,
    pub(super) method: String,
    /// Path and query as they were sent, secrets included.
    pub(super) target: String,
    /// The value of its `Tracking-Delivery-Id`.
    pub(super) delivery_id: Option<String>,
    /// The number of the request within its delivery, from 1.
    pub(super) attempt: u32,
    /// The answer.
    pub(super) answer: Scripted,
}

/// The ids of the deliveries that receivers have called back, as often as they did.
type CalledBack = Arc<Mutex<Vec<String>>>;

/// Running receivers. They end when this is dropped.
#[derive(Debug)]
pub(super) struct Receivers {
    addresses: BTreeMap<String, SocketAddr>,
    arrived: Arc<Mutex<Vec<Arrival>>>,
    called_back: CalledBack,
    _serving: JoinSet<()>,
}

/// The state of one receiver.
#[derive(Debug)]
struct Desk {
    rule: SampleRule,
    /// The number of requests of each delivery so far.
    counts: Mutex<HashMap<Option<String>, u32>>,
    arrived: Arc<Mutex<Vec<Arrival>>>,
    follower: mpsc::UnboundedSender<Arrival>,
    client: Client,
    called_back: CalledBack,
}

impl Receivers {
    /// Starts a receiver for each rule; every request is also sent to `follower` as it comes.
    ///
    /// # Errors
    /// No port of the loopback address is free.
    pub(super) async fn start(rules: &[SampleRule], follower: &mpsc::UnboundedSender<Arrival>) -> io::Result<Self> {
        let (arrived, called_back) = (Arc::new(Mutex::new(Vec::new())), CalledBack::default());
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build().map_err(io::Error::other)?;
        let (mut addresses, mut serving) = (BTreeMap::new(), JoinSet::new());
        for rule in rules {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.insert(rule.key.clone(), listener.local_addr()?);
            let desk = Desk {
                rule: rule.clone(),
                counts: Mutex::default(),
                arrived: Arc::clone(&arrived),
                follower: follower.clone(),
                client: client.clone(),
                called_back: Arc::clone(&called_back),
            };
            let routes = Router::new().fallback(receive).with_state(Arc::new(desk));
            serving.spawn(async move {
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::error!(%error, "a receiver of the demo broke");
                }
            });
        }
        for (rule, other) in rules.iter().filter_map(|rule| Some((rule, rule.receiver_of.as_ref()?))) {
            let address = addresses[other];
            addresses.insert(rule.key.clone(), address);
        }
        Ok(Self { addresses, arrived, called_back, _serving: serving })
    }

    /// Returns the address of a rule's receiver.
    pub(super) fn address(&self, key: &str) -> Option<SocketAddr> {
        self.addresses.get(key).copied()
    }

    /// Returns all requests so far, in their order.
    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The deliveries that were called back, by their ids, as often as they were.
    pub(super) fn callbacks(&self) -> Vec<String> {
        self.called_back.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time at which the last request came.
    pub(super) fn last_at(&self) -> Option<Instant> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).last().map(|arrival| arrival.at)
    }
}

async fn receive(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // The body is read to its end, as a receiver would; the demo uses only its callback URL.
    let Ok(body) = axum::body::to_bytes(body, 1024 * 1024).await else { return StatusCode::BAD_REQUEST.into_response() };
    let delivery_id = parts.headers.get(DELIVERY_ID).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let attempt = desk.count(delivery_id.clone());
    let answer = desk.rule.answer(&parts.uri, attempt);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let arrival = Arrival {
        key: desk.rule.key.clone(),
        at: Instant::now(),
        method: parts.method.to_string(),
        target,
        delivery_id,
        attempt,
        answer: answer.clone(),
    };
    desk.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(arrival.clone());
    // Nobody listens once the demo is over.
    let _unheard = desk.follower.send(arrival.clone());
    if let Some((url, id)) = callback_url(&body).zip(arrival.delivery_id) {
        // At once, so that it may come before the answer to this request is read (W17).
        tokio::spawn(async move { desk.call_back(url, id).await });
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}

/// The URL under `callback` of a JSON body.
fn callback_url(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body["callback"].as_str().map(ToOwned::to_owned)
}

impl Desk {
    /// Sends the callback of the rule to this URL, twice: the same again is the same callback.
    async fn call_back(&self, url: String, delivery_id: String) {
        let Some(body) = &self.rule.callback else { return };
        let call = || self.client.post(&url).header(CONTENT_TYPE, "application/json").body(body.clone()).send();
        for outcome in [call().await, call().await] {
            match outcome.map(|response| response.status()) {
                Ok(StatusCode::ACCEPTED) => {}
                Ok(status) => return tracing::error!(%status, "a callback of the demo was refused"),
                Err(error) => return tracing::error!(%error, "a callback of the demo did not arrive"),
            }
        }
        self.called_back.lock().unwrap_or_else(PoisonError::into_inner).push(delivery_id);
    }

    fn count(&self, delivery_id: Option<String>) -> u32 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(delivery_id).or_default();
        *count += 1;
        *count
    }
}

impl SampleRule {
    /// Returns the answer of the receiver to a delivery's request number `attempt`.
    fn answer(&self, uri: &Uri, attempt: u32) -> Scripted {
        let id = Query::<HashMap<String, String>>::try_from_uri(uri).ok().and_then(|mut query| query.0.remove("id"));
        let scripted = self.answers.get(attempt.saturating_sub(1) as usize).or(self.answers.last());
        match (id, scripted) {
            (Some(id), _) if self.not_found.contains(&id) => nothing(404),
            (_, Some(scripted)) => scripted.clone(),
            (_, None) => nothing(200),
        }
    }
}

fn nothing(status: u16) -> Scripted {
    Scripted { status, content_type: "text/plain".to_owned(), body: String::new() }
}

#[cfg(test)]
mod tests {
    use crate::demo::sample::Sample;

    #[track_caller]
    fn check(key: &str, target: &str, attempt: u32, expected: (u16, &str)) {
        let rule = Sample::load().rules.into_iter().find(|rule| rule.key == key).unwrap();
        let answer = rule.answer(&target.parse().unwrap(), attempt);
        assert_eq!((answer.status, answer.body.as_str()), expected);
    }

    #[test]
    fn a2_receivers_keep_to_their_script() {
        check("bank", "/bank/status?id=X-1", 1, (200, "{\"status\":\"pending\"}"));
        check("bank", "/bank/status?id=X-1", 2, (200, "{\"status\":\"pending\"}"));
        check("bank", "/bank/status?id=X-1", 3, (200, "{\"status\":\"approved\",\"payout\":\"12.50\"}"));
        check("bank", "/bank/status?id=X-1", 9, (200, "{\"status\":\"approved\",\"payout\":\"12.50\"}"));
        check("bank", "/bank/status?id=X-GONE", 1, (404, ""));
        check("flaky", "/flaky/hook?c=1", 2, (503, "try later"));
        check("flaky", "/flaky/hook?c=1", 3, (200, "OK"));
        check("voluum", "/voluum/postback", 1, (200, "OK"));
    }
}
