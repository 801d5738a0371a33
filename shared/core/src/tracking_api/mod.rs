//! The resource Tracking API, a rule: when to send which request, and how to read the response.

mod binding;
mod bulk;
mod copy;
mod definition;
mod delay;
mod diff;
mod lookalikes;
mod owner;
mod patch;
mod placeholders;
mod trial;
mod view;
mod warnings;

#[cfg(test)]
mod definition_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod warnings_tests;

pub use binding::{Binding, Difference};
pub use bulk::Bulk;
pub use copy::copy;
pub use definition::{MAX_RULE_BYTES, OnNewer, RuleDefinition, Settings};
pub use delay::{Delay, Final, OnExpiry};
pub use diff::{FieldChange, changes};
pub use owner::{keeps_owner, owner_of_new};
pub use patch::{merge_patch, patch_document};
pub use placeholders::Placeholder;
pub use trial::{GivenAnswer, Trial, explained_event};
pub use view::TrackingApi;
pub use warnings::Warning;
