//! The address of a server: a URL as every PostgreSQL client takes it, whose password is never shown.

use std::fmt;
use std::path::PathBuf;

use crow_acp::{Secret, Secrets};
use postgres::Config;
use postgres::config::Host;
use serde::{Deserialize, Deserializer};

/// The database behind a URL such as `postgresql://ada:secret@db.example.org/crow?sslmode=verify-full`.
///
/// ```
/// use crow_plugin_persistence::Server;
///
/// let server: Server = "postgresql://ada:secret@db.example.org/crow".parse()?;
/// assert_eq!(server.to_string(), "postgresql://db.example.org/crow");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Without what the client library does not understand.
    url: Secret,
    shown: String,
    pub(super) tls: Tls,
}

/// Whether the connection is encrypted, and who the server has to prove to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// `disable`.
    Off,
    /// `prefer`, which is the default, and `require`: encrypted, and whoever answers is believed.
    Unverified,
    /// `verify-full`, and `verify-ca`, which is held to the same: the certificate is checked against those of the
    /// system, or those in a file.
    Verified { roots: Option<PathBuf> },
}

impl std::str::FromStr for Server {
    /// What is wrong, without the password.
    type Err = String;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected the URL of a database, for example \"postgresql://user@host/crow\"";
        if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            return Err(EXPECTED.into());
        }
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = "prefer";
        let mut roots = None;
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(decoded(value))),
                _ => rest.push(pair),
            }
        }
        let (mode, tls) = match mode {
            "disable" => ("disable", Tls::Off),
            "allow" | "prefer" if roots.is_none() => ("prefer", Tls::Unverified),
            "require" if roots.is_none() => ("require", Tls::Unverified),
            "allow" | "prefer" | "require" | "verify-ca" | "verify-full" => ("require", Tls::Verified { roots }),
            _ => return Err("sslmode: expected disable, prefer, require, verify-ca or verify-full".into()),
        };
        let setting = format!("sslmode={mode}");
        rest.push(&setting);
        let url = format!("{address}?{}", rest.join("&"));
        let config: Config = url.parse().map_err(|error| format!("{EXPECTED}: {}", super::connect::words(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(format!("{EXPECTED}: there is no host in it"));
        }
        Ok(Self { shown: shown(&config), url: Secret::new(url), tls })
    }
}

impl Server {
    /// What the client library makes of the URL.
    pub(super) fn config(&self) -> Result<Config, postgres::Error> {
        self.url.expose().parse()
    }

    /// Has logs, errors and files scrubbed of the password.
    pub(crate) fn hide_password(&self, secrets: &Secrets) {
        secrets.add(self.url.expose());
        let password = self.config().ok().and_then(|config| config.get_password().map(<[u8]>::to_vec));
        if let Some(password) = password.and_then(|password| String::from_utf8(password).ok()) {
            secrets.add(&password);
        }
        // As it stands in the URL it may have escapes.
        let written = self.url.expose().split_once("://").and_then(|(_, rest)| rest.split_once('@'));
        if let Some((_, password)) = written.and_then(|(user, _)| user.split_once(':')) {
            secrets.add(password);
        }
    }
}

fn shown(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(host) => host.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports().iter().copied().chain(std::iter::repeat(5432));
    let hosts = hosts.zip(ports).map(|(host, port)| if port == 5432 { host } else { format!("{host}:{port}") });
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgresql://{}/{database}", hosts.collect::<Vec<_>>().join(","))
}

/// Without the escapes that URLs have.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let server: Server = "postgres://ada:p%40ss-word@h:7/db?application_name=x".parse().unwrap();
        assert_eq!(format!("{server} {server:?}"), "postgresql://h:7/db Server(postgresql://h:7/db)");
        let secrets = Secrets::default();
        server.hide_password(&secrets);
        assert_eq!(secrets.scrub("p@ss-word p%40ss-word"), "*** ***");
    }

    #[test]
    fn what_cannot_be_used_is_refused_in_words_without_the_password() {
        for (url, expected) in [
            ("mysql://ada:planted-pw@h/db", "expected the URL of a database"),
            ("postgresql://ada:planted-pw@/db", "there is no host in it"),
            ("postgresql://ada:planted-pw@h:port/db", "invalid"),
            ("postgresql://ada:planted-pw@h/db?sslmode=maybe", "sslmode: expected disable"),
            ("postgresql://ada:planted-pw@h/db?wrong=1", "unknown option `wrong`"),
        ] {
            let error = url.parse::<Server>().expect_err(url);
            assert!(error.contains(expected) && !error.contains("planted-pw"), "{url}: {error}");
        }
    }

    #[test]
    fn sslmode_says_who_is_believed() {
        let tls = |query: &str| format!("postgresql://h/db{query}").parse::<Server>().unwrap().tls;
        assert_eq!(tls(""), Tls::Unverified);
        assert_eq!(tls("?sslmode=disable"), Tls::Off);
        assert_eq!(tls("?sslmode=require"), Tls::Unverified);
        assert_eq!(tls("?sslmode=verify-full"), Tls::Verified { roots: None });
        let roots = Some(PathBuf::from("/a b.pem"));
        assert_eq!(tls("?sslrootcert=%2Fa%20b.pem&sslmode=require"), Tls::Verified { roots });
    }
}
