//! Sending: one HTTP client per process, connections kept alive; redirects are not followed, answers are read to 64 KiB within the
//! timeout, and only public addresses are connected to.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, Method,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use tracking_core::{
    answer::Answer,
    request::{Rendered, address::is_public},
    template::RenderFault,
};

use crate::deliver::{Claimed, Sent};

/// How much of an answer is read, in bytes.
pub(crate) const ANSWER_CAP: usize = 64 * 1024;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(50);

/// Why there is no answer. No text of it holds the request's URL, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// The rule's timeout ran out (Q4).
    #[error("no answer within {0} s")]
    Timeout(u8),
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Connection(String),
    /// The receiver's name leads to an address that is not public.
    #[error("not sent: {0}")]
    Refused(String),
    /// It can't be sent, now or later.
    #[error("not sent: {0}")]
    Unsendable(String),
    /// Its templates take more work than a rendering may.
    #[error("{0}")]
    TooExpensive(RenderFault),
}

impl From<RenderFault> for SendFault {
    fn from(fault: RenderFault) -> Self {
        match fault {
            RenderFault::TooExpensive { .. } => Self::TooExpensive(fault),
            other => Self::Unsendable(other.to_string()),
        }
    }
}

impl SendFault {
    /// Whether trying again makes no sense.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unsendable(_) | Self::TooExpensive(_))
    }
}

/// The one HTTP client.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    private_targets: bool,
}

impl Sender {
    /// A sender. `private_targets`: whether addresses that are not public may be connected to.
    ///
    /// # Errors
    /// TLS can't be set up on this machine.
    pub fn new(private_targets: bool) -> Result<Self, String> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true);
        if !private_targets {
            builder = builder.dns_resolver(Arc::new(PublicOnly));
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        Ok(Self { client, private_targets })
    }

    /// Sends a claimed attempt.
    pub async fn send(&self, claimed: &Claimed) -> Sent {
        let rendered = claimed.request()?;
        self.request(rendered).await
    }

    /// Sends a request and reads its answer.
    pub async fn request(&self, rendered: Rendered) -> Sent {
        let timeout = rendered.timeout;
        let answer = tokio::time::timeout(timeout.duration(), self.exchange(rendered)).await;
        answer.unwrap_or(Err(SendFault::Timeout(u8::try_from(timeout.seconds()).unwrap_or(u8::MAX))))
    }

    async fn exchange(&self, rendered: Rendered) -> Sent {
        let unsendable = |what: &str| SendFault::Unsendable(format!("the {what} can't be sent"));
        let url = url::Url::parse(&rendered.url).map_err(|_| unsendable("URL"))?;
        self.check_literal(&url)?;
        let method = Method::from_bytes(rendered.method.as_str().as_bytes()).map_err(|_| unsendable("method"))?;
        let mut headers = http::HeaderMap::new();
        for (name, value) in &rendered.headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable("header"))?;
            let mut value = http::HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unsendable("header"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let body = rendered.body.unwrap_or_default();
        if body.is_empty() && !matches!(method, Method::GET | Method::DELETE) {
            // Who gets a POST without a length may answer 411 (RFC 9110 §8.6).
            headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from_static("0"));
        }
        let mut request = self.client.request(method, url).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(fault)?;
        let status = response.status().as_u16();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            let room = ANSWER_CAP - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_CAP {
                break;
            }
        }
        Ok(Answer::new(status, headers, body))
    }

    /// A literal address never meets the resolver.
    fn check_literal(&self, url: &url::Url) -> Result<(), SendFault> {
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if self.private_targets || is_public(address) { Ok(()) } else { Err(SendFault::Refused(not_public(&[address]))) }
    }
}

/// Resolves names to public addresses only. The connector gets no other address to connect to.
#[derive(Debug)]
struct PublicOnly;

/// A name that leads nowhere public.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotPublic(String);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let public: Vec<SocketAddr> = found.iter().copied().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() && !found.is_empty() {
                let addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
                return Err(NotPublic(not_public(&addresses)).into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

fn not_public(addresses: &[IpAddr]) -> String {
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    format!("the receiver's address {} is not public", list.join(", "))
}

fn fault(error: reqwest::Error) -> SendFault {
    let error = error.without_url();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<NotPublic>() {
            return SendFault::Refused(refused.to_string());
        }
        // A resolver's error comes wrapped in an I/O error's place.
        if let Some(wrapped) = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && let Some(refused) = wrapped.downcast_ref::<NotPublic>()
        {
            return SendFault::Refused(refused.to_string());
        }
        source = inner.source();
    }
    if error.is_builder() { SendFault::Unsendable(chain(&error)) } else { SendFault::Connection(chain(&error)) }
}

/// An error with its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tracking_core::template::Expense;

    use super::*;

    #[test]
    fn f3_a_template_that_is_too_expensive_fails_for_good_by_its_macro() {
        let fault = SendFault::from(RenderFault::TooExpensive { name: "query.x".into(), expense: Expense::RegexInput(4_097) });
        assert!(fault.is_for_good());
        let told = "the template is too expensive: {query.x} gives regex 4097 bytes: at most 4096 are allowed";
        assert_eq!(fault.to_string(), told);
        assert_eq!(SendFault::from(RenderFault::DotSegment).to_string(), format!("not sent: {}", RenderFault::DotSegment));
    }
}
