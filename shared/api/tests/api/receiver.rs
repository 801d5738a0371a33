//! A receiver on loopback that can be broken and repaired.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    Router,
    http::{StatusCode, Uri},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

/// Answers every request with the same status and the request's path and query, and remembers their paths and queries.
#[derive(Clone)]
pub(crate) struct Receiver {
    /// Its URL, without a slash at its end.
    pub(crate) url: String,
    status: Arc<AtomicU16>,
    heard: Arc<Mutex<Vec<String>>>,
    /// The number of requests that came.
    count: Arc<watch::Sender<usize>>,
    /// Closed once requests are answered.
    gate: Arc<Semaphore>,
}

impl Receiver {
    pub(crate) async fn answering(status: u16) -> Self {
        let receiver = Self::hanging(status).await;
        receiver.let_go();
        receiver
    }

    /// A receiver that answers nothing until it is let go.
    pub(crate) async fn hanging(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (status, count, gate) = (Arc::new(AtomicU16::new(status)), Arc::default(), Arc::new(Semaphore::new(0)));
        let receiver = Self { url, status, heard: Arc::default(), count, gate };
        let hears = receiver.clone();
        let routes = Router::new().fallback(move |uri: Uri| {
            hears.lock().push(uri.to_string());
            hears.count.send_modify(|count| *count += 1);
            let status = StatusCode::from_u16(hears.status.load(Ordering::Relaxed)).expect("it is a status");
            let gate = Arc::clone(&hears.gate);
            async move {
                assert!(gate.acquire().await.is_err(), "it is closed, never opened");
                (status, uri.to_string())
            }
        });
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    /// From now on it answers this.
    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Answers all waiting and later requests.
    pub(crate) fn let_go(&self) {
        self.gate.close();
    }

    /// Waits until so many requests have come.
    pub(crate) async fn reached(&self, count: usize) {
        let reached = self.count.subscribe().wait_for(|reached| *reached >= count).await.map(drop);
        reached.expect("the receiver is there");
    }

    /// The paths and queries that it got since this was last asked.
    pub(crate) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
