//! Regular expressions that people write: bounded in size when a rule is read, in memory and work when they run.
//!
//! Two lazy automata find the end and the beginning of a match, a byte at a time, so that every byte is counted; groups are found by
//! simulation within the match. The automata's states live for one run: the memory that an expression keeps is its compiled
//! form, whatever texts it runs on and in however many threads.

use std::{cell::Cell, rc::Rc, sync::Arc};

use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{self, Cache, DFA},
    nfa::thompson::{
        self, NFA, WhichCaptures,
        pikevm::{self, PikeVM},
    },
    util::{primitives::NonMaxUsize, syntax},
};

/// The most regular expressions in one rule.
pub(crate) const MAX_EXPRESSIONS: usize = 20;
/// The longest regular expression, as written, in bytes.
pub(crate) const MAX_PATTERN_BYTES: usize = 512;
/// The largest compiled form of one expression, in bytes, for each of the two directions.
pub(crate) const MAX_COMPILED_BYTES: usize = 64 * 1_024;
/// The largest compiled form of all expressions of a rule together, both directions, in bytes.
pub(crate) const MAX_COMPILED_RULE_BYTES: usize = 256 * 1_024;
/// The most expressions of a rule that are refused before the others are left uncompiled: refusing takes time.
const MAX_REFUSED: usize = 4;
/// The most groups of one expression.
const MAX_GROUPS: usize = 20;
/// The deepest nesting of one expression.
const MAX_NESTING: u32 = 50;
/// The most memory for the states of one automaton during a run, in bytes.
const STATES_BYTES: usize = 128 * 1_024;
/// The bytes of an expression that count one step for each simulated byte.
const BYTES_PER_STEP: usize = 32;
/// Steps for each byte of the automata's states.
const STEPS_PER_STATE_BYTE: usize = 12;

/// The most work of one rendering or one judgement, in steps: about one for each byte that is read or written.
pub const MAX_STEPS: usize = 8 * 1_024 * 1_024;

/// The remaining steps of a rendering or a judgement. All templates and conditions of one request or response share them;
/// clones share one count.
#[derive(Debug, Clone)]
pub struct Steps(Rc<Cell<usize>>);

/// The error of work for which no step is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl Default for Steps {
    fn default() -> Self {
        Self(Rc::new(Cell::new(MAX_STEPS)))
    }
}

impl Steps {
    /// The steps taken so far; [`MAX_STEPS`] if none is left.
    pub fn taken(&self) -> usize {
        MAX_STEPS - self.0.get()
    }

    /// Returns true if no step is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes steps. If more are requested than are left, none is left.
    pub(crate) fn take(&self, steps: usize) -> Result<(), Spent> {
        let left = self.0.get().checked_sub(steps);
        self.0.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Spent)
    }
}

/// The reasons why an expression is refused when a rule is read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("expected at most {MAX_EXPRESSIONS} regular expressions in a rule, this is number {0}")]
    Count(usize),
    #[error("expected a regular expression of at most {MAX_PATTERN_BYTES} bytes, got {0}")]
    Long(usize),
    #[error("expected at most {MAX_GROUPS} groups in a regular expression, got {0}")]
    Groups(usize),
    #[error(
        "the regular expression takes more than {} KiB compiled: repeat less, or write smaller classes, such as [0-9] for \\d and \
         [A-Za-z0-9_] for \\w",
        MAX_COMPILED_BYTES / 1_024
    )]
    Large,
    #[error(
        "the regular expressions of the rule take more than {} KiB compiled: repeat less, or write smaller classes, such as [0-9] for \
         \\d and [A-Za-z0-9_] for \\w",
        MAX_COMPILED_RULE_BYTES / 1_024
    )]
    LargeTogether,
    #[error("not checked: {MAX_REFUSED} regular expressions of the rule are refused already, correct them first")]
    Unchecked,
    #[error("not a regular expression: {0}")]
    Syntax(String),
}

