//! The shapes in which a receiver may echo a secret.
//!
//! A value is looked for
//! - as it is, without regard to ASCII case; a blank, `+` and `-` count as one character, and so do `/` and `_`;
//! - in base 64 of the standard and the URL-safe alphabet, with and without padding, alone or (from 9 bytes on) within a longer encoded
//!   text, without the characters at both ends that it shares with its neighbours;
//! - in hex, in either case;
//! - in base 64 and in hex once it is escaped for JSON or a URL, as in a request that is encoded as a whole;
//! - and each of these escaped for a URL, a form, a JSON or JavaScript string, HTML or XML, up to three times over ([`super::layers`]).
//!
//! The same goes for everything that a request makes of its secrets: the text that each macro with a secret gives
//! (`{secret.login|base64}`, `{transaction_id|hmac_sha256:key}`), signatures, and short headers, path segments and query values that hold
//! such a text.
//!
//! **This is the best that can be done, not a guarantee.** A receiver that wants to reveal a secret always can, with a cipher of its own.
//! Not looked for: values under 4 bytes, parts of a value, hashes that a receiver makes itself, compressed or encrypted text, UTF-16, base
//! 32, a second base 64 or hex around the first.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tracking_core::{
    request::{Rendered, Request},
    template::Scope,
};

use super::{automaton::Automaton, layers};

/// Values under so many bytes are no secrets: masking them would only spoil the log.
const SHORTEST: usize = 4;
/// Of a longer value's base 64 and hex the beginning is looked for, and as much hidden as the whole takes.
const LONGEST_ENCODED: usize = 192;
/// Values from so many bytes on are looked for within longer texts in base 64: fewer bytes give letters that may be there by chance.
const SHORTEST_WITHIN: usize = 9;
/// Longer parts of a request are not looked for as a whole, only the texts that its macros made of secrets.
const LONGEST_PART: usize = 1_024;

/// The characters that a URL's parts escape.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Adds all shapes of a value. Returns false if there is no room for them.
#[must_use]
pub(super) fn add_all(automaton: &mut Automaton, value: &str) -> bool {
    if value.len() < SHORTEST {
        return true;
    }
    // A body or a URL that is encoded as a whole has its secrets escaped.
    let json = serde_json::to_string(value).unwrap_or_default();
    let url = utf8_percent_encode(value, RESERVED).to_string();
    let written = BTreeSet::from([value, json.get(1..json.len().saturating_sub(1)).unwrap_or(value), &url]);
    let mut fits = automaton.add(value.as_bytes(), 0);
    for written in written {
        fits = fits && add_base64(automaton, written.as_bytes()) && add_hex(automaton, written.as_bytes());
    }
    let value = value.as_bytes();
    for meaning in layers::meanings(value).into_iter().filter(|meaning| meaning.len() >= SHORTEST) {
        fits = fits && automaton.add(&meaning, 0);
    }
    fits
}

fn add_base64(automaton: &mut Automaton, value: &[u8]) -> bool {
    if value.len() > LONGEST_ENCODED {
        let whole = (value.len() * 4).div_ceil(3);
        let beginning = BASE64_STANDARD.encode(&value[..LONGEST_ENCODED]);
        return automaton.add(beginning.as_bytes(), whole - beginning.len()) && add_base64_within(automaton, value);
    }
    let padded = BASE64_STANDARD.encode(value);
    let bare = padded.trim_end_matches('=');
    automaton.add(bare.as_bytes(), 0)
        && (bare == padded || automaton.add(padded.as_bytes(), 0))
        && add_base64_within(automaton, value)
}

/// Adds the base 64 of a value after other bytes, one or two beyond a multiple of three, and before others.
fn add_base64_within(automaton: &mut Automaton, value: &[u8]) -> bool {
    if value.len() < SHORTEST_WITHIN {
        return true;
    }
    // A character holds six bits: those that hold bits of other bytes are left out.
    [(0, 0), (1, 2), (2, 3)].into_iter().all(|(bytes_before, characters_before)| {
        let beginning = &value[..value.len().min(LONGEST_ENCODED)];
        let text = BASE64_STANDARD.encode([&[0; 2][..bytes_before], beginning].concat());
        let end = (bytes_before + beginning.len()) * 8 / 6;
        let whole = (bytes_before + value.len()) * 8 / 6;
        automaton.add(&text.as_bytes()[characters_before..end], whole - end)
    })
}

fn add_hex(automaton: &mut Automaton, value: &[u8]) -> bool {
    let beginning = &value[..value.len().min(LONGEST_ENCODED)];
    let digit = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' - 10 + digit };
    let hex: Vec<u8> = beginning.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    automaton.add(&hex, 2 * (value.len() - beginning.len()))
}

/// An automaton for secrets as they are, as many of them as it has room for.
pub(super) fn as_they_are(secrets: &BTreeMap<&str, &str>, room: usize) -> Automaton {
    let mut automaton = Automaton::new(room);
    for value in secrets.values().filter(|value| value.len() >= SHORTEST) {
        if !automaton.add(value.as_bytes(), 0) {
            break;
        }
    }
    automaton
}

/// The values of secrets as receivers know them: a key of Standard Webhooks also without its prefix.
pub(super) fn values<'a>(secrets: &BTreeMap<&'a str, &'a str>) -> impl Iterator<Item = &'a str> {
    secrets.values().flat_map(|value| [Some(*value), value.strip_prefix("whsec_")]).flatten()
}

/// The texts that a request made of its secrets, such as `Basic {secret.login|base64}`: those of its macros, and the short parts of the
/// `real` request that the `masked` one, which people see, does not have.
pub(crate) fn derived(request: &Request, scope: &Scope<'_>, real: &Rendered, masked: Option<&Rendered>) -> BTreeSet<String> {
    let seen = masked.map(parts).unwrap_or_default();
    let texts = request.secret_texts(scope);
    parts(real).into_iter().filter(|part| !seen.contains(part)).chain(texts).collect()
}

/// Header values as they are, without their scheme word and without their version, as signatures have it; the URL's path segments and
/// query values as they are and decoded.
fn parts(request: &Rendered) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    let mut add = |part: &str| {
        if part.len() <= LONGEST_PART {
            parts.insert(part.to_owned());
        }
    };
    for (_, value) in &request.headers {
        add(value);
        for separator in [' ', ',', '='] {
            value.split_once(separator).into_iter().for_each(|(_, credentials)| add(credentials));
        }
    }
    let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    let values = query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    for part in path.split('/').chain(values) {
        add(&percent_decode_str(part).decode_utf8_lossy());
        add(part);
    }
    parts
}
