//! Signatures by Standard Webhooks, so that a receiver knows who sent a postback.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;

use super::Rendered;
use crate::{document::Fields, fault::Faults, hash::HmacHash, json, json::Value, macros::plain_name, template::Scope};

/// How a rule signs its requests (contract §2): with which of its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    secret: Box<str>,
}

impl Signing {
    /// Reads `signing` of a rule, `{"secret": "name"}`, which stands at `pointer`.
    pub fn parse(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let fields = Fields::open(Some(value), pointer, &["secret"], &[], faults);
        if fields.get("secret").is_none() {
            faults.add(fields.at("secret"), "missing: name a secret of the rule");
        }
        match plain_name(fields.text("secret", faults)?) {
            Ok(secret) => Some(Self { secret }),
            Err(detail) => {
                faults.add(fields.at("secret"), detail);
                None
            }
        }
    }

    /// The resource form.
    pub fn document(&self) -> Value {
        json!({"secret": self.secret})
    }

    /// The name of the secret that signs (Q5).
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Returns true if signing writes this header, in whatever case.
    pub fn owns_header(name: &str) -> bool {
        ["webhook-id", "webhook-timestamp", "webhook-signature"].iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Signs a request.
    pub(super) fn sign(&self, scope: &Scope<'_>, rendered: &mut Rendered) {
        let key = scope.secrets.get(&*self.secret).map_or("", String::as_str);
        let body = rendered.body.as_deref().unwrap_or_default();
        let signed = Self::standard(key, scope.delivery_id, scope.now, body);
        rendered.headers.retain(|(name, _)| !Self::owns_header(name));
        rendered.headers.extend(signed.map(|(name, value)| (name.to_owned(), value)));
    }

    /// The headers that sign a request: `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature`.
    ///
    /// `secret_value` is `whsec_` and base64, or else taken as the bytes that it is. A request without a body signs the empty one.
    pub(super) fn standard(secret_value: &str, delivery_id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let key = secret_value.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = key.as_deref().unwrap_or(secret_value.as_bytes());
        let seconds = now.as_second().to_string();
        let message = [delivery_id.as_bytes(), seconds.as_bytes(), body].join(&b'.');
        let signature = format!("v1,{}", BASE64_STANDARD.encode(HmacHash::Sha256.hmac(key, &message)));
        [("webhook-id", delivery_id.to_owned()), ("webhook-timestamp", seconds), ("webhook-signature", signature)]
    }
}
