//! Each ready receiver has a worked example, the same in its data and in docs/presets.md: the event, the request that goes out,
//! responses and their meaning.

use tracking_core::{
    caller::Owner,
    change::Change,
    json::Value,
    presets::{ExampleRequest, ExampleResponse, Preset, all},
};

use crate::{
    exchange::{Exchange, parsed},
    markdown::{blocks, page, rows, section, sections},
};

/// The rule with every placeholder replaced by its example.
fn filled(preset: &Preset) -> Value {
    let mut rule = preset.tracking_api.clone();
    for blank in &preset.fill_in {
        let text = rule.pointer_mut(&blank.pointer).unwrap_or_else(|| panic!("{}: {}", preset.id, blank.pointer));
        *text = text.as_str().expect("placeholders stand in texts").replace(&blank.placeholder, &blank.example).into();
    }
    rule
}

/// The exchange of a preset, as the affiliate's that had the conversion.
fn exchange(preset: &Preset) -> Exchange {
    let change = Change::parse_detail(&preset.example.event, "").expect("the event is in the platform's form");
    let owner = Owner::Affiliate { affiliate_id: "aff_7".parse().expect("an id") };
    Exchange::new(&filled(preset), &owner, std::slice::from_ref(&change))
}

#[test]
fn every_preset_has_an_example_that_holds_and_stands_on_the_page() {
    let page = page("presets.md");
    let event = parsed(blocks(section(&page, "The event"), "json")[0])["detail"].clone();
    for preset in all() {
        let section = section(&page, &preset.name);
        assert!(section.contains(&format!("`{}`", preset.id)) && section.contains(&preset.documentation), "{}", preset.id);
        let example = &preset.example;
        assert_eq!(example.event, event, "{}", preset.id);
        let exchange = exchange(preset);
        let shown: Vec<&str> = blocks(section, "http")[0].lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(exchange.request(), shown, "{}", preset.id);
        assert_eq!(lines(&example.request), shown, "{}", preset.id);
        assert!(!example.responses.is_empty(), "{} has responses", preset.id);
        for response in &example.responses {
            let meaning = exchange.meaning(response.status, &response.body);
            assert_eq!(meaning, response.means.as_str(), "{}: {response:?}", preset.id);
        }
        assert_eq!(rows(section), example.responses.iter().map(cells).collect::<Vec<_>>(), "{}", preset.id);
    }
}

/// A request as the page shows it.
fn lines(request: &ExampleRequest) -> Vec<String> {
    let headers = request.headers.iter().map(|header| format!("{}: {}", header.name, header.value));
    [format!("{} {}", request.method, request.url)].into_iter().chain(headers).chain(request.body.clone()).collect()
}

/// A response as a row of the page.
fn cells(response: &ExampleResponse) -> Vec<String> {
    let body = if response.body.is_empty() { String::new() } else { format!(" `{}`", response.body) };
    vec![format!("{}{body}", response.status), response.means.as_str().to_owned(), response.because.clone()]
}

#[test]
fn the_page_explains_presets_alone() {
    let page = page("presets.md");
    let titles: Vec<&str> = sections(&page, "## ").into_iter().map(|(title, _)| title).collect();
    let names = all().iter().map(|preset| preset.name.as_str());
    assert_eq!(titles, ["The event"].into_iter().chain(names).collect::<Vec<_>>());
}
