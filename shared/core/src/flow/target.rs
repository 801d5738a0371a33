//! The target of a flow's next move: a step, or the end.

/// The target of a flow's next move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Step(Box<str>),
    End,
    Fail,
}

impl Target {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "end" => Self::End,
            "fail" => Self::Fail,
            step => Self::Step(step.into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Step(name) => name,
            Self::End => "end",
            Self::Fail => "fail",
        }
    }
}
