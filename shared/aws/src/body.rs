//! Bodies made small: zstd with a dictionary of what the engine's rows are full of.
//!
//! A compressed body begins with its dictionary's number. A dictionary is never changed once a release had it: what was written with
//! it is read with it. A better one gets the next number.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// What rows look like: names, words and beginnings that come again and again. The most frequent stand last, which is nearest.
const FIRST: &[u8] = include_bytes!("dictionaries/1.txt");
/// Its number.
const FIRST_NUMBER: u8 = 1;
/// zstd's own balance of time and size for small texts.
const LEVEL: i32 = 3;
/// The longest body that is expanded: far more than an item can hold.
const LONGEST: usize = 16 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::with_dictionary(LEVEL, FIRST).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::with_dictionary(FIRST).ok());
}

/// The body, compressed; `None` if that does not work, which is no harm.
pub(crate) fn compress(body: &str) -> Option<Vec<u8>> {
    let compressed = COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(body.as_bytes()).ok())?;
    let mut bytes = Vec::with_capacity(1 + compressed.len());
    bytes.push(FIRST_NUMBER);
    bytes.extend(compressed);
    Some(bytes)
}

/// The body that was compressed to this; `None` if it can't be read.
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
