//! Callback URLs: a token names the delivery, the step and its run, and proves by our key that we gave it away (W17). Nothing of it is
//! stored, and it is the same in each retry.

use std::{collections::BTreeMap, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tracking_core::{
    delivery::DeliveryId,
    flow::{CallbackTurn, Plan, Progress},
    id::Id,
};

use crate::{rows::OwedDelivery, secrets::SealingKey};

/// The longest token, in characters.
const MAX_TOKEN: usize = 512;
/// The separator of the parts of a token: none of them holds it.
const SEPARATOR: char = '\n';
/// The bytes of a token's proof.
const TAG_BYTES: usize = 16;
/// The text in place of a token where no callback is possible.
const NO_TOKEN: &str = "trial";

/// The step of a delivery that a callback is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) rule: Id,
    pub(crate) delivery: DeliveryId,
    pub(crate) step: String,
    pub(crate) run: u32,
    pub(crate) serial: u32,
}

impl Token {
    fn text(&self) -> String {
        let Self { rule, delivery, step, run, serial } = self;
        [rule.as_str(), delivery.as_str(), step, &run.to_string(), &serial.to_string()].join(&SEPARATOR.to_string())
    }

    /// The token as a URL holds it.
    fn write(&self, key: &SealingKey) -> String {
        let text = self.text();
        let tag = key.tag(text.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode([text.as_bytes(), &tag].concat())
    }

    /// Reads a token that we gave away; `None` for every other text.
    pub(crate) fn read(key: &SealingKey, token: &str) -> Option<Self> {
        let bytes = if token.len() <= MAX_TOKEN { BASE64_URL_SAFE_NO_PAD.decode(token).ok()? } else { return None };
        let (text, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        if !key.is_tag(text, tag) {
            return None;
        }
        let mut parts = std::str::from_utf8(text).ok()?.split(SEPARATOR);
        let mut next = || parts.next();
        Some(Self {
            rule: next()?.parse().ok()?,
            delivery: DeliveryId::parse(next()?)?,
            step: next()?.to_owned(),
            run: next()?.parse().ok()?,
            serial: next()?.parse().ok()?,
        })
    }

    pub(crate) fn turn(&self) -> CallbackTurn<'_> {
        CallbackTurn { step: &self.step, run: self.run, serial: self.serial }
    }
}

/// The callback URLs of a delivery.
#[derive(Clone)]
pub(super) struct CallbackUrls {
    /// The address at which receivers reach us.
    base: String,
    /// The rule and the delivery, with the key; none in a trial, whose URLs lead nowhere.
    of: Option<(Id, DeliveryId, Arc<SealingKey>)>,
    /// The names of the URLs among the variables, each with its step.
    names: Vec<(String, String)>,
}

impl fmt::Debug for CallbackUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackUrls").field("names", &self.names).finish_non_exhaustive()
    }
}

impl CallbackUrls {
    /// The URLs that the plan's texts hold; `None` if they hold none.
    pub(super) fn new(plan: &Plan, base: Option<&str>, of: Option<(&OwedDelivery, Arc<SealingKey>)>) -> Option<Arc<Self>> {
        let names: Vec<_> = plan.callback_urls().map(|(name, step)| (name.to_owned(), step.to_owned())).collect();
        if names.is_empty() {
            return None;
        }
        let of = of.map(|(owed, key)| (owed.rule.clone(), owed.id.clone(), key));
        Some(Arc::new(Self { base: base.unwrap_or_default().to_owned(), of, names }))
    }

    /// Sets them among the variables, for the runs that are to come from this place on.
    pub(super) fn fill(&self, progress: &Progress, variables: &mut BTreeMap<String, String>) {
        for (name, step) in &self.names {
            let token = self.of.as_ref().map_or_else(
                || NO_TOKEN.to_owned(),
                |(rule, delivery, key)| {
                    let (run, serial) = (progress.coming_run(step), progress.serial());
                    let token = Token { rule: rule.clone(), delivery: delivery.clone(), step: step.clone(), run, serial };
                    token.write(key)
                },
            );
            variables.insert(name.clone(), format!("{}/callbacks/{token}", self.base));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w17_a_token_is_read_whole_with_our_key_or_not_at_all() {
        let key = SealingKey::new(&[7; 32]);
        let token = Token {
            rule: "trk_1".parse().unwrap(),
            delivery: DeliveryId::parse("dlv_0123456789abcdefghjkmnpqrstvwxyz").unwrap(),
            step: "confirm".to_owned(),
            run: 2,
            serial: 3,
        };
        let written = token.write(&key);
        assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{written}");
        assert_eq!(Token::read(&key, &written), Some(token.clone()));
        assert_eq!(written, token.write(&key), "the same in each retry");
        assert_eq!(Token::read(&SealingKey::new(&[8; 32]), &written), None);
        for end in 0..written.len() {
            assert_eq!(Token::read(&key, &written[..end]), None, "{end}");
        }
        let other = Token { delivery: DeliveryId::parse("dlv_1123456789abcdefghjkmnpqrstvwxyz").unwrap(), ..token };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&written).unwrap();
        let forged = [other.text().as_bytes(), &bytes[bytes.len() - TAG_BYTES..]].concat();
        assert_eq!(Token::read(&key, &BASE64_URL_SAFE_NO_PAD.encode(forged)), None);
        assert_eq!(Token::read(&key, &"A".repeat(100_000)), None);
    }
}
