//! A nameserver on loopback that a test plays.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

/// The flags of an answer that a recursive nameserver gives, and that of one that was cut short.
const ANSWER: u16 = 0x8180;
const CUT_SHORT: u16 = 0x0200;
const NO_SUCH_NAME: u16 = 3;

/// Its answer to one question.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Addresses with their lifetime in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// Addresses, over TCP only.
    OverTcp(Vec<IpAddr>),
    NoSuchName,
    Never,
}

impl Reply {
    /// The addresses among these that a question of this kind asks for.
    pub(super) fn of(addresses: &[IpAddr], kind: u16, lifetime: u32) -> Self {
        let wanted = |address: &&IpAddr| address.is_ipv4() == (kind == 1);
        Self::Addresses(addresses.iter().filter(wanted).copied().collect(), lifetime)
    }
}

/// A nameserver. It is gone when this is dropped.
pub(super) struct Nameserver {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Nameserver {
    /// Answers each question by its name, without the last dot, and its kind: 1 is A, 28 is AAAA.
    pub(super) async fn start(reply: impl Fn(&str, u16) -> Reply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = sockets().await;
        let address = udp.local_addr().unwrap();
        let (asked, reply) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(reply));
        let mut serving = JoinSet::new();
        let (seen, replies) = (Arc::clone(&asked), Arc::clone(&reply));
        serving.spawn(async move {
            let mut packet = [0; 2_048];
            while let Ok((length, from)) = udp.recv_from(&mut packet).await {
                if let Some(answer) = answer(&packet[..length], &*replies, &seen, false) {
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let seen = Arc::clone(&asked);
        serving.spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let mut length = [0; 2];
                stream.read_exact(&mut length).await.unwrap();
                let mut packet = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut packet).await.unwrap();
                if let Some(answer) = answer(&packet, &*reply, &seen, true) {
                    stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
        Self { address, asked, _serving: serving }
    }

    /// The questions so far, as `name kind`.
    pub(super) fn questions(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Sockets of one port.
async fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn answer(packet: &[u8], reply: &dyn Fn(&str, u16) -> Reply, asked: &Mutex<Vec<String>>, over_tcp: bool) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while packet[at] != 0 {
        let end = at + 1 + usize::from(packet[at]);
        labels.push(std::str::from_utf8(&packet[at + 1..end]).unwrap());
        at = end;
    }
    let name = labels.join(".");
    let kind = u16::from_be_bytes([packet[at + 1], packet[at + 2]]);
    let question = &packet[12..at + 5];
    asked.lock().unwrap().push(format!("{name} {}", if kind == 1 { "A" } else { "AAAA" }));
    let (flags, addresses, lifetime) = match reply(&name, kind) {
        Reply::Addresses(addresses, lifetime) => (ANSWER, addresses, lifetime),
        Reply::OverTcp(addresses) if over_tcp => (ANSWER, addresses, 60),
        Reply::OverTcp(_) => (ANSWER | CUT_SHORT, Vec::new(), 0),
        Reply::NoSuchName => (ANSWER | NO_SUCH_NAME, Vec::new(), 0),
        Reply::Never => return None,
    };
    let count = u16::try_from(addresses.len()).unwrap();
    let mut answer = packet[..2].to_vec();
    for field in [flags, 1, count, 0, 0] {
        answer.extend(field.to_be_bytes());
    }
    answer.extend(question);
    for address in addresses {
        let (kind, bytes) = match address {
            IpAddr::V4(address) => (1_u16, address.octets().to_vec()),
            IpAddr::V6(address) => (28, address.octets().to_vec()),
        };
        // The name of the question, class IN.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend(1_u16.to_be_bytes());
        answer.extend(lifetime.to_be_bytes());
        answer.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        answer.extend(bytes);
    }
    Some(answer)
}
