//! A receiver on loopback that can be broken and repaired.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    Router,
    http::{StatusCode, Uri},
};
use tokio::net::TcpListener;

/// Answers every request with the same status, and remembers their paths and queries.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Where it listens, without a slash at its end.
    pub(crate) url: String,
    status: Arc<AtomicU16>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    pub(crate) async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let receiver = Self { url, status: Arc::new(AtomicU16::new(status)), heard: Arc::default() };
        let hears = receiver.clone();
        let routes = Router::new().fallback(move |uri: Uri| {
            hears.lock().push(uri.to_string());
            let status = StatusCode::from_u16(hears.status.load(Ordering::Relaxed)).expect("it is a status");
            async move { status }
        });
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    /// From now on it answers this.
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// What it heard since this was last asked.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
