//! Trying a flow out, step after step (W11): with answers that a person gives, by sending, or with what is still to come in its place.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use tracking_core::{
    answer::{Answer, Verdict},
    delivery::DeliveryId,
    event::Event,
    flow::{Answered, Moved, Progress, Stance, Walked},
    json,
    json::Value,
    request::Timeout,
    tracking_api::GivenAnswer,
};

use super::{SHOWN_BODY, Tried, told};
use crate::{
    backend::Backend,
    delivery::{
        flow::{InFlow, call_of},
        render::{Judged, Rendering, masked, shown_request},
    },
    limits,
    rows::{LoggedRequest, headers_view},
    sender::{Sender, Sent},
    store::Store,
};

/// The most entries that a trial shows.
const MAX_SHOWN: usize = 60;
/// The most requests that it sends.
const MAX_SENT: usize = 20;
/// The time for all of its requests.
const MAX_SECONDS: i64 = 25;

/// The steps of a trial so far.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) steps: Vec<Value>,
    pub(super) ends: Value,
    sent: usize,
}

/// Answers that a person gives, by the steps that ask for them.
pub(super) type Answers = BTreeMap<String, VecDeque<GivenAnswer>>;

/// A trial of a flow.
pub(super) struct Rehearsal<'a, B> {
    pub(super) store: &'a Store<B>,
    pub(super) tried: &'a Tried,
    pub(super) event: &'a Event,
    /// Sends what no answer is given for.
    pub(super) sender: Option<&'a Sender>,
    pub(super) began: Timestamp,
    /// The id that requests carry; no delivery has it.
    pub(super) id: DeliveryId,
}

