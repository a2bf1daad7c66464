//! What a call needs leave for.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crow_acp::Access;
use url::{Host, Url};

use crate::path::{Protected, canonical, is_within};

/// One thing that a call needs leave for. Paths are canonical.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Reads a file outside of the workspace, or a private one within.
    Read { path: PathBuf, private: bool },
    /// Changes a file.
    Write { path: PathBuf, inside: bool, protected: bool },
    /// Runs a command.
    Execute { command: String, protected: bool },
    /// Contacts a host.
    Network { host: String, reach: Reach },
    /// Changes something, and does not say what.
    Unknown,
}

/// How far away a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Elsewhere.
    Far,
    /// This machine.
    Loopback,
    /// What only this machine's own network reaches, the addresses included at which clouds hand out credentials.
    LinkLocal,
}

impl Need {
    /// Whether every mode asks: what runs by itself later, and what other machines must not be let into.
    pub(crate) fn is_always_asked(&self) -> bool {
        match self {
            Self::Write { protected, .. } | Self::Execute { protected, .. } => *protected,
            Self::Network { reach, .. } => *reach != Reach::Far,
            Self::Read { .. } | Self::Unknown => false,
        }
    }

    /// What the user should notice about it, if anything.
    pub(crate) fn remark(&self) -> Option<String> {
        match self {
            Self::Read { path, private: true } => {
                Some(format!("reads what belongs to Crow itself: {}", path.display()))
            }
            Self::Read { path, private: false } => Some(format!("reads outside of the workspace: {}", path.display())),
            Self::Write { path, protected: true, .. } => {
                Some(format!("changes what decides about later runs: {}", path.display()))
            }
            Self::Write { path, inside: false, .. } => {
                Some(format!("writes outside of the workspace: {}", path.display()))
            }
            Self::Execute { protected: true, .. } => Some("names files that decide about later runs".into()),
            Self::Network { host, reach: Reach::Loopback } => Some(format!("contacts this machine itself: {host}")),
            Self::Network { host, reach: Reach::LinkLocal } => Some(format!("contacts the local link: {host}")),
            Self::Network { host, reach: Reach::Far } => Some(format!("contacts {host}")),
            Self::Write { .. } | Self::Execute { .. } | Self::Unknown => None,
        }
    }
}

/// Where a session works.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    /// Canonical; the working directory first.
    roots: Vec<PathBuf>,
    /// `CROW_HOME`, canonical.
    home: PathBuf,
    protected: Protected,
}

impl Workspace {
    /// `roots` as the session has them, `home` is `CROW_HOME`.
    pub(crate) fn new(roots: &[PathBuf], home: &Path) -> Self {
        let roots: Vec<PathBuf> = roots.iter().map(|root| canonical(root)).collect();
        let protected = Protected::new(home, &roots);
        Self { roots, home: canonical(home), protected }
    }

    /// The root that holds `path`.
    pub(crate) fn root_of(&self, path: &Path) -> Option<&Path> {
        self.roots.iter().map(PathBuf::as_path).find(|root| path.starts_with(root))
    }

    /// Whether `path` is in `CROW_HOME`, where keys are: somebody who works in their home directory has it inside of the
    /// workspace, and does not mean it. A workspace within it is meant.
    pub(crate) fn is_private(&self, path: &Path) -> bool {
        path.starts_with(&self.home) && !self.roots.iter().any(|root| root.starts_with(&self.home))
    }

    /// Whether `directory` holds the workspace, or what is the user's own: a rule about it would be one about nearly
    /// everything.
    pub(crate) fn lies_below(&self, directory: &Path) -> bool {
        self.home.starts_with(directory) || self.roots.iter().any(|root| root.starts_with(directory))
    }

    /// What a call with this access needs leave for. `read_only` is what its tool declares; a tool that declares nothing
    /// and names no access changes something unknown.
    pub(crate) fn needs(&self, access: &[Access], read_only: bool) -> Vec<Need> {
        if access.is_empty() && !read_only {
            return vec![Need::Unknown];
        }
        let mut needs = Vec::new();
        for access in access {
            let need = match access {
                Access::Read { path } => {
                    let path = self.absolute(path);
                    if is_within(&path, &self.roots) && !self.is_private(&path) {
                        continue;
                    }
                    Need::Read { private: self.is_private(&path), path }
                }
                Access::Write { path } => {
                    let path = self.absolute(path);
                    let inside = is_within(&path, &self.roots);
                    let protected = self.protected.covers(&path);
                    Need::Write { path, inside, protected }
                }
                Access::Execute { command } => {
                    Need::Execute { command: command.clone(), protected: self.protected.is_named_in(command) }
                }
                Access::Network { url } => network(url),
                // A kind of access that is newer than this plugin.
                _ => Need::Unknown,
            };
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        needs
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        // Joining keeps a path that is absolute already.
        canonical(&self.roots.first().map_or_else(|| path.to_owned(), |root| root.join(path)))
    }
}

fn network(url: &str) -> Need {
    let Ok(parsed) = Url::parse(url) else {
        return Need::Network { host: url.to_owned(), reach: Reach::LinkLocal };
    };
    let reach = match parsed.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let local = name == "localhost" || name.ends_with(".localhost");
            if local { Reach::Loopback } else { Reach::Far }
        }
        Some(Host::Ipv4(address)) => reach(address.into()),
        Some(Host::Ipv6(address)) => reach(address.into()),
        None => Reach::LinkLocal,
    };
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    Need::Network { host: format!("{}{port}", parsed.host_str().unwrap_or(url)), reach }
}

