//! KMS: a data key is opened in its own context, and in no other.

use aws_sdk_kms::{primitives::Blob, types::DataKeySpec};
use tracking_tests::cloud::KEY_ARN;

use super::{Sky, code};

#[tokio::test]
async fn a_data_key_is_opened_in_its_own_context() {
    let sky = Sky::new().await;
    let kms = sky.kms();
    let made = kms.generate_data_key().key_id(KEY_ARN).key_spec(DataKeySpec::Aes256).encryption_context("table", "t");
    let made = made.send().await.expect("a key is made");
    let (key, wrapped) = (made.plaintext().expect("a key"), made.ciphertext_blob().expect("a wrapped key"));
    assert_eq!(key.as_ref().len(), 32);
    assert!(!wrapped.as_ref().windows(32).any(|window| window == key.as_ref()));

    let decrypt = |blob: &Blob| kms.decrypt().ciphertext_blob(blob.clone());
    let opened = decrypt(wrapped).encryption_context("table", "t").send().await.expect("it is opened");
    assert_eq!(opened.plaintext(), Some(key));
    assert_eq!(opened.key_id(), Some(KEY_ARN));

    let elsewhere = decrypt(wrapped).encryption_context("table", "another").send().await;
    assert!(elsewhere.expect_err("another context").into_service_error().is_invalid_ciphertext_exception());
    assert_eq!(code(decrypt(wrapped).send().await), "InvalidCiphertextException");
    let mut bent = wrapped.as_ref().to_vec();
    bent[20] ^= 1;
    assert_eq!(code(decrypt(&Blob::new(bent)).encryption_context("table", "t").send().await), "InvalidCiphertextException");
    assert_eq!(code(decrypt(&Blob::new("short")).send().await), "InvalidCiphertextException");
}

#[tokio::test]
async fn there_is_one_key() {
    let sky = Sky::new().await;
    let other = sky.kms().generate_data_key().key_id("arn:aws:kms:eu-central-1:000000000000:key/other");
    assert_eq!(code(other.key_spec(DataKeySpec::Aes256).send().await), "NotFoundException");
    assert_eq!(code(sky.kms().generate_data_key().key_id(KEY_ARN).send().await), "ValidationException");
    let calls = sky.cloud.calls();
    assert_eq!(calls.of("KMS.GenerateDataKey").calls, 2);
}
