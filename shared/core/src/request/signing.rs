//! Signatures that prove the sender of a postback to a receiver: by Standard Webhooks, or in a header of the receiver's choice.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;

use super::{Rendered, header};
use crate::{
    document::Fields,
    fault::Faults,
    hash::{HmacHash, hex},
    json,
    json::Value,
    name::{VALUE_FOR_NAME, check_name, is_probably_value},
    template::{Allowed, Place, RenderFault, Scope, Template},
};

/// The mark of the body in the signed text.
const BODY: &str = "{body}";
/// The longest prefix of a signature, in bytes.
const MAX_PREFIX_BYTES: usize = 64;

/// The signature of a rule's requests: the signing secret, and the place of the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    secret: Box<str>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    StandardWebhooks,
    Header(Signature),
}

/// A signature in one header.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    header: Box<str>,
    algorithm: HmacHash,
    encoding: Encoding,
    prefix: Template,
    /// The signed text, as it was written.
    written: Box<str>,
    /// The parts of the text between the bodies.
    parts: Vec<Template>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Encoding {
    #[default]
    Hex,
    Base64,
}

const ALGORITHMS: [(&str, HmacHash); 3] =
    [("hmac_sha256", HmacHash::Sha256), ("hmac_sha1", HmacHash::Sha1), ("hmac_sha512", HmacHash::Sha512)];
const ENCODINGS: [(&str, Encoding); 2] = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];

/// The word for one of the values.
fn word<T: PartialEq>(words: &[(&'static str, T)], wanted: &T) -> &'static str {
    words.iter().find(|(_, one)| one == wanted).map_or("", |(word, _)| word)
}

impl Signing {
    /// Reads `signing` of a rule at `pointer`: `{"secret": "name"}` signs by Standard Webhooks, with `header` in that header.
    pub fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let known = ["secret", "header", "algorithm", "encoding", "prefix", "signed"];
        let fields = Fields::open(Some(value), pointer, &known, &[], faults);
        if fields.get("secret").is_none() {
            faults.add(fields.at("secret"), "missing: name a secret of the rule");
        }
        let secret = fields.text("secret", faults);
        if secret.is_some_and(is_probably_value) && !allowed.stored {
            faults.add(fields.at("secret"), VALUE_FOR_NAME);
        } else if secret.is_some_and(|name| check_name(name).is_err()) {
            // The text may be the secret's value by mistake, so the fault does not repeat it.
            faults.add(
                fields.at("secret"),
                "expected the name of a secret, such as key: its value is written as secret_values.key",
            );
        }
        let form = if fields.get("header").is_some() {
            Form::Header(Signature::parse(&fields, allowed, faults)?)
        } else {
            fields.refuse(&known[2..], "it belongs to a signature in a header of yours, name that as header", faults);
            Form::StandardWebhooks
        };
        (faults.count() == before).then_some(Self { secret: secret?.into(), form })
    }

    /// The resource's form.
    pub fn document(&self) -> Value {
        match &self.form {
            Form::StandardWebhooks => json!({"secret": self.secret}),
            Form::Header(signature) => json!({
                "secret": self.secret, "header": signature.header, "algorithm": word(&ALGORITHMS, &signature.algorithm),
                "encoding": word(&ENCODINGS, &signature.encoding), "prefix": signature.prefix.text(), "signed": signature.written,
            }),
        }
    }

    /// The name of the secret that signs (Q5).
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The signed texts with macros, without the body.
    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.signature().into_iter().flat_map(|signature| signature.parts.iter().chain([&signature.prefix]))
    }

    /// The texts as they were written, each with its place, such as `/signing/signed`.
    pub(crate) fn placed_texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.signature()
            .into_iter()
            .flat_map(|signature| [("/signing/prefix", signature.prefix.text()), ("/signing/signed", &*signature.written)])
    }

    fn signature(&self) -> Option<&Signature> {
        if let Form::Header(signature) = &self.form { Some(signature) } else { None }
    }

    /// The parts of a fingerprint that cover the signed text and the way of signing.
    pub(super) fn fingerprint(&self) -> Vec<&str> {
        match &self.form {
            Form::StandardWebhooks => vec!["signing"],
            Form::Header(Signature { header, algorithm, encoding, prefix, written, .. }) => {
                vec!["signing", header, word(&ALGORITHMS, algorithm), word(&ENCODINGS, encoding), prefix.text(), written]
            }
        }
    }

    /// Returns true if signing writes this header, in any case.
    pub fn owns_header(&self, name: &str) -> bool {
        match &self.form {
            Form::StandardWebhooks => {
                ["webhook-id", "webhook-timestamp", "webhook-signature"].iter().any(|own| own.eq_ignore_ascii_case(name))
            }
            Form::Header(signature) => signature.header.eq_ignore_ascii_case(name),
        }
    }

    /// Signs a request.
    pub(super) fn sign(&self, scope: &Scope<'_>, rendered: &mut Rendered) -> Result<(), RenderFault> {
        let key = scope.secrets.get(&*self.secret).map_or("", String::as_str);
        let body = rendered.body.as_deref().unwrap_or_default();
        let signed = match &self.form {
            Form::StandardWebhooks => {
                Self::standard(key, &message_id(scope), scope.now, body).map(|(name, value)| (name.to_owned(), value)).to_vec()
            }
            Form::Header(signature) => vec![(signature.header.to_string(), signature.sign(key, scope, body)?)],
        };
        rendered.headers.retain(|(name, _)| !self.owns_header(name));
        rendered.headers.extend(signed);
        Ok(())
    }

    /// The headers that sign a request: `webhook-id`, `webhook-timestamp` (unix seconds) and `webhook-signature`.
    ///
    /// `secret_value` is `whsec_` and base64, or else raw bytes. A request without a body signs the empty body.
    pub(super) fn standard(secret_value: &str, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let key = secret_value.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = key.as_deref().unwrap_or(secret_value.as_bytes());
        let seconds = now.as_second().to_string();
        let message = [id.as_bytes(), seconds.as_bytes(), body].join(&b'.');
        let signature = format!("v1,{}", BASE64_STANDARD.encode(HmacHash::Sha256.hmac(key, &message)));
        [("webhook-id", id.to_owned()), ("webhook-timestamp", seconds), ("webhook-signature", signature)]
    }
}

