//! Secrets: sealed where they rest, masked wherever they could be seen (Q5).

mod automaton;
mod holders;
mod layers;
mod scrub;
mod shapes;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    constant_time, hmac,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{
    FutureExt as _, TryFutureExt as _,
    future::{BoxFuture, Shared},
};
pub use tracking_core::template::MASK;
use tracking_core::{id::Id, tracking_api::Binding};

pub(crate) use self::{
    holders::holders,
    scrub::{Scrubber, Texts},
    shapes::derived,
};
use crate::backend::StoreError;

/// The text in place of a secret whose value must be written again. It is no secret's value.
pub(crate) const INACTIVE: &str = "(inactive)";

/// The prefix of values that are sealed with their binding; older ones are base64 alone.
const BOUND: &str = "2:";

/// Seals and opens secrets with AES-256-GCM. The rule, the name, the write and the [`Binding`] are part of the associated data: a sealed
/// value that is copied elsewhere, or whose binding was changed, does not open.
pub struct Vault(Mutex<Access>);

/// The key of a vault.
pub type VaultKey = [u8; 32];

/// The function that fetches the key.
type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<VaultKey, StoreError>> + Send>;

/// The key that is being fetched, for all callers that wait for it.
type Coming = Shared<BoxFuture<'static, Result<Arc<SealingKey>, StoreError>>>;

/// The way to a vault's key.
enum Access {
    Open(Arc<SealingKey>),
    Opening(Fetch, Option<Coming>),
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// A vault with this key.
    pub fn new(key: &VaultKey) -> Self {
        Self(Mutex::new(Access::Open(Arc::new(SealingKey::new(key)))))
    }

    /// A vault whose key is fetched when a secret is first sealed or opened: without secrets nothing waits for it. All callers that ask
    /// meanwhile get the same answer; if it was a failure, the next caller has the key fetched again.
    pub fn fetched(key: impl Fn() -> BoxFuture<'static, Result<VaultKey, StoreError>> + Send + 'static) -> Self {
        Self(Mutex::new(Access::Opening(Box::new(key), None)))
    }

    pub(crate) async fn key(&self) -> Result<Arc<SealingKey>, StoreError> {
        let coming = match &mut *self.access() {
            Access::Open(key) => return Ok(Arc::clone(key)),
            Access::Opening(fetch, coming) => {
                let fetched = || fetch().map_ok(|key| Arc::new(SealingKey::new(&key))).boxed().shared();
                coming.get_or_insert_with(fetched).clone()
            }
        };
        let answer = coming.clone().await;
        let mut access = self.access();
        match (&answer, &mut *access) {
            (Ok(key), _) => *access = Access::Open(Arc::clone(key)),
            (Err(_), Access::Opening(_, failed)) if failed.as_ref().is_some_and(|failed| failed.ptr_eq(&coming)) => {
                *failed = None;
            }
            (Err(_), _) => {}
        }
        answer
    }

    fn access(&self) -> MutexGuard<'_, Access> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a vault, ready to seal and open.
pub(crate) struct SealingKey {
    aead: RandomizedNonceKey,
    /// The key of callback tokens, derived from the vault's (W17).
    tokens: hmac::Key,
}

/// The text that the key of callback tokens is derived by.
const TOKENS: &[u8] = b"tracking-api callback tokens";

/// The proof that a callback token is ours.
pub(crate) type TokenTag = [u8; 16];

/// A sealed secret that does not open with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret does not open: the key is another than the one it was sealed with")]
pub(crate) struct Sealed;

impl SealingKey {
    pub(crate) fn new(key: &VaultKey) -> Self {
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), TOKENS);
        Self {
            aead: RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the algorithm's length"),
            tokens: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        }
    }

    /// The proof of a callback token (W17).
    pub(crate) fn tag(&self, token: &[u8]) -> TokenTag {
        let signed = hmac::sign(&self.tokens, token);
        let (tag, _) = signed.as_ref().split_first_chunk().expect("a signature has 32 bytes");
        *tag
    }

    /// Returns true if this is the proof of a callback token.
    pub(crate) fn is_tag(&self, token: &[u8], tag: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.tag(token), tag).is_ok()
    }

    pub(crate) fn seal(&self, place: Place<'_>, binding: &Binding, value: &str) -> String {
        let mut sealed = value.as_bytes().to_vec();
        let nonce = self
            .aead
            .seal_in_place_append_tag(Aad::from(place.associated(Some(binding))), &mut sealed)
            .expect("a secret is far shorter than the algorithm's limit");
        let mut out = nonce.as_ref().to_vec();
        out.extend(sealed);
        format!("{BOUND}{}", BASE64_STANDARD.encode(out))
    }

    /// Opens a sealed value. `binding` is `None` for one that was sealed before there were bindings.
    pub(crate) fn open(&self, place: Place<'_>, binding: Option<&Binding>, sealed: &str) -> Result<String, Sealed> {
        let text = match binding {
            Some(_) => sealed.strip_prefix(BOUND).ok_or(Sealed)?,
            None => sealed,
        };
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| Sealed)?;
        let (nonce, rest) = bytes.split_at_checked(12).ok_or(Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Sealed)?;
        let mut rest = rest.to_vec();
        let open = self.aead.open_in_place(nonce, Aad::from(place.associated(binding)), &mut rest).map_err(|_| Sealed)?;
        String::from_utf8(open.to_vec()).map_err(|_| Sealed)
    }
}