fn reach(address: IpAddr) -> Reach {
    let address = address.to_canonical();
    let local_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    match address {
        _ if local_link => Reach::LinkLocal,
        address if address.is_loopback() || address.is_unspecified() => Reach::Loopback,
        // `0.x.y.z` reaches this machine on some systems.
        IpAddr::V4(address) if address.octets()[0] == 0 => Reach::Loopback,
        _ => Reach::Far,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> Workspace {
        Workspace::new(
            &[PathBuf::from("/nowhere/ws"), PathBuf::from("/nowhere/more")],
            Path::new("/nowhere/home/.crow"),
        )
    }

    fn needs(access: Access) -> Vec<Need> {
        workspace().needs(&[access], true)
    }

    #[test]
    fn reading_inside_needs_nothing() {
        assert_eq!(needs(Access::Read { path: "/nowhere/ws/src/a".into() }), []);
        assert_eq!(needs(Access::Read { path: "/nowhere/more/a".into() }), []);
        assert_eq!(needs(Access::Read { path: "src/a".into() }), []);
        let path = PathBuf::from("/nowhere/ws-evil/a");
        assert_eq!(needs(Access::Read { path: path.clone() }), [Need::Read { path, private: false }]);
        let outside = Need::Read { path: "/nowhere/out".into(), private: false };
        assert_eq!(needs(Access::Read { path: "../out".into() }), [outside]);
    }

    #[test]
    fn crow_home_is_private_also_within_the_workspace() {
        let needs = |root: &str, path: &str| {
            let workspace = Workspace::new(&[root.into()], Path::new("/nowhere/home/.crow"));
            workspace.needs(&[Access::Read { path: path.into() }], true)
        };
        let path = PathBuf::from("/nowhere/home/.crow/config.toml");
        let private = Need::Read { path, private: true };
        assert_eq!(needs("/nowhere/home", "/nowhere/home/.crow/config.toml"), [private]);
        assert_eq!(needs("/nowhere/home", "/nowhere/home/notes"), []);
        assert_eq!(needs("/nowhere/home/.crow/skills", "/nowhere/home/.crow/skills/a"), []);
    }

    #[test]
    fn a_tool_that_says_nothing_is_unknown_unless_it_only_reads() {
        assert_eq!(workspace().needs(&[], false), [Need::Unknown]);
        assert_eq!(workspace().needs(&[], true), []);
    }

    #[test]
    fn writing_shows_where() {
        let need = |path: &str| needs(Access::Write { path: path.into() }).remove(0);
        let write = |path: &str, inside, protected| Need::Write { path: path.into(), inside, protected };
        assert_eq!(need("/nowhere/ws/a"), write("/nowhere/ws/a", true, false));
        assert_eq!(need("/nowhere/ws/../b"), write("/nowhere/b", false, false));
        assert_eq!(need("/nowhere/ws/.git/hooks/x"), write("/nowhere/ws/.git/hooks/x", true, true));
        assert_eq!(need("/nowhere/home/.crow/crow.db"), write("/nowhere/home/.crow/crow.db", false, true));
    }

    #[test]
    fn near_addresses_are_known_in_every_spelling() {
        for (url, expected) in [
            ("https://docs.rs/x", Reach::Far),
            ("http://8.8.8.8", Reach::Far),
            ("http://localhost:3000/", Reach::Loopback),
            ("http://LOCALHOST./", Reach::Loopback),
            ("http://a.localhost", Reach::Loopback),
            ("http://127.1.2.3", Reach::Loopback),
            ("http://2130706433/", Reach::Loopback),
            ("http://0x7f.1/", Reach::Loopback),
            ("http://[::1]/", Reach::Loopback),
            ("http://0.0.0.0/", Reach::Loopback),
            ("http://[::ffff:127.0.0.1]/", Reach::Loopback),
            ("http://169.254.169.254/latest", Reach::LinkLocal),
            ("http://[fe80::1]/", Reach::LinkLocal),
            ("http://[::ffff:169.254.169.254]/", Reach::LinkLocal),
            ("http://localhost.example.org", Reach::Far),
            ("file:///etc/passwd", Reach::LinkLocal),
            ("no url at all", Reach::LinkLocal),
        ] {
            match &needs(Access::Network { url: url.into() })[..] {
                [Need::Network { reach, .. }] => assert_eq!(*reach, expected, "{url}"),
                other => panic!("{url}: {other:?}"),
            }
        }
    }
}
