//! The run itself: makes rules, posts events, waits until nothing is open, and checks.

use std::{collections::BTreeMap, time::Duration};

use console::Style;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    DemoError,
    api::{Api, ApiError, Made},
    check::{self, Delivery, Difference, Observations, Request, count},
    clock::DemoClock,
    receiver::Receivers,
    sample::Sample,
    screen::{Follower, Screen},
    summary,
};
use crate::server::LocalServer;

/// Events that are posted together.
const BATCH: usize = 25;
/// The time after the last event within which everything has to be done.
const DEADLINE: Duration = Duration::from_secs(90);
/// The interval between two reads of the log.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The time without a request after which missing postbacks count as lost.
const STALLED: Duration = Duration::from_secs(20);
/// The time to listen for requests that no rule owes, once all is done.
const QUIET: Duration = Duration::from_secs(3);

/// A sample that was played.
#[derive(Debug)]
pub(super) struct Played {
    /// `true` if every owed postback arrived and nothing else did.
    pub(super) is_as_owed: bool,
    /// The receivers; they answer until this is dropped.
    _receivers: Receivers,
}

/// Plays the whole sample against a server that goes by this clock.
pub(super) async fn play(server: &LocalServer, clock: &DemoClock, all: bool) -> Result<Played, DemoError> {
    let sample = Sample::load();
    let (follower_sender, arrivals) = mpsc::unbounded_channel();
    let receivers = Receivers::start(&sample.rules, &follower_sender).await.map_err(DemoError::Receivers)?;
    let api = Api::new(server)?;
    let screen = Screen::new(&sample);
    screen.line(&format!(
        "{} and {} for {}, each with a receiver of its own on loopback",
        count(sample.offers.len(), "offer"),
        count(sample.events.len(), "event"),
        count(sample.rules.len(), "rule"),
    ));

    let began = Instant::now();
    screen.posted(api.post(&sample.offers).await?);
    let (made, keys) = make_rules(&api, &sample, &receivers).await?;
    let (over, ending) = mpsc::channel(1);
    let follower = Follower::new(screen.clone(), api.clone(), &sample, all);
    let follower = tokio::spawn(follower.follow(arrivals, ending));
    for batch in sample.events.chunks(BATCH) {
        screen.posted(api.post(batch).await?);
    }
    let mut office = Office { server, clock, screen: &screen, sample: &sample, is_open: false };
    let in_time = rest(&api, &keys, &receivers, &mut office).await?;
    clock.catch_up();
    // The follower ends by itself as soon as it has shown all arrivals.
    let _ended = over.send(()).await;
    let shown = follower.await.unwrap_or_default();
    screen.close();

    let seen = look(&api, &sample, &keys, &made, &receivers).await?;
    let mut differences = check::differences(&sample.owed, &seen);
    if !in_time {
        differences.insert(0, not_at_rest(&seen.deliveries));
    }
    let took = began.elapsed();
    screen.line(&format!("\n{}", summary::rules(&sample, &made, &seen, screen.width())));
    screen.line(&format!(
        "{}, {}, {} of which {} shown{}, in {}.{} s",
        count(sample.offers.len() + sample.events.len(), "event"),
        owed_deliveries(&sample, &seen),
        count(seen.requests.len(), "request"),
        shown,
        if all { "" } else { " (--all shows every one)" },
        took.as_secs(),
        took.subsec_millis() / 100,
    ));
    Ok(Played { is_as_owed: verdict(&screen, &differences), _receivers: receivers })
}

/// Prints the outcome. Returns true if all is as owed.
fn verdict(screen: &Screen, differences: &[Difference]) -> bool {
    if differences.is_empty() {
        let line = "everything that the rules owe arrived, and nothing else";
        screen.line(&Style::new().green().bold().apply_to(line).to_string());
        return true;
    }
    screen.line(&summary::differences(differences, screen.width()));
    let line = format!("{} from what the rules owe", count(differences.len(), "difference"));
    screen.line(&Style::new().red().bold().apply_to(line).to_string());
    false
}

/// Makes the rules; they bind every event that is posted from now on. Also returns the rules' keys by their ids.
async fn make_rules(
    api: &Api,
    sample: &Sample,
    receivers: &Receivers,
) -> Result<(Vec<Made>, BTreeMap<String, String>), DemoError> {
    let (mut made, mut keys) = (Vec::new(), BTreeMap::new());
    for rule in &sample.rules {
        let address = receivers.address(&rule.key).expect("each rule has a receiver");
        let new = api.create(&rule.resource(address, &keys)).await?;
        keys.insert(new.id.clone(), rule.key.clone());
        made.push(new);
    }
    Ok((made, keys))
}