/// The place of a sealed value: its rule, its name and the write that put it there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) rule: &'a Id,
    pub(crate) name: &'a str,
    pub(crate) write_id: &'a str,
}

impl Place<'_> {
    /// Neither ids, names, writes nor origins hold a line break, so that no two places and bindings give the same text.
    fn associated(&self, binding: Option<&Binding>) -> Vec<u8> {
        let Self { rule, name, write_id } = self;
        let Some(Binding { party, origin, uses }) = binding else { return format!("{rule}\n{name}\n{write_id}").into_bytes() };
        let party = party.affiliate().map_or_else(|| "admin".to_owned(), |id| format!("affiliate {id}"));
        format!("2\n{rule}\n{name}\n{write_id}\n{party}\n{origin}\n{uses}").into_bytes()
    }
}

/// The same names with masks for values, to render what people may see.
pub(crate) fn masks(secrets: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mask = |value: &str| if value == INACTIVE { INACTIVE } else { MASK };
    secrets.iter().map(|(name, value)| (name.clone(), mask(value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracking_core::caller::Owner;

    use super::*;

    fn binding(party: &str, origin: &str, uses: &str) -> Binding {
        let party = match party {
            "admin" => Owner::Admin,
            affiliate => Owner::Affiliate { affiliate_id: affiliate.parse().unwrap() },
        };
        Binding { party, origin: origin.to_owned(), uses: uses.to_owned() }
    }

    fn place<'a>(rule: &'a Id, write_id: &'a str) -> Place<'a> {
        Place { rule, name: "token", write_id }
    }

    #[test]
    fn q5_a_sealed_secret_opens_only_where_it_belongs() {
        let key = SealingKey::new(&[7; 32]);
        let rule: Id = "trk_1".parse().unwrap();
        let bound = binding("admin", "https://a.example", "u");
        let here = place(&rule, "3#a");
        let sealed = key.seal(here, &bound, "s3cret");
        assert!(!sealed.contains("s3cret"));
        assert_ne!(sealed, key.seal(here, &bound, "s3cret"), "a nonce of its own each time");
        assert_eq!(key.open(here, Some(&bound), &sealed), Ok("s3cret".to_owned()));
        assert_eq!(key.open(place(&rule, "3#b"), Some(&bound), &sealed), Err(Sealed));
        assert_eq!(key.open(place(&"trk_2".parse().unwrap(), "3#a"), Some(&bound), &sealed), Err(Sealed));
        assert_eq!(SealingKey::new(&[8; 32]).open(here, Some(&bound), &sealed), Err(Sealed));
    }

    #[test]
    fn f7_a_sealed_secret_opens_with_its_own_binding_alone() {
        let key = SealingKey::new(&[7; 32]);
        let rule: Id = "trk_1".parse().unwrap();
        let here = place(&rule, "3#a");
        let bound = binding("admin", "https://a.example", "u");
        let sealed = key.seal(here, &bound, "s3cret");
        for other in [
            Some(binding("aff_7", "https://a.example", "u")),
            Some(binding("admin", "https://b.example", "u")),
            Some(binding("admin", "https://a.example", "v")),
            None,
        ] {
            assert_eq!(key.open(here, other.as_ref(), &sealed), Err(Sealed), "{other:?}");
        }
    }

    #[test]
    fn f7_a_value_from_before_there_were_bindings_opens() {
        let key = SealingKey::new(&[7; 32]);
        let rule: Id = "trk_1".parse().unwrap();
        let stored = "AAECAwQFBgcICQoLa7KKAnh9ijIrh6CuXYz46v/838CZGw==";
        assert_eq!(key.open(place(&rule, "3#a"), None, stored), Ok("s3cret".to_owned()));
        let bound = binding("admin", "https://a.example", "u");
        assert_eq!(key.open(place(&rule, "3#a"), Some(&bound), stored), Err(Sealed));
    }

    #[tokio::test]
    async fn a_key_is_fetched_once_when_it_is_needed_and_again_after_that_failed() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let vault = Vault::fetched(move || {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let answer = async move {
                tokio::task::yield_now().await;
                if first { Err(StoreError::Unavailable("not now".to_owned())) } else { Ok([7; 32]) }
            };
            answer.boxed()
        });
        let rule: Id = "trk_1".parse().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let (one, other) = tokio::join!(vault.key(), vault.key());
        assert_eq!([one.err(), other.err()], [(); 2].map(|()| Some(StoreError::Unavailable("not now".to_owned()))));
        assert_eq!(asked.load(Ordering::Relaxed), 1, "both callers that waited get the error");
        let (here, bound) = (place(&rule, "3#a"), binding("admin", "https://a.example", "u"));
        let sealed = vault.key().await.unwrap().seal(here, &bound, "s3cret");
        let other = Vault::new(&[7; 32]);
        assert_eq!(other.key().await.unwrap().open(here, Some(&bound), &sealed), Ok("s3cret".to_owned()));
        assert!(vault.key().await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
