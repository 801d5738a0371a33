//! Waits: for a time, until a time, for office hours, for a day (W14). Times of day are local times of a zone.

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time, Weekday},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

use crate::{
    document::{Fields, kind},
    fault::Faults,
    hash,
    json::{Map, Value},
    template::{Allowed, Place, Scope, Template},
    times::later,
};

/// The longest wait: 120 days, in seconds.
const MAX_WAIT_SECONDS: u32 = 120 * 86_400;
/// The number of days that are searched for the next matching one.
const MAX_DAYS: i64 = 121;
/// The most holidays of a wait.
const MAX_HOLIDAYS: usize = 100;
/// The longest text of a time, as it is written, in bytes.
const MAX_UNTIL: usize = 1_024;
/// The longest time over which wakes at a window's opening are spread, in seconds; a tenth of the window if that is less.
const MAX_SPREAD_SECONDS: u64 = 300;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];
const ANCHORS: [(&str, Anchor); 4] = [
    ("click_at", Anchor::Click),
    ("conversion_at", Anchor::Conversion),
    ("result_at", Anchor::Result),
    ("event_at", Anchor::Event),
];
const FORMS: [&str; 5] = ["seconds", "until", "after", "within", "next"];

/// A wait, as it was written.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    form: Form,
    written: Value,
}

#[derive(Debug, Clone)]
enum Form {
    Seconds(u32),
    Until { text: Template, zone: TimeZone },
    After { of: Anchor, seconds: u32 },
    Within { days: Vec<Weekday>, from: Time, to: Time, zone: TimeZone },
    Next { day: Day, at: Time, zone: TimeZone, holidays: Vec<Date> },
}

/// A time of the event.
#[derive(Debug, Clone, Copy)]
enum Anchor {
    Click,
    Conversion,
    Result,
    Event,
}

#[derive(Debug, Clone, Copy)]
enum Day {
    Working,
    Of(Weekday),
}

/// The end of a wait, computed when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WaitEnd {
    /// There is nothing to wait for.
    Now,
    At(Timestamp),
}

impl Wait {
    /// Reads the wait at `pointer`.
    pub(super) fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let fields = Fields::open(Some(value), pointer, &[&FORMS[..], &["time_zone"]].concat(), &[], faults);
        let given: Vec<&str> = FORMS.into_iter().filter(|key| fields.get(key).is_some()).collect();
        let [key] = given[..] else {
            let got = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
            faults.add(pointer, format!("expected one of {}, got {got}", FORMS.join(", ")));
            return None;
        };
        if key != "until" {
            fields.refuse(&["time_zone"], "it belongs to until; within and next hold their own", faults);
        }
        let at = fields.at(key);
        let form = match key {
            "seconds" => Form::Seconds(fields.integer(key, 1..=MAX_WAIT_SECONDS, "seconds", faults)?),
            "until" => read_until(&fields, allowed, faults)?,
            "after" => read_after(&Fields::open(fields.get(key), &at, &["of", "seconds"], &[], faults), faults)?,
            "within" => {
                read_within(&Fields::open(fields.get(key), &at, &["days", "from", "to", "time_zone"], &[], faults), faults)?
            }
            _ => {
                let known = ["working_day", "day", "at", "time_zone", "holidays"];
                read_next(&Fields::open(fields.get(key), &at, &known, &[], faults), faults)?
            }
        };
        let given = [key, "time_zone"].into_iter().filter_map(|key| Some((key.to_owned(), fields.get(key)?.clone())));
        let written = Value::Object(given.collect::<Map>());
        (faults.count() == before).then_some(Self { form, written })
    }

    pub(super) fn document(&self) -> Value {
        self.written.clone()
    }

    pub(super) fn template(&self) -> Option<&Template> {
        if let Form::Until { text, .. } = &self.form { Some(text) } else { None }
    }

    /// The end of a wait that begins now.
    ///
    /// # Errors
    /// Its text gives no time.
    pub(super) fn due(&self, scope: &Scope<'_>) -> Result<WaitEnd, String> {
        let now = scope.now;
        let due = match &self.form {
            Form::Seconds(seconds) => Some(now + SignedDuration::from_secs((*seconds).into())),
            Form::Until { text, zone } => Some(until(text, zone, scope)?),
            Form::After { of, seconds } => of.time(scope).map(|at| later(at, SignedDuration::from_secs((*seconds).into()))),
            Form::Within { days, from, to, zone } => opening(days, (*from, *to), zone, scope),
            Form::Next { day, at, zone, holidays } => next_day(*day, *at, zone, holidays, now),
        };
        let longest = now + SignedDuration::from_secs(MAX_WAIT_SECONDS.into());
        Ok(due.filter(|due| *due > now).map_or(WaitEnd::Now, |due| WaitEnd::At(due.min(longest))))
    }
}