/// The remaining budget of expressions of one rule while it is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExpressionBudget {
    count: usize,
    compiled_bytes: usize,
    refused: usize,
    /// `true` if the rule is read from the store: an expression over budget is kept, and never runs.
    stored: bool,
}

impl ExpressionBudget {
    /// The budget of a rule that is read from the store: an expression over budget is kept, and never runs.
    pub(crate) fn of_stored_rule() -> Self {
        Self { stored: true, ..Self::default() }
    }

    /// Returns true if the rule is read from the store.
    pub(crate) fn is_of_stored_rule(&self) -> bool {
        self.stored
    }

    /// The number of expressions so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Compiles one more expression of the rule. One that is too many or too long is not compiled.
    pub(crate) fn compile(&mut self, pattern: &str) -> Result<Expression, Refused> {
        self.count += 1;
        match self.program(pattern) {
            Ok(program) => Ok(Expression(Some(Arc::new(program)))),
            Err(_) if self.stored => Ok(Expression(None)),
            Err(refused) => Err(refused),
        }
    }

    fn program(&mut self, pattern: &str) -> Result<Program, Refused> {
        if self.count > MAX_EXPRESSIONS {
            return Err(Refused::Count(self.count));
        }
        if self.compiled_bytes >= MAX_COMPILED_RULE_BYTES {
            return Err(Refused::LargeTogether);
        }
        if self.refused >= MAX_REFUSED {
            return Err(Refused::Unchecked);
        }
        let program = Program::compile(pattern).inspect_err(|_| self.refused += 1)?;
        self.compiled_bytes += program.bytes();
        if self.compiled_bytes > MAX_COMPILED_RULE_BYTES {
            return Err(Refused::LargeTogether);
        }
        Ok(program)
    }
}

/// A compiled expression; `None` for one of a stored rule that is over a budget.
#[derive(Debug, Clone)]
pub(crate) struct Expression(Option<Arc<Program>>);

/// The reasons why an expression gives no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No step is left.
    Spent,
    /// The result is longer than allowed.
    TooLong,
    /// The expression is over a budget.
    Unusable,
}

impl From<Spent> for Stop {
    fn from(Spent: Spent) -> Self {
        Self::Spent
    }
}

impl Expression {
    /// Returns true if a text contains a match.
    pub(crate) fn is_match(&self, text: &str, steps: &Steps) -> Result<bool, Stop> {
        let program = self.0.as_deref().ok_or(Stop::Unusable)?;
        let mut run = Run::new(program, text, steps);
        let found = run.end(0, true)?;
        run.pay()?;
        Ok(found.is_some())
    }

    /// The first match, or its first group if the expression has groups; `None` if there is no match.
    pub(crate) fn first(&self, text: &str, steps: &Steps) -> Result<Option<String>, Stop> {
        let program = self.0.as_deref().ok_or(Stop::Unusable)?;
        let mut run = Run::new(program, text, steps);
        let Some((start, end)) = run.find(0)? else {
            run.pay()?;
            return Ok(None);
        };
        let mut out = String::new();
        if program.has_groups {
            run.expand(start, end, "$1", &mut out)?;
        } else {
            out.push_str(&text[start..end]);
        }
        run.pay()?;
        Ok(Some(out))
    }

    /// The text with every match replaced by `to`, where `$1` and `${name}` are groups; `None` if there is no match.
    pub(crate) fn replace(&self, text: &str, to: &str, longest: usize, steps: &Steps) -> Result<Option<String>, Stop> {
        let program = self.0.as_deref().ok_or(Stop::Unusable)?;
        let mut run = Run::new(program, text, steps);
        let (mut out, mut copied, mut at, mut last_end) = (String::new(), 0, 0, None);
        while let Some((start, end)) = run.find(at)? {
            if start == end && last_end == Some(end) {
                at = next_char(text, end);
                continue;
            }
            out.push_str(&text[copied..start]);
            run.expand(start, end, to, &mut out)?;
            if out.len() > longest {
                return Err(Stop::TooLong);
            }
            (copied, at, last_end) = (end, end, Some(end));
        }
        run.pay()?;
        if last_end.is_none() {
            return Ok(None);
        }
        out.push_str(&text[copied..]);
        Ok(Some(out))
    }

