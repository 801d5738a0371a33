//! The pages of `docs/`, checked: their rules are read, the requests that they show are rendered, the responses are judged.

mod cookbook;
mod exchange;
mod markdown;
mod pages;
mod presets;
mod receivers;
