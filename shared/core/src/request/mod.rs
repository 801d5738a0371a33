//! The request of a rule (domain Q1–Q5).

use serde_json::{Value, json};

use crate::{
    fault::Faults,
    template::{Allowed, RenderFault, Scope},
};

/// Time for one request, from connecting to the last byte of the answer: 1 to 120 seconds, 40 unless set (Q4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(u8);

impl Timeout {
    /// In seconds.
    pub fn seconds(self) -> u8 {
        self.0
    }
}

/// The method of a request (Q1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
}

/// A checked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    url: String,
}

/// A request with all macros filled in.
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Time for the whole of it (Q4).
    pub timeout: Timeout,
}

impl Request {
    /// Reads `request` of a rule; faults are added with their JSON pointers.
    pub fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let _ = (allowed, &faults, pointer);
        Some(Self { url: value["url"].as_str()?.to_owned() })
    }

    /// The resource form with defaults.
    pub fn document(&self) -> Value {
        json!({"url": self.url})
    }

    /// Fills in the macros.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Rendered, RenderFault> {
        let _ = scope;
        Ok(Rendered { method: Method::Get, url: self.url.clone(), headers: vec![], body: None, timeout: Timeout(40) })
    }

    /// The receiver as `host:port`, known without rendering.
    pub fn host(&self) -> &str {
        &self.url
    }

    /// Names of the secrets that it reads (Q5).
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}

/// How requests are signed (Standard Webhooks).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Name of the secret that keys the signature.
    pub secret: String,
}

impl Signing {
    /// Reads `signing` of a rule; faults are added with their JSON pointers.
    pub fn parse(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let _ = (pointer, faults);
        Some(Self { secret: value["secret"].as_str()?.to_owned() })
    }

    /// The resource form.
    pub fn document(&self) -> Value {
        json!({"secret": self.secret})
    }
}