/// Waits until the log shows every owed delivery and nothing is open, and then for a while longer, for unexpected ones. Returns false if
/// time ran out or nothing happened for too long.
async fn rest(
    api: &Api,
    keys: &BTreeMap<String, String>,
    receivers: &Receivers,
    office: &mut Office<'_>,
) -> Result<bool, ApiError> {
    let posted = Instant::now();
    let idle = || receivers.last_at().unwrap_or(posted).max(posted).elapsed();
    loop {
        sleep(LOOK_EVERY).await;
        let late = posted.elapsed() > DEADLINE;
        // While requests arrive there is no need to read the log.
        if idle() < QUIET && !late {
            continue;
        }
        let deliveries = api.deliveries(keys, "").await?;
        let open = deliveries.iter().any(Delivery::is_open);
        if !open && check::deliveries(&office.sample.owed, &deliveries).is_empty() {
            return Ok(true);
        }
        office.open_for(&deliveries);
        if late || (!open && idle() > STALLED) {
            return Ok(false);
        }
    }
}

/// The office whose hours reports of the sample wait for.
struct Office<'a> {
    server: &'a LocalServer,
    clock: &'a DemoClock,
    screen: &'a Screen,
    sample: &'a Sample,
    is_open: bool,
}

impl Office<'_> {
    /// Moves the clock to its opening, once, when nothing else is under way (W14).
    fn open_for(&mut self, deliveries: &[Delivery]) {
        let waits = |key: &str| self.sample.rules.iter().any(|rule| rule.key == key && rule.waits_for_the_clock());
        let open = || deliveries.iter().filter(|delivery| delivery.is_open());
        if self.is_open || open().count() == 0 || !open().all(|delivery| waits(&delivery.key)) {
            return;
        }
        self.is_open = true;
        let waiting = count(open().count(), "postback");
        let opened = self.clock.open_office();
        let time = opened.strftime("%A %H:%M in Prague");
        self.screen.line(&format!("{waiting} in wait of office hours: the clock moves on to {time}"));
        self.server.sweep_now();
    }
}

/// Reads everything that the API shows, and searches all of it for secrets (Q5).
async fn look(
    api: &Api,
    sample: &Sample,
    keys: &BTreeMap<String, String>,
    made: &[Made],
    receivers: &Receivers,
) -> Result<Observations, ApiError> {
    let secrets = sample.secrets();
    let mut seen = Observations::default();
    for (delivery, text) in api.logs(keys).await? {
        if secrets.appear_in(&text) {
            seen.leaks.push(format!("/deliveries/{}", delivery.id));
        }
        seen.deliveries.push(delivery);
    }
    let rules = made.iter().map(|made| format!("/tracking-apis/{}", made.id));
    let lists = ["/tracking-apis", "/affiliate-postbacks", "/bus/events"].map(|path| format!("{path}?limit=1000"));
    for path in rules.chain(lists) {
        if secrets.appear_in(&api.text(&path).await?) {
            seen.leaks.push(path);
        }
    }
    seen.bus = api.published(keys).await?;
    let requests = receivers.arrivals().into_iter();
    seen.callbacks = receivers.callbacks();
    seen.requests = requests.map(|arrival| Request { key: arrival.key, delivery_id: arrival.delivery_id }).collect();
    Ok(seen)
}

fn not_at_rest(deliveries: &[Delivery]) -> Difference {
    let open = deliveries.iter().filter(|delivery| delivery.is_open()).count();
    Difference {
        key: String::new(),
        about: "the whole run".to_owned(),
        owed: format!("an end within {} s of the last event", DEADLINE.as_secs()),
        seen: format!("the wait was given up with {open} deliveries open"),
    }
}

/// Returns `859 deliveries`, without the optional ones.
fn owed_deliveries(sample: &Sample, seen: &Observations) -> String {
    let counted: usize = sample
        .owed
        .rules
        .iter()
        .map(|(key, owed)| check::counted(owed, seen.deliveries.iter().filter(|delivery| delivery.key == *key).collect()))
        .sum();
    format!("{counted} deliveries")
}
