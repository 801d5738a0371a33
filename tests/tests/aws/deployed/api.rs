//! The deployed HTTP API.

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::deployed::soon;

/// The API behind the emulator's gateway.
pub(crate) struct Api {
    url: String,
    host: String,
    client: Client,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Api {
    /// Makes the API of this id. The gateway recognizes it by the host of the request.
    pub(crate) fn new(emulator: &str, id: &str) -> Self {
        Self { url: emulator.to_owned(), host: format!("{id}.execute-api.localhost"), client: Client::new() }
    }

    /// Makes a call such as `GET /tracking-apis`, with or without a token, and with a body unless it is null.
    pub(crate) async fn call(&self, token: Option<&str>, line: &str, body: &Value) -> Response {
        let mut request = self.request(line);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(body);
        }
        Self::answer(request).await
    }

    /// Makes a call with this body and signature, as the sender of a webhook does.
    pub(crate) async fn signed(&self, line: &str, signature: Option<&str>, body: &Value) -> Response {
        let mut request = self.request(line).json(body);
        if let Some(signature) = signature {
            request = request.header("x-signature", signature);
        }
        Self::answer(request).await
    }

    async fn answer(request: RequestBuilder) -> Response {
        let answer = request.send().await.expect("the gateway answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("the answer is whole");
        Response { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    fn request(&self, line: &str) -> RequestBuilder {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let method = Method::from_bytes(method.as_bytes()).expect("it is a method");
        self.client.request(method, format!("{}{path}", self.url)).header("host", &self.host)
    }

    /// Makes a rule that calls this address, for events of this affiliate alone, and returns its id. `more` are its other fields; `steps`
    /// in it replace the call of the address.
    pub(crate) async fn rule(&self, admin: &str, affiliate: &str, url: &str, more: &Value) -> String {
        let mut rule = json!({
            "name": affiliate, "trigger": "transaction_all", "conditions": {"affiliate": [affiliate]},
            "request": {"url": url, "timeout_seconds": 20},
        });
        let members = rule.as_object_mut().unwrap();
        if more.get("steps").is_some() {
            members.remove("request");
        }
        members.extend(more.as_object().unwrap().clone());
        let answer = self.call(Some(admin), "POST /tracking-apis", &rule).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().expect("a rule has an id").to_owned()
    }

    /// Returns the deliveries that the log lists of a rule.
    pub(crate) async fn deliveries(&self, admin: &str, rule: &str) -> Vec<Value> {
        let answer = self.call(Some(admin), &format!("GET /deliveries?tracking_api_id={rule}"), &Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["items"].as_array().expect("a list has items").clone()
    }

    /// Waits until the log lists exactly this many deliveries of a rule, all in this state, and returns them.
    pub(crate) async fn all(&self, admin: &str, rule: &str, count: usize, state: &str) -> Vec<Value> {
        soon(&format!("{count} deliveries {state}"), async || {
            let listed = self.deliveries(admin, rule).await;
            let there = listed.len() == count && listed.iter().all(|delivery| delivery["state"] == state);
            if there { Ok(listed) } else { Err(format!("{listed:?}")) }
        })
        .await
    }
}
