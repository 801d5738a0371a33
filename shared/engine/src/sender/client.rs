//! The HTTP client: HTTP/1.1 alone, so that a connection carries one request at a time; connections kept alive; no redirects, no proxy.
//!
//! **The data that a receiver may send before its response is bounded**: a head of 64 KiB, and 1 000 interim responses (1xx) with 64 KiB
//! of headers in all. Each of those costs time to read and ends nothing, so that an endless series of them would take a processor for the
//! whole timeout of the rule.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{body::Incoming, ext::on_informational};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer};
use tokio::sync::Notify;

use super::{
    connection::{self, Connector},
    resolver::{ForClient, Resolver},
};

/// The time for which an idle connection is kept: shorter than common servers keep theirs, so that few requests meet one that is being closed.
const IDLE: Duration = Duration::from_secs(4);
/// The most bytes of a response's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The most headers of a response.
const MAX_HEADERS: usize = 500;
/// The most interim responses to one request.
const MAX_INTERIM: usize = 1_000;

/// The most bytes of the headers of all interim responses to one request.
const MAX_INTERIM_BYTES: usize = 64 * 1024;

/// A request with all of its body.
pub(super) type WholeRequest = http::Request<Full<Bytes>>;

type Pool = legacy::Client<Connector<HttpsConnector<HttpConnector<ForClient>>>, Full<Bytes>>;

/// The one client of a process.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Keeps connections.
    pool: Pool,
    /// Makes a connection for each request.
    fresh: Pool,
}

impl Client {
    /// Sends a request. If a kept connection turns out to be just closed by its receiver, the request goes once more, over a new one.
    pub(super) async fn request(&self, request: WholeRequest) -> Result<http::Response<Incoming>, legacy::Error> {
        match self.pool.request(request.clone()).await {
            Err(error) if connection::is_stale(&error) => self.fresh.request(request).await,
            sent => sent,
        }
    }
}

/// A client that connects to the addresses that this resolver finds. It judges receivers' certificates by these authorities; if there are
/// none, by those of this machine.
///
/// # Errors
/// There are no certificates of authorities, or one that can't be read.
pub(super) fn new(resolver: Arc<Resolver>, authorities: &[CertificateDer<'static>]) -> Result<Client, String> {
    let mut connector = HttpConnector::new_with_resolver(ForClient(resolver));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let unusable = |error: &dyn Error| format!("receivers' certificates can't be judged on this machine: {error}");
    let provider = aws_lc_rs::default_provider();
    let tls = if authorities.is_empty() {
        HttpsConnectorBuilder::new().with_provider_and_native_roots(provider).map_err(|error| unusable(&error))?
    } else {
        let mut roots = RootCertStore::empty();
        authorities.iter().try_for_each(|one| roots.add(one.clone())).map_err(|error| unusable(&error))?;
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
        let config = config.map_err(|error| unusable(&error))?.with_root_certificates(roots).with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    };
    let connector = tls.https_or_http().enable_http1().wrap_connector(connector);
    let connector = Connector(connector);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    // A line that is no header is left out: the response came all the same.
    builder
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .http1_max_headers(MAX_HEADERS)
        // The rule's names go out as they are written; those that the client adds as most clients write them.
        .http1_title_case_headers(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true);
    let fresh = builder.clone().pool_max_idle_per_host(0).build(connector.clone());
    let pool = builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
    Ok(Client { pool, fresh })
}

/// The interim responses to one request.
#[derive(Debug, Default)]
pub(super) struct Interim {
    count: AtomicUsize,
    bytes: AtomicUsize,
    too_many: Notify,
}

impl Interim {
    /// Counts the interim responses to this request.
    pub(super) fn watch(request: &mut WholeRequest) -> Arc<Self> {
        let interim = Arc::new(Self::default());
        let counted = Arc::clone(&interim);
        on_informational(request, move |response| {
            let headers = response.headers().iter();
            let bytes: usize = headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
            let is_over = counted.count.fetch_add(1, Ordering::Relaxed) >= MAX_INTERIM;
            if counted.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_INTERIM_BYTES || is_over {
                counted.too_many.notify_one();
            }
        });
        interim
    }

    /// Resolves once there are too many, with the text of the fault.
    pub(super) async fn too_many(&self) -> String {
        self.too_many.notified().await;
        format!(
            "more than {MAX_INTERIM} interim responses (1xx), or {MAX_INTERIM_BYTES} bytes of their headers, came before the response"
        )
    }
}
