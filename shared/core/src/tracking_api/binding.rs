//! The binding of a secret's value to the request that it was written for: no other request gets it (Q5).

use serde::{Deserialize, Serialize};

use super::RuleDefinition;
use crate::{caller::Owner, hash, json::Value, request::Request};

/// The length of a fingerprint in characters: 125 bits.
const FINGERPRINT_CHARS: usize = 25;

/// The party and the request that a secret's value is bound to. The writer's party may change the request and keeps the value; another
/// party's change makes the value unusable until it is written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The party that wrote the value: the admins, or one affiliate.
    pub party: Owner,
    /// Scheme, host and port of the receiver.
    pub origin: String,
    /// Fingerprint of the method, the URL and every place that reads the secret.
    pub uses: String,
}

/// The part of a request that differs from the one for which a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Scheme, host or port.
    Origin,
    /// Another part of the URL.
    Url,
    /// The method.
    Method,
    /// A place that reads the secret.
    Use,
    /// An added header: it may request another form of the response, such as a part, in which values are not recognised.
    Header,
}

impl Difference {
    /// The changed part, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Origin | Self::Url => "the URL",
            Self::Method => "the method",
            Self::Use => "a place that uses it",
            Self::Header => "the list of headers",
        }
    }
}

impl RuleDefinition {
    /// The binding of a value of `secret` that `party` writes now.
    pub fn binding(&self, secret: &str, party: &Owner) -> Binding {
        Binding { party: party.clone(), origin: self.origins(), uses: self.uses(secret) }
    }

    /// Returns true if this rule may send a value with this binding.
    pub fn honours(&self, secret: &str, binding: &Binding) -> bool {
        self.origins() == binding.origin && self.uses(secret) == binding.uses
    }

    /// The first part of the request that binds a value of `secret` and differs from `before`; an added header comes
    /// last.
    pub fn difference(&self, before: &Self, secret: &str) -> Option<Difference> {
        let differs = |of: fn(&Request) -> &str| {
            let all =
                |definition: &Self| -> Vec<String> { definition.requests().map(|request| of(request).to_owned()).collect() };
            all(self) != all(before)
        };
        if differs(Request::origin) {
            Some(Difference::Origin)
        } else if differs(Request::url) {
            Some(Difference::Url)
        } else if differs(|request| request.method().as_str()) {
            Some(Difference::Method)
        } else if self.uses(secret) != before.uses(secret) {
            Some(Difference::Use)
        } else {
            self.requests().zip(before.requests()).any(|(new, old)| new.adds_header(old)).then_some(Difference::Header)
        }
    }

    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.plan.calls().map(|call| &call.request)
    }

    /// Scheme, host and port of each request.
    fn origins(&self) -> String {
        self.requests().map(Request::origin).collect::<Vec<_>>().join(" ")
    }

    /// The places of a rule's one request that read a secret; in a rule with steps, all steps and variables.
    fn uses_of(&self, secret: Option<&str>) -> String {
        if !self.plan.has_steps() {
            return self.plan.first_call().request.uses_fingerprint(secret);
        }
        let requests: Vec<String> = self.requests().map(|request| request.uses_fingerprint(secret)).collect();
        // Any step may read the output of a step or a response that read a secret: the steps are bound as a whole, with their variables.
        let steps = Value::Object(self.plan.whole_document()).to_string();
        let variables = self.variables().document().unwrap_or_default().to_string();
        let parts: Vec<&str> = ["steps", &steps, &variables].into_iter().chain(requests.iter().map(String::as_str)).collect();
        hash::text(&parts, FINGERPRINT_CHARS)
    }

    fn uses(&self, secret: &str) -> String {
        let fingerprint = |name: String| {
            let uses = self.uses_of(Some(&name));
            (name, uses)
        };
        // Every postback needs the fingerprints: they are computed once for each secret that the rule names.
        let all = self.uses.get_or_init(|| self.secret_names().into_iter().map(fingerprint).collect());
        all.get(secret).cloned().unwrap_or_else(|| self.uses_of(None))
    }
}

#[cfg(test)]
mod tests {
    use crate::json;

    use super::*;
    use crate::tracking_api::{Settings, merge_patch};

