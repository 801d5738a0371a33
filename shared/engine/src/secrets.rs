//! Secrets: sealed where they rest, masked wherever they could be seen (Q5).

mod automaton;
mod layers;
mod scrub;
mod shapes;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{
    FutureExt as _, TryFutureExt as _,
    future::{BoxFuture, Shared},
};
use tracking_core::id::Id;

use crate::backend::Unavailable;

pub(crate) use self::{scrub::Scrubber, shapes::derived};

/// What stands in place of a secret's value.
pub const MASK: &str = "***";

/// Seals and opens secrets with AES-256-GCM. The rule, the name and the write are bound in: a sealed value copied elsewhere does
/// not open.
pub struct Vault(Mutex<Access>);

/// The key of a vault.
pub type VaultKey = [u8; 32];

/// What fetches the key.
type Fetch = Box<dyn Fn() -> BoxFuture<'static, Result<VaultKey, Unavailable>> + Send>;

/// The key that is being fetched, for all who wait for it.
type Coming = Shared<BoxFuture<'static, Result<Arc<SealingKey>, Unavailable>>>;

/// How a vault comes to its key.
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

    /// A vault whose key is fetched when a secret is first sealed or opened: whoever has no secrets does not wait for it. All who
    /// ask meanwhile get the same answer; if it was a failure, whoever asks after it has the key fetched again.
    pub fn fetched(key: impl Fn() -> BoxFuture<'static, Result<VaultKey, Unavailable>> + Send + 'static) -> Self {
        Self(Mutex::new(Access::Opening(Box::new(key), None)))
    }

    pub(crate) async fn key(&self) -> Result<Arc<SealingKey>, Unavailable> {
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
pub(crate) struct SealingKey(RandomizedNonceKey);

/// A sealed secret that does not open with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret does not open: the key is another than the one it was sealed with")]
pub(crate) struct Sealed;

impl SealingKey {
    fn new(key: &VaultKey) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has the algorithm's length"))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn q5_a_sealed_secret_opens_only_where_it_belongs() {
        let key = SealingKey::new(&[7; 32]);
        let rule: Id = "trk_1".parse().unwrap();
        let sealed = key.seal(&rule, "token", "3#a", "s3cret");
        assert!(!sealed.contains("s3cret"));
        assert_ne!(sealed, key.seal(&rule, "token", "3#a", "s3cret"), "a nonce of its own each time");
        assert_eq!(key.open(&rule, "token", "3#a", &sealed), Ok("s3cret".to_owned()));
        assert_eq!(key.open(&rule, "token", "3#b", &sealed), Err(Sealed));
        assert_eq!(key.open(&"trk_2".parse().unwrap(), "token", "3#a", &sealed), Err(Sealed));
        assert_eq!(SealingKey::new(&[8; 32]).open(&rule, "token", "3#a", &sealed), Err(Sealed));
    }

    #[tokio::test]
    async fn a_key_is_fetched_once_when_it_is_needed_and_again_after_that_failed() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let vault = Vault::fetched(move || {
            let first = count.fetch_add(1, Ordering::Relaxed) == 0;
            let answer = async move {
                tokio::task::yield_now().await;
                if first { Err(Unavailable("not now".to_owned())) } else { Ok([7; 32]) }
            };
            answer.boxed()
        });
        let rule: Id = "trk_1".parse().unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        let (one, other) = tokio::join!(vault.key(), vault.key());
        assert_eq!([one.err(), other.err()], [(); 2].map(|()| Some(Unavailable("not now".to_owned()))));
        assert_eq!(asked.load(Ordering::Relaxed), 1, "all who waited are told");
        let sealed = vault.key().await.unwrap().seal(&rule, "token", "3#a", "s3cret");
        let other = Vault::new(&[7; 32]);
        assert_eq!(other.key().await.unwrap().open(&rule, "token", "3#a", &sealed), Ok("s3cret".to_owned()));
        assert!(vault.key().await.is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
