//! A PostgreSQL server of the test's own: on a socket in a private directory, for as long as the test's process lives.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use crate::{skipped, wait_for};

/// The role that owns everything; its password is part of each URL, as a user's would be.
const ROLE: &str = "crow";
const PASSWORD: &str = "planted-postgres-password";

/// The system's package of the server alone.
const SERVER: &str = "postgresql";

/// The server must not outlive the test, however that ends: the shell that started it waits for the end of its standard
/// input, which is the end of the test's process. It leaves no files behind either.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" </dev/null >"$2/log" 2>&1 &
server=$!
echo started
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
rm -rf "$2"
"#;

/// A PostgreSQL server. It is stopped and its files removed when this is dropped or the process ends.
///
/// ```no_run
/// let Some(postgres) = crow_tests::Postgres::start() else { return };
/// let url = postgres.url(); // the database `crow`
/// let other = postgres.database(); // a new, empty database
/// ```
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    directory: TempDir,
    port: u16,
    /// `None` while it is stopped.
    server: Option<(Child, ChildStdin)>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server. `None`: there is no PostgreSQL on this machine, which is told in one line and counted by
    /// `cargo xtask test`; where `CROW_REQUIRE_POSTGRES` is set, it fails the test.
    ///
    /// The programs are those of `CROW_POSTGRES_BIN`, or of the newest version that the system has installed.
    ///
    /// # Panics
    /// There is one, and it cannot be started.
    pub fn start() -> Option<Self> {
        Self::start_where(|_| true, "PostgreSQL", SERVER, false)
    }

    /// The same, and it also listens on 127.0.0.1, to those alone who come encrypted: see [`tls_url`](Self::tls_url).
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with_tls() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skipped("there is no `openssl` on this machine to make a certificate with");
            return None;
        }
        Self::start_where(|programs| programs.starts_with("/usr/lib"), "PostgreSQL", SERVER, true)
    }

    /// The same, for tests that need an extension, such as `vector`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(extension: &str) -> Option<Self> {
        let has = |programs: &Path| control_file(programs, extension).is_some();
        Self::start_where(has, &format!("PostgreSQL with the extension `{extension}`"), "postgresql-NN-pgvector", false)
    }

    fn start_where(wanted: impl Fn(&Path) -> bool, what: &str, package: &str, tls: bool) -> Option<Self> {
        let Some(programs) = installed().into_iter().find(|programs| wanted(programs)) else {
            let required = env::var_os("CROW_REQUIRE_POSTGRES").is_some() && package == SERVER;
            assert!(!required, "there is no {what} on this machine");
            skipped(&format!("there is no {what} on this machine (Debian, Ubuntu: sudo apt-get install {package})"));
            return None;
        };
        let directory = TempDir::with_prefix("crow-pg-").expect("a temporary directory");
        give_away(directory.path());
        // Only a name, unless it is encrypted: nothing listens but the socket, whose file is called after it.
        let port = if tls { free_port() } else { 5432 };
        let mut postgres = Self { programs, directory, port, server: None, databases: AtomicU32::new(0) };
        postgres.init();
        if tls {
            postgres.encrypt();
        }
        postgres.resume();
        postgres.sql("postgres", "CREATE DATABASE crow");
        Some(postgres)
    }

    /// The address of the database `crow`, password included.
    pub fn url(&self) -> String {
        self.url_of("crow")
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// The address of the database `crow` by the network, for a server that was started with TLS. Its certificate is for
    /// `localhost`.
    pub fn tls_url(&self, host: &str) -> String {
        format!("postgresql://{ROLE}:{PASSWORD}@{host}:{}/crow", self.port)
    }

    /// The certificate of a server that was started with TLS.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    /// The password in each address.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The directory of the socket.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn url_of(&self, database: &str) -> String {
        let host = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgresql://{ROLE}:{PASSWORD}@{host}:{}/{database}", self.port)
    }

    /// Runs a statement in the database behind `url` and returns the rows, columns separated by `|`.
    ///
    /// # Panics
    /// The statement fails.
    pub fn query(&self, url: &str, sql: &str) -> String {
        self.sql(url.rsplit('/').next().unwrap_or("crow"), sql)
    }

    fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", ROLE, "-d", database, "-c", sql]);
        psql.arg("-h").arg(self.directory.path()).arg("-p").arg(self.port.to_string()).env("PGPASSWORD", PASSWORD);
        let output = psql.output().expect("psql");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Turns the server off: whoever is connected is cut off.
    pub fn stop(&mut self) {
        if let Some((mut keeper, stdin)) = self.server.take() {
            // `immediate` as after a crash: nobody is asked to finish.
            let mut ctl = self.command("pg_ctl");
            ctl.args(["stop", "-m", "immediate", "-D"]).arg(self.data());
            let _ = ctl.stdout(Stdio::null()).stderr(Stdio::null()).status();
            // The data stays: the keeper removes it when its own time has come.
            let _ = keeper.kill();
            drop(stdin);
            let _ = keeper.wait();
        }
    }

    /// Turns the server on again.
    ///
    /// # Panics
    /// It does not start.
    pub fn resume(&mut self) {
        let mut keeper = self.command("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&self.programs).arg(self.directory.path());
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh");
        let stdin = keeper.stdin.take().expect("a pipe");
        let mut line = String::new();
        let stdout = keeper.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("the keeper says that it is there");
        self.server = Some((keeper, stdin));
        let ready = || {
            let mut probe = Command::new(self.program("psql"));
            probe.args(["-X", "-q", "-U", ROLE, "-d", "postgres", "-c", "SELECT 1"]);
            probe.arg("-h").arg(self.directory.path()).arg("-p").arg(self.port.to_string());
            let probe = probe.env("PGPASSWORD", PASSWORD).output().expect("psql");
            probe.status.success().then_some(())
        };
        let log = || fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        wait_for(Duration::from_mins(1), ready).unwrap_or_else(|| panic!("PostgreSQL does not start: {}", log()));
    }

    fn init(&self) {
        let secret = self.directory.path().join("password");
        fs::write(&secret, PASSWORD).expect("a new file");
        give_away(&secret);
        let mut init = self.command("initdb");
        // Passwords are checked, the cheap way: a test connects hundreds of times, with code that is not optimised.
        init.args(["--no-sync", "--auth=password", "--encoding=UTF8", "--locale=C", "--username", ROLE]);
        init.arg("--pwfile").arg(&secret).arg("-D").arg(self.data());
        let output = init.output().expect("initdb");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let mut config =
            fs::OpenOptions::new().append(true).open(self.data().join("postgresql.conf")).expect("what initdb wrote");
        // `fsync = off`: what a power cut does to a server is not what is tested.
        let settings = format!(
            "\nlisten_addresses = ''\nunix_socket_directories = '{}'\nport = {}\nfsync = off\nmax_connections = 300\n\
             shared_buffers = 64MB\nlogging_collector = off\n",
            self.directory.path().display(),
            self.port
        );
        config.write_all(settings.as_bytes()).expect("room on the disk");
    }

    fn encrypt(&self) {
        let key = self.directory.path().join("server.key");
        let mut openssl = self.command("openssl");
        openssl.args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let output = openssl.arg("-keyout").arg(&key).arg("-out").arg(self.certificate()).output().expect("openssl");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            self.certificate().display(),
            key.display()
        );
        let append =
            |name: &str| fs::OpenOptions::new().append(true).open(self.data().join(name)).expect("a file of initdb's");
        append("postgresql.conf").write_all(settings.as_bytes()).expect("room on the disk");
        let access = "local all all password\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        let file = append("pg_hba.conf");
        file.set_len(0).and_then(|()| (&file).write_all(access.as_bytes())).expect("room on the disk");
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn program(&self, name: &str) -> PathBuf {
        Some(self.programs.join(name)).filter(|path| path.is_file()).unwrap_or_else(|| name.into())
    }

    /// A command that runs as the user the server belongs to: it refuses to be the superuser's.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        command.current_dir(self.directory.path()).env("LC_ALL", "C").stdin(Stdio::null());
        #[cfg(unix)]
        if let Some((user, group)) = owner() {
            std::os::unix::process::CommandExt::uid(&mut command, user);
            std::os::unix::process::CommandExt::gid(&mut command, group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some((mut keeper, stdin)) = self.server.take() {
            drop(stdin);
            let _ = keeper.wait();
        }
    }
}

/// A port that nothing listens on; whoever is faster than the server makes its test fail with the reason.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The directories with a server's programs, the preferred ones first.
fn installed() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = env::var_os("CROW_POSTGRES_BIN").map(PathBuf::from).into_iter().collect();
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or(0);
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found.extend(versions.into_iter().map(|path| path.join("bin")));
    found.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // What `cargo xtask setup` fetched where the system has no pgvector.
    let running = env::current_exe().unwrap_or_default();
    found.extend(running.ancestors().map(|folder| folder.join("test-deps/pgserver/pgserver/pginstall/bin")));
    found.retain(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file());
    found
}

/// The file that says a server has the extension.
fn control_file(programs: &Path, extension: &str) -> Option<PathBuf> {
    let name = format!("{extension}.control");
    let version = programs.parent()?.file_name()?;
    let debian = Path::new("/usr/share/postgresql").join(version).join("extension");
    let own = programs.parent()?.join("share/postgresql/extension");
    [debian.join(&name), own.join(&name)].into_iter().find(|path| path.is_file())
}

/// Who the server runs as, if not as we do: we are the superuser.
#[cfg(unix)]
fn owner() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;

    let probe = tempfile::tempfile().and_then(|file| file.metadata()).expect("a temporary file");
    if probe.uid() != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    ids("postgres").or_else(|| ids("nobody"))
}

#[cfg(unix)]
fn give_away(path: &Path) {
    if let Some((user, group)) = owner() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may give files away");
    }
}

#[cfg(not(unix))]
fn give_away(_: &Path) {}
