//! Trying a flow out, step after step (W11): with answers that a person gives, by sending, or with placeholders for values to come.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use tracking_core::{
    answer::{Response, Verdict},
    delivery::DeliveryId,
    event::Event,
    flow::{Answered, Emitted, Moved, Progress, Stance, Walked},
    json,
    json::{Map, Value},
    request::{Rendered, Timeout},
    template::RenderFault,
    tracking_api::GivenAnswer,
};

use super::{SHOWN_BODY, TrialRule, shown_extracted};
use crate::{
    delivery::{
        flow::{InFlow, call_of},
        render::{Judged, Rendering, masked, shown_request},
    },
    limits,
    rows::{LoggedRequest, headers_view},
    sender::SendResult,
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

/// A trial of a flow, up to the next request that is to be sent, or to its end.
pub(super) struct Rehearsal {
    pub(super) tried: Arc<TrialRule>,
    pub(super) event: Arc<Event>,
    /// Requests for which no answer is given are sent.
    pub(super) sends: bool,
    pub(super) began: Timestamp,
    /// The id that requests carry; no delivery has it.
    pub(super) id: DeliveryId,
    pub(super) answers: Answers,
    pub(super) shown: Shown,
    flow: InFlow,
    attempts: u32,
    /// The entry of the request that is being sent.
    entry: Value,
}

/// A request of a trial that is to be sent, and its receiver's host.
pub(super) struct ToSend {
    pub(super) request: Result<Rendered, RenderFault>,
    pub(super) host: String,
}

impl Rehearsal {
    /// A trial that has not begun.
    pub(super) fn new(tried: Arc<TrialRule>, event: Event, (sends, answers): (bool, Answers), began: Timestamp) -> Self {
        let progress = Progress::first(&tried.definition.plan, 0, began);
        Self {
            flow: InFlow::of_trial(&tried.definition.plan, progress, tried.kept.clone(), tried.public_url.as_deref()),
            id: DeliveryId::of_trial(&tried.id, began),
            tried,
            event: Arc::new(event),
            sends,
            began,
            answers,
            shown: Shown::default(),
            attempts: 0,
            entry: Value::Null,
        }
    }

    /// Goes on to the next request that is to be sent; `None` at the end, or where it can't go on. `heard` is the result of the last one,
    /// `now` the time.
    pub(super) fn go_on(&mut self, heard: Option<SendResult>, now: Timestamp) -> Option<ToSend> {
        if let Some(sent) = heard {
            let entry = self.entry.take();
            let next = self.hear(sent, entry);
            self.flow = next?;
        }
        let tried = Arc::clone(&self.tried);
        let plan = &tried.definition.plan;
        while self.shown.steps.len() < MAX_SHOWN {
            let rendering = self.rendering(self.attempts);
            let walked = plan.walk(self.flow.progress.clone(), &rendering.scope(&tried.secrets, None), self.attempts, 0);
            let Walked { progress, variables, stance, notes, emitted, .. } = walked;
            let seen = |text: &str| rendering.shown_text(text, &variables, tried.two_parties);
            let notes = notes.iter().map(|note| json!({"step": progress.step, "note": seen(note)}));
            let notes: Vec<Value> = notes.chain(emitted.iter().map(|event| shown_event(event, &seen))).collect();
            let stance = match stance {
                Stance::End(state, reason) => Stance::End(state, seen(&reason)),
                stance => stance,
            };
            self.shown.steps.extend(notes);
            self.flow = self.flow.moved(progress, variables);
            match stance {
                Stance::End(state, reason) => {
                    self.shown.ends = json!({"state": state, "reason": reason});
                    return None;
                }
                Stance::Wait(until, _) => {
                    let step = &self.flow.progress.step;
                    self.shown.steps.push(json!({"step": step, "waits_until": until, "note": "a trial skips the wait"}));
                    self.flow.progress.wake();
                }
                Stance::Listen(until, _) => match self.listen(until) {
                    Some(next) => self.flow = next,
                    None => return None,
                },
                Stance::Send => {
                    self.attempts += 1;
                    match self.step(now) {
                        Stepped::Send(to_send) => return Some(to_send),
                        Stepped::On(next) => self.flow = *next,
                        Stepped::End => return None,
                    }
                }
            }
        }
        self.shown.ends = json!({"state": null, "reason": format!("the trial shows no more than {MAX_SHOWN} steps")});
        None
    }

    fn rendering(&self, attempt: u32) -> Rendering<'_> {
        let flow = &self.flow;
        Rendering {
            flow: Some(flow),
            attempt,
            secret_variables: &flow.hidden,
            ..self.tried.rendering(&self.event, self.id.as_str(), &flow.variables, self.began)
        }
    }

    /// Shows the request of a step, and sends it or goes on with an answer that is given.
    fn step(&mut self, now: Timestamp) -> Stepped {
        let step = self.flow.progress.step.clone();
        let rendering = self.rendering(self.attempts);
        let seen = rendering.shown();
        let mut entry = json!({
            "step": step, "run": self.flow.progress.run(),
            "request": seen.as_ref().ok().map(|seen| readable(shown_request(seen.clone(), SHOWN_BODY)).view()),
            "error": seen.as_ref().err().map(ToString::to_string),
        });
        let given = self.answers.get_mut(&step).and_then(VecDeque::pop_front);
        entry["given"] = given.is_some().into();
        if let Some(GivenAnswer { status, headers, body }) = given {
            return self.hear(Ok(Response::new(status, headers, body)), entry).map_or(Stepped::End, Stepped::on);
        }
        let left = MAX_SECONDS - now.duration_since(self.began).as_secs();
        if !self.sends || self.shown.sent == MAX_SENT || left <= 0 {
            return self.pass(entry).map_or(Stepped::End, Stepped::on);
        }
        self.shown.sent += 1;
        let longest = u32::try_from(left).unwrap_or(1).min(limits::LONGEST_TRIAL);
        let request = self.rendering(self.attempts).request().map(|mut request| {
            request.timeout = request.timeout.min(Timeout::from_seconds(longest).unwrap_or(request.timeout));
            request
        });
        self.entry = entry;
        let host = call_of(&self.tried.definition, Some(&self.flow)).request.host().to_owned();
        Stepped::Send(ToSend { request, host })
    }

    /// Shows a step that listens, and goes on with a callback that is given, or with the values that one would set; `None` at the end.
    fn listen(&mut self, until: Timestamp) -> Option<InFlow> {
        let step = self.flow.progress.step.clone();
        let given = self.answers.get_mut(&step).and_then(VecDeque::pop_front);
        let mut entry = json!({"step": step, "run": self.flow.progress.run(), "listens_until": until, "given": given.is_some()});
        let mut variables = self.flow.variables.clone();
        let plan = Arc::clone(&self.tried);
        let plan = &plan.definition.plan;
        let moved = if let Some(GivenAnswer { status, headers, body }) = given {
            let (judged, entry) = self.judged(Ok(Response::new(status, headers, body)), entry);
            variables = judged.variables_after(&variables);
            self.shown.steps.push(entry);
            self.flow.hidden.extend(judged.hidden.iter().cloned());
            plan.after_callback(self.flow.progress.clone(), judged.answered(None, self.attempts), "trial")
        } else {
            entry["note"] = "no callback is given for this step: what it sets is shown as ‹…›".into();
            self.shown.steps.push(entry);
            variables.extend(plan.values_to_come(&step));
            let (verdict, why) = (Verdict::Delivered, "the last step is shown");
            let answered = Answered { verdict, why, go: None, retry_after: None, attempt: self.attempts };
            plan.after_callback(self.flow.progress.clone(), answered, "trial")
        };
        match moved {
            Moved::On(progress) => return Some(self.flow.moved(progress, variables)),
            Moved::Again(progress, _) if self.answers.get(&step).is_some_and(|more| !more.is_empty()) => {
                return Some(self.flow.moved(progress, variables));
            }
            Moved::Again(..) => {
                let reason = format!("step {step} would go on listening until {until}");
                self.shown.ends = json!({"state": "waiting", "reason": reason});
            }
            Moved::Ended(state, reason) => self.shown.ends = json!({"state": state, "reason": reason}),
        }
        None
    }

    /// Takes in the result of a request; `None` at the end.
    fn hear(&mut self, sent: SendResult, entry: Value) -> Option<InFlow> {
        let (judged, entry) = self.judged(sent, entry);
        self.shown.steps.push(entry);
        let variables = judged.variables_after(&self.flow.variables);
        self.flow.hidden.extend(judged.hidden.iter().cloned());
        let asks_again = self.answers.get(&self.flow.progress.step).is_some_and(|more| !more.is_empty());
        self.moved(variables, judged.answered(None, self.attempts), asks_again)
    }

    /// The place after a response; `None` at the end, and where a step would ask again and no further answer is given for it.
    fn moved(&mut self, variables: BTreeMap<String, String>, answered: Answered<'_>, asks_again: bool) -> Option<InFlow> {
        let flow = &self.flow;
        match self.tried.definition.plan.after(flow.progress.clone(), answered, 0, &self.id, self.began) {
            // A repeat whose answer rule has `go` comes back to the same run by other steps, after its wait.
            Moved::On(progress) if asks_again || !progress.waits() => return Some(flow.moved(progress, variables)),
            Moved::Again(progress, _) if asks_again => return Some(flow.moved(progress, variables)),
            Moved::On(_) | Moved::Again(..) => {
                let call = call_of(&self.tried.definition, Some(flow));
                let (step, attempt) = (&flow.progress.step, flow.progress.attempt_of_run(answered.attempt));
                let wait = in_words(call.retry.plain_wait(attempt));
                self.shown.ends = json!({"state": "waiting", "reason": format!("step {step} would ask again in {wait}")});
            }
            Moved::Ended(state, reason) => self.shown.ends = json!({"state": state, "reason": reason}),
        }
        None
    }

    /// Goes on in order past a request that is not sent, with what its response would set shown as still to come.
    fn pass(&mut self, mut entry: Value) -> Option<InFlow> {
        entry["note"] = "no answer is given for this step: what its response sets is shown as ‹…›".into();
        self.shown.steps.push(entry);
        let mut variables = self.flow.variables.clone();
        variables.extend(self.tried.definition.plan.values_to_come(&self.flow.progress.step));
        let (verdict, why) = (Verdict::Delivered, "the last step is shown");
        self.moved(variables, Answered { verdict, why, go: None, retry_after: None, attempt: self.attempts }, false)
    }

    /// The meaning of a response, and the entry with the part of it that people see.
    fn judged(&self, sent: SendResult, mut entry: Value) -> (Judged, Value) {
        let rendering = self.rendering(self.attempts);
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
        entry["told"] = shown_extracted(&judged, &scrubber);
        (judged, entry)
    }
}

/// The outcome of a step whose request is next.
enum Stepped {
    Send(ToSend),
    On(Box<InFlow>),
    End,
}

impl Stepped {
    fn on(next: InFlow) -> Self {
        Self::On(Box::new(next))
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

/// An event that a step would publish, as the trial shows it.
fn shown_event(event: &Emitted, seen: &dyn Fn(&str) -> String) -> Value {
    let Emitted { step, run, name, fields, count, .. } = event;
    let fields: Map = fields.iter().map(|(name, value)| (name.clone(), seen(value).into())).collect();
    let note = format!("the event {name} would be published");
    json!({"step": step, "run": run, "note": note, "emits": {"name": name, "fields": fields, "count": count}})
}
