//! The screen: a line for each postback as it arrives, bars below them on a terminal.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal as _},
    time::Duration,
};

use console::{Style, Term};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{sync::mpsc, time::Instant};

use super::{
    api::Api,
    receiver::Arrival,
    sample::{Sample, SampleRule, Secrets},
};
use crate::edge;

/// The number of a rule's postbacks that are shown, unless all are asked for or worth showing.
const FIRST_FEW: usize = 3;
/// The deliveries of a rule with steps that are shown, each with all of its requests.
const FIRST_FLOWS: usize = 2;
/// Columns of a line where there is no terminal.
const USUAL_WIDTH: usize = 150;
/// Columns of a line for everything but target and answer: time, rule, method, attempt, verdict, and the spaces.
const FIXED: usize = 58;
/// Columns of an answer, on a wide line and on a narrow one.
const ANSWER: usize = 24;
const SHORT_ANSWER: usize = 10;
/// Lines narrower than this have short answers.
const WIDE: usize = 120;
/// The fewest columns of a target: on a terminal narrower than 80 columns, lines break.
const NARROWEST: usize = 12;
/// The time that a line waits for its verdict, and the interval between two requests for it.
const VERDICT_PATIENCE: Duration = Duration::from_secs(5);
const VERDICT_EVERY: Duration = Duration::from_millis(20);

/// The output of lines and bars.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    bars: MultiProgress,
    posted: ProgressBar,
    arrived: ProgressBar,
    width: usize,
}

impl Screen {
    /// Makes a screen with bars on a terminal, with lines alone elsewhere.
    pub(super) fn new(sample: &Sample) -> Self {
        let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let bar = |what: &'static str, length: usize| {
            let style = ProgressStyle::with_template("{prefix:>9} {bar:40} {pos}/{len}").expect("the template's keys are known");
            bars.add(ProgressBar::new(length as u64).with_style(style).with_prefix(what))
        };
        let posted = bar("events", sample.offers.len() + sample.events.len());
        let arrived = bar("requests", sample.owed.total.requests);
        let width = Term::stdout().size_checked().filter(|_| io::stdout().is_terminal());
        let width = width.map_or(USUAL_WIDTH, |(_, columns)| usize::from(columns));
        Self { bars, posted, arrived, width }
    }

    /// Prints a line above the bars.
    pub(super) fn line(&self, line: &str) {
        self.bars.suspend(|| edge::result(line));
    }

    /// Notes that this many more events are posted.
    pub(super) fn posted(&self, events: u64) {
        self.posted.inc(events);
    }

    /// Removes the bars.
    pub(super) fn close(&self) {
        self.posted.finish_and_clear();
        self.arrived.finish_and_clear();
    }

    /// Returns the columns of a line.
    pub(super) fn width(&self) -> usize {
        self.width
    }
}

/// Shows postbacks as they come.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) screen: Screen,
    pub(super) api: Api,
    pub(super) secrets: Secrets,
    /// The time from which the times of the lines count.
    pub(super) since: Instant,
    /// The part of each rule's postbacks that is shown, by the rule's key.
    shown: BTreeMap<String, Shown>,
}

/// A part of a rule's postbacks.
#[derive(Debug)]
enum Shown {
    All,
    /// The next postbacks, this many.
    First(usize),
    /// All postbacks of the first deliveries: the ones seen so far.
    Of(BTreeSet<Option<String>>),
}

impl Shown {
    /// Returns true if this postback is shown.
    fn takes(&mut self, arrival: &Arrival) -> bool {
        match self {
            Self::All => true,
            Self::First(left) => {
                let is_left = *left > 0;
                *left = left.saturating_sub(1);
                is_left
            }
            Self::Of(deliveries) => {
                if deliveries.len() < FIRST_FLOWS {
                    deliveries.insert(arrival.delivery_id.clone());
                }
                deliveries.contains(&arrival.delivery_id)
            }
        }
    }
}

impl Follower {
    /// Makes a follower that shows the first few postbacks of each rule and all that are worth showing, or all.
    pub(super) fn new(screen: Screen, api: Api, sample: &Sample, all: bool) -> Self {
        let part = |rule: &SampleRule| match (all || rule.is_worth_showing(), rule.is_flow()) {
            (true, _) => Shown::All,
            (false, true) => Shown::Of(BTreeSet::new()),
            (false, false) => Shown::First(FIRST_FEW),
        };
        let shown = sample.rules.iter().map(|rule| (rule.key.clone(), part(rule))).collect();
        Self { screen, api, secrets: sample.secrets(), since: Instant::now(), shown }
    }

