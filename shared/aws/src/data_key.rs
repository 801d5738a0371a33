//! The key that seals secrets: KMS makes it once, the table keeps it wrapped, and each environment that needs it opens it by one call.
//! Unwrapped it is in memory alone.

use aws_config::SdkConfig;
use aws_sdk_kms::{Client, primitives::Blob, types::DataKeySpec};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::FutureExt as _;
use tracking_core::json;
use tracking_engine::{
    backend::{Item, Key, StoreError, Swap, Swapped},
    secrets::{Vault, VaultKey},
};

use crate::{
    settings::Settings,
    table::{Table, unavailable},
};

/// The purpose of the key: KMS binds it to the key.
const PURPOSE: (&str, &str) = ("purpose", "tracking-api secrets");

/// Returns the stack's vault. It fetches the key when a secret is first sealed or opened: without KMS, only deliveries with secrets wait.
pub(crate) fn vault(config: &SdkConfig, settings: &Settings, table: &Table) -> Vault {
    let (kms, table, id) = (Client::new(config), table.clone(), settings.data_key.clone());
    Vault::fetched(move || {
        let (kms, table, id) = (kms.clone(), table.clone(), id.clone());
        async move { open(&kms, &table, &id).await }.boxed()
    })
}

/// Opens the key in the table. The first caller has it made.
///
/// # Errors
/// KMS or the table doesn't answer, or KMS can't open the key in the table.
async fn open(kms: &Client, table: &Table, id: &str) -> Result<VaultKey, StoreError> {
    let place = Key::new("KEY", "DATA");
    let stored = table.get(std::slice::from_ref(&place)).await?.pop().flatten();
    let wrapped = match stored {
        Some(item) => read(&item)?,
        None => make(kms, table, id, place).await?,
    };
    let request = kms.decrypt().key_id(id).ciphertext_blob(Blob::new(wrapped));
    let opened = request.encryption_context(PURPOSE.0, PURPOSE.1).send().await.map_err(|error| unavailable(&error))?;
    let key = opened.plaintext.as_ref().and_then(|key| VaultKey::try_from(key.as_ref()).ok());
    key.ok_or_else(|| StoreError::Unavailable("the data key has not 32 bytes".to_owned()))
}

/// Has a key made and keeps it, unless another process was faster. Returns the wrapped key in the table.
async fn make(kms: &Client, table: &Table, id: &str, place: Key) -> Result<Vec<u8>, StoreError> {
    let request = kms.generate_data_key().key_id(id).key_spec(DataKeySpec::Aes256);
    let made = request.encryption_context(PURPOSE.0, PURPOSE.1).send().await.map_err(|error| unavailable(&error))?;
    let wrapped = made.ciphertext_blob.map(Blob::into_inner).unwrap_or_default();
    let body = json!({"v": 1, "d": {"wrapped": BASE64_STANDARD.encode(&wrapped)}}).to_string();
    let item = Item { key: place.clone(), rev: 0, body, expires: None, attention: None };
    match table.swap(Swap { key: place, expect: None, new: Some(item) }).await {
        Swapped::Done => Ok(wrapped),
        Swapped::Conflict(Some(stored)) => read(&stored),
        Swapped::Conflict(None) => Err(StoreError::Unavailable("the data key was removed while it was made".to_owned())),
        Swapped::Unavailable(error) => Err(error),
    }
}

fn read(item: &Item) -> Result<Vec<u8>, StoreError> {
    let body = json::parse(item.body.as_bytes()).ok();
    let wrapped = body.as_ref().filter(|body| body["v"] == 1).and_then(|body| body["d"]["wrapped"].as_str());
    let bytes = wrapped.and_then(|wrapped| BASE64_STANDARD.decode(wrapped).ok());
    bytes.ok_or_else(|| StoreError::Unavailable("the data key in the table can't be read".to_owned()))
}
