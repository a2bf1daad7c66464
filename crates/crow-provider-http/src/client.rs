//! The HTTP client: one for all providers that are reached the same way, made when the first of them is asked.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crow_acp::{ProviderConfig, ProviderError, ProviderErrorKind, Secret};
use reqwest::{Client, NoProxy, Proxy, Url, redirect};

use crate::tls;

/// How an endpoint is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// A file of certificate authorities to trust beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// A proxy; those of the environment hold if there is none.
    pub proxy: Option<Secret>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
}

impl Route {
    /// How the endpoint of a configured provider is reached.
    pub fn of(config: &ProviderConfig) -> Self {
        Self { ca_file: config.ca_file.clone(), proxy: config.proxy.clone(), connect_timeout: config.connect_timeout }
    }
}

/// The clients made so far. Nearly always there is one.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Vec<(Route, Client)>>);

impl Clients {
    /// The client for `route`, made now if it is the first that goes this way.
    ///
    /// # Errors
    /// The proxy is none, or there is no TLS on this machine.
    pub fn get(&self, route: &Route) -> Result<Client, ProviderError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = made.iter().find(|(other, _)| other == route) {
            return Ok(client.clone());
        }
        let client = build(route, |name| std::env::var(name).ok())?;
        made.push((route.clone(), client.clone()));
        Ok(client)
    }
}

fn build(route: &Route, env: impl Fn(&str) -> Option<String>) -> Result<Client, ProviderError> {
    let unusable = |message: String| ProviderError::new(ProviderErrorKind::Unsupported, message);
    let tls =
        tls::config(route.ca_file.clone()).map_err(|error| unusable(format!("cannot be asked: no TLS: {error}")))?;
    let mut builder = Client::builder()
        .user_agent(concat!("crow/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .connect_timeout(route.connect_timeout)
        .http1_only()
        // Whatever other crates have built in: a compressed stream comes in lumps.
        .no_gzip()
        // A redirect would take the key to where nobody meant it to go.
        .redirect(redirect::Policy::none())
        .no_proxy();
    let proxies = match &route.proxy {
        Some(proxy) => vec![usable("proxy", proxy.expose(), Proxy::all).map_err(unusable)?],
        None => from_environment(env).map_err(unusable)?,
    };
    for proxy in proxies {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| unusable(format!("cannot be asked: no HTTP client: {}", error.without_url())))
}

/// The proxies of `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY`, in either case. This machine itself is never reached through one:
/// a model server on it is what it was started for.
fn from_environment(env: impl Fn(&str) -> Option<String>) -> Result<Vec<Proxy>, String> {
    let set = |name: &str| {
        let value = env(&name.to_lowercase()).or_else(|| env(name))?;
        Some(value).filter(|value| !value.trim().is_empty())
    };
    let except = format!("localhost,.localhost,127.0.0.0/8,::1,{}", set("NO_PROXY").unwrap_or_default());
    let except = || NoProxy::from_string(&except);
    let mut proxies = Vec::new();
    if let Some(proxy) = set("HTTPS_PROXY") {
        proxies.push(usable("HTTPS_PROXY", &proxy, Proxy::https)?.no_proxy(except()));
    }
    if let Some(proxy) = set("HTTP_PROXY") {
        proxies.push(usable("HTTP_PROXY", &proxy, Proxy::http)?.no_proxy(except()));
    }
    if let Some(proxy) = set("ALL_PROXY") {
        proxies.push(usable("ALL_PROXY", &proxy, Proxy::all)?.no_proxy(except()));
    }
    Ok(proxies)
}

/// A proxy by its address, which may lack its scheme and hold a password.
fn usable(name: &str, address: &str, make: fn(Url) -> reqwest::Result<Proxy>) -> Result<Proxy, String> {
    let wanted = || format!("cannot be asked: `{name}` is not a proxy: expected http://HOST:PORT");
    let address = address.trim();
    let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url: Url = address.parse().map_err(|_| wanted())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wanted());
    }
    make(url).map_err(|_| wanted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<usize, String> {
        let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        from_environment(env).map(|proxies| proxies.len())
    }

    #[test]
    fn proxies_of_the_environment() {
        assert_eq!(environment(&[]), Ok(0));
        assert_eq!(
            environment(&[("HTTPS_PROXY", "http://proxy:3128"), ("http_proxy", "proxy:3128"), ("ALL_PROXY", "")]),
            Ok(2)
        );
        let error = environment(&[("HTTPS_PROXY", "socks5://me:secret@proxy:1")]).expect_err("no SOCKS");
        assert!(error.contains("HTTPS_PROXY") && !error.contains("secret"), "{error}");
    }

    /// The status with which `url` answers a client made in this environment, or why it does not.
    async fn get(url: &str, pairs: &[(&str, &str)]) -> Result<u16, String> {
        let env = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let route = Route { ca_file: None, proxy: None, connect_timeout: Duration::from_secs(5) };
        let client = build(&route, env).map_err(|error| error.message)?;
        let sent = client.get(url).send().await;
        sent.map(|response| response.status().as_u16()).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn who_is_asked_through_a_proxy() {
        // A model server answers whatever it is asked for, so it does as a proxy.
        let server = crow_tests::ModelServer::start();
        let proxy = format!("127.0.0.1:{}", server.port());
        let elsewhere = "http://model.invalid/v1/models";
        assert_eq!(get(elsewhere, &[("http_proxy", &proxy)]).await, Ok(200));
        assert_eq!(get(elsewhere, &[("ALL_PROXY", &format!("http://{proxy}"))]).await, Ok(200));
        assert_eq!(server.all_requests().len(), 2);
        // Not for whom NO_PROXY names, not for other schemes, never for this machine.
        assert!(get(elsewhere, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "model.invalid")]).await.is_err());
        assert!(get(elsewhere, &[("HTTPS_PROXY", &proxy)]).await.is_err());
        assert_eq!(server.all_requests().len(), 2);
        let here = format!("{}/models", server.base_url());
        assert_eq!(get(&here, &[("HTTP_PROXY", "127.0.0.1:1"), ("ALL_PROXY", "127.0.0.1:1")]).await, Ok(200));
        let here = here.replace("127.0.0.1", "localhost");
        assert_eq!(get(&here, &[("HTTP_PROXY", "127.0.0.1:1")]).await, Ok(200));
    }

    #[test]
    fn providers_that_are_reached_the_same_way_share_a_client() {
        let clients = Clients::default();
        let route = Route { ca_file: None, proxy: None, connect_timeout: Duration::from_secs(1) };
        let other = Route { proxy: Some(Secret::new("http://127.0.0.1:1")), ..route.clone() };
        for route in [&route, &other, &route, &other] {
            clients.get(route).expect("a client");
        }
        assert_eq!(clients.0.lock().expect("no panic").len(), 2);
    }
}
