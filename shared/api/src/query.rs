//! The parameters of a query: unknown ones and bad values are refused, all at once.

use std::collections::BTreeMap;

use axum::{extract::Query, http::Uri};
use jiff::Timestamp;
use tracking_core::{
    fault::{Faults, pointer_token, unknown},
    id::Id,
};

use crate::problem::{Kind, Problem};

/// Items of a page, unless the caller asks for more or fewer.
const USUAL_LIMIT: usize = 100;
/// The most items of a page.
const MOST_LIMIT: usize = 1_000;
/// The most bytes of a text to search for.
const MOST_TEXT: usize = 2_048;

/// The parameters of one query. An empty value is the same as none. Faults are listed under the parameter's name.
#[derive(Debug)]
pub struct Parameters {
    given: BTreeMap<String, Vec<String>>,
    faults: Faults,
}

impl Parameters {
    /// Reads the query of an address in which these parameters are allowed, each once.
    pub fn read(uri: &Uri, allowed: &[&str]) -> Self {
        Self::read_repeated(uri, allowed, "")
    }

    /// The same, where one of them may be given several times.
    pub(crate) fn read_repeated(uri: &Uri, allowed: &[&str], repeated: &str) -> Self {
        let mut parameters = Self { given: BTreeMap::new(), faults: Faults::default() };
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            parameters.faults.add("", "the query can't be read: write name=value&name=value, percent-encoded");
            return parameters;
        };
        for (name, value) in pairs {
            if !allowed.contains(&name.as_str()) {
                parameters.refuse(&name, unknown("parameter", &name, allowed));
            } else if !value.is_empty() {
                let values = parameters.given.entry(name.clone()).or_default();
                values.push(value);
                if values.len() > 1 && name != repeated {
                    parameters.refuse(&name, format!("{name} is given twice: give it once"));
                }
            }
        }
        parameters
    }

    /// The value of a parameter, if it is given and `parse` takes it; `allowed` describes such values.
    pub fn parsed<T>(&mut self, name: &str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.all(name, allowed, parse).pop()
    }

    /// The values of a parameter that `parse` takes.
    pub(crate) fn all<T>(&mut self, name: &str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let texts = self.given.get(name).cloned().unwrap_or_default();
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            match parse(&text) {
                Some(value) => values.push(value),
                None => self.refuse(name, format!("{name}={text:?} is not allowed: {allowed}")),
            }
        }
        values
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.parsed(name, "give a text of at most 2048 bytes", |text| (text.len() <= MOST_TEXT).then(|| text.to_owned()))
    }

    /// An id.
    pub fn id(&mut self, name: &str) -> Option<Id> {
        self.parsed(name, "give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -", |text| text.parse().ok())
    }

    /// A time.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed(name, "give a time such as 2026-11-22T09:00:00Z (RFC 3339)", |text| text.parse().ok())
    }

    /// `true` or `false`.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        self.parsed(name, "choose true or false", |text| text.parse().ok())
    }

    /// `limit`: the most items of a page.
    pub fn limit(&mut self) -> usize {
        let range = 1..=MOST_LIMIT;
        let limit = self.parsed("limit", "choose 1 to 1000", |text| text.parse().ok().filter(|limit| range.contains(limit)));
        limit.unwrap_or(USUAL_LIMIT)
    }

    /// `cursor`, where cursors have the form of ids.
    pub(crate) fn id_cursor(&mut self) -> Option<String> {
        let cursor = self.parsed("cursor", "use the next_cursor of a page as it is", |text| text.parse::<Id>().ok());
        cursor.map(String::from)
    }

    /// `limit` and `cursor` of a list that takes nothing else, and whose cursors have the form of ids.
    ///
    /// # Errors
    /// A problem (400) with every fault.
    pub(crate) fn page(uri: &Uri) -> Result<(usize, Option<String>), Problem> {
        let mut query = Self::read(uri, &["limit", "cursor"]);
        let page = (query.limit(), query.id_cursor());
        query.finish()?;
        Ok(page)
    }

    /// Checks that nothing in the query was refused.
    ///
    /// # Errors
    /// A problem (400) with every fault.
    pub fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::with_faults(Kind::BadRequest, self.faults)) }
    }

    fn refuse(&mut self, name: &str, fault: String) {
        self.faults.add(format!("/{}", pointer_token(name)), fault);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Parameters {
        Parameters::read(&format!("/deliveries?{query}").parse().unwrap(), &["limit", "from", "active", "q"])
    }

    #[test]
    fn what_is_given_is_read() {
        let mut parameters = read("limit=1000&from=2026-11-22T10:00:00%2B01:00&active=false&q=a%20b");
        assert_eq!(parameters.limit(), 1_000);
        assert_eq!(parameters.time("from"), Some("2026-11-22T09:00:00Z".parse().unwrap()));
        assert_eq!(parameters.flag("active"), Some(false));
        assert_eq!(parameters.text("q"), Some("a b".to_owned()));
        assert_eq!(parameters.finish(), Ok(()));
    }

    #[test]
    fn what_is_left_out_or_empty_is_not_asked_for() {
        let mut parameters = read("q=&limit=");
        assert_eq!((parameters.limit(), parameters.text("q"), parameters.flag("active")), (100, None, None));
        assert_eq!(parameters.finish(), Ok(()));
    }

    #[test]
    fn all_faults_of_a_query_are_reported_at_once() {
        let mut parameters = read("limit=0&from=yesterday&active=yes&colour=red&q=a&q=b");
        parameters.limit();
        parameters.time("from");
        parameters.flag("active");
        let found: Vec<_> = parameters.faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
        assert_eq!(
            found,
            [
                ("/colour", "unknown parameter \"colour\"; expected one of limit, from, active, q"),
                ("/q", "q is given twice: give it once"),
                ("/limit", "limit=\"0\" is not allowed: choose 1 to 1000"),
                ("/from", "from=\"yesterday\" is not allowed: give a time such as 2026-11-22T09:00:00Z (RFC 3339)"),
                ("/active", "active=\"yes\" is not allowed: choose true or false"),
            ]
        );
    }
}
