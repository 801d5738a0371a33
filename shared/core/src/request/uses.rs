//! Places of a request that read a secret: what its value is bound to beside the receiver (Q5).

use super::{Request, Signing};
use crate::{hash, template::Template};

/// Characters of a fingerprint: 125 bits.
const FINGERPRINT_CHARS: usize = 25;

impl Template {
    /// Returns true if it reads this secret.
    pub(super) fn reads(&self, secret: &str) -> bool {
        self.secrets().any(|name| name == secret)
    }
}

impl Request {
    /// Scheme, host and port of the receiver as they stand in every URL of this request; a scheme's usual port is left out.
    pub fn origin(&self) -> &str {
        self.target.origin()
    }

    /// The URL as it was written.
    pub fn url(&self) -> &str {
        self.target.text()
    }

    /// Returns a fingerprint of the method, the URL and every place that reads `secret`: header, query entry, body field or text, and
    /// the signature. A signature covers the body, so that the body is part of it then. `None` stands for a secret that no place reads.
    /// Stored values depend on it: a change of this function makes all of them unusable.
    pub fn uses_fingerprint(&self, secret: Option<&str>, signing: Option<&Signing>) -> String {
        let mut parts = vec!["secret use", self.method.as_str(), self.target.text()];
        let Some(secret) = secret else { return hash::text(&parts, FINGERPRINT_CHARS) };
        let signs = signing.is_some_and(|signing| signing.secret() == secret);
        for entry in self.query.iter().filter(|entry| entry.value.reads(secret)) {
            parts.extend(["query", &entry.name, entry.value.text()]);
        }
        let header_names: Vec<String> = self.headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
        for (header, name) in self.headers.iter().zip(&header_names).filter(|(header, _)| header.value.reads(secret)) {
            parts.extend(["header", name, header.value.text()]);
        }
        if signs {
            parts.push("signing");
        }
        parts.extend(self.body.parts_that(|template| signs || template.reads(secret)));
        hash::text(&parts, FINGERPRINT_CHARS)
    }
}
