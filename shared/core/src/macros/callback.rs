//! The names of callback URLs (W17).

/// The name of the URL at which a step listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallbackName {
    /// The name of the URL among the variables.
    key: Box<str>,
}

/// The prefix of such names; no variable can have it, since names of variables have no dots.
const PREFIX: &str = "callback_url.";

impl CallbackName {
    /// The URL of the step with this name; without a name, that of the only step that listens at a URL.
    pub(super) fn of(step: &str) -> Self {
        Self { key: format!("{PREFIX}{step}").into() }
    }

    /// The name of the URL among the variables.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The step's name, if it is given.
    pub(crate) fn step(&self) -> Option<&str> {
        self.key.strip_prefix(PREFIX).filter(|step| !step.is_empty())
    }

    /// Returns true if this is the name of a callback URL.
    pub(crate) fn is_one(name: &str) -> bool {
        name.starts_with(PREFIX)
    }
}
