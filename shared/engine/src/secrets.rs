//! Secrets: sealed where they rest, masked wherever they could be seen (Q5).

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tracking_core::{hash, id::Id};

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What stands in place of a secret's value.
pub const MASK: &str = "***";

/// Seals and opens secrets with AES-256-GCM. The rule, the name and the write are bound in: a sealed value copied elsewhere does
/// not open.
pub struct Vault(RandomizedNonceKey);

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

/// A sealed secret that does not open with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret does not open: the key is another than the one it was sealed with")]
pub struct Sealed;

impl Vault {
    /// A vault with this key.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the algorithm's length"))
    }

    /// A text that no other call gives, in whatever process: its own nonce makes each sealed text another.
    pub(crate) fn nonce(&self, rule: &Id) -> String {
        hash::text(&["nonce", &self.seal(rule, "", "", "")], 16)
    }

    pub(crate) fn seal(&self, rule: &Id, name: &str, write: &str, value: &str) -> String {
        let mut sealed = value.as_bytes().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(bound(rule, name, write)), &mut sealed)
            .expect("a secret is far shorter than the algorithm's limit");
        let mut out = nonce.as_ref().to_vec();
        out.extend(sealed);
        BASE64_STANDARD.encode(out)
    }

    pub(crate) fn open(&self, rule: &Id, name: &str, write: &str, sealed: &str) -> Result<String, Sealed> {
        let bytes = BASE64_STANDARD.decode(sealed).map_err(|_| Sealed)?;
        let (nonce, rest) = bytes.split_at_checked(12).ok_or(Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Sealed)?;
        let mut rest = rest.to_vec();
        let open = self.0.open_in_place(nonce, Aad::from(bound(rule, name, write)), &mut rest).map_err(|_| Sealed)?;
        String::from_utf8(open.to_vec()).map_err(|_| Sealed)
    }
}

fn bound(rule: &Id, name: &str, write: &str) -> Vec<u8> {
    format!("{rule}\n{name}\n{write}").into_bytes()
}

/// The same names with masks for values, to render what people may see.
pub(crate) fn masks(secrets: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    secrets.keys().map(|name| (name.clone(), MASK.to_owned())).collect()
}

/// Masks every secret in a text that a receiver wrote, in the forms in which one might echo it: as it is, percent-encoded, escaped
/// for JSON, in base 64. Values under 4 bytes are no secrets: masking them would only spoil the log.
pub(crate) fn scrub(text: &str, secrets: &BTreeMap<String, String>) -> String {
    let mut clean = text.to_owned();
    for value in secrets.values().filter(|value| value.len() >= 4) {
        let json = serde_json::Value::from(value.as_str()).to_string();
        let json = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&json);
        let encoded = utf8_percent_encode(value, RESERVED).to_string();
        for shape in [value.as_str(), json, &encoded, &BASE64_STANDARD.encode(value)] {
            if clean.contains(shape) {
                clean = clean.replace(shape, MASK);
            }
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q5_a_sealed_secret_opens_only_where_it_belongs() {
        let vault = Vault::new(&[7; 32]);
        let rule: Id = "trk_1".parse().unwrap();
        let sealed = vault.seal(&rule, "token", "3#a", "s3cret");
        assert!(!sealed.contains("s3cret"));
        assert_ne!(sealed, vault.seal(&rule, "token", "3#a", "s3cret"), "a nonce of its own each time");
        assert_eq!(vault.open(&rule, "token", "3#a", &sealed), Ok("s3cret".to_owned()));
        assert_eq!(vault.open(&rule, "token", "3#b", &sealed), Err(Sealed));
        assert_eq!(vault.open(&"trk_2".parse().unwrap(), "token", "3#a", &sealed), Err(Sealed));
        assert_eq!(Vault::new(&[8; 32]).open(&rule, "token", "3#a", &sealed), Err(Sealed));
    }

    #[test]
    fn q5_echoed_secrets_are_masked_in_every_form() {
        let secrets = BTreeMap::from([("token".to_owned(), "a/b \"c\"".to_owned()), ("tiny".to_owned(), "x".to_owned())]);
        let echoed = r#"x a/b "c" a%2Fb%20%22c%22 {"t":"a/b \"c\""} YS9iICJjIg=="#;
        assert_eq!(scrub(echoed, &secrets), r#"x *** *** {"t":"***"} ***"#);
    }
}
