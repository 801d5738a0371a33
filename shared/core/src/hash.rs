//! Derived identifiers: a hash over named parts, so that repeats have the same id. Keyed hashes, for signatures.

use hmac::{EagerHash, Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// The hash functions that keyed hashes are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HmacHash {
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

impl HmacHash {
    /// The keyed hash of a message (RFC 2104).
    pub(crate) fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => hmac::<Sha1>(key, message),
            Self::Sha256 => hmac::<Sha256>(key, message),
            Self::Sha512 => hmac::<Sha512>(key, message),
        }
    }
}

fn hmac<H: EagerHash>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<H>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The first 16 bytes of a SHA-256 over length-prefixed parts: different lists of parts never give the same input.
pub fn digest(parts: &[&str]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize()[..16]);
    first
}

/// [`digest`] as `length` lower-case characters of Crockford's base 32 (5 bits each, at most 25).
pub fn text(parts: &[&str], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bits = u128::from_be_bytes(digest(parts));
    let mut out = String::with_capacity(length);
    for _ in 0..length.min(25) {
        let five = usize::try_from(bits >> 123).expect("five bits fit");
        out.push(char::from(ALPHABET[five]));
        bits <<= 5;
    }
    out
}

/// [`digest`] as a number, for shards and [`jitter`].
pub fn number(parts: &[&str]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest(parts)[..8]);
    u64::from_be_bytes(first)
}

/// A number within `by` of `plain`: the same for the same parts, so that a repeat waits equally long. `by` is at most `plain`.
pub fn jitter(parts: &[&str], plain: u64, by: u64) -> u64 {
    plain - by + number(parts) % (2 * by + 1)
}
