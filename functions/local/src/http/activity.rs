//! The state of one connection: the side that has to act, since when, and the client's time limit.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tracking_http_api::auth::LastCaller;

/// The time limits for a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For the head of a request, from its first byte; on a new connection from its start.
    pub(crate) head: Duration,
    /// Between a response and the next request.
    pub(crate) idle: Duration,
    /// For the body of a request, and for reading a response, beside what the rate allows.
    pub(crate) transfer: Duration,
    /// The bytes that extend the time limit by a second.
    pub(crate) bytes_per_second: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            transfer: Duration::from_secs(30),
            bytes_per_second: 16 * 1024,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No byte of the first request has come.
    New,
    /// No byte of the next request has come.
    Idle,
    /// Some bytes of a head have come.
    Head,
    /// The server works on the request.
    Working,
    /// The handler waits for the request's body.
    Body,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The time at which the phase began; for [`Phase::Body`] and [`Phase::Working`], the time at which the request began.
    since: Instant,
    /// The time of the last byte in either direction.
    moved: Instant,
    /// Bytes of the request's body.
    received: u64,
    /// The time at which the handler first waited for the body.
    receiving: Option<Instant>,
    /// Bytes written since the request's head.
    sent: u64,
    /// The time at which the client first let the response wait.
    sending: Option<Instant>,
    /// `true` if the client lets the response wait now.
    is_blocked: bool,
    /// `true` if the connection has been asked to close, and has not answered.
    is_asked: bool,
}

impl State {
    /// Returns true if the server waits for the client.
    fn waits(&self) -> bool {
        self.phase != Phase::Working || self.is_blocked
    }
}

/// The server's record of a connection.
#[derive(Debug)]
pub(crate) struct Activity {
    patience: Patience,
    state: Mutex<State>,
    /// The last caller on the connection.
    pub(crate) caller: LastCaller,
    /// Notified when the connection has to make room for another.
    pub(crate) close: Notify,
    /// Notified when the deadline for bytes of a head changes.
    turned: Notify,
}

impl Activity {
    pub(crate) fn new(patience: Patience, now: Instant) -> Self {
        let state = State {
            phase: Phase::New,
            since: now,
            moved: now,
            received: 0,
            receiving: None,
            sent: 0,
            sending: None,
            is_blocked: false,
            is_asked: false,
        };
        let caller = LastCaller::default();
        Self { patience, state: Mutex::new(state), caller, close: Notify::new(), turned: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes bytes that came.
    pub(crate) fn received(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        if bytes > 0 {
            state.moved = now;
            if matches!(state.phase, Phase::New | Phase::Idle) {
                (state.phase, state.since) = (Phase::Head, now);
                self.turned.notify_one();
            }
        }
    }

    /// Resolves when a head, or its first byte, is overdue.
    pub(crate) async fn head_overdue(&self) {
        loop {
            let deadline = self.head_deadline();
            match deadline {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => tokio::select! {
                    () = tokio::time::sleep_until(deadline) => {}
                    () = self.turned.notified() => {}
                },
                None => self.turned.notified().await,
            }
        }
    }

    /// Returns the deadline for bytes of a head, if the server waits for some.
    fn head_deadline(&self) -> Option<Instant> {
        let state = self.state();
        match state.phase {
            Phase::New | Phase::Head => Some(state.since + self.patience.head),
            Phase::Idle => Some(state.since.max(state.moved) + self.patience.idle),
            Phase::Working | Phase::Body => None,
        }
    }

    /// Notes that a request's head is whole.
    pub(crate) fn begin_request(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Working, now);
        (state.received, state.receiving, state.sent, state.sending) = (0, None, 0, None);
    }

    /// Notes that the handler waits for the body, and returns the deadline for its next bytes.
    pub(crate) fn body_awaited(&self, now: Instant) -> Instant {
        let mut state = self.state();
        state.phase = Phase::Body;
        let began = *state.receiving.get_or_insert(now);
        began + self.allowed(state.received)
    }

    /// Notes bytes of the body.
    pub(crate) fn body_came(&self, bytes: usize) {
        let mut state = self.state();
        state.phase = Phase::Working;
        state.received += bytes as u64;
    }

    /// Notes that the whole response has been handed over.
    pub(crate) fn end_request(&self, now: Instant) {
        let mut state = self.state();
        (state.phase, state.since) = (Phase::Idle, now);
        self.turned.notify_one();
    }

    /// Notes bytes of the response that the client had room for.
    pub(crate) fn sent(&self, bytes: usize, now: Instant) {
        let mut state = self.state();
        state.is_blocked = false;
        state.sent += bytes as u64;
        if bytes > 0 {
            state.moved = now;
        }
    }

    /// Notes that the client has no room for the response, and returns the deadline for room.
    pub(crate) fn blocked(&self, now: Instant) -> Instant {
        let mut state = self.state();
        state.is_blocked = true;
        let began = *state.sending.get_or_insert(now);
        began + self.allowed(state.sent)
    }

    /// Returns the time limit for this many bytes.
    fn allowed(&self, bytes: u64) -> Duration {
        self.patience.transfer + Duration::from_secs(bytes / self.patience.bytes_per_second.max(1))
    }

    /// Returns the time of the last byte if the server waits for the client. Returns `None` if the client waits for the server, or if the
    /// connection has been asked to close.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.waits() && !state.is_asked).then_some(state.moved)
    }

