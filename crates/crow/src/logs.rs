//! The log: files in `CROW_HOME/logs`, made when the first line is written, never stdout or stderr.

use std::fmt::{self, Write as _};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crow_acp::{Config, LogConfig, LogLevel, LogRotation, Secrets};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Event, Metadata, Subscriber};

/// Writes what the program logs, one line each, scrubbed of the secrets it knows.
struct Log {
    dir: PathBuf,
    config: LogConfig,
    level: LevelFilter,
    secrets: Secrets,
    file: Mutex<Option<(String, File)>>,
}

/// Sends everything that is logged from here on, panics included, to the log that `config` asks for.
pub(crate) fn start(config: &Config) {
    let log = config.log().clone();
    let level = match log.level {
        LogLevel::Off => return,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log =
        Log { dir: dir(config.home()), config: log, level, secrets: config.secrets().clone(), file: Mutex::new(None) };
    // A second start, as in tests, leaves the first in place.
    let _ = tracing::subscriber::set_global_default(log);
}

/// Puts panics into the log. They are caught where they happen; stdout belongs to the protocol.
pub(crate) fn catch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("a panic without a text");
        tracing::error!(place, "panicked: {text}");
    }));
}

/// Where the logs are.
pub(crate) fn dir(home: &Path) -> PathBuf {
    home.join("logs")
}

impl Log {
    fn write(&self, line: &str, now: jiff::Timestamp) {
        let name = file_name(self.config.rotation, now);
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(current, _)| *current != name) {
            // A log that cannot be written must not stop the work, and there is nowhere to say so.
            *open = self.open(&name).ok().map(|file| (name, file));
        }
        if let Some((_, file)) = open.as_mut() {
            let _ = file.write_all(self.secrets.scrub(line).as_bytes());
        }
    }

    fn open(&self, name: &str) -> std::io::Result<File> {
        private_dir(&self.dir)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.dir.join(name))?;
        self.prune()?;
        Ok(file)
    }

    /// Removes the oldest files beyond the number to keep. Their names sort by age.
    fn prune(&self) -> std::io::Result<()> {
        let mut names: Vec<_> =
            fs::read_dir(&self.dir)?.flatten().map(|entry| entry.path()).filter(|path| is_log(path)).collect();
        names.sort();
        let most = self.config.retention.max(1);
        for old in names.iter().take(names.len().saturating_sub(most)) {
            fs::remove_file(old)?;
        }
        Ok(())
    }
}

/// Makes a directory that only the user can read.
pub(crate) fn private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn file_name(rotation: LogRotation, now: jiff::Timestamp) -> String {
    match rotation {
        LogRotation::Never => "crow.log".to_owned(),
        LogRotation::Daily => format!("crow-{}.log", now.strftime("%Y-%m-%d")),
        LogRotation::Hourly => format!("crow-{}.log", now.strftime("%Y-%m-%dT%H")),
    }
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("crow") && path.extension().is_some_and(|extension| extension == "log")
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().starts_with("crow");
        // Libraries talk a lot below warnings, and HTTP ones talk about headers.
        let level = if ours { self.level } else { self.level.min(LevelFilter::WARN) };
        metadata.is_event() && *metadata.level() <= level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let now = jiff::Timestamp::now();
        let metadata = event.metadata();
        let mut line = format!("{now:.3} {:5} {} ", metadata.level(), metadata.target());
        event.record(&mut Line(&mut line));
        let mut line = line.replace('\n', "\\n");
        let _ = writeln!(line, " pid={}", std::process::id());
        self.write(&line, now);
    }

    // Spans are not logged.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// An event's message and fields on one line.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.0, "{value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(home: &Path, toml: &str) -> Log {
        let config = Config::from_toml(home, toml).expect("a valid configuration");
        config.secrets().add("sk-very-secret");
        Log {
            dir: dir(home),
            config: config.log().clone(),
            level: LevelFilter::INFO,
            secrets: config.secrets().clone(),
            file: Mutex::new(None),
        }
    }

    fn read(home: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(dir(home))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    #[test]
    fn nothing_is_made_before_the_first_line_and_secrets_never_arrive() {
        let home = tempfile::tempdir().unwrap();
        let log = log(home.path(), "");
        assert!(!dir(home.path()).exists());
        tracing::subscriber::with_default(log, || {
            tracing::info!(target: "crow", key = "sk-very-secret", "the key is sk-very-secret\nand no more");
            tracing::debug!(target: "crow", "not at this level");
            tracing::info!(target: "hyper", "not from a library");
        });
        let files = read(home.path());
        assert_eq!(files.len(), 1);
        assert!(files[0].1.contains("the key is ***\\nand no more key=***"), "{}", files[0].1);
        assert_eq!(files[0].1.lines().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&dir(home.path())), 0o700);
            assert_eq!(mode(&dir(home.path()).join(&files[0].0)), 0o600);
        }
    }

    #[test]
    fn files_are_rotated_and_only_so_many_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let log = log(home.path(), "[log]\nrotation = \"hourly\"\nretention = 2\n");
        for hour in ["2026-11-21T09:00:00Z", "2026-11-21T09:59:59Z", "2026-11-21T10:00:00Z", "2026-11-22T00:00:00Z"] {
            log.write("a line\n", hour.parse().unwrap());
        }
        let names: Vec<String> = read(home.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["crow-2026-11-21T10.log", "crow-2026-11-22T00.log"]);
    }
}