    /// The memory that the expression takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.as_deref().map_or(0, Program::bytes)
    }
}

/// The compiled form of an expression.
#[derive(Debug)]
struct Program {
    forward: DFA,
    reverse: DFA,
    groups: PikeVM,
    has_groups: bool,
}

impl Program {
    fn compile(pattern: &str) -> Result<Self, Refused> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(Refused::Long(pattern.len()));
        }
        let hir =
            syntax::parse_with(pattern, &syntax::Config::new().nest_limit(MAX_NESTING)).map_err(|fault| syntax_fault(&fault))?;
        let groups = hir.properties().explicit_captures_len();
        if groups > MAX_GROUPS {
            return Err(Refused::Groups(groups));
        }
        let built = |reverse: bool, captures: WhichCaptures| {
            let config =
                thompson::Config::new().nfa_size_limit(Some(MAX_COMPILED_BYTES)).reverse(reverse).which_captures(captures);
            let nfa = thompson::Compiler::new().configure(config).build_from_hir(&hir);
            nfa.map_err(|fault| if fault.size_limit().is_some() { Refused::Large } else { syntax_fault(&fault) })
        };
        let forward = built(false, WhichCaptures::All)?;
        let reverse = built(true, WhichCaptures::None)?;
        Ok(Self {
            groups: PikeVM::new_from_nfa(forward.clone()).map_err(|fault| syntax_fault(&fault))?,
            forward: automaton(forward, MatchKind::LeftmostFirst)?,
            reverse: automaton(reverse, MatchKind::All)?,
            has_groups: groups > 0,
        })
    }

    fn bytes(&self) -> usize {
        self.forward.get_nfa().memory_usage() + self.reverse.get_nfa().memory_usage() + size_of::<Self>()
    }
}

fn automaton(nfa: NFA, kind: MatchKind) -> Result<DFA, Refused> {
    let config = dfa::Config::new()
        .match_kind(kind)
        .unicode_word_boundary(true)
        .cache_capacity(STATES_BYTES)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(0));
    dfa::Builder::new().configure(config).build_from_nfa(nfa).map_err(|fault| syntax_fault(&fault))
}

/// The last line of a fault: the lines before draw the expression.
fn syntax_fault(fault: &dyn ToString) -> Refused {
    let all = fault.to_string();
    Refused::Syntax(all.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
}

/// One use of an expression on one text.
struct Run<'r> {
    program: &'r Program,
    text: &'r str,
    steps: &'r Steps,
    forward: Cache,
    reverse: Option<Cache>,
    simulated: Option<pikevm::Cache>,
    /// The memory of states whose steps were taken, in bytes.
    paid: usize,
    /// `true` if the automata can't go on: too many states, or a word boundary beside a letter beyond ASCII.
    slow: bool,
}

impl<'r> Run<'r> {
    fn new(program: &'r Program, text: &'r str, steps: &'r Steps) -> Self {
        let forward = program.forward.create_cache();
        Self { program, text, steps, paid: forward.memory_usage(), forward, reverse: None, simulated: None, slow: false }
    }

    /// The next match at or after `at`.
    fn find(&mut self, mut at: usize) -> Result<Option<(usize, usize)>, Spent> {
        while at <= self.text.len() {
            let Some(span) = self.find_bytes(at)? else { return Ok(None) };
            if self.text.is_char_boundary(span.0) && self.text.is_char_boundary(span.1) {
                return Ok(Some(span));
            }
            // An empty match within a character does not count.
            at = next_char(self.text, self.text.floor_char_boundary(span.0));
        }
        Ok(None)
    }

