//! Entity tags and `If-Match` (RFC 9110): a caller that changes a rule may insist that nobody else did so meanwhile.

use axum::http::{HeaderMap, HeaderValue, header::IF_MATCH};
use tracking_core::{caller::Caller, id::Id};
use tracking_engine::{Engine, backend::Backend, rules::Refused};

use crate::problem::{Kind, Problem};

/// The entity tag of a version.
pub(crate) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).expect("digits in quotes are a header's value")
}

/// The demand of an `If-Match`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Nothing, or `*`: the rule must exist, which it must anyway.
    Any,
    /// One of these tags, compared strongly. Weak ones are left out: they never match.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Reads the header.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let lines: Result<Vec<&str>, _> = headers.get_all(IF_MATCH).iter().map(HeaderValue::to_str).collect();
        let text = lines.map_err(|_| malformed())?.join(",");
        match text.trim() {
            "" if !headers.contains_key(IF_MATCH) => Ok(Self::Any),
            "*" => Ok(Self::Any),
            list => tags(list).map(Self::OneOf).ok_or_else(malformed),
        }
    }

    /// The version that a change must find; `None` if any will do.
    ///
    /// # Errors
    /// The rule does not exist for this caller, or is at a version that no tag names.
    pub(crate) async fn version<B: Backend>(&self, engine: &Engine<B>, caller: &Caller, id: &Id) -> Result<Option<u64>, Refused> {
        let Self::OneOf(tags) = self else { return Ok(None) };
        let current = engine.rules().rule(caller, id).await?.version;
        if tags.contains(&current.to_string()) { Ok(Some(current)) } else { Err(Refused::Changed { current }) }
    }
}

/// The strong tags of a list, without their quotes; `None` if it is no list of tags.
fn tags(list: &str) -> Option<Vec<String>> {
    let mut strong = Vec::new();
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let weak = rest.strip_prefix("W/");
        let (tag, behind) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        if tag.bytes().any(|byte| byte <= b' ') {
            return None;
        }
        if weak.is_none() {
            strong.push(tag.to_owned());
        }
        let behind = behind.trim_start_matches([' ', '\t']);
        if !behind.is_empty() && !behind.starts_with(',') {
            return None;
        }
        rest = behind.trim_start_matches([' ', '\t', ',']);
    }
    Some(strong)
}

fn malformed() -> Problem {
    Problem::new(
        Kind::BadRequest,
        "If-Match can't be read: give an ETag with its quotes such as \"4\", several with commas, or *",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&str], expected: Option<&[&str]>) {
        let headers = given.iter().map(|value| (IF_MATCH, value.parse().unwrap())).collect();
        let found = match IfMatch::read(&headers).unwrap() {
            IfMatch::Any => None,
            IfMatch::OneOf(tags) => Some(tags),
        };
        assert_eq!(found.as_deref(), expected.map(|tags| tags.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref());
    }

    #[test]
    fn if_match_is_a_list_of_tags() {
        check(&[], None);
        check(&["*"], None);
        check(&["\"4\""], Some(&["4"]));
        check(&["\"4\", \"5\""], Some(&["4", "5"]));
        check(&["\"4\",W/\"5\" , \"a,b\""], Some(&["4", "a,b"]));
        check(&["\"4\"", "\"5\""], Some(&["4", "5"]));
        check(&["W/\"4\""], Some(&[]));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in ["4", "\"4", "", ",", "\"4\" \"5\"", "*, \"4\"", "w/\"4\"", "\"a b\""] {
            let headers = HeaderMap::from_iter([(IF_MATCH, bad.parse().unwrap())]);
            assert_eq!(IfMatch::read(&headers).unwrap_err().kind(), Kind::BadRequest, "{bad}");
        }
    }
}
