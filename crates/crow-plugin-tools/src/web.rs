//! The web: HTTP clients that are made when the first page is fetched, and that reach this machine and its local link only
//! where an address says so plainly.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use crow_acp::ToolError;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use url::{Host, Url};

/// What servers see.
const USER_AGENT: &str = concat!("crow/", env!("CARGO_PKG_VERSION"));

/// Gets pages.
#[derive(Debug, Default)]
pub(crate) struct Web {
    clients: OnceLock<Result<Clients, String>>,
}

#[derive(Debug)]
struct Clients {
    /// For hosts that do not say that they are this machine: nor may their names turn out to mean it.
    far: Client,
    /// For hosts that do, which the user was asked about.
    near: Client,
}

impl Web {
    /// Requests one address. A redirect is an answer like any other.
    pub(crate) async fn get(&self, url: &Url) -> Result<Response, ToolError> {
        let clients = self.clients.get_or_init(|| Clients::new().map_err(|error| error.to_string()));
        let clients = clients.as_ref().map_err(|error| ToolError::new(format!("there is no HTTP client: {error}")))?;
        let client = if is_near(url) { &clients.near } else { &clients.far };
        client.get(url.clone()).send().await.map_err(|error| crate::fetch::failed(url, &error))
    }
}

impl Clients {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let tls = tls()?;
        let builder = || {
            Client::builder()
                .user_agent(USER_AGENT)
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirect::Policy::none())
                .referer(false)
        };
        Ok(Self { far: builder().dns_resolver(Arc::new(FarOnly)).build()?, near: builder().no_proxy().build()? })
    }
}

/// Trusts whom this machine trusts. Where that cannot be found out nobody is, and pages without encryption still come.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    match builder()?.with_platform_verifier() {
        Ok(builder) => Ok(builder.with_no_client_auth()),
        Err(_) => Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()),
    }
}

/// Whether an address says that it is this machine or its local link.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_near_name(name),
        Some(Host::Ipv4(address)) => is_near_address(address.into()),
        Some(Host::Ipv6(address)) => is_near_address(address.into()),
        None => false,
    }
}

fn is_near_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn is_near_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        // All of `0.x.y.z` is this machine on some systems.
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local() || address.is_unspecified(),
    }
}

/// Resolves names to addresses elsewhere.
#[derive(Debug)]
struct FarOnly;

impl Resolve for FarOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let far = far_only(name.as_str(), found)?;
            Ok(Box::new(far.into_iter()) as Addrs)
        })
    }
}

fn far_only(name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    // Pages of this machine are not asked for here, so this can only be a proxy on it.
    if is_near_name(name) {
        return Ok(found);
    }
    let far: Vec<SocketAddr> = found.iter().copied().filter(|address| !is_near_address(address.ip())).collect();
    if far.is_empty() && !found.is_empty() {
        return Err(format!("the name `{name}` means this machine itself or its local link"));
    }
    Ok(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_known_in_all_its_disguises() {
        for near in [
            "http://127.0.0.1/",
            "http://localhost:80/",
            "http://a.LOCALHOST./",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::]/",
        ] {
            assert!(is_near(&Url::parse(near).unwrap()), "{near}");
        }
        for far in
            ["http://example.com/", "https://192.0.2.1/", "http://[2001:db8::1]/", "http://localhost.example.com/"]
        {
            assert!(!is_near(&Url::parse(far).unwrap()), "{far}");
        }
    }

    #[test]
    fn a_name_that_turns_out_to_be_near_is_refused() {
        let near: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let far: SocketAddr = "192.0.2.1:80".parse().unwrap();
        assert!(far_only("rebound.example", vec![near]).unwrap_err().contains("means this machine itself"));
        assert_eq!(far_only("both.example", vec![near, far]), Ok(vec![far]));
        assert_eq!(far_only("localhost", vec![near]), Ok(vec![near]), "a proxy on this machine");
    }
}