    fn rule() -> Value {
        json!({"name": "x", "request": {"method": "POST", "url": "https://a.example/p?u={pcid}",
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}, {"name": "X-Other", "value": "1"}],
            "query": [{"name": "q", "value": "{pcid}"}],
            "body": {"format": "json", "fields": [{"path": "a", "value": "{pcid}"}]}}})
    }

    fn parse(document: &Value) -> RuleDefinition {
        RuleDefinition::parse(document, &Owner::Admin, &Settings::default()).unwrap()
    }

    #[track_caller]
    fn check(secret: &str, before: &Value, patch: &Value, expected: Option<Difference>) {
        let mut after = before.clone();
        merge_patch(&mut after, patch);
        let (before, after) = (parse(before), parse(&after));
        assert_eq!(after.difference(&before, secret), expected, "{patch}");
        let is_honoured = matches!(expected, None | Some(Difference::Header));
        assert_eq!(after.honours(secret, &before.binding(secret, &Owner::Admin)), is_honoured, "{patch}");
    }

    #[test]
    fn f7_a_value_is_bound_to_url_method_and_the_places_that_use_it() {
        let request = |members: Value| json!({"request": members});
        let cases = [
            (request(json!({"url": "https://b.example/p?u={pcid}"})), Some(Difference::Origin)),
            (request(json!({"url": "http://a.example/p?u={pcid}"})), Some(Difference::Origin)),
            (request(json!({"url": "https://a.example:8443/p?u={pcid}"})), Some(Difference::Origin)),
            (request(json!({"url": "https://a.example/echo?u={pcid}"})), Some(Difference::Url)),
            (request(json!({"method": "PUT"})), Some(Difference::Method)),
            (request(json!({"headers": [{"name": "X-Leak", "value": "Bearer {secret.token}"}]})), Some(Difference::Use)),
            (
                request(json!({"headers": [{"name": "authorization", "value": "Bearer {secret.token|base64}"}]})),
                Some(Difference::Use),
            ),
            (request(json!({"query": [{"name": "q", "value": "{secret.token}"}]})), Some(Difference::Use)),
            (request(json!({"query": [{"name": "q", "value": "{pcid|hmac_sha256:token}"}]})), Some(Difference::Use)),
            (
                request(json!({"body": {"format": "json", "fields": [{"path": "a", "value": "{secret.token}"}]}})),
                Some(Difference::Use),
            ),
            (request(json!({"headers": []})), Some(Difference::Use)),
            (json!({"signing": {"secret": "token"}}), Some(Difference::Use)),
            (json!({"name": "y", "retry": {"max_retries": 1}, "signing": {"secret": "other"}}), None),
            (request(json!({"query": [{"name": "z", "value": "{secret.other}"}]})), None),
            (request(json!({"body": {"format": "json", "fields": [{"path": "b", "value": "1"}]}})), None),
            (request(json!({"headers": [{"name": "authorization", "value": "Bearer {secret.token}"}]})), None),
            (
                request(json!({"headers": [{"name": "authorization", "value": "Bearer {secret.token}"},
                    {"name": "x-other", "value": "2"}]})),
                None,
            ),
            (
                request(json!({"headers": [{"name": "authorization", "value": "Bearer {secret.token}"},
                    {"name": "Range", "value": "bytes=5-"}]})),
                Some(Difference::Header),
            ),
        ];
        for (patch, expected) in cases {
            check("token", &rule(), &patch, expected);
        }
    }

    #[test]
    fn f7_a_value_that_signs_is_bound_to_the_body() {
        let mut signed = rule();
        signed["signing"] = json!({"secret": "key"});
        let body = json!({"request": {"body": {"format": "json", "fields": [{"path": "a", "value": "{pcid}!"}]}}});
        check("key", &signed, &body, Some(Difference::Use));
        check("key", &signed, &json!({"signing": {"secret": "token"}}), Some(Difference::Use));
        check("key", &signed, &json!({"request": {"headers": []}}), None);
    }

    #[test]
    fn f7_a_binding_stays_what_it_was_when_it_was_stored() {
        let binding = parse(&rule()).binding("token", &Owner::Admin);
        let stored = r#"{"party":{"kind":"admin"},"origin":"https://a.example","uses":"ytwyht230cgt7xd6wcx7m08j5"}"#;
        assert_eq!(serde_json::to_string(&binding).unwrap(), stored);
    }
}