    /// Returns the time of the last byte if the client lets a response wait, and the connection has not been asked to close.
    pub(crate) fn unread_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.is_blocked && !state.is_asked).then_some(state.moved)
    }

    /// Asks the connection to make room for another.
    pub(crate) fn ask_to_close(&self) {
        self.state().is_asked = true;
        self.close.notify_one();
    }

    /// Answers the request to close: returns true if the connection closes, since the server still waits for its client.
    pub(crate) fn makes_room(&self) -> bool {
        let mut state = self.state();
        state.is_asked = false;
        state.waits()
    }

    /// Returns true if no request is under way and no response is on its way.
    pub(crate) fn is_between_requests(&self) -> bool {
        let state = self.state();
        !state.is_blocked && matches!(state.phase, Phase::New | Phase::Idle | Phase::Head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn connection() -> (Activity, Instant) {
        let start = Instant::now();
        (Activity::new(Patience::default(), start), start)
    }

    #[test]
    fn f6_a_head_has_ten_seconds_whatever_trickles_in() {
        let (connection, start) = connection();
        assert_eq!(connection.head_deadline(), Some(start + 10 * SECOND));
        connection.received(5, start + 4 * SECOND);
        connection.received(5, start + 13 * SECOND);
        assert_eq!(connection.head_deadline(), Some(start + 14 * SECOND), "from the first byte on");
        connection.begin_request(start + 13 * SECOND);
        assert_eq!(connection.head_deadline(), None);
    }

    #[test]
    fn f6_between_requests_a_connection_has_a_minute() {
        let (connection, start) = connection();
        connection.received(100, start);
        connection.begin_request(start);
        connection.end_request(start + SECOND);
        assert_eq!(connection.head_deadline(), Some(start + 61 * SECOND));
        connection.sent(100, start + 3 * SECOND);
        assert_eq!(connection.head_deadline(), Some(start + 63 * SECOND), "a response that is still read is activity");
        connection.received(1, start + 40 * SECOND);
        assert_eq!(connection.head_deadline(), Some(start + 50 * SECOND));
    }

    #[test]
    fn f6_a_body_has_half_a_minute_and_a_second_for_each_16_kib() {
        let (connection, start) = connection();
        connection.begin_request(start);
        assert_eq!(connection.body_awaited(start + SECOND), start + 31 * SECOND);
        connection.body_came(16 * 1024 - 1);
        assert_eq!(connection.body_awaited(start + 20 * SECOND), start + 31 * SECOND, "a trickle wins nothing");
        connection.body_came(1);
        assert_eq!(connection.body_awaited(start + 25 * SECOND), start + 32 * SECOND);
    }

    #[test]
    fn f6_a_response_has_half_a_minute_and_a_second_for_each_16_kib() {
        let (connection, start) = connection();
        connection.begin_request(start);
        connection.sent(32 * 1024, start);
        assert_eq!(connection.blocked(start), start + 32 * SECOND);
        connection.sent(1, start + 30 * SECOND);
        assert_eq!(connection.blocked(start + 30 * SECOND), start + 32 * SECOND);
        connection.begin_request(start + 31 * SECOND);
        assert_eq!(connection.blocked(start + 31 * SECOND), start + 61 * SECOND, "the time begins again with each response");
    }

    #[test]
    fn f6_only_a_client_that_lets_us_wait_makes_room() {
        let (connection, start) = connection();
        assert_eq!(connection.waits_since(), Some(start));
        connection.received(100, start + SECOND);
        assert_eq!(connection.waits_since(), Some(start + SECOND), "half a head");
        connection.begin_request(start + SECOND);
        assert_eq!((connection.waits_since(), connection.is_between_requests()), (None, false));
        connection.body_awaited(start + 2 * SECOND);
        assert_eq!(connection.waits_since(), Some(start + SECOND), "half a body");
        connection.body_came(1);
        assert_eq!(connection.waits_since(), None);
        connection.blocked(start + 3 * SECOND);
        assert_eq!(connection.waits_since(), Some(start + SECOND), "a response that nobody reads");
        connection.sent(1, start + 4 * SECOND);
        connection.end_request(start + 4 * SECOND);
        assert_eq!((connection.waits_since(), connection.is_between_requests()), (Some(start + 4 * SECOND), true));
    }
}
