//! API and engine over the embedded store, in one process.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::{Extension, Router};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use tracking_core::{caller::Caller, id::Id};
use tracking_embedded::{
    Limits, OpenError, Store,
    worker::{self, Stop},
};
use tracking_engine::{
    Clock, Engine, Settings, Unworked,
    backend::Received,
    secrets::Vault,
    sender::{Lookups, Sender, SenderSettings},
};
use tracking_http_api::{
    AffiliateThreads,
    auth::{Auth, LocalTokens},
};

use crate::{
    bus, clock,
    descriptors::{self, Budget},
    events,
    http::{self, until},
    keys::{self, KeyError},
    threads::LowPriorityThreads,
};

/// The interval between two sweeps for due rows.
const SWEEP_EVERY: Duration = Duration::from_secs(20);
/// The number of sweeps between two removals of expired items: an hour.
const SWEEPS_A_PURGE: u32 = 180;
/// Messages of one receiver in work at once until it has answered in time.
const UNPROVEN: usize = 2;
/// The time limit of running sends when the server stops: the usual timeout and some. A longer send is cut off; its delivery continues at
/// the next start.
const SENDS_GRACE: Duration = Duration::from_secs(45);

/// The options of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; it is made if there is none.
    pub data: PathBuf,
    /// The address to listen on, as `host:port`; port 0 is any free one.
    pub listen: String,
    /// `true` if rules may name receivers at addresses that are not public, and those are called.
    pub private_targets: bool,
    /// The address at which receivers reach this server, if they do (W17).
    pub public_url: PublicUrl,
    /// The resolver of receivers' names.
    pub resolver: ResolverKind,
}

/// The address at which receivers reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicUrl {
    /// They don't.
    None,
    /// This one.
    Given(String),
    /// The one at which it listens: they run on this machine.
    Own,
}

/// The resolver of receivers' names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ResolverKind {
    /// The nameservers of /etc/resolv.conf, asked for each name without search domains
    #[default]
    Dns,
    /// The system's resolver, with its hosts file and search domains: for development
    System,
}