impl Anchor {
    fn time(self, scope: &Scope<'_>) -> Option<Timestamp> {
        match self {
            Self::Click => scope.event.conversion.click_at,
            Self::Conversion => scope.event.conversion.created_at,
            Self::Result => scope.event.transaction.as_ref()?.result_at,
            Self::Event => Some(scope.event.occurred_at),
        }
    }
}

impl Day {
    fn counts(self, date: Date, holidays: &[Date]) -> bool {
        match self {
            Self::Working => !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) && !holidays.contains(&date),
            Self::Of(weekday) => date.weekday() == weekday && !holidays.contains(&date),
        }
    }
}

/// The time that a text gives: RFC 3339, or a local time of the zone.
fn until(text: &Template, zone: &TimeZone, scope: &Scope<'_>) -> Result<Timestamp, String> {
    let mut rendered = String::new();
    text.render(scope, &mut rendered).map_err(|fault| fault.to_string())?;
    let rendered = rendered.trim();
    if let Ok(at) = rendered.parse::<Timestamp>() {
        return Ok(at);
    }
    let local = rendered.parse::<DateTime>().map_err(|_| {
        let shown: String = rendered.chars().filter(|c| !c.is_control()).take(64).collect();
        format!("\"{shown}\" is not a time: expected RFC 3339, such as 2026-11-22T09:00:00Z")
    })?;
    Ok(instant(local, zone))
}

/// The instant of a local time: the first after a gap, the earlier of two (W14).
fn instant(local: DateTime, zone: &TimeZone) -> Timestamp {
    let of = |offset: jiff::tz::Offset| offset.to_timestamp(local).unwrap_or(Timestamp::MAX);
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => of(offset),
        AmbiguousOffset::Fold { before, .. } => of(before),
        AmbiguousOffset::Gap { before, after } => {
            zone.following(of(after)).next().map_or_else(|| of(before), |transition| transition.timestamp())
        }
    }
}

fn days_from(now: Timestamp, zone: &TimeZone, first: i64) -> impl Iterator<Item = Date> {
    let today = now.to_zoned(zone.clone()).date();
    (first..MAX_DAYS).filter_map(move |days| today.checked_add(jiff::Span::new().days(days)).ok())
}

/// The next opening of a window, spread by the delivery's id; `None` inside the window.
fn opening(days: &[Weekday], (from, to): (Time, Time), zone: &TimeZone, scope: &Scope<'_>) -> Option<Timestamp> {
    for date in days_from(scope.now, zone, -1).filter(|date| days.contains(&date.weekday())) {
        let last_day = if from < to { Some(date) } else { date.tomorrow().ok() };
        let (opens, closes) = (instant(date.to_datetime(from), zone), instant(last_day?.to_datetime(to), zone));
        if closes <= scope.now {
            continue;
        }
        if opens <= scope.now {
            return None;
        }
        let tenth = u64::try_from(closes.duration_since(opens).as_secs()).unwrap_or(0) / 10;
        let spread = tenth.min(MAX_SPREAD_SECONDS) * 1_000;
        let offset = if spread == 0 { 0 } else { hash::number(&["window", scope.delivery_id]) % spread };
        return Some(opens + SignedDuration::from_millis(i64::try_from(offset).unwrap_or(0)));
    }
    None
}

/// The time on the first matching day, strictly after now.
fn next_day(day: Day, at: Time, zone: &TimeZone, holidays: &[Date], now: Timestamp) -> Option<Timestamp> {
    let matching = days_from(now, zone, 0).filter(|date| day.counts(*date, holidays));
    matching.map(|date| instant(date.to_datetime(at), zone)).find(|at| *at > now)
}

fn read_zone(fields: &Fields<'_>, faults: &mut Faults) -> TimeZone {
    let Some(name) = fields.text("time_zone", faults) else { return TimeZone::UTC };
    TimeZoneDatabase::bundled().get(name).unwrap_or_else(|_| {
        let shown: String = name.chars().take(64).collect();
        faults.add(fields.at("time_zone"), format!("unknown time zone \"{shown}\": expected an IANA name such as Europe/Prague"));
        TimeZone::UTC
    })
}

