//! Each preset has a worked example, the same in its data and in docs/presets.md: the event, the request, responses and their meaning.
//! `tests/tests/engine/flows.rs` runs those of flows over the whole engine; here they are compared.

use tracking_core::{
    caller::Owner,
    change::Change,
    json::Value,
    presets::{ExampleRequest, ExampleResponse, ExampleStep, Preset, PresetKind, all},
};

use crate::documents::{
    exchange::{Exchange, parsed},
    markdown::{blocks, page, rows, section, sections},
};

/// Returns the rule with every placeholder replaced by its example.
fn filled(preset: &Preset) -> Value {
    let mut rule = preset.tracking_api.clone();
    for blank in &preset.fill_in {
        let text = rule.pointer_mut(&blank.pointer).unwrap_or_else(|| panic!("{}: {}", preset.id, blank.pointer));
        *text = text.as_str().expect("placeholders are in texts").replace(&blank.placeholder, &blank.example).into();
    }
    rule
}

/// Returns the exchange of a preset, as a rule of the affiliate that had the conversion.
fn exchange(preset: &Preset) -> Exchange {
    let change = Change::parse_detail(&preset.example.event, "").expect("the event is in the platform's form");
    let owner = Owner::Affiliate { affiliate_id: "aff_7".parse().expect("an id") };
    Exchange::new(&filled(preset), &owner, std::slice::from_ref(&change))
}

#[test]
fn every_preset_has_an_example_that_holds_and_is_on_the_page() {
    let page = page("presets.md");
    let events: Vec<Value> =
        blocks(section(&page, "The event"), "json").into_iter().map(|block| parsed(block)["detail"].clone()).collect();
    for preset in all() {
        let section = section(&page, &preset.name);
        assert!(section.contains(&format!("`{}`", preset.id)) && section.contains(&preset.documentation), "{}", preset.id);
        let asks = preset.admins_only;
        assert_eq!(preset.example.event, events[usize::from(asks)], "{}", preset.id);
        assert_eq!(section.contains("For admins."), asks, "{}", preset.id);
        match preset.kind {
            PresetKind::Flow => check_steps(preset, section),
            _ => check_request(preset, section),
        }
    }
}

#[track_caller]
fn check_request(preset: &Preset, section: &str) {
    let example = &preset.example;
    let exchange = exchange(preset);
    let shown = shown(blocks(section, "http")[0]);
    assert_eq!(exchange.request(), shown, "{}", preset.id);
    assert_eq!(lines(example.request.as_ref().expect("it has a request")), shown, "{}", preset.id);
    assert!(!example.responses.is_empty(), "{} has responses", preset.id);
    for response in &example.responses {
        let meaning = exchange.meaning(response.status, &response.body);
        assert_eq!(meaning, response.means.as_str(), "{}: {response:?}", preset.id);
    }
    assert_eq!(rows(section), example.responses.iter().map(cells).collect::<Vec<_>>(), "{}", preset.id);
}

#[track_caller]
fn check_steps(preset: &Preset, section: &str) {
    let requests: Vec<Vec<&str>> = blocks(section, "http").into_iter().map(shown).collect();
    let steps = &preset.example.steps;
    assert_eq!(requests, steps.iter().map(|step| lines(&step.request)).collect::<Vec<_>>(), "{}", preset.id);
    assert_eq!(rows(section), steps.iter().map(cells_of_step).collect::<Vec<_>>(), "{}", preset.id);
}

/// Returns the lines of a request on the page; a blank line separates the body.
fn shown(block: &str) -> Vec<&str> {
    block.lines().filter(|line| !line.is_empty()).collect()
}

/// Returns a request as the page shows it.
fn lines(request: &ExampleRequest) -> Vec<String> {
    let headers = request.headers.iter().map(|header| format!("{}: {}", header.name, header.value));
    [format!("{} {}", request.method, request.url)].into_iter().chain(headers).chain(request.body.clone()).collect()
}

/// Returns a response as a row of the page.
fn cells(response: &ExampleResponse) -> Vec<String> {
    let body = if response.body.is_empty() { String::new() } else { format!(" `{}`", response.body) };
    vec![format!("{}{body}", response.status), response.means.as_str().to_owned(), response.because.clone()]
}

/// Returns a step as a row of the page.
fn cells_of_step(step: &ExampleStep) -> Vec<String> {
    let response = &step.response;
    let headers =
        response.headers.iter().map(|header| format!(" `{}: {}`", header.name, header.value)).collect::<Vec<_>>().concat();
    let body = if response.body.is_empty() { String::new() } else { format!(" `{}`", response.body) };
    vec![step.step.clone(), format!("{}{headers}{body}", response.status), step.means.as_str().to_owned(), step.because.clone()]
}

#[test]
fn the_page_explains_presets_alone() {
    let page = page("presets.md");
    let titles: Vec<&str> = sections(&page, "## ").into_iter().map(|(title, _)| title).collect();
    let names = all().iter().map(|preset| preset.name.as_str());
    assert_eq!(titles, ["The event"].into_iter().chain(names).collect::<Vec<_>>());
}
