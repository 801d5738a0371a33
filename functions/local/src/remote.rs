//! Servers that this program asks over HTTP.

use std::time::Duration;

use reqwest::{Client, Url, redirect};

/// Returns the address of a server without slashes at its end; as an error, if it can't be one.
pub(crate) fn address(given: &str) -> Result<String, String> {
    let address = given.trim_end_matches('/').to_owned();
    let is_web = Url::parse(&address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web { Ok(address) } else { Err(address) }
}

/// A client that follows no redirects and waits for a response for so long.
pub(crate) fn client(timeout: Duration) -> reqwest::Result<Client> {
    Client::builder().redirect(redirect::Policy::none()).timeout(timeout).build()
}