fn read_until(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Form> {
    let zone = read_zone(fields, faults);
    let text = fields.text("until", faults)?;
    let text = Template::read(text, &fields.at("until"), (Place::Plain, MAX_UNTIL), allowed, faults)?;
    if text.secrets().next().is_some() {
        faults.add(fields.at("until"), "a secret is no time");
    }
    if !text.has_macros() && text.text().trim().parse::<Timestamp>().is_err() && text.text().trim().parse::<DateTime>().is_err() {
        faults.add(fields.at("until"), "expected RFC 3339, such as 2026-11-22T09:00:00Z, or a text with macros that gives one");
    }
    Some(Form::Until { text, zone })
}

fn read_after(fields: &Fields<'_>, faults: &mut Faults) -> Option<Form> {
    if fields.get("of").is_none() {
        faults.add(fields.at("of"), format!("required: choose {}", ANCHORS.map(|(word, _)| word).join(", ")));
    }
    let of = fields.word("of", &ANCHORS, faults);
    if fields.get("seconds").is_none() {
        faults.add(fields.at("seconds"), format!("required: choose 0 to {MAX_WAIT_SECONDS}"));
    }
    let seconds = fields.integer("seconds", 0..=MAX_WAIT_SECONDS, "seconds", faults);
    Some(Form::After { of: of?, seconds: seconds? })
}

/// Reads a time of day, `HH:MM`.
fn read_time(fields: &Fields<'_>, key: &str, faults: &mut Faults) -> Option<Time> {
    let expected = "expected a time of day such as 09:00";
    let Some(text) = fields.text(key, faults) else {
        if fields.get(key).is_none() {
            faults.add(fields.at(key), format!("required: {expected}"));
        }
        return None;
    };
    let time = if text.len() == 5 { Time::strptime("%H:%M", text).ok() } else { None };
    if time.is_none() {
        faults.add(fields.at(key), expected);
    }
    time
}

fn read_within(fields: &Fields<'_>, faults: &mut Faults) -> Option<Form> {
    let zone = read_zone(fields, faults);
    let mut days = Vec::new();
    for (place, day) in fields.list("days", faults).iter().enumerate() {
        if let Some((_, day)) = DAYS.iter().find(|(word, _)| day.as_str() == Some(word)) {
            days.push(*day);
        } else {
            let expected = DAYS.map(|(word, _)| word).join(", ");
            faults.add(format!("{}/{place}", fields.at("days")), format!("expected one of {expected}"));
        }
    }
    if fields.get("days").is_none() {
        days = DAYS.map(|(_, day)| day).to_vec();
    } else if days.is_empty() {
        faults.add(fields.at("days"), "expected at least one day");
    }
    let (from, to) = (read_time(fields, "from", faults), read_time(fields, "to", faults));
    let (from, to) = (from?, to?);
    if from == to {
        faults.add(fields.at("to"), "expected another time than from: a window is not empty");
    }
    Some(Form::Within { days, from, to, zone })
}

fn read_next(fields: &Fields<'_>, faults: &mut Faults) -> Option<Form> {
    let zone = read_zone(fields, faults);
    let is_working = fields.flag("working_day", faults).unwrap_or(false);
    let words: Vec<(&str, Day)> =
        DAYS.iter().map(|(word, day)| (*word, Day::Of(*day))).chain([("working_day", Day::Working)]).collect();
    let day = fields.word("day", &words, faults);
    if is_working == fields.get("day").is_some() {
        faults.add(fields.at("day"), "required: working_day, or a day such as mon");
    }
    let at = read_time(fields, "at", faults);
    let items = fields.list("holidays", faults);
    if items.len() > MAX_HOLIDAYS {
        faults.add(fields.at("holidays"), format!("expected at most {MAX_HOLIDAYS} dates, got {}", items.len()));
    }
    let mut holidays = Vec::new();
    for (place, item) in items.iter().take(MAX_HOLIDAYS).enumerate() {
        match item.as_str().and_then(|text| Date::strptime("%Y-%m-%d", text).ok()) {
            Some(date) => holidays.push(date),
            None => faults.add(
                format!("{}/{place}", fields.at("holidays")),
                format!("{} is not a date: expected one such as 2026-12-24", kind(item)),
            ),
        }
    }
    let day = if is_working { Day::Working } else { day? };
    Some(Form::Next { day, at: at?, zone, holidays })
}