    /// Shows postbacks until `over` ends it. Returns the number of lines shown.
    pub(super) async fn follow(mut self, mut arrivals: mpsc::UnboundedReceiver<Arrival>, mut over: mpsc::Receiver<()>) -> usize {
        let mut shown = 0;
        loop {
            // Arrivals are shown before the end is read.
            let arrival = tokio::select! {
                biased;
                arrival = arrivals.recv() => arrival,
                _ = over.recv() => None,
            };
            let Some(arrival) = arrival else { return shown };
            self.screen.arrived.inc(1);
            if self.is_shown(&arrival) {
                let verdict = self.verdict(&arrival).await;
                let line = line(&arrival, &verdict, self.since, self.screen.width, &self.secrets);
                self.screen.line(&line);
                shown += 1;
            }
        }
    }

    fn is_shown(&mut self, arrival: &Arrival) -> bool {
        // No receiver without a rule should get a request: such a request is shown.
        self.shown.get_mut(&arrival.key).is_none_or(|part| part.takes(arrival))
    }

    /// Returns the engine's verdict on the answer, from its log.
    async fn verdict(&self, arrival: &Arrival) -> String {
        let Some(id) = &arrival.delivery_id else { return "?".to_owned() };
        let deadline = Instant::now() + VERDICT_PATIENCE;
        while Instant::now() < deadline {
            // A new delivery is not in the log before its first attempt is over.
            if let Ok((delivery, _)) = self.api.delivery(id).await
                && let Some(logged) = delivery.log.iter().find(|logged| logged.attempt == arrival.attempt)
            {
                return logged.verdict.clone();
            }
            tokio::time::sleep(VERDICT_EVERY).await;
        }
        "?".to_owned()
    }
}

/// Formats a postback as a line: time, rule, request, attempt, answer, verdict.
fn line(arrival: &Arrival, verdict: &str, since: Instant, width: usize, secrets: &Secrets) -> String {
    let said_room = if width < WIDE { SHORT_ANSWER } else { ANSWER };
    let room = width.saturating_sub(FIXED + said_room).max(NARROWEST);
    let target = shortened(&secrets.masked(&arrival.target), room);
    let elapsed = arrival.at.duration_since(since);
    let answer = &arrival.answer;
    let said = shortened(&secrets.masked(&format!("{} {}", answer.status, answer.body.trim())), said_room);
    let (style, outcome) = match verdict {
        "delivered" => (Style::new().green(), "delivered"),
        "pending" => (Style::new().yellow(), "pending: asks again"),
        "branch" => (Style::new().cyan(), "branch: another step"),
        "retry" => (Style::new().yellow(), "retry: tries again"),
        "failed" => (Style::new().red(), "failed for good"),
        other => (Style::new().red(), other),
    };
    format!(
        "{:>4}.{:03}s  {:15} {:4} {target:room$} #{:<2} {said:said_room$} → {}",
        elapsed.as_secs(),
        elapsed.subsec_millis(),
        arrival.key,
        arrival.method,
        arrival.attempt,
        style.apply_to(outcome),
    )
}

/// Shortens a text to printable ASCII of this many columns; other characters show as `?`.
fn shortened(text: &str, columns: usize) -> String {
    let shown = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    if text.chars().count() <= columns {
        return text.chars().map(shown).collect();
    }
    text.chars().take(columns.saturating_sub(1)).map(shown).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sample::Scripted;

    #[tokio::test]
    async fn q5_a_line_shows_a_postback_without_its_secrets() {
        console::set_colors_enabled(false);
        let since = Instant::now();
        let arrival = Arrival {
            key: "everflow".to_owned(),
            at: since + Duration::from_millis(1_234),
            method: "GET".to_owned(),
            target: "/everflow/?nid=1234&verification_token=ef-4b1f%26x%3D1".to_owned(),
            delivery_id: None,
            attempt: 2,
            answer: Scripted { status: 503, content_type: String::new(), body: "try\nlater".to_owned() },
        };
        let secrets = Sample::load().secrets();
        let shown = |width| line(&arrival, "retry", since, width, &secrets);
        let wide = "   1.234s  everflow        GET  /everflow/?nid=1234&verification_token=*** #2  503 try?later            → retry: tries again";
        let narrow = "   1.234s  everflow        GET  /everflow/?… #2  503 try?l… → retry: tries again";
        assert_eq!((shown(124), shown(80)), (wide.to_owned(), narrow.to_owned()));
        assert_eq!(narrow.chars().count(), 80);
    }

    #[test]
    fn texts_fit_their_columns() {
        assert_eq!(shortened("/abc", 4), "/abc");
        assert_eq!(shortened("/abcd", 4), "/ab…");
        assert_eq!(shortened("a\u{1b}[0mč", 9), "a?[0m?");
    }
}
