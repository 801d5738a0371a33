//! Receivers of the attacker: each reads a request to its end and then misbehaves in its own way.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The way in which a receiver treats a request.
#[derive(Debug, Clone)]
pub(crate) enum Habit {
    /// Reads the request and never answers.
    Hang,
    /// Sends this answer and closes.
    Say(Arc<[u8]>),
    /// Sends nearly as much of a body as the engine reads, and then nothing more.
    Drip,
    /// Begins an answer whose headers never end.
    Headers,
    /// Sends interim responses without end.
    Hints,
}

impl Habit {
    /// Returns an answer with status 500.
    pub(crate) fn refusal() -> Self {
        Self::Say((*b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into())
    }

    /// Returns an answer with status 200 and this body.
    pub(crate) fn body(headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
        Self::Say([head.as_bytes(), body].concat().into())
    }
}

/// Starts a receiver and returns its URL.
pub(crate) async fn start(habit: Habit) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let habit = habit.clone();
                // The sender may close at any time.
                tokio::spawn(async move {
                    let _closed = answer(stream, habit).await;
                });
            }
        }
    });
    url
}

async fn answer(mut stream: TcpStream, habit: Habit) -> std::io::Result<()> {
    request(&mut stream).await?;
    match habit {
        Habit::Hang => {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        }
        Habit::Say(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
        }
        Habit::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            stream.write_all(&vec![b'a'; 1_000_000]).await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        }
        Habit::Hints => {
            let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(200)).repeat(200);
            loop {
                stream.write_all(hints.as_bytes()).await?;
            }
        }
        Habit::Headers => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            let header = format!("X-Endless: {}\r\n", "a".repeat(1_000));
            for _ in 0..50_000 {
                stream.write_all(header.as_bytes()).await?;
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        }
    }
    Ok(())
}

/// Reads a request with the body that its head announces.
async fn request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut read = Vec::new();
    let mut part = vec![0; 64 * 1024];
    let mut whole = None;
    while whole.is_none_or(|whole| read.len() < whole) {
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            count => read.extend_from_slice(&part[..count]),
        }
        if whole.is_none()
            && let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            whole = Some(end + 4 + length.unwrap_or(0));
        }
    }
    Ok(())
}

/// Returns a gzip stream of this many megabytes of zeros: one literal, then the longest repetition over and over. Its checksum is wrong,
/// which a reader notices at its end only.
pub(crate) fn bomb(megabytes: usize) -> Vec<u8> {
    // A final block with fixed codes, the literal 0, repetitions of 258 bytes at distance 1, the end of the block.
    let mut bits = vec![true, true, false];
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..megabytes * 1_000_000 / 258 {
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    bits.extend([false; 7]);
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    stream.extend(bits.chunks(8).map(|some| some.iter().rev().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit))));
    stream.extend([0; 8]);
    stream
}