/// The id of a signed message: the delivery's id, with step and run in a rule with steps (W7).
fn message_id<'s>(scope: &Scope<'s>) -> Cow<'s, str> {
    if scope.at.step.is_empty() {
        return scope.delivery_id.into();
    }
    format!("{}/{}/{}", scope.delivery_id, scope.at.step, scope.at.run).into()
}

impl Signature {
    fn parse(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let header = super::name(fields, "header", faults);
        if let Some(Err(detail)) = header.map(header::check) {
            faults.add(fields.at("header"), detail);
        }
        let algorithm = fields.word("algorithm", &ALGORITHMS, faults).unwrap_or_default();
        let encoding = fields.word("encoding", &ENCODINGS, faults).unwrap_or_default();
        let prefix = fields.text("prefix", faults).unwrap_or_default();
        if prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            faults.add(fields.at("prefix"), format!("expected at most {MAX_PREFIX_BYTES} printable ASCII characters"));
        }
        let prefix = read_prefix(prefix, &fields.at("prefix"), allowed, faults);
        let written = fields.text("signed", faults).unwrap_or(BODY);
        let parts = signed_parts(written, &fields.at("signed"), allowed, faults)?;
        Some(Self { header: header?.into(), algorithm, encoding, prefix: prefix?, written: written.into(), parts })
    }

    fn sign(&self, key: &str, scope: &Scope<'_>, body: &[u8]) -> Result<String, RenderFault> {
        let mut message = Vec::with_capacity(body.len());
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                message.extend_from_slice(body);
            }
            let mut text = String::new();
            part.render(scope, &mut text)?;
            message.extend(text.into_bytes());
            super::within(super::LONGEST_BODY_BYTES, message.len())?;
        }
        let signature = self.algorithm.hmac(key.as_bytes(), &message);
        let encoded = match self.encoding {
            Encoding::Hex => hex(&signature),
            Encoding::Base64 => BASE64_STANDARD.encode(signature),
        };
        let mut value = String::new();
        self.prefix.render(scope, &mut value).map_err(|fault| fault.in_header(&self.header))?;
        super::within(super::LONGEST_HEADER_BYTES, value.len())?;
        Ok(value + &encoded)
    }
}

/// Reads the prefix of a signature. In a rule that was accepted when prefixes held no macros, other braces are literal.
fn read_prefix(written: &str, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Template> {
    match Template::parse_within(written, Place::Header, allowed, faults) {
        Ok(template) if template.may_omit() => faults.add(pointer, "omit_if_empty has no place before a signature"),
        Ok(template) => return Some(template),
        Err(_) if allowed.stored => return Some(Template::verbatim(written)),
        Err(found) => found.into_iter().for_each(|fault| faults.add(pointer, fault.to_string())),
    }
    None
}

/// The parts of the signed text, between the bodies. The body is no macro: it may be longer than a macro's value.
fn signed_parts(written: &str, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Vec<Template>> {
    if written.is_empty() || written.len() > super::LONGEST_TEMPLATE_BYTES {
        let most = super::LONGEST_TEMPLATE_BYTES;
        faults.add(pointer, format!("expected 1 to {most} bytes, such as {{timestamp}}.{{body}}, got {}", written.len()));
        return None;
    }
    let before = faults.count();
    let mut parts = Vec::new();
    let mut characters = 0;
    for part in written.split(BODY) {
        match Template::parse_within(part, Place::Plain, allowed, faults) {
            Ok(template) if template.may_omit() => faults.add(pointer, "omit_if_empty has no place in a text that is signed"),
            Ok(template) => parts.push(template),
            Err(found) => {
                let found = found.into_iter().map(|fault| format!("character {}: {}", characters + fault.offset, fault.detail));
                found.for_each(|detail| faults.add(pointer, detail));
            }
        }
        characters += part.chars().count() + BODY.len();
    }
    (faults.count() == before).then_some(parts)
}
