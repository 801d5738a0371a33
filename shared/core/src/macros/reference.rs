//! References to the response of another step of a flow (W7).

use crate::{answer::Response, path::FieldPath};

/// The most bytes of a value that a reference takes from a response.
pub(crate) const MAX_REFERENCE_BYTES: usize = 8 * 1_024;

/// A part of the response of a step: `steps.<name>.body.<path>` or `steps.<name>.http_code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepReference {
    /// The whole name, which is also the value's name among the variables.
    key: Box<str>,
    step: Box<str>,
    part: Part,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    HttpCode,
    Body(FieldPath),
}

impl StepReference {
    /// Reads the key after `steps.`; the error is a sentence for the rule's author.
    pub(super) fn parse(key: &str) -> Result<Self, String> {
        const FORM: &str = "write steps.NAME.body.KEY or steps.NAME.http_code";
        let (step, rest) = key.split_once('.').ok_or(FORM)?;
        let path = rest.strip_prefix("body").filter(|path| path.starts_with(['.', '[']));
        let part = match path.map(|path| path.strip_prefix('.').unwrap_or(path)) {
            None if rest == "http_code" => Part::HttpCode,
            Some(path) => Part::Body(path.parse().map_err(|fault| format!("{path}: {fault}"))?),
            None => return Err(FORM.to_owned()),
        };
        Ok(Self { key: format!("steps.{key}").into(), step: step.into(), part })
    }

    /// The name of the value among the variables: no variable can have it, since names of variables have no dots.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The step whose response it reads.
    pub(crate) fn step(&self) -> &str {
        &self.step
    }

    /// Takes the value from a response; `None` if it is missing or too long.
    pub(crate) fn take(&self, answer: &Response) -> Option<String> {
        let value = match &self.part {
            Part::HttpCode => Some(answer.status.to_string()),
            Part::Body(path) => answer.field(path),
        };
        value.filter(|value| value.len() <= MAX_REFERENCE_BYTES)
    }
}
