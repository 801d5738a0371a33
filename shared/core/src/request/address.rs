//! The addresses that a request may go to: public ones only. They are checked for literal hosts when a rule is saved, and by the resolver
//! for every address before a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::Host;

/// Returns true if an address is reachable over the public internet and names a single machine.
///
/// These are not: private, loopback, link-local (including the metadata services of clouds), shared (CGNAT), unspecified,
/// benchmarking, documentation, multicast, broadcast and reserved ranges; and IPv6 addresses that carry an IPv4 address inside
/// (mapped, compatible, NAT64, 6to4, Teredo, ISATAP), whatever the IPv4 address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..] // this network, private, loopback, multicast, reserved, broadcast
            | [100, 64..=127, ..] // CGNAT
            | [169, 254, ..] // link-local, metadata
            | [172, 16..=31, ..] // private
            | [192, 0, 0 | 2, _] // protocol assignments, documentation
            | [192, 31, 196, _] // AS112
            | [192, 52, 193, _] // AMT
            | [192, 88, 99, _] // 6to4 relays
            | [192, 168, ..] // private
            | [192, 175, 48, _] // AS112
            | [198, 18 | 19, ..] // benchmarking
            | [198, 51, 100, _] // documentation
            | [203, 0, 113, _] // documentation
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is allocated for the public internet; that excludes loopback, unspecified, mapped and compatible forms,
    // NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard (100::/64), unique local, link-local, site-local and multicast.
    let segments = address.segments();
    let within = matches!(segments[0], 0x2000..=0x3fff);
    let set_aside = matches!(
        segments,
        [0x2001, 0..=0x01ff | 0x0db8, ..] // protocol assignments (Teredo, benchmarking, ORCHID …), documentation
            | [0x2002, ..] // 6to4
            | [0x2620, 0x004f, 0x8000, ..] // AS112
            | [0x3fff, 0..=0x0fff, ..] // documentation
            | [_, _, _, _, 0 | 0x0200, 0x5efe, ..] // ISATAP: an IPv4 address inside
    );
    within && !set_aside
}

/// The reason why a URL's host can't be a receiver; `None` if its name gives no reason.
pub(super) fn refused(host: &Host<&str>) -> Option<String> {
    let address = match host {
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => IpAddr::V6(*address),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let local = name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
            return local.then(|| format!("{name} is this machine itself: choose a host on the public internet"));
        }
    };
    (!is_public(address)).then(|| format!("{address} is not a public address: choose a host on the public internet"))
}