    fn find_bytes(&mut self, at: usize) -> Result<Option<(usize, usize)>, Spent> {
        if !self.slow {
            let Some(end) = self.end(at, false)? else {
                return if self.slow { self.simulate(at) } else { Ok(None) };
            };
            self.steps.take(end - at)?;
            let cache = self.reverse.get_or_insert_with(|| self.program.reverse.create_cache());
            let input = Input::new(self.text).range(at..end).anchored(Anchored::Yes);
            match self.program.reverse.try_search_rev(cache, &input) {
                Ok(Some(start)) => return Ok(Some((start.offset(), end))),
                Ok(None) | Err(_) => self.slow = true,
            }
        }
        self.simulate(at)
    }

    /// The end of the next match at or after `at`, or of its first part if `earliest`. If there is none, `slow` may be the reason.
    fn end(&mut self, at: usize, earliest: bool) -> Result<Option<usize>, Spent> {
        let (taken, found) = self.walk(at, earliest);
        self.steps.take(taken)?;
        if let Ok(found) = found {
            return Ok(found);
        }
        self.slow = true;
        if earliest { Ok(self.simulate(at)?.map(|(_, end)| end)) } else { Ok(None) }
    }

    /// Walks the automaton, counting the bytes.
    fn walk(&mut self, at: usize, earliest: bool) -> (usize, Result<Option<usize>, ()>) {
        let (dfa, cache) = (&self.program.forward, &mut self.forward);
        let Ok(mut state) = dfa.start_state_forward(cache, &Input::new(self.text).range(at..)) else { return (1, Err(())) };
        let mut found = None;
        for (i, byte) in self.text.as_bytes()[at..].iter().enumerate() {
            let Ok(next) = dfa.next_state(cache, state, *byte) else { return (i + 1, Err(())) };
            state = next;
            if state.is_tagged() {
                if state.is_match() {
                    found = Some(at + i);
                    if earliest {
                        return (i + 1, Ok(found));
                    }
                } else if state.is_dead() {
                    return (i + 1, Ok(found));
                } else if state.is_quit() {
                    return (i + 1, Err(()));
                }
            }
        }
        let taken = self.text.len() - at + 1;
        match dfa.next_eoi_state(cache, state) {
            Ok(last) if last.is_match() => (taken, Ok(Some(self.text.len()))),
            Ok(_) => (taken, Ok(found)),
            Err(_) => (taken, Err(())),
        }
    }

    /// The next match at or after `at`, by simulation: it always works, and takes steps by the expression's size.
    fn simulate(&mut self, at: usize) -> Result<Option<(usize, usize)>, Spent> {
        self.steps.take((self.text.len() - at + 1) * self.steps_per_byte())?;
        let cache = self.simulated.get_or_insert_with(|| self.program.groups.create_cache());
        let mut slots = [None, None];
        let found = self.program.groups.search_slots(cache, &Input::new(self.text).range(at..), &mut slots);
        let [start, end] = slots.map(|slot| slot.map(NonMaxUsize::get));
        Ok(found.and(start.zip(end)))
    }

    /// Writes the replacement of a match.
    fn expand(&mut self, start: usize, end: usize, to: &str, out: &mut String) -> Result<(), Spent> {
        if !to.contains('$') {
            out.push_str(to);
            return self.steps.take(to.len());
        }
        self.steps.take((end - start + 1) * self.steps_per_byte())?;
        let cache = self.simulated.get_or_insert_with(|| self.program.groups.create_cache());
        let mut groups = self.program.groups.create_captures();
        let input = Input::new(self.text).range(start..end).anchored(Anchored::Yes);
        self.program.groups.captures(cache, input, &mut groups);
        let before = out.len();
        groups.interpolate_string_into(self.text, to, out);
        self.steps.take(out.len() - before)
    }

    /// Takes the steps for the automata's states.
    fn pay(&mut self) -> Result<(), Spent> {
        let built = self.forward.memory_usage() + self.reverse.as_ref().map_or(0, Cache::memory_usage);
        let owed = built.saturating_sub(self.paid);
        self.paid = built.max(self.paid);
        self.steps.take(owed * STEPS_PER_STATE_BYTE)
    }

    fn steps_per_byte(&self) -> usize {
        1 + self.program.bytes() / BYTES_PER_STEP
    }
}

/// The position after the character at `at`.
fn next_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}
