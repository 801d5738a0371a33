//! Reasons why there is no answer, and the side at fault: the receiver, which is charged, or this machine, which is not.

use std::{error::Error, io, net::IpAddr};

use hyper_util::client::legacy;
use tracking_core::{caller::Owner, template::RenderFault};

/// The reason why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookupFault {
    /// It leads to these addresses alone, none of them public.
    #[error("no public address")]
    NotPublic(Vec<IpAddr>),
    /// It has no address that can be used.
    #[error("{0}")]
    Receiver(String),
    /// It could not be asked.
    #[error("{0}")]
    Ours(String),
}

impl From<LookupFault> for SendFault {
    fn from(fault: LookupFault) -> Self {
        match fault {
            LookupFault::NotPublic(addresses) => Self::Refused(addresses),
            LookupFault::Receiver(words) => Self::Connection(words),
            LookupFault::Ours(words) => Self::Ours(OurFault(words)),
        }
    }
}

/// The reason why there is no answer. No text of it holds the request's URL, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFault {
    /// The rule's timeout ran out (Q4).
    #[error("no answer within {0} s")]
    Timeout(u8),
    /// No connection, or it broke.
    #[error("no answer: {0}")]
    Connection(String),
    /// The receiver's name leads to addresses that are not public: these, for callers that may know them.
    #[error("not sent: {}", not_public(.0))]
    Refused(Vec<IpAddr>),
    /// It can't be sent, now or later.
    #[error("not sent: {0}")]
    Unsendable(String),
    /// Its templates take more work than a rendering may.
    #[error("{0}")]
    TooExpensive(RenderFault),
    /// A fault of this machine, met before any byte of the request left. It is charged to no delivery.
    #[error("not sent: this server can't reach receivers at the moment, try again later")]
    Ours(OurFault),
}

/// A fault of this machine, described for its own log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OurFault(pub String);

impl From<RenderFault> for SendFault {
    fn from(fault: RenderFault) -> Self {
        match fault {
            RenderFault::TooExpensive { .. } => Self::TooExpensive(fault),
            other => Self::Unsendable(other.to_string()),
        }
    }
}

impl SendFault {
    /// Returns true if trying again makes no sense.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unsendable(_) | Self::TooExpensive(_))
    }

    /// Returns true if the request may have left.
    pub fn may_have_left(&self) -> bool {
        !self.is_for_good() && !matches!(self, Self::Ours(_))
    }

    /// The fault as the owner of the rule may see it: an affiliate learns no address that is not public.
    #[must_use]
    pub fn for_owner(self, owner: &Owner) -> Self {
        match self {
            Self::Refused(_) if owner.affiliate().is_some() => Self::Refused(Vec::new()),
            fault => fault,
        }
    }
}

fn not_public(addresses: &[IpAddr]) -> String {
    let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let list = if list.is_empty() { String::new() } else { format!(" {}", list.join(", ")) };
    format!("the receiver's address{list} is not public")
}

/// The fault behind an error of the HTTP client, whose own text adds nothing to that of its cause.
pub(super) fn of_client(error: &legacy::Error) -> SendFault {
    read(error.source().unwrap_or(error), error.is_connect())
}

/// Returns true if a connection ended without a message, and nothing else is wrong with it.
pub(super) fn is_end(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(fault) = inner.downcast_ref::<io::Error>() {
            return fault.kind() == io::ErrorKind::UnexpectedEof;
        }
        cause = inner.source();
    }
    false
}

/// The fault behind an error and its causes. `connecting`: no byte of the request has left.
fn read(error: &(dyn Error + 'static), connecting: bool) -> SendFault {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(fault) = inner.downcast_ref::<LookupFault>() {
            return fault.clone().into();
        }
        if let Some(fault) = inner.downcast_ref::<io::Error>() {
            // A resolver's error may come wrapped.
            if let Some(fault) = fault.get_ref().and_then(|wrapped| wrapped.downcast_ref::<LookupFault>()) {
                return fault.clone().into();
            }
            if is_ours(fault) {
                return if connecting {
                    SendFault::Ours(OurFault(fault.to_string()))
                } else {
                    SendFault::Connection("the connection broke for a fault of this server".to_owned())
                };
            }
        }
        cause = inner.source();
    }
    SendFault::Connection(chain(error))
}

/// Returns true if this machine lacks something that has nothing to do with the other side: descriptors, memory, buffers or ports.
pub(super) fn is_ours(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 105 } else { 55 };
    matches!(error.kind(), io::ErrorKind::OutOfMemory | io::ErrorKind::AddrNotAvailable)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

/// An error with its causes, each printed once.
pub(super) fn chain(error: &dyn Error) -> String {
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

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Client(#[source] io::Error);

    #[test]
    fn f6_what_this_machine_lacks_is_never_the_receiver_s_fault() {
        let of = |os_error, connecting| read(&Client(io::Error::from_raw_os_error(os_error)), connecting);
        let own = if cfg!(target_os = "linux") { [12, 23, 24, 99, 105] } else { [12, 23, 24, 49, 55] };
        for os_error in own {
            let fault = of(os_error, true);
            assert!(matches!(&fault, SendFault::Ours(_)), "{os_error}: {fault:?}");
            assert!(!fault.may_have_left());
            let text = fault.to_string();
            assert_eq!(text, "not sent: this server can't reach receivers at the moment, try again later");
            let broke = of(os_error, false);
            assert_eq!(broke.to_string(), "no answer: the connection broke for a fault of this server");
            assert!(broke.may_have_left(), "it stays counted");
        }
        let refused = if cfg!(target_os = "linux") { 111 } else { 61 };
        assert!(matches!(of(refused, true), SendFault::Connection(_)));
    }

    #[test]
    fn f11_an_address_that_is_not_public_is_for_admins_alone() {
        let fault = SendFault::Refused(vec!["10.0.0.5".parse().unwrap(), "fd00::1".parse().unwrap()]);
        let affiliate = Owner::Affiliate { affiliate_id: "aff_7".parse().unwrap() };
        let said = |owner: &Owner| fault.clone().for_owner(owner).to_string();
        assert_eq!(said(&Owner::Admin), "not sent: the receiver's address 10.0.0.5, fd00::1 is not public");
        assert_eq!(said(&affiliate), "not sent: the receiver's address is not public");
    }

    #[test]
    fn f3_a_template_that_is_too_expensive_fails_for_good_by_its_macro() {
        let fault = SendFault::from(RenderFault::TooExpensive { name: "query.x".into(), expense: Expense::RegexInput(4_097) });
        assert!(fault.is_for_good());
        let message = "the template is too expensive: {query.x} gives regex 4097 bytes: at most 4096 are allowed";
        assert_eq!(fault.to_string(), message);
        assert_eq!(SendFault::from(RenderFault::DotSegment).to_string(), format!("not sent: {}", RenderFault::DotSegment));
    }
}
