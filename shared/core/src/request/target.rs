//! The URL of a request: a literal origin, and a path and query that may hold macros (Q3).

use url::Url;

use super::{address, host, template};
use crate::{
    document::Fields,
    fault::Faults,
    template::{Allowed, Filled, Place, RenderFault, Scope, Template},
};

/// The fault of a path with a dot segment.
const DOT_SEGMENT: &str = "a segment . or .. in the path: write the path that it leads to";

/// A checked URL.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The whole URL as it was written.
    written: Template,
    /// Scheme, host and port, normalised: `https://api.bank.example`.
    origin: Box<str>,
    /// `api.bank.example:443`
    host: Box<str>,
    /// The path, up to the query.
    path: Template,
    /// The URL's own query: in parts if one of them may be dropped or reads the others.
    query: Vec<Template>,
}

impl Target {
    /// Reads `url`.
    pub(super) fn parse(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let written = template(fields, "url", Place::Url, allowed, faults);
        let text = fields.text("url", &mut Faults::default())?;
        let (url, rest) = match origin(text, allowed) {
            Ok(found) => found,
            Err(detail) => {
                faults.add(fields.at("url"), detail);
                return None;
            }
        };
        let Some(written) = written else {
            // The text has faults already; this one is reported with them.
            if rest.split('?').next().unwrap_or_default().split('/').any(is_dots) {
                faults.add(fields.at("url"), DOT_SEGMENT);
            }
            return None;
        };
        let rest = written.behind(&text[..text.len() - rest.len()]);
        let mut parts = rest.split('?', 2).into_iter();
        let before_query = parts.next()?;
        if before_query.split('/', usize::MAX).iter().filter_map(Template::literal).any(|segment| is_dots(&segment)) {
            faults.add(fields.at("url"), DOT_SEGMENT);
        }
        if before_query.may_omit() {
            faults.add(fields.at("url"), "omit_if_empty drops a query entry, a header or a body field: in a path there is none");
        }
        let is_of_parts = |query: &Template| query.may_omit() || query.reads_sorted_query() || query.variables().next().is_some();
        let query = match parts.next() {
            Some(query) if is_of_parts(&query) => query.split('&', usize::MAX),
            whole_or_none => whole_or_none.into_iter().collect(),
        };
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let port = url.port_or_known_default().unwrap_or_default();
        Some(Self {
            written,
            origin: format!("{}://{authority}", url.scheme()).into(),
            host: format!("{}:{port}", url.host_str().unwrap_or_default()).into(),
            path: before_query,
            query,
        })
    }

    pub(super) fn text(&self) -> &str {
        self.written.text()
    }

    pub(super) fn template(&self) -> &Template {
        &self.written
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// `https://api.bank.example`
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The URL's own query, in parts.
    pub(super) fn query(&self) -> &[Template] {
        &self.query
    }

    /// The URL with its values, without the query.
    pub(super) fn render(&self, scope: &Scope<'_>) -> Result<String, RenderFault> {
        let mut url = String::with_capacity(256);
        url.push_str(&self.origin);
        let start = url.len();
        self.path.render(scope, &mut url)?;
        if !url[start..].starts_with('/') {
            url.insert(start, '/');
        }
        let path = url[start..].split('?').next().unwrap_or_default();
        if path.split('/').any(is_dots) { Err(RenderFault::DotSegment) } else { Ok(url) }
    }

    /// Adds the parts of the URL's own query that `keeps` accepts.
    pub(super) fn render_query(
        &self,
        scope: &Scope<'_>,
        keeps: impl Fn(&Template) -> bool,
        url: &mut String,
    ) -> Result<(), RenderFault> {
        let mut separator = '?';
        for part in self.query.iter().filter(|part| keeps(part)) {
            url.push(separator);
            match part.render(scope, url)? {
                Filled::Written => separator = '&',
                Filled::Omit => {
                    url.pop();
                }
            }
        }
        Ok(())
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Target {}

/// The origin of a URL as written, and the text that follows it.
fn origin(text: &str, allowed: Allowed) -> Result<(Url, &str), String> {
    let scheme_end = text.find("://").filter(|end| {
        let scheme = &text[..*end];
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    });
    let Some(scheme_end) = scheme_end else {
        return Err(match text.find(['{', ':', '/']) {
            Some(at) if text[at..].starts_with('{') => "no macro is allowed in the scheme: write https:// or http://".to_owned(),
            _ => "not a URL: it must begin with https:// or http:// and a host".to_owned(),
        });
    };
    let after_scheme = scheme_end + "://".len();
    let end = text[after_scheme..].find(['/', '?', '#', '\\', '{', '}']).map_or(text.len(), |at| after_scheme + at);
    let (authority, rest) = (&text[after_scheme..end], &text[end..]);
    if rest.starts_with(['{', '}']) {
        return Err("no macro is allowed in the host or the port: name the receiver, and begin the path with /".to_owned());
    }
    if authority.contains('@') {
        return Err("user info before the host: leave it out, and write an Authorization header with a secret".to_owned());
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err("the host is missing: write it after ://".to_owned());
    }
    let url = Url::parse(&format!("{}://{authority}/", &text[..scheme_end]))
        .map_err(|fault| format!("not a host and port: {fault}; write them as in https://api.example.com:8443/"))?;
    let refused = url.host().and_then(|host| address::refused(&host));
    if let Some(detail) = refused.filter(|_| !allowed.private_targets) {
        return Err(detail);
    }
    let written = if authority.starts_with('[') { authority } else { authority.split(':').next().unwrap_or_default() };
    let fault = url.host().and_then(|host| host::fault(written, &host));
    match fault {
        Some(detail) if !allowed.stored => Err(detail),
        _ => Ok((url, rest)),
    }
}

/// Returns true if a segment of a path is `.` or `..`, encoded or not.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}
