//! Each ready receiver has a worked example in docs/presets.md: the event, the request that goes out, responses and their meaning.

use tracking_core::{
    caller::Owner,
    change::Change,
    json::Value,
    presets::{Preset, all},
};

use crate::{
    exchange::{Exchange, parsed},
    markdown::{blocks, code, page, rows, section, sections},
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

/// The event that all examples are about.
fn event(page: &str) -> Change {
    let event = parsed(blocks(section(page, "The event"), "json")[0]);
    Change::parse_detail(&event["detail"], "").expect("the event is in the platform's form")
}

/// The exchange of a preset, as the affiliate's that had the conversion.
fn exchange(preset: &Preset, change: &Change) -> Exchange {
    let owner = Owner::Affiliate { affiliate_id: "aff_7".parse().expect("an id") };
    Exchange::new(&filled(preset), &owner, std::slice::from_ref(change))
}

#[test]
fn every_preset_is_explained_by_an_example_that_holds() {
    let page = page("presets.md");
    let change = event(&page);
    for preset in all() {
        let example = section(&page, &preset.name);
        assert!(example.contains(&format!("`{}`", preset.id)) && example.contains(&preset.documentation), "{}", preset.id);
        let exchange = exchange(preset, &change);
        let shown: Vec<&str> = blocks(example, "http")[0].lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(exchange.request(), shown, "{}", preset.id);
        let rows = rows(example);
        assert!(!rows.is_empty(), "{} has responses", preset.id);
        for row in rows {
            let status =
                row[0].split(' ').next().and_then(|status| status.parse().ok()).expect("a response begins with its status");
            assert_eq!(exchange.meaning(status, &code(&row[0]).concat()), row[1], "{}: {}", preset.id, row[0]);
        }
    }
}

#[test]
fn the_page_explains_presets_alone() {
    let page = page("presets.md");
    let titles: Vec<&str> = sections(&page, "## ").into_iter().map(|(title, _)| title).collect();
    let names = all().iter().map(|preset| preset.name.as_str());
    assert_eq!(titles, ["The event"].into_iter().chain(names).collect::<Vec<_>>());
}
