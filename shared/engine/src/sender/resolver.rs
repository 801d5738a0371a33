//! Names to addresses. The connector gets the addresses that are judged here, and no others.
//!
//! - A name is asked as it is written (absolute): no search domain, no hosts file. `localhost` and names below it are this machine (RFC
//!   6761) and are never asked.
//! - IPv4 first; IPv6 where there is no IPv4 address that may be used, and only addresses that this machine has a route to.
//! - Lookups are bounded, in all and per owner, so that names whose nameservers never answer hold up nobody else. A send whose time runs
//!   out while it waits for its turn is charged to nobody.
//! - A name without an answer is the receiver's fault; so is one name's silence. Several names that are silent at once, while no other
//!   is answered, mean that the nameserver is away: our fault.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
    vec,
};

use hyper_util::client::legacy::connect::dns::Name;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tower_service::Service;
use tracking_core::request::address::is_public;

use super::{
    cache::{Cache, Found, MOST_ADDRESSES},
    dns::Dns,
    fault::{LookupFault, is_ours},
    nameservers::Nameservers,
    progress::{Progress, Stage},
};
use crate::Clock;

/// Most lookups that are open at once.
const MOST_LOOKUPS: usize = 64;
/// Most lookups of one owner that are open at once.
const MOST_LOOKUPS_OF_OWNER: usize = 16;
/// Most threads that the system's resolver occupies.
const MOST_SYSTEM_LOOKUPS: usize = 16;
/// The longest that the system's resolver is waited for.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(10);
/// The time for which answers of the system's resolver count, which reports no lifetime.
const SYSTEM_LIFETIME: Duration = Duration::from_secs(5);
/// Names that are silent within this time are silent at once.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(10);
/// The number of names silent at once that means that the nameserver is away.
const SILENT_NAMES: usize = 3;

/// The source of a name's addresses.
#[derive(Debug, Clone)]
pub enum Lookups {
    /// These nameservers, asked by this process.
    Nameservers(Nameservers),
    /// The system's resolver with its hosts file and search domains: for development.
    System,
}

impl Default for Lookups {
    fn default() -> Self {
        Self::Nameservers(Nameservers::default())
    }
}

/// Resolves names, to public addresses only unless others are allowed.
#[derive(Debug)]
pub(super) struct Resolver {
    source: Source,
    private_targets: bool,
    /// Without a clock nothing is kept.
    clock: Option<Clock>,
    cache: Mutex<Cache>,
    slots: Semaphore,
    owners: Shared<Arc<str>, Semaphore>,
    /// One lookup of a name at a time.
    turns: Shared<String, tokio::sync::Mutex<()>>,
    silent: Mutex<Vec<(Timestamp, String)>>,
}

#[derive(Debug)]
enum Source {
    Dns(Box<Dns>),
    System(Arc<Semaphore>),
}

impl Resolver {
    pub(super) fn new(lookups: Lookups, private_targets: bool, clock: Option<Clock>) -> Self {
        let source = match lookups {
            Lookups::Nameservers(nameservers) => Source::Dns(Box::new(Dns::new(nameservers))),
            Lookups::System => Source::System(Arc::new(Semaphore::new(MOST_SYSTEM_LOOKUPS))),
        };
        Self {
            source,
            private_targets,
            clock,
            cache: Mutex::default(),
            slots: Semaphore::new(MOST_LOOKUPS),
            owners: Shared::default(),
            turns: Shared::default(),
            silent: Mutex::default(),
        }
    }

