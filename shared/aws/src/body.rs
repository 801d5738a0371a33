//! Compressed bodies: zstd with a dictionary of the texts that the engine's rows repeat.
//!
//! A compressed body begins with its dictionary's number. A released dictionary is never changed: the bodies that were written with it are
//! read with it. A better one gets the next number.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// Typical parts of rows: names, words and beginnings that occur often. The most frequent are last, where zstd refers to them most cheaply.
const FIRST: &[u8] = include_bytes!("dictionaries/1.txt");
/// The number of the first dictionary.
const FIRST_NUMBER: u8 = 1;
/// zstd's own balance of time and size for small texts.
const LEVEL: i32 = 3;
/// The longest body that is expanded, in bytes: far more than an item can hold.
const LONGEST: usize = 16 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::with_dictionary(LEVEL, FIRST).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::with_dictionary(FIRST).ok());
}

/// Compresses a body; returns `None` if that fails, which does no harm.
pub(crate) fn compress(body: &str) -> Option<Vec<u8>> {
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(body.as_bytes()).ok())?;
    let mut bytes = Vec::with_capacity(1 + compressed.len());
    bytes.push(FIRST_NUMBER);
    bytes.extend(compressed);
    Some(bytes)
}

/// Expands a compressed body; returns `None` if it can't be read.
pub(crate) fn expand(bytes: &[u8]) -> Option<String> {
    let (number, compressed) = bytes.split_first()?;
    if *number != FIRST_NUMBER {
        return None;
    }
    let body = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.as_mut()?.decompress(compressed, LONGEST).ok())?;
    String::from_utf8(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_to_the_letter() {
        for body in ["", "{}", "\u{FFFF}\r\n\0 \u{1F600}", &"0123456789".repeat(100_000)] {
            assert_eq!(expand(&compress(body).unwrap()).as_deref(), Some(body));
        }
    }

    #[test]
    fn what_was_cut_or_is_of_an_unknown_dictionary_is_not_read() {
        let bytes = compress(&"a body ".repeat(100)).unwrap();
        assert_eq!(expand(&bytes[..bytes.len() - 1]), None);
        assert_eq!(expand(&[&[9], &bytes[1..]].concat()), None);
        assert_eq!(expand(&[]), None);
    }

    #[test]
    fn the_first_dictionary_stays_as_it_is() {
        let written = include_bytes!("dictionaries/1.sample");
        assert_eq!(expand(written).as_deref(), Some(r#"{"v":1,"d":{"state":"delivered","reason":"delivered: status 200"}}"#));
    }
}
