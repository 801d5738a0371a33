//! Questions to nameservers: UDP, and TCP where an answer does not fit; two tries of two seconds each.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RecordType},
};
use tokio::time::timeout;

use super::{cache::Found, fault::LookupFault, nameservers::Nameservers};

/// The time for one try.
const TRY: Duration = Duration::from_secs(2);
/// Tries after the first.
const FURTHER_TRIES: usize = 1;
/// The time for all tries of one question, with some margin.
const WHOLE: Duration = Duration::from_millis(4_500);
/// Most questions on one TCP connection: as many as may be open.
const MOST_QUESTIONS: usize = 64;
/// The time for which the lack of an answer counts.
const NEGATIVE_LIFETIME: Duration = Duration::from_secs(5);

/// The client of nameservers.
pub(super) struct Dns {
    nameservers: Nameservers,
    /// Made for these nameservers.
    made: Mutex<Option<(Vec<SocketAddr>, TokioResolver)>>,
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("nameservers", &self.nameservers).finish_non_exhaustive()
    }
}

impl Dns {
    pub(super) fn new(nameservers: Nameservers) -> Self {
        Self { nameservers, made: Mutex::new(None) }
    }

    /// Asks for a name's addresses and their lifetime: IPv4, then IPv6 unless `is_enough`.
    ///
    /// # Errors
    /// It could not be asked.
    pub(super) async fn ask(&self, name: &str, is_enough: impl Fn(&[IpAddr]) -> bool) -> Result<(Found, Duration), LookupFault> {
        let Ok(mut absolute) = Name::from_ascii(name) else {
            return Ok((Found::Nothing("the receiver's name is not one that can be looked up".to_owned()), NEGATIVE_LIFETIME));
        };
        absolute.set_fqdn(true);
        let resolver = self.resolver()?;
        let first = question(&resolver, absolute.clone(), RecordType::A).await?;
        let (mut addresses, lifetime) = match &first {
            (Found::Addresses(addresses), lifetime) if is_enough(addresses) => {
                return Ok((Found::Addresses(addresses.clone()), *lifetime));
            }
            (Found::Addresses(addresses), lifetime) => (addresses.clone(), *lifetime),
            // It will not answer for the other kind either.
            (Found::Silence, _) => return Ok(first),
            (Found::Nothing(_), _) => (Vec::new(), Duration::MAX),
        };
        let second = question(&resolver, absolute, RecordType::AAAA).await?;
        match second {
            (Found::Addresses(more), other) => {
                addresses.extend(more);
                Ok((Found::Addresses(addresses), lifetime.min(other)))
            }
            _ if addresses.is_empty() => Ok(if matches!(second.0, Found::Silence) { second } else { first }),
            _ => Ok(first),
        }
    }

    /// The resolver for the machine's present nameservers.
    fn resolver(&self) -> Result<TokioResolver, LookupFault> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = match (self.nameservers.read(), &*made) {
            (Ok(servers), Some((known, resolver))) if servers == *known => return Ok(resolver.clone()),
            (Ok(servers), _) => servers,
            // Better the last known ones than none.
            (Err(_), Some((_, resolver))) => return Ok(resolver.clone()),
            (Err(words), None) => return Err(LookupFault::Ours(words)),
        };
        let resolver = make(&servers).map_err(|error| LookupFault::Ours(error.to_string()))?;
        *made = Some((servers, resolver.clone()));
        Ok(resolver)
    }
}

fn make(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let server = |address: &SocketAddr| {
        let connections = [ProtocolConfig::Udp, ProtocolConfig::Tcp].map(|protocol| {
            let mut connection = ConnectionConfig::new(protocol);
            connection.port = address.port();
            connection
        });
        NameServerConfig::new(address.ip(), true, connections.into())
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    let mut options = ResolverOpts::default();
    options.timeout = TRY;
    options.attempts = FURTHER_TRIES;
    options.max_active_requests = MOST_QUESTIONS;
    options.use_hosts_file = ResolveHosts::Never;
    // It would count by a clock that does not run while an environment is frozen.
    options.cache_size = 0;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build()
}

/// One question.
async fn question(resolver: &TokioResolver, name: Name, kind: RecordType) -> Result<(Found, Duration), LookupFault> {
    let Ok(answer) = timeout(WHOLE, resolver.lookup(name, kind)).await else { return Ok((Found::Silence, NEGATIVE_LIFETIME)) };
    let nothing = |words: String| Ok((Found::Nothing(words), NEGATIVE_LIFETIME));
    match answer {
        Ok(lookup) => {
            let addresses: Vec<IpAddr> = lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
            let lifetime = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
            if addresses.is_empty() {
                return nothing("the receiver's name has no address".to_owned());
            }
            Ok((Found::Addresses(addresses), Duration::from_secs(u64::from(lifetime))))
        }
        Err(NetError::Timeout) => Ok((Found::Silence, NEGATIVE_LIFETIME)),
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            use hickory_resolver::proto::op::ResponseCode::{NXDomain, NoError};
            match none.response_code {
                NXDomain => nothing("the receiver's name does not exist".to_owned()),
                NoError => nothing("the receiver's name has no address".to_owned()),
                code => nothing(format!("the lookup of the receiver's name failed: {code}")),
            }
        }
        Err(NetError::Dns(DnsError::ResponseCode(code))) => nothing(format!("the lookup of the receiver's name failed: {code}")),
        Err(error @ (NetError::Io(_) | NetError::NoConnections | NetError::Busy)) => {
            Err(LookupFault::Ours(format!("the nameserver can't be asked: {error}")))
        }
        Err(_) => nothing("the nameserver's answer about the receiver's name can't be read".to_owned()),
    }
}