impl<B: Backend> Rehearsal<'_, B> {
    /// Goes through the flow to its end, or to where it can't go on.
    pub(super) async fn run(&self, mut answers: Answers) -> Shown {
        let plan = &self.tried.definition.plan;
        let progress = Progress::first(plan, 0, self.began);
        let mut flow = InFlow::of_trial(progress, self.tried.kept.clone());
        let mut attempts = 0;
        let mut shown = Shown::default();
        while shown.steps.len() < MAX_SHOWN {
            let rendering = self.rendering(&flow, attempts);
            let walked = plan.walk(flow.progress.clone(), &rendering.scope(&self.tried.secrets, None), attempts, 0);
            let Walked { progress, variables, stance, notes, .. } = walked;
            let seen = |text: &str| rendering.shown_text(text, &variables, self.tried.two_parties);
            shown.steps.extend(notes.iter().map(|note| json!({"step": progress.step, "note": seen(note)})));
            let stance = match stance {
                Stance::End(state, reason) => Stance::End(state, seen(&reason)),
                stance => stance,
            };
            flow = flow.moved(progress, variables);
            match stance {
                Stance::End(state, reason) => {
                    shown.ends = json!({"state": state, "reason": reason});
                    return shown;
                }
                Stance::Wait(until, _) => {
                    shown.steps.push(json!({"step": flow.progress.step, "waits_until": until, "note": "a trial skips the wait"}));
                    flow.progress.wake();
                }
                Stance::Send => {
                    attempts += 1;
                    match self.step(&flow, attempts, &mut answers, &mut shown).await {
                        Some(next) => flow = next,
                        None => return shown,
                    }
                }
            }
        }
        shown.ends = json!({"state": null, "reason": format!("the trial shows no more than {MAX_SHOWN} steps")});
        shown
    }

    fn rendering<'s>(&'s self, flow: &'s InFlow, attempt: u32) -> Rendering<'s> {
        Rendering { flow: Some(flow), attempt, ..self.tried.rendering(self.event, self.id.as_str(), &flow.variables, self.began) }
    }

    /// Shows the request of a step and what follows it; `None` at the end.
    async fn step(&self, flow: &InFlow, attempt: u32, answers: &mut Answers, shown: &mut Shown) -> Option<InFlow> {
        let step = flow.progress.step.clone();
        let rendering = self.rendering(flow, attempt);
        let seen = rendering.shown();
        let mut entry = json!({
            "step": step, "run": flow.progress.run(),
            "request": seen.as_ref().ok().map(|seen| readable(shown_request(seen.clone(), SHOWN_BODY)).view()),
            "error": seen.as_ref().err().map(ToString::to_string),
        });
        let given = answers.get_mut(&step).and_then(VecDeque::pop_front);
        entry["given"] = given.is_some().into();
        let sent = match given {
            Some(GivenAnswer { status, headers, body }) => Some(Ok(Answer::new(status, headers, body))),
            None => self.send(flow, &rendering, shown).await,
        };
        let Some(sent) = sent else {
            return self.to_come(flow, entry, attempt, shown);
        };
        let (judged, entry) = self.judged(&rendering, sent, entry);
        shown.steps.push(entry);
        let variables = judged.variables_after(&flow.variables);
        let asks_again = answers.get(&step).is_some_and(|more| !more.is_empty());
        self.moved(flow, variables, judged.answered(None, attempt), asks_again, shown)
    }

    /// The place after a response; `None` at the end, and where a step would ask again and no further answer is given for it.
    fn moved(
        &self,
        flow: &InFlow,
        variables: BTreeMap<String, String>,
        answered: Answered<'_>,
        asks_again: bool,
        shown: &mut Shown,
    ) -> Option<InFlow> {
        match self.tried.definition.plan.after(flow.progress.clone(), answered, 0, &self.id, self.began) {
            Moved::On(progress) => return Some(flow.moved(progress, variables)),
            Moved::Again(progress, _) if asks_again => return Some(flow.moved(progress, variables)),
            Moved::Again(progress, _) => {
                let call = call_of(&self.tried.definition, Some(flow));
                let wait = in_words(call.retry.plain_wait(progress.attempt_of_run(answered.attempt)));
                shown.ends = json!({"state": "waiting", "reason": format!("step {} would ask again in {wait}", progress.step)});
            }
            Moved::Ended(state, reason) => shown.ends = json!({"state": state, "reason": reason}),
        }
        None
    }

    /// Goes on in order past a request that is not sent, with what its response would set shown as still to come.
    fn to_come(&self, flow: &InFlow, mut entry: Value, attempt: u32, shown: &mut Shown) -> Option<InFlow> {
        entry["note"] = "no answer is given for this step: what its response sets is shown as ‹…›".into();
        shown.steps.push(entry);
        let mut variables = flow.variables.clone();
        variables.extend(self.tried.definition.plan.values_to_come(&flow.progress.step));
        let (verdict, why) = (Verdict::Delivered, "the last step is shown");
        self.moved(flow, variables, Answered { verdict, why, go: None, retry_after: None, attempt }, false, shown)
    }

    /// Sends the request, if the trial sends and may send more.
    async fn send(&self, flow: &InFlow, rendering: &Rendering<'_>, shown: &mut Shown) -> Option<Sent> {
        let sender = self.sender?;
        let left = MAX_SECONDS - self.store.now().duration_since(self.began).as_secs();
        if shown.sent == MAX_SENT || left <= 0 {
            return None;
        }
        shown.sent += 1;
        let mut request = match rendering.request() {
            Ok(request) => request,
            Err(fault) => return Some(Err(fault.into())),
        };
        let longest = u32::try_from(left).unwrap_or(1).min(limits::LONGEST_TRIAL);
        request.timeout = request.timeout.min(Timeout::from_seconds(longest).unwrap_or(request.timeout));
        let host = call_of(&self.tried.definition, Some(flow)).request.host();
        tracing::info!(tracking_api_id = %self.tried.id, by = self.tried.by.caller.role(), host, "a trial is sent");
        Some(sender.request_for(&self.tried.owner, request).await)
    }

    /// The meaning of a response, and the entry with what people see of it.
    fn judged(&self, rendering: &Rendering<'_>, sent: Sent, mut entry: Value) -> (Judged, Value) {
        let seen = rendering.shown().ok();
        let scrubber = rendering.scrubber(seen.as_ref(), self.tried.two_parties);
        let (sent, judged) = rendering.read(masked(sent, &scrubber), seen.as_ref(), &scrubber);
        let heard = rendering.heard(&sent, &judged, &scrubber);
        entry["status"] = json!(heard.status);
        entry["answer"] = json!(heard.answer);
        entry["answer_headers"] = json!(heard.status.map(|_| headers_view(&heard.answer_headers)));
        if let Some(error) = heard.error {
            entry["error"] = error.into();
        }
        entry["verdict"] = judged.verdict.as_str().into();
        entry["go"] = json!(judged.go.as_deref());
        entry["told"] = told(&judged, &scrubber);
        (judged, entry)
    }
}

/// The same request with the marks of values to come as they are, wherever they were encoded.
fn readable(request: LoggedRequest) -> LoggedRequest {
    let plain = |text: String| text.replace("%E2%80%B9", "‹").replace("%E2%80%BA", "›");
    LoggedRequest { url: plain(request.url), body: request.body.map(plain), ..request }
}

/// A time in its largest unit, such as `1 h`.
fn in_words(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(1)),
        60..3_600 => format!("{} min", (seconds + 30) / 60),
        3_600..86_400 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}
