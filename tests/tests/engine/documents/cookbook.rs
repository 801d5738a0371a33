//! Each recipe of docs/cookbook.md: its rules are read, its requests rendered, its responses judged.

use tracking_core::{caller::Owner, change::Change, json::Value, tracking_api::merge_patch};

use crate::documents::{
    exchange::{Exchange, parsed},
    markdown::{blocks, code, page, rows, sections},
};

/// Returns the built-in sample that a preview uses if no event is given.
fn sample() -> Change {
    Change::sample(None, "2026-11-22T14:00:00Z".parse().expect("a time"))
}

/// Returns the rules of a recipe: its blocks that have a request.
fn rules(recipe: &str) -> Vec<Value> {
    let all = blocks(recipe, "json").into_iter().map(parsed);
    all.filter(|block| block.get("request").is_some()).collect()
}

/// Returns the lines of a request on the page; a blank line separates the body.
fn lines(shown: &str) -> Vec<&str> {
    shown.lines().filter(|line| !line.is_empty()).collect()
}

/// Returns the status and the body of a response, such as ``200 `OK` ``.
fn response(cell: &str) -> Option<(u16, String)> {
    let status = cell.split(' ').next()?.parse().ok()?;
    Some((status, code(cell).concat().replace("\\n", "\n")))
}

#[test]
fn every_recipe_sends_what_it_shows_and_reads_responses_as_it_says() {
    let page = page("cookbook.md");
    let (mut requests, mut responses) = (0, 0);
    for (title, recipe) in sections(&page, "## ") {
        let rules = rules(recipe);
        let shown = blocks(recipe, "http");
        assert_eq!(rules.len(), shown.len(), "{title}: one request for each rule");
        let exchanges: Vec<Exchange> = rules.iter().map(|rule| Exchange::new(rule, &Owner::Admin, &[sample()])).collect();
        for (exchange, shown) in exchanges.iter().zip(shown) {
            assert_eq!(exchange.request(), lines(shown), "{title}");
            requests += 1;
        }
        for row in rows(recipe) {
            let Some((status, body)) = response(&row[0]) else { continue };
            assert_eq!(exchanges[0].meaning(status, &body), row[1], "{title}: {}", row[0]);
            responses += 1;
        }
    }
    assert!(requests >= 13 && responses >= 23, "{requests} requests and {responses} responses");
}

#[test]
fn the_copy_of_a_channel_s_rule_keeps_what_it_does_not_change() {
    let page = page("cookbook.md");
    let recipe = crate::documents::markdown::section(&page, "Several channels with tokens of their own");
    let blocks = blocks(recipe, "json");
    let mut copy = parsed(blocks[0]);
    merge_patch(&mut copy, &parsed(blocks[1]));
    assert_eq!(copy["name"], "Channel 2");
    assert_eq!(copy["conditions"], parsed(r#"{"channel": ["chn_2"], "result": ["approved"]}"#));
}

#[test]
fn every_recipe_is_named_in_the_table_of_contents() {
    let page = page("cookbook.md");
    let contents = page.split("\n## ").next().unwrap();
    let anchor = |title: &str| title.to_lowercase().replace(',', "").replace(' ', "-");
    for (title, _) in sections(&page, "## ") {
        assert!(contents.contains(&format!("(#{})", anchor(title))), "{title}");
    }
}
