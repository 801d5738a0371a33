//! KMS: data keys, wrapped by one key that never leaves this process.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::{
    KEY_ARN,
    counts::Bill,
    wire::{Refused, Reply, read},
};

/// Bytes of a data key.
const KEY_BYTES: usize = 32;

/// The key.
pub(super) struct MasterKey(RandomizedNonceKey);

type Context = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Generate {
    key_id: String,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default)]
    encryption_context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Decrypt {
    ciphertext_blob: String,
    key_id: Option<String>,
    #[serde(default)]
    encryption_context: Context,
    encryption_algorithm: Option<String>,
}

impl MasterKey {
    pub(super) fn new() -> Self {
        let key: [u8; KEY_BYTES] = random();
        Self(RandomizedNonceKey::new(&AES_256_GCM, &key).expect("a key of 32 bytes"))
    }

    pub(super) fn call(&self, action: &str, body: &str, bill: &mut Bill) -> Reply {
        *bill = Bill::call();
        match action {
            "GenerateDataKey" => {
                let asked: Generate = read(body)?;
                is_ours(&asked.key_id)?;
                if !matches!(
                    (asked.key_spec.as_deref(), asked.number_of_bytes),
                    (Some("AES_256"), None) | (None, Some(KEY_BYTES))
                ) {
                    return Err(Refused::bad("ValidationException", "a key has a KeySpec of AES_256 or 32 bytes"));
                }
                let key: [u8; KEY_BYTES] = random();
                let blob = self.wrap(&key, &asked.encryption_context);
                Ok(json!({
                    "KeyId": KEY_ARN,
                    "Plaintext": BASE64_STANDARD.encode(key),
                    "CiphertextBlob": BASE64_STANDARD.encode(blob),
                }))
            }
            "Decrypt" => {
                let asked: Decrypt = read(body)?;
                if let Some(key) = &asked.key_id {
                    is_ours(key)?;
                }
                if asked.encryption_algorithm.as_deref().is_some_and(|algorithm| algorithm != "SYMMETRIC_DEFAULT") {
                    return Err(Refused::bad("InvalidKeyUsageException", "the key is a symmetric one"));
                }
                let blob = BASE64_STANDARD.decode(&asked.ciphertext_blob).ok();
                let key = blob.and_then(|blob| self.unwrap(&blob, &asked.encryption_context));
                let key =
                    key.ok_or_else(|| Refused::bad("InvalidCiphertextException", "this was not wrapped here in this context"))?;
                Ok(json!({
                    "KeyId": KEY_ARN,
                    "Plaintext": BASE64_STANDARD.encode(key),
                    "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
                }))
            }
            _ => Err(Refused::unknown(action)),
        }
    }

    fn wrap(&self, key: &[u8], context: &Context) -> Vec<u8> {
        let mut sealed = key.to_vec();
        let nonce = self.0.seal_in_place_append_tag(bound_to(context), &mut sealed).expect("a short text can be sealed");
        [nonce.as_ref().as_slice(), &sealed].concat()
    }

    fn unwrap(&self, blob: &[u8], context: &Context) -> Option<Vec<u8>> {
        let (nonce, sealed) = blob.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        self.0.open_in_place(nonce, bound_to(context), &mut sealed).ok().map(|key| key.to_vec())
    }
}

fn bound_to(context: &Context) -> Aad<Vec<u8>> {
    Aad::from(json!(context).to_string().into_bytes())
}

fn is_ours(key: &str) -> Result<(), Refused> {
    if key == KEY_ARN { Ok(()) } else { Err(Refused::bad("NotFoundException", &format!("there is no key {key}"))) }
}

fn random() -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).expect("there are random numbers");
    bytes
}
