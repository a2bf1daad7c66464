//! Servers at an address, over streamable HTTP. The client is made when the first of them is connected to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crow_acp::Secret;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, redirect};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// How many redirects are followed, on the same server only.
const REDIRECTS: usize = 5;

/// A transport to the server at `url`. Nothing is sent yet.
///
/// # Errors
/// In words for the user, without the value of a header.
pub(crate) fn transport(
    url: &Secret,
    headers: &BTreeMap<String, Secret>,
) -> Result<StreamableHttpClientTransport<Client>, String> {
    let address: Url = url.expose().parse().map_err(|_| "its `url` is none".to_owned())?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let wrong = || format!("its header `{}` cannot be sent", name.escape_debug());
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        sent.insert(header, value);
    }
    let client = client(&address).map_err(|error| format!("there is no HTTP client: {error}"))?;
    let config = StreamableHttpClientTransportConfig::with_uri(address.as_str()).custom_headers(sent);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

fn client(address: &Url) -> Result<Client, Box<dyn std::error::Error>> {
    let builder = Client::builder()
        .user_agent(concat!("crow/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls()?)
        .connect_timeout(CONNECTING)
        .redirect(redirect::Policy::custom(same_server));
    // A server on this machine is never behind a proxy.
    let builder = if is_here(address) { builder.no_proxy() } else { builder };
    Ok(builder.build()?)
}

/// Many servers send requests on to the same address with a slash behind it. Elsewhere the headers must not go.
fn same_server(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let origin = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    let is_same = attempt.previous().first().is_some_and(|first| origin(first) == origin(attempt.url()));
    if is_same && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
}

fn is_here(address: &Url) -> bool {
    match address.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Trusts whom this machine trusts. Where that cannot be found out nobody is, and servers without encryption still work.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    match builder()?.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        Err(_) => Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_be_sent_is_named_without_its_value() {
        let headers = BTreeMap::from([("X-Key".to_owned(), Secret::new("sk-1234\n5678"))]);
        let Err(why) = transport(&Secret::new("http://127.0.0.1:1/mcp"), &headers) else { panic!("it was taken") };
        assert!(why.contains("`X-Key`") && !why.contains("sk-1234"), "{why}");
    }

    #[test]
    fn only_this_machine_is_reached_past_a_proxy() {
        for (url, here) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]/", true),
            ("http://10.0.0.1/", false),
            ("https://example.test/", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