/// The reasons for which a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {listen}: choose an address of this machine and a free port with --listen")]
    Listen {
        /// The address.
        listen: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A key is missing or broken.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// There are no threads for affiliates' requests.
    #[error("threads can't be started")]
    Threads(#[source] io::Error),
    /// There is no HTTP client.
    #[error("requests can't be sent from this machine: {0}")]
    Sender(String),
}

/// A running server. It takes requests, works the queues and sweeps until [`LocalServer::stop`].
#[derive(Debug)]
pub struct LocalServer {
    address: SocketAddr,
    tokens: LocalTokens,
    stopping: watch::Sender<bool>,
    /// Asks for a sweep before the next one is due.
    sweep_now: Arc<Notify>,
    answers: JoinHandle<()>,
    sends: JoinHandle<()>,
    sweeps: JoinHandle<()>,
    _threads: LowPriorityThreads,
}

impl LocalServer {
    /// Starts a server; when this returns, it takes requests.
    ///
    /// # Errors
    /// The address is taken, another process holds the folder, a key or the store can't be read.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_at(options, Clock::new(clock::now)).await
    }

    /// Starts a server with another clock than the machine's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) async fn start_at(options: Options, clock: Clock) -> Result<Self, StartError> {
        let descriptors = descriptors::raise();
        let budget = Budget::of(descriptors);
        let listen = |source| StartError::Listen { listen: options.listen.clone(), source };
        let listener = http::listen(&options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let tokens = keys::tokens(&options.data)?;
        let vault = Vault::new(&keys::secrets_key(&options.data)?);
        let store = Store::open(&options.data)?;
        let settings = Settings {
            private_targets: options.private_targets,
            public_url: match options.public_url {
                PublicUrl::None => None,
                PublicUrl::Given(url) => Some(url),
                PublicUrl::Own => Some(format!("http://{address}")),
            },
            keep_events: true,
            ..Settings::default()
        };
        let engine = Arc::new(Engine::new(store.clone(), clock.clone(), vault, settings));
        let lookups = match options.resolver {
            ResolverKind::Dns => Lookups::default(),
            ResolverKind::System => Lookups::System,
        };
        let sender_clock = Some(clock.clone());
        let settings = SenderSettings {
            private_targets: options.private_targets,
            lookups,
            clock: sender_clock,
            ..SenderSettings::default()
        };
        let sender = Sender::with(settings).map_err(StartError::Sender)?;

        let (stopping, stopped) = watch::channel(false);
        let threads = LowPriorityThreads::start().map_err(StartError::Threads)?;
        let routes = routes(&engine, &store, sender.clone(), &Auth::Local(tokens.clone()));
        let routes = routes.layer(Extension(AffiliateThreads(threads.handle())));
        let answers = tokio::spawn(http::serve(listener, routes, budget.connections, stopped.clone()));
        let work = Work { store: store.clone(), engine: Arc::clone(&engine), clock: clock.clone() };
        let slots = Sends { at_once: budget.sends, slow: budget.slow_sends };
        let sends = tokio::spawn(send(work, sender, slots, threads.handle(), stopped.clone()));
        let sweep_now = Arc::new(Notify::new());
        let sweeps = tokio::spawn(sweep(Work { store, engine, clock }, Arc::clone(&sweep_now), stopped));
        tracing::info!(%address, descriptors, budget.connections, budget.sends, data = %options.data.display(), "serving");
        Ok(Self { address, tokens, stopping, sweep_now, answers, sends, sweeps, _threads: threads })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the beginning of its URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a token of an admin, valid for a day.
    pub fn admin_token(&self) -> String {
        keys::token(&self.tokens, &Caller::Admin, 1)
    }

    /// Makes a token of an affiliate, valid for a day.
    pub fn affiliate_token(&self, affiliate: &Id) -> String {
        keys::token(&self.tokens, &Caller::Affiliate(affiliate.clone()), 1)
    }

    /// Sweeps at once: its clock was set.
    pub(crate) fn sweep_now(&self) {
        self.sweep_now.notify_one();
    }

    /// Stops: takes no new request and begins no new send. Running requests may end within 10 s, running sends within 45 s. The rest
    /// continues at the next start.
    pub async fn stop(self) {
        let Self { stopping, answers, sends, sweeps, .. } = self;
        stopping.send_replace(true);
        for (what, task) in [("answering", answers), ("sending", sends), ("sweeping", sweeps)] {
            if let Err(error) = task.await {
                tracing::error!(what, %error, "a part of the server broke");
            }
        }
        tracing::info!("stopped");
    }
}

/// Returns the API with the operations that only a local server has.
fn routes(engine: &Arc<Engine<Store>>, store: &Store, sender: Sender, auth: &Auth) -> Router {
    let local = vec![events::operation(Arc::clone(engine)), bus::operation(store.clone())];
    tracking_http_api::router_with(Arc::clone(engine), sender, auth, local)
}

/// The store, the engine over it and their clock.
struct Work {
    store: Store,
    engine: Arc<Engine<Store>>,
    clock: Clock,
}

/// The messages in work at once: of receivers that answer in time, and of those that are slow.
struct Sends {
    at_once: usize,
    slow: usize,
}

/// Works the queues, the messages of costly owners on the threads of `costly`. When the server has to stop, deliveries in line behind a
/// running send are not sent any more.
async fn send(work: Work, sender: Sender, sends: Sends, costly: Handle, stopped: watch::Receiver<bool>) {
    let Work { store, engine, clock } = work;
    let stops = {
        let engine = Arc::clone(&engine);
        async move {
            until(stopped).await;
            engine.worker().stop();
        }
    };
    let work = move |batch: Vec<Received>| {
        let (engine, sender) = (Arc::clone(&engine), sender.clone());
        let queued = engine.worker().queue_up(batch);
        async move {
            // The worker hands failed messages back.
            for Unworked { received, delivery_id, failed } in engine.worker().work(queued, &sender, None).await {
                let delivery_id = delivery_id.map(tracing::field::display);
                let is_dead_lettered =
                    failed.is_for_good() && engine.worker().dead_letter(&received, &failed.to_string()).await.is_ok();
                let what = if is_dead_lettered { "dead-lettered" } else { "deferred" };
                tracing::error!(delivery_id, error = %failed, "a message could not be worked and is {what}");
            }
        }
    };
    let Sends { at_once, slow } = sends;
    let limits =
        Limits { total: at_once, per_owner: (at_once / 8).max(1), unproven: UNPROVEN, slow_total: slow, ..Limits::default() };
    let stop = Stop { asked: stops, grace: SENDS_GRACE };
    worker::work(store, limits, move || clock.now(), stop, &costly, work).await;
}

/// Sends the messages that fell due, and removes expired items.
async fn sweep(work: Work, now: Arc<Notify>, stopped: watch::Receiver<bool>) {
    let Work { store, engine, clock } = work;
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopped = std::pin::pin!(until(stopped));
    let mut sweeps = 0;
    loop {
        tokio::select! {
            () = &mut stopped => return,
            _ = ticks.tick() => {}
            () = now.notified() => {}
        }
        match engine.sweeper().sweep().await {
            Ok(sent) => tracing::debug!(sent, "swept"),
            Err(error) => tracing::error!(%error, "a sweep failed: the next one takes over"),
        }
        if sweeps % SWEEPS_A_PURGE == 0 {
            match store.purge(long_expired(clock.now())).await {
                Ok(removed) => tracing::debug!(removed, "purged"),
                Err(error) => tracing::error!(%error, "a purge failed: the next one takes over"),
            }
        }
        sweeps += 1;
    }
}

/// Returns the time before which expired items may be removed: readers have a minute's grace.
fn long_expired(now: Timestamp) -> Timestamp {
    now.saturating_sub(SignedDuration::from_mins(1)).unwrap_or(now)
}