    /// The addresses of a name that may be connected to.
    async fn addresses(&self, name: &str, progress: &Progress) -> Result<Vec<IpAddr>, LookupFault> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name == "localhost" || name.ends_with(".localhost") {
            return self.judge(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let found = match self.kept(&name) {
            Some(found) => found,
            None => self.look_up(&name, progress).await?,
        };
        match found {
            Found::Addresses(addresses) => self.judge(addresses),
            Found::Nothing(words) => Err(LookupFault::Receiver(words)),
            Found::Silence if self.is_away(&name) => {
                Err(LookupFault::Ours("the nameserver answers for none of several names".to_owned()))
            }
            Found::Silence => Err(LookupFault::Receiver("the lookup of the receiver's name timed out".to_owned())),
        }
    }

    /// The addresses of these that may be connected to, and can be.
    fn judge(&self, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, LookupFault> {
        let public: Vec<IpAddr> = found.iter().copied().filter(|address| self.may_connect(*address)).collect();
        if public.is_empty() {
            return Err(LookupFault::NotPublic(found));
        }
        let routed = routed(public);
        if routed.is_empty() {
            return Err(LookupFault::Receiver("there is no route to the receiver's addresses".to_owned()));
        }
        Ok(routed)
    }

    fn may_connect(&self, address: IpAddr) -> bool {
        self.private_targets || is_public(address)
    }

    /// Asks for a name once its turn has come.
    async fn look_up(&self, name: &str, progress: &Progress) -> Result<Found, LookupFault> {
        progress.set(Stage::LookupSlot);
        let own = self.owners.of(&progress.owner, || Semaphore::new(MOST_LOOKUPS_OF_OWNER));
        let turn = self.turns.of(&name.to_owned(), || tokio::sync::Mutex::new(()));
        let closed = |_| LookupFault::Ours("lookups have ended".to_owned());
        let _own_slot = own.acquire().await.map_err(closed)?;
        let _slot = self.slots.acquire().await.map_err(closed)?;
        progress.set(Stage::Lookup(name.to_owned()));
        let _turn = turn.lock().await;
        let found = if let Some(found) = self.kept(name) {
            found
        } else {
            let (found, lifetime) = self.ask(name).await?;
            self.keep(name, &found, lifetime);
            found
        };
        progress.set(Stage::Receiver);
        Ok(found)
    }

    async fn ask(&self, name: &str) -> Result<(Found, Duration), LookupFault> {
        let (mut found, lifetime) = match &self.source {
            Source::Dns(dns) => dns.ask(name, |addresses| addresses.iter().any(|address| self.may_connect(*address))).await?,
            Source::System(threads) => ask_system(Arc::clone(threads), name.to_owned()).await?,
        };
        if let Found::Addresses(addresses) = &mut found {
            addresses.truncate(MOST_ADDRESSES);
        }
        Ok((found, lifetime))
    }

    fn kept(&self, name: &str) -> Option<Found> {
        let now = self.clock.as_ref()?.now();
        lock(&self.cache).get(name, now)
    }

    fn keep(&self, name: &str, found: &Found, lifetime: Duration) {
        if *found != Found::Silence {
            lock(&self.silent).clear();
        }
        if let Some(clock) = &self.clock {
            lock(&self.cache).keep(name, found, lifetime, clock.now());
        }
    }

    /// Notes that a name is silent. Returns true if so many are at once, and none was answered, that the nameserver must be away.
    pub(super) fn is_away(&self, name: &str) -> bool {
        let now = self.clock.as_ref().map_or(Timestamp::UNIX_EPOCH, Clock::now);
        let mut silent = lock(&self.silent);
        silent.retain(|(at, other)| other != name && now.duration_since(*at).abs() < AT_ONCE);
        // More of them add nothing.
        if silent.len() >= SILENT_NAMES {
            silent.remove(0);
        }
        silent.push((now, name.to_owned()));
        silent.len() >= SILENT_NAMES
    }
}

/// A resolver as the HTTP client takes it.
#[derive(Debug, Clone)]
pub(super) struct ForClient(pub(super) Arc<Resolver>);

impl Service<Name> for ForClient {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = LookupFault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, LookupFault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LookupFault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolver, progress) = (Arc::clone(&self.0), Progress::current());
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str(), &progress).await?;
            let sockets: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(sockets.into_iter())
        })
    }
}

/// Asks the system's resolver. A thread that it occupies stays counted until it is free, however long that takes.
async fn ask_system(threads: Arc<Semaphore>, name: String) -> Result<(Found, Duration), LookupFault> {
    let ours = |words: &dyn fmt::Display| LookupFault::Ours(words.to_string());
    let thread = threads.acquire_owned().await.map_err(|error| ours(&error))?;
    let asked = tokio::task::spawn_blocking(move || {
        let found = (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect::<Vec<_>>());
        drop(thread);
        found
    });
    let Ok(asked) = tokio::time::timeout(SYSTEM_TIMEOUT, asked).await else { return Ok((Found::Silence, SYSTEM_LIFETIME)) };
    let found = match asked.map_err(|error| ours(&error))? {
        Ok(addresses) => Found::Addresses(addresses),
        Err(error) if is_ours(&error) => return Err(ours(&error)),
        Err(error) => Found::Nothing(error.to_string()),
    };
    Ok((found, SYSTEM_LIFETIME))
}

/// The addresses that this machine has a route to, IPv4 first. All of IPv4.
fn routed(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    v4.extend(v6.into_iter().filter(|address| has_route(*address)));
    v4
}

/// Returns true unless the system knows that it can't reach an address. Nothing is sent.
pub(super) fn has_route(address: IpAddr) -> bool {
    let from: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let connected = UdpSocket::bind((from, 0)).and_then(|socket| socket.connect((address, 9)));
    // Other resources that this machine lacks show when it connects.
    connected.map_or_else(|error| matches!(error.raw_os_error(), Some(23 | 24)), |()| true)
}

/// Values shared by concurrent users, by name; a value without users is forgotten.
#[derive(Debug)]
struct Shared<K, T>(Mutex<HashMap<K, Arc<T>>>);

impl<K, T> Default for Shared<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, T> Shared<K, T> {
    fn of(&self, key: &K, new: impl FnOnce() -> T) -> Arc<T> {
        let mut all = lock(&self.0);
        if let Some(known) = all.get(key) {
            return Arc::clone(known);
        }
        all.retain(|_, shared| Arc::strong_count(shared) > 1);
        let new = Arc::new(new());
        all.insert(key.clone(), Arc::clone(&new));
        new
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
