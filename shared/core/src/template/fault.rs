//! Reasons why a text is not rendered.

use super::{MAX_STEPS, modify::MAX_REGEX_INPUT_BYTES};

/// The reason why a template or a request gives no text for this event; the rule itself is valid. It never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderFault {
    /// A value would have broken out of its header (Q3).
    #[error("{{{name}}} holds a control character, such as a line break: a header's value can't hold one")]
    ControlInHeader {
        /// The macro's name in the catalogue, with its key.
        name: Box<str>,
    },
    /// A value would have broken out of this header (Q3).
    #[error("the header {header} can't be sent: {{{name}}} holds a control character, such as a line break")]
    ControlIn {
        /// The header's name.
        header: Box<str>,
        /// The macro's name in the catalogue, with its key.
        name: Box<str>,
    },
    /// A text or the whole request is too long.
    #[error("the text is longer than {limit_bytes} bytes with its values filled in")]
    TooLong {
        /// The exceeded limit, in bytes.
        limit_bytes: usize,
    },
    /// A value turned a segment of the URL's path into `.` or `..`, which would be another address.
    #[error("a value makes a segment . or .. of the URL's path: it would lead to another address")]
    DotSegment,
    /// A macro takes more work than the limit.
    #[error("the template is too expensive: {{{name}}} {expense}")]
    TooExpensive {
        /// The macro's name in the catalogue, with its key.
        name: Box<str>,
        /// The exceeded limit.
        expense: Expense,
    },
}

impl RenderFault {
    /// The fault of a header's text, with the header's name if that helps.
    pub(crate) fn in_header(self, header: &str) -> Self {
        match self {
            Self::ControlInHeader { name } => Self::ControlIn { header: header.into(), name },
            other => other,
        }
    }
}

/// The limits of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Expense {
    /// The macros up to this one take more than [`MAX_STEPS`].
    #[error("passes the {MAX_STEPS} steps of a rendering: write fewer modifiers, or simpler regular expressions")]
    Steps,
    /// A value is too long for `regex`.
    #[error("gives regex {0} bytes: at most {MAX_REGEX_INPUT_BYTES} are allowed")]
    RegexInput(usize),
    /// A regular expression that was saved under older limits.
    #[error("has a regular expression over the limits: save the rule with a smaller one")]
    Expression,
}
