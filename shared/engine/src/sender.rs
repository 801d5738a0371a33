//! Sending: one HTTP client per process ([`client`]), which follows no redirects; answers are read to 1 MiB within the timeout, and
//! only public addresses are connected to.
//!
//! A fault that keeps a request from leaving is either the receiver's, which is charged as an attempt, or this machine's
//! ([`SendFault::Ours`]), which is not.

mod cache;
mod client;
mod connection;
mod dns;
mod fault;
mod head;
mod length;
mod nameservers;
mod progress;
mod resolver;
mod response;
mod room;
mod spelling;

use std::{net::IpAddr, pin::pin, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};
use tracking_core::{
    answer::Response,
    caller::Owner,
    id::Id,
    request::{Rendered, address::is_public},
};

pub use fault::{OurFault, SendFault};
pub use nameservers::Nameservers;
pub use resolver::Lookups;

use crate::Clock;
use client::{Client, Interim, WholeRequest};
use progress::{Progress, Stage};
use resolver::{Resolver, has_route};
use room::Room;

/// The result of sending: an answer, or the reason why there is none.
pub type SendResult = Result<Response, SendFault>;

/// The part of a response's body that is read, in bytes.
pub(crate) const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The note on a response that TLS did not end as it should.
const NO_GOODBYE: &str = "the connection was closed without TLS's close_notify, what came counts as the whole response";

/// The settings of a sender.
#[derive(Debug, Clone, Default)]
pub struct SenderSettings {
    /// `true` if addresses that are not public may be connected to.
    pub private_targets: bool,
    /// The source of a name's addresses.
    pub lookups: Lookups,
    /// The clock by which such answers grow old. Without one, none is kept.
    pub clock: Option<Clock>,
    /// The certificates of the authorities by which receivers' certificates are judged, in DER; none: those that this machine trusts.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// The one HTTP client.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    resolver: Arc<Resolver>,
    room: Room,
    private_targets: bool,
}

impl Sender {
    /// A sender that asks this machine's nameservers, and keeps no answer of theirs. `private_targets`: `true` if addresses that are not
    /// public may be connected to.
    ///
    /// # Errors
    /// This machine has no certificates of authorities to judge receivers' certificates by.
    pub fn new(private_targets: bool) -> Result<Self, String> {
        Self::with(SenderSettings { private_targets, ..SenderSettings::default() })
    }

    /// A sender with these settings.
    ///
    /// # Errors
    /// This machine has no certificates of authorities to judge receivers' certificates by.
    pub fn with(settings: SenderSettings) -> Result<Self, String> {
        let SenderSettings { private_targets, lookups, clock, authorities } = settings;
        let resolver = Arc::new(Resolver::new(lookups, private_targets, clock));
        let client = client::new(Arc::clone(&resolver), &authorities)?;
        Ok(Self { client, resolver, room: Room::default(), private_targets })
    }

    /// Sends a request that belongs to no rule and reads its answer.
    pub async fn request(&self, rendered: Rendered) -> SendResult {
        self.run("", rendered).await
    }

    /// Sends a request of this owner's rule and reads its answer. The owner learns no address that is not public unless it is an admin.
    pub async fn request_for(&self, owner: &Owner, rendered: Rendered) -> SendResult {
        let name = owner.affiliate().map_or("admin", Id::as_str);
        self.run(name, rendered).await.map_err(|fault| fault.for_owner(owner))
    }

    async fn run(&self, owner: &str, rendered: Rendered) -> SendResult {
        let timeout = rendered.timeout;
        let progress = Progress::new(owner);
        let mut sending = pin!(Arc::clone(&progress).scope(self.exchange(rendered, &progress)));
        let deadline = Instant::now() + timeout.duration();
        loop {
            // The receiver does not cause the time that its response waits for room here.
            let extended = deadline + progress.waited();
            if let Ok(sent) = timeout_at(extended, &mut sending).await {
                return sent;
            }
            if deadline + progress.waited() <= extended {
                break;
            }
        }
        Err(match progress.stage() {
            Stage::LookupSlot => SendFault::Ours(OurFault("too many names are looked up at once".to_owned())),
            Stage::Lookup(name) if self.resolver.is_away(&name) => {
                SendFault::Ours(OurFault("the nameserver answers for none of several names".to_owned()))
            }
            Stage::Lookup(_) | Stage::Receiver => SendFault::Timeout(u8::try_from(timeout.seconds()).unwrap_or(u8::MAX)),
        })
    }

    async fn exchange(&self, rendered: Rendered, progress: &Progress) -> SendResult {
        let spelling = spelling::spelled(rendered.headers.iter().map(|(name, _)| name.as_str())).await;
        let mut request = self.whole_request(rendered)?;
        request.extensions_mut().extend(spelling);
        let interim = Interim::watch(&mut request);
        let response = tokio::select! {
            biased;
            words = interim.too_many() => return Err(SendFault::Connection(words)),
            response = self.client.request(request) => response.map_err(|error| fault::of_client(&error))?,
        };
        Ok(response::read(response, &self.room, progress).await)
    }

    fn whole_request(&self, rendered: Rendered) -> Result<WholeRequest, SendFault> {
        let unsendable = |what: &str| SendFault::Unsendable(format!("the {what} can't be sent"));
        let url = url::Url::parse(&rendered.url).map_err(|_| unsendable("URL"))?;
        self.check_literal(&url)?;
        let uri: Uri = url.as_str().parse().map_err(|_| unsendable("URL"))?;
        let method = Method::from_bytes(rendered.method.as_str().as_bytes()).map_err(|_| unsendable("method"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &rendered.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable("header"))?;
            let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| unsendable("header"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let body = rendered.body.unwrap_or_default();
        if body.is_empty() && !matches!(method, Method::GET | Method::DELETE) {
            // A receiver of a POST without a length may answer 411 (RFC 9110 §8.6).
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let mut request = WholeRequest::new(Full::from(body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(request)
    }

    /// A literal address never meets the resolver.
    fn check_literal(&self, url: &url::Url) -> Result<(), SendFault> {
        let address = match url.host() {
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        if !self.private_targets && !is_public(address) {
            return Err(SendFault::Refused(vec![address]));
        }
        if address.is_ipv6() && !has_route(address) {
            return Err(SendFault::Connection("there is no route to the receiver's address".to_owned()));
        }
        Ok(())
    }
}
