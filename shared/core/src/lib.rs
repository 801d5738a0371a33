//! The rules of Tracking APIs, pure: no clock, no dice, no I/O, no async.
//!
//! The way of a conversion through this crate: a [`change::Change`] is read from the bus, [`event::Event`]s follow from it, a
//! [`tracking_api::TrackingApi`] whose [`trigger::Trigger`] and [`conditions::Conditions`] fit renders its
//! [`request::Request`], its [`answer::AnswerRules`] read the response, and [`retry::RetryPolicy`], [`subject_queue::SubjectQueue`] and
//! [`hold::Hold`] decide the next step. Time is an argument, jitter is a hash, ids are derived.

pub mod answer;
pub mod batches;
pub mod caller;
pub mod change;
pub mod conditions;
pub mod delivery;
mod document;
pub mod event;
mod expression;
pub mod fault;
pub mod flow;
pub mod hash;
pub mod hold;
pub mod id;
pub mod index;
pub mod json;
pub mod limit;
pub mod macros;
pub mod matching;
pub mod money;
pub mod name;
pub mod offer;
pub mod path;
mod placeholder;
pub mod presets;
pub mod quota;
pub mod receiver;
pub mod repair;
pub mod request;
pub mod retry;
pub mod standstill;
pub mod statistics;
pub mod subject_queue;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod times;
pub mod tracking_api;
pub mod trigger;
mod when;
