//! Texts that are read from a response: a result, an amount, or a text as it is (A3).

use std::str::FromStr;

use crate::{
    change::TransactionResult,
    document::kind,
    fault::Faults,
    json::Value,
    money::Money,
    template::{Allowed, Filled, Place, Scope, Template},
};

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 16 * 1_024;
/// The longest text that is published to the platform from a response, in bytes: that of any free text.
const MAX_PUBLISHED_BYTES: usize = 2_048;
/// The longest value of a variable, in bytes.
pub(super) const MAX_VARIABLE_BYTES: usize = 8 * 1_024;

/// The rules for the texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The allowed macros.
    pub(crate) allowed: Allowed,
    /// `true` if values may outlive their delivery: in flows.
    pub(crate) may_keep: bool,
    /// `true` if the text may read secrets; the result is then secret, too.
    pub(crate) may_read_secrets: bool,
}

/// A value that can be read from a text of a response.
pub(super) trait Readable: Sized {
    /// The longest text, in bytes.
    const MAX_BYTES: usize = MAX_PUBLISHED_BYTES;

    fn read(text: &str) -> Result<Self, String>;
}

impl Readable for TransactionResult {
    fn read(text: &str) -> Result<Self, String> {
        match &*text.to_ascii_lowercase() {
            "pending" => Ok(Self::Pending),
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            _ => Err("not a result: pending, approved and rejected are".to_owned()),
        }
    }
}

impl Readable for Money {
    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|fault| fault.to_string())
    }
}

impl Readable for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

/// The value of a variable.
pub(super) struct VariableText(pub(super) String);

impl Readable for VariableText {
    const MAX_BYTES: usize = MAX_VARIABLE_BYTES;

    fn read(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

/// Renders and reads a template. `left_out` receives each field that is left out and the reason. An empty text sets nothing; surrounding
/// blanks are removed.
pub(super) fn read<T: Readable>(
    template: Option<&Template>,
    field: &str,
    scope: &Scope<'_>,
    left_out: &mut dyn FnMut(&str, String),
) -> Option<T> {
    let mut rendered = String::new();
    let outcome = template?.render(scope, &mut rendered);
    let text = rendered.trim();
    let read = match outcome {
        Ok(Filled::Omit) => return None,
        Ok(Filled::Written) if text.is_empty() => return None,
        Ok(Filled::Written) if text.len() > T::MAX_BYTES => {
            Err(format!("{} bytes are too many: {} are allowed", text.len(), T::MAX_BYTES))
        }
        Ok(Filled::Written) => T::read(text).map_err(|why| format!("\"{}\" is {why}", text.chars().take(64).collect::<String>())),
        Err(fault) => Err(fault.to_string()),
    };
    read.map_err(|why| left_out(field, why)).ok()
}

/// Reads a template; secrets are refused unless the rules allow them.
pub(super) fn read_template(value: &Value, pointer: &str, rules: Rules, faults: &mut Faults) -> Option<Template> {
    let Some(text) = value.as_str() else {
        faults.add(pointer, format!("{} is not a text: write a template such as \"{{body.payout}}\"", kind(value)));
        return None;
    };
    let template = Template::read(text, pointer, (Place::Plain, MAX_TEMPLATE), rules.allowed, faults)?;
    if !rules.may_read_secrets && template.secrets().next().is_some() {
        faults.add(pointer, "a secret may not be set: only headers, path, query and body of the request may hold one");
        return None;
    }
    Some(template)
}
