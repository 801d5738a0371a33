//! The machine's nameservers, as `/etc/resolv.conf` names them.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// The port of a nameserver.
const PORT: u16 = 53;
/// Most nameservers that are asked.
const MOST: usize = 3;

/// The source of nameservers.
#[derive(Debug, Clone)]
pub enum Nameservers {
    /// A file in the form of `resolv.conf`, read at each lookup: it may change, and it may be missing for a while.
    File(PathBuf),
    /// These.
    At(Vec<SocketAddr>),
}

impl Default for Nameservers {
    fn default() -> Self {
        Self::File(PathBuf::from("/etc/resolv.conf"))
    }
}

impl Nameservers {
    /// The present nameservers.
    ///
    /// # Errors
    /// A text for the log: there are none.
    pub(super) fn read(&self) -> Result<Vec<SocketAddr>, String> {
        let path = match self {
            Self::At(servers) => return Ok(servers.clone()),
            Self::File(path) => path,
        };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let servers = parse(&text);
        if servers.is_empty() { Err(format!("{} names no usable nameserver", path.display())) } else { Ok(servers) }
    }
}

/// The nameservers of a `resolv.conf`. Search domains and options are not used. An address with a zone, such as `fe80::1%eth0`, can't be.
fn parse(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| -> Option<IpAddr> {
        let mut words = line.split_whitespace();
        if words.next()? != "nameserver" {
            return None;
        }
        words.next()?.parse().ok()
    };
    text.lines().filter_map(address).take(MOST).map(|address| SocketAddr::new(address, PORT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f5_nameservers_are_read_from_resolv_conf() {
        let text = "# made by hand\nsearch corp.example\nnameserver 169.254.78.1\nnameserver fd00::53 # the other\n; nameserver 192.0.2.1\n\
            options ndots:5\nnameserver fe80::1%eth0\nnameserver 127.0.0.53\nnameserver 192.0.2.2\n";
        let expected = ["169.254.78.1:53", "[fd00::53]:53", "127.0.0.53:53"];
        assert_eq!(parse(text), expected.map(|address| address.parse::<SocketAddr>().unwrap()));
        assert_eq!(parse("nameserver\nnameservers 192.0.2.1\nnameserver nonsense\n"), []);
    }

    #[test]
    fn f5_without_nameservers_there_are_words_for_the_log() {
        let folder = std::env::temp_dir().join("tracking-no-such-folder");
        let missing = Nameservers::File(folder.join("resolv.conf")).read().unwrap_err();
        assert!(missing.contains("resolv.conf: "), "{missing}");
    }
}
