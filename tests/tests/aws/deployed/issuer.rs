//! The issuer of the API's tokens, on loopback, with a key of its own.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The audience that the API's tokens name.
pub(crate) const AUDIENCE: &str = "tracking-api";
/// The name of the key.
const KEY_ID: &str = "key-1";
/// Bytes of the modulus of a 2048-bit key.
const MODULUS: usize = 256;
/// Bytes before the modulus in the encoded public key: the sequence, the integer, its sign.
const BEFORE_MODULUS: usize = 9;

/// An issuer.
pub(crate) struct Issuer {
    pub(crate) url: String,
    key: RsaKeyPair,
}

impl Issuer {
    /// Makes a key and serves it.
    pub(crate) async fn start() -> Self {
        let key = new_key();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let public = key.public_key().as_ref();
        let modulus = URL_SAFE_NO_PAD.encode(&public[BEFORE_MODULUS..BEFORE_MODULUS + MODULUS]);
        assert_eq!(public[BEFORE_MODULUS + MODULUS..], [2, 3, 1, 0, 1], "the exponent 65537 follows the modulus");
        let keys = json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": modulus, "e": "AQAB"}]});
        let about = json!({"issuer": url, "jwks_uri": format!("{url}/keys"), "id_token_signing_alg_values_supported": ["RS256"]});
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(async move || Json(about)))
            .route("/keys", get(async move || Json(keys)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, key }
    }

    /// Makes a token with these claims, and with default issuer, audience and an hour's lifetime unless they are given.
    pub(crate) fn token(&self, claims: &Value) -> String {
        signed(&self.key, &self.claims(claims))
    }

    /// Makes a token that claims to be of this issuer, signed with another key.
    pub(crate) fn forged(&self, claims: &Value) -> String {
        signed(&new_key(), &self.claims(claims))
    }

    /// Makes a token of an admin.
    pub(crate) fn admin(&self) -> String {
        self.token(&json!({"role": "admin"}))
    }

    fn claims(&self, claims: &Value) -> Value {
        let now = now();
        let hour = SignedDuration::from_hours(1);
        let mut all = json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "someone",
            "iat": now.as_second(), "exp": (now + hour).as_second(),
        });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        all
    }
}

#[expect(clippy::disallowed_methods, reason = "the gateway that judges the tokens has the machine's clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

fn new_key() -> RsaKeyPair {
    RsaKeyPair::generate(KeySize::Rsa2048).unwrap()
}

fn signed(key: &RsaKeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID})), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
