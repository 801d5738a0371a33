//! The attacks, all of one affiliate and all at once. Each is a loop with pauses: the bench measures the cost of the requests, not the
//! attacker's own share of this machine.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet, time::sleep};

use crate::{
    now,
    server::{Server, client, sale},
    targets::{self, Targets},
};

/// The names of the attacks.
pub(crate) const NAMES: [&str; 16] = [
    "tarpit", "f2", "f3", "f4", "f9", "trials", "crowd", "answers", "drips", "keys", "hints", "reads", "unread", "waits",
    "rehearse", "hooks",
];

const HALF_A_HEAD: &str = "POST /events HTTP/1.1\r\nHost: tracking\r\nContent-Le";

/// The attacking affiliate.
pub(crate) struct Attacker {
    client: reqwest::Client,
    server: Arc<Server>,
    token: String,
    targets: Targets,
    events: AtomicUsize,
    outcomes: Mutex<Outcomes>,
}

/// The calls of each attack, counted by outcome.
pub(crate) type Outcomes = BTreeMap<&'static str, BTreeMap<String, usize>>;

impl Attacker {
    pub(crate) async fn prepare(server: &Arc<Server>) -> Self {
        let token = server.affiliate("aff_a");
        Self {
            client: client(),
            server: Arc::clone(server),
            targets: targets::prepare(server, &token).await,
            token,
            events: AtomicUsize::default(),
            outcomes: Mutex::default(),
        }
    }

    /// Runs these attacks until then.
    pub(crate) async fn run(self: Arc<Self>, until: Instant, only: Vec<&'static str>) {
        let mut attacks = JoinSet::new();
        for name in only {
            attacks.spawn(Arc::clone(&self).attack(name, until));
        }
        attacks.join_all().await;
    }

