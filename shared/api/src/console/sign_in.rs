//! The settings of the console's sign-in, and the `config.json` with which the app reads them.

use tracking_core::json;

use crate::auth::ClaimNames;

/// The settings of the console.
#[derive(Debug, Clone, Default)]
pub struct Console {
    /// The issuer at which people sign in; without one the app takes the token of a link that `tracking console` prints.
    pub sign_in: Option<SignIn>,
    /// The names of the claims by which the app knows its user.
    pub claims: ClaimNames,
}

/// A client of an `OpenID` Connect issuer: authorization code with PKCE, without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The issuer's URL.
    pub issuer: String,
    /// The client's id.
    pub client_id: String,
    /// The scopes that are asked for, separated by spaces.
    pub scopes: String,
    /// Further URLs of the issuer's endpoints, separated by spaces; Cognito gives its tokens at another host than its keys.
    pub origins: String,
}

impl Console {
    /// The text of `config.json`.
    pub(super) fn config(&self) -> String {
        let sign_in = match &self.sign_in {
            Some(SignIn { issuer, client_id, scopes, .. }) => {
                json!({"issuer": issuer.as_str(), "client_id": client_id.as_str(), "scopes": scopes.as_str()})
            }
            None => json!(null),
        };
        let ClaimNames { role, affiliate } = &self.claims;
        json!({
            "sign_in": sign_in,
            "role_claim": role.as_str(),
            "affiliate_claim": affiliate.as_str(),
        })
        .to_string()
    }

    /// The origins that the sign-in connects to.
    pub(super) fn origins(&self) -> Vec<String> {
        let Some(SignIn { issuer, origins, .. }) = &self.sign_in else { return Vec::new() };
        [issuer.as_str()].into_iter().chain(origins.split_whitespace()).filter_map(origin).collect()
    }
}

/// Scheme, host and port of a URL; `None` for a text that could mean more than that in a policy.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    (matches!(scheme, "https" | "http") && is_plain(host)).then(|| format!("{scheme}://{host}"))
}
