//! Servers that this program asks over HTTP.

use std::time::Duration;

use reqwest::{Client, Url, redirect};

/// Returns the address of a server without trailing slashes; returns an error if it is not an address.
pub(crate) fn address(given: &str) -> Result<String, String> {
    let address = given.trim_end_matches('/').to_owned();
    let is_web = Url::parse(&address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web { Ok(address) } else { Err(address) }
}

/// Makes a client that follows no redirects and waits this long for a response.
pub(crate) fn client(timeout: Duration) -> reqwest::Result<Client> {
    Client::builder().redirect(redirect::Policy::none()).timeout(timeout).build()
}