    pub(crate) fn outcomes(&self) -> Outcomes {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn attack(self: Arc<Self>, name: &'static str, until: Instant) {
        match name {
            "tarpit" | "drips" => self.post_sales(name, 100, until).await,
            "f3" | "f4" | "answers" | "hints" => self.post_sales(name, 200, until).await,
            "reads" => self.read_much(name, until).await,
            "unread" => self.leave_unread(name, until).await,
            "f2" => self.save_edges(name, until).await,
            "f9" => self.send_very_many(name, until).await,
            "trials" => self.try_out(name, until).await,
            "crowd" => self.crowd(name, until).await,
            "waits" => self.post_long(name, until).await,
            "rehearse" => self.rehearse(name, until).await,
            "hooks" => self.flood_webhook(name, until).await,
            _ => self.post_keys(name, until).await,
        }
    }

    /// Posts the platform's events of the attacker's conversions; its rules with this offer fire on them.
    async fn post_sales(&self, name: &'static str, pause_ms: u64, until: Instant) {
        while now() < until {
            let event = sale("aff_a", name, &self.next(name));
            self.call(name, &self.server.admin, "POST /events", event.to_string()).await;
            sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// Posts the longest events that are accepted; twenty rules ask again about each of them every second.
    async fn post_long(&self, name: &'static str, until: Instant) {
        let parameters: BTreeMap<String, String> = (0..115).map(|i| (format!("k{i}"), "x".repeat(2_000))).collect();
        while now() < until {
            let mut event = sale("aff_a", name, &self.next(name));
            event["detail"]["conversion"]["query_params"] = json!(parameters);
            self.call(name, &self.server.admin, "POST /events", event.to_string()).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Previews a flow that goes round in costly steps.
    async fn rehearse(&self, name: &'static str, until: Instant) {
        let body = json!({"rule": targets::costly_loop()}).to_string();
        let previews = (0..4).map(|_| async {
            while now() < until {
                self.call(name, &self.token, "POST /tracking-apis/preview", body.clone()).await;
            }
        });
        futures_util::future::join_all(previews).await;
    }

    /// Sends long webhooks, each another one, on sixteen connections; twenty deliveries wait for each of them.
    async fn flood_webhook(&self, name: &'static str, until: Instant) {
        for _ in 0..20 {
            let mut event = sale("aff_a", name, &self.next(name));
            event["detail"]["conversion"]["external_id"] = json!("same");
            self.call(name, &self.server.admin, "POST /events", event.to_string()).await;
        }
        let (line, pad) = (format!("POST /webhooks/{}", self.targets.webhook), "x".repeat(65_000));
        let floods = (0..16).map(|_| async {
            while now() < until {
                let body = json!({"ref": "same", "id": self.next(name), "pad": pad});
                self.call(name, "none", &line, body.to_string()).await;
            }
        });
        futures_util::future::join_all(floods).await;
    }

    /// Saves and tries rules at the edges of the budgets.
    async fn save_edges(&self, name: &'static str, until: Instant) {
        let (edges, put) = (targets::edges(), format!("PUT /tracking-apis/{}", self.targets.changed));
        for edge in edges.iter().cycle().take_while(|_| now() < until) {
            self.call(name, &self.token, &put, edge.to_string()).await;
            let tried = json!({"rule": edge, "send": false});
            self.call(name, &self.token, "POST /tracking-apis/preview", tried.to_string()).await;
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends bodies with very many faults, events or values.
    async fn send_very_many(&self, name: &'static str, until: Instant) {
        let url = format!("https://a.example/{}", "{a}".repeat(128 * 1024 / 3));
        let faults = json!({"rule": {"name": "x", "request": {"url": url}}}).to_string();
        let event = sale("aff_a", "none", "many").to_string();
        let events = format!("[{}]", vec![&*event; 1_001].join(","));
        let empty = format!("[{}]", vec!["{}"; 400_000].join(","));
        while now() < until {
            self.call(name, &self.token, "POST /tracking-apis/preview", faults.clone()).await;
            self.call(name, &self.token, "POST /tracking-apis", faults.clone()).await;
            self.call(name, &self.server.admin, "POST /events", events.clone()).await;
            self.call(name, &self.server.admin, "POST /events", empty.clone()).await;
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Tries saved and unsaved rules, dry and sent, more often than allowed.
    async fn try_out(&self, name: &'static str, until: Instant) {
        let rule = |url: &str| json!({"name": "x", "request": {"url": url}});
        let test = |id: &str| format!("POST /tracking-apis/{id}/test");
        let preview = || "POST /tracking-apis/preview".to_owned();
        let calls = [
            (test(&self.targets.plain), json!({"send": false})),
            (preview(), json!({"rule": rule(&self.targets.healthy), "send": true})),
            (preview(), json!({"rule": rule(&self.targets.tarpit), "send": true})),
            (test(&self.targets.secret), json!({"send": true})),
            (test(&self.targets.secret), json!({"send": false})),
        ];
        let mut hanging = JoinSet::new();
        for (line, body) in calls.iter().cycle().take_while(|_| now() < until) {
            let (client, url, token) = (self.client.clone(), self.server.url.clone(), self.token.clone());
            let (line, body) = (line.clone(), body.to_string());
            hanging.spawn(async move { send(&client, &url, &token, &line, body).await });
            sleep(Duration::from_millis(20)).await;
            while let Some(Ok(outcome)) = hanging.try_join_next() {
                self.note(name, outcome);
            }
        }
    }

    /// Reads lists that scan very many rows, forty at a time.
    async fn read_much(&self, name: &'static str, until: Instant) {
        let day = json!({"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "dry_run": true});
        let replay = format!("POST /tracking-apis/{}/replay", self.targets.plain);
        let lines = ["GET /deliveries?limit=1000&state=exhausted", "GET /tracking-apis?limit=1000", &replay];
        let reads = (0..40).map(|reader| {
            let body = if reader % 3 == 2 { day.to_string() } else { String::new() };
            async move {
                while now() < until {
                    self.call(name, &self.token, lines[reader % 3], body.clone()).await;
                }
            }
        });
        futures_util::future::join_all(reads).await;
    }

    /// Sends requests whose large responses are not read, a hundred at a time.
    async fn leave_unread(&self, name: &'static str, until: Instant) {
        let address = self.server.url.trim_start_matches("http://");
        let event = json!({"conversion": {"pcid": "\u{1}".repeat(2_048)}});
        let body = json!({"rule": {"name": "x", "request": {"url": format!("https://a.example/{}", "{pcid}".repeat(100))}}, "event": event});
        let preview = body.to_string();
        let requests = [
            format!("GET /tracking-apis?limit=1000 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", self.token),
            format!(
                "POST /tracking-apis/preview HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{preview}",
                self.token,
                preview.len()
            ),
        ];
        while now() < until {
            let mut open = Vec::new();
            for i in 0..100 {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    let asked = stream.write_all(requests[i % 2].as_bytes()).await;
                    self.note(name, if asked.is_ok() { "asked" } else { "closed" }.to_owned());
                    open.push(stream);
                }
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// Opens connections that send nothing or half a head, and opens those again that the server closes.
    async fn crowd(&self, name: &'static str, until: Instant) {
        let address = self.server.url.trim_start_matches("http://");
        let mut crowd: Vec<Option<TcpStream>> = (0..1_000).map(|_| None).collect();
        while now() < until {
            for (i, place) in crowd.iter_mut().enumerate() {
                if place.as_ref().is_some_and(is_open) {
                    continue;
                }
                *place = TcpStream::connect(address).await.ok();
                self.note(name, if place.is_some() { "opened" } else { "not opened" }.to_owned());
                if let Some(stream) = place.as_mut().filter(|_| i % 2 == 0) {
                    // The server may have closed it.
                    let _closed = stream.write_all(HALF_A_HEAD.as_bytes()).await;
                }
            }
            sleep(Duration::from_secs(2)).await;
        }
    }

    /// Posts events with thousands of parameters, the first of which has a special meaning for some parsers.
    async fn post_keys(&self, name: &'static str, until: Instant) {
        while now() < until {
            for key in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
                let mut parameters = format!("{{\"{key}\":\"x\"");
                for i in 0..4_000 {
                    write!(parameters, ",\"k{i}\":\"{key}\"").expect("a text grows");
                }
                parameters.push('}');
                let mut event = sale("aff_a", name, &self.next(name));
                event["detail"]["conversion"]["cookie_params"] = json!({key: "[1"});
                event["detail"]["conversion"]["query_params"] = json!("PARAMETERS");
                let event = event.to_string().replace("\"PARAMETERS\"", &parameters);
                self.call(name, &self.server.admin, "POST /events", event).await;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn next(&self, name: &str) -> String {
        format!("a_{name}_{}", self.events.fetch_add(1, Ordering::Relaxed))
    }

    async fn call(&self, name: &'static str, token: &str, line: &str, body: String) {
        let outcome = send(&self.client, &self.server.url, token, line, body).await;
        self.note(name, outcome);
    }

    fn note(&self, name: &'static str, outcome: String) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        *outcomes.entry(name).or_default().entry(outcome).or_default() += 1;
    }
}

/// Calls the server. Returns the status, or the kind of the failure.
async fn send(client: &reqwest::Client, url: &str, token: &str, line: &str, body: String) -> String {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let method = reqwest::Method::from_bytes(method.as_bytes()).expect("it is a method");
    let call = client.request(method, format!("{url}{path}")).bearer_auth(token).header("content-type", "application/json");
    match call.body(body).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16().to_string();
            if answer.bytes().await.is_ok() { status } else { format!("{status} cut short") }
        }
        Err(error) if error.is_timeout() => "no answer in time".to_owned(),
        Err(_) => "closed".to_owned(),
    }
}

/// Returns true while nothing, neither a response nor the end, can be read from a connection.
fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0];
    stream.try_read(&mut byte).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
