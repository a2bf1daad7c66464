//! Changing which plugins there are: a new program is staged, built and tried, and then it takes the old one's place.
//! Whatever happens before that leaves everything as it was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::build::{Cargo, first_error};
use super::built::Built;
use super::host::{MAIN, Manifest, Place, write_private};
use super::inspect::{Packages, hint};
use super::source::{Source, VERSION};
use crate::exit::Failure;
use crate::logs::private_dir;

/// A change under way.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) source: Source,
    /// The manifest as it is to be.
    pub(crate) manifest: Manifest,
    staging: Staging,
    _lock: File,
}

/// The directory of the program that is not in place yet; goes when the change is over.
#[derive(Debug)]
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Change {
    /// Begins with what is there.
    ///
    /// # Errors
    /// Another change is under way, or the files cannot be read or written.
    pub(crate) fn begin(place: Place, source: Source) -> Result<Self, Failure> {
        let lock = place.lock()?;
        let mut manifest = place.read()?;
        manifest.set_source(&source);
        let staging = Staging(place.staging());
        // Of a process that was killed.
        let _ = fs::remove_dir_all(&staging.0);
        Ok(Self { place, source, manifest, staging, _lock: lock })
    }

    /// Writes the crate as it is to be.
    ///
    /// # Errors
    /// The files cannot be written.
    pub(crate) fn stage(&self) -> Result<(), Failure> {
        let dir = &self.staging.0;
        let write = || {
            private_dir(&dir.join("src"))?;
            write_private(&dir.join("Cargo.toml"), &self.manifest.text())?;
            write_private(&dir.join("src/main.rs"), MAIN)?;
            let old = self.place.dir().join("Cargo.lock");
            let known = if old.is_file() { Some(old) } else { self.source.lock() };
            if let Some(lock) = known {
                write_private(&dir.join("Cargo.lock"), &fs::read_to_string(lock)?)?;
            }
            Ok(())
        };
        write().map_err(|error: std::io::Error| Failure::failed(format!("{}: {error}", dir.display())))
    }

    /// Lets cargo add a dependency, and returns the name it gave it.
    ///
    /// # Errors
    /// There is no such crate or repository, or it was there before.
    pub(crate) async fn cargo_add(&mut self, cargo: &mut Cargo<'_>, args: &[&str]) -> Result<String, Failure> {
        let before = self.manifest.clone();
        let all: Vec<&str> = ["add"].iter().chain(args).copied().collect();
        let ended = cargo.run(&all).await?;
        if !ended.success {
            return Err(cargo.failed("it cannot be added", &explained(&ended.stderr)));
        }
        let path = self.staging.0.join("Cargo.toml");
        let text = fs::read_to_string(&path).unwrap_or_default();
        self.manifest = Manifest::parse(&text).map_err(|error| Failure::failed(error.message().to_owned()))?;
        let added = self.manifest.installed().into_iter().find(|one| before.find(&one.name).is_none());
        added.map(|one| one.name).ok_or_else(|| {
            Failure::usage("that plugin is installed already")
                .next("To build it again, in its newest version: crow plugin update")
        })
    }

    /// Finds all packages, without the network if that is possible.
    ///
    /// # Errors
    /// There is no set of packages that fits together.
    pub(crate) async fn resolve(&self, cargo: &mut Cargo<'_>) -> Result<Packages, Failure> {
        let args = ["metadata", "--format-version", "1"];
        let offline: Vec<&str> = args.iter().copied().chain(["--offline"]).collect();
        let mut ended = cargo.run(&offline).await?;
        if !ended.success {
            ended = cargo.run(&args).await?;
        }
        if !ended.success {
            return Err(cargo.failed("the crates do not fit together", &explained(&ended.stderr)));
        }
        Packages::read(&ended.stdout)
    }

    /// Builds the program, tries it and puts it in place.
    ///
    /// # Errors
    /// It does not compile, or does not work; nothing was changed.
    pub(crate) async fn finish(self, cargo: &mut Cargo<'_>) -> Result<Built, Failure> {
        let program = cargo.build().await?;
        let target = self.place.program();
        let fresh = target.with_file_name("crow.new");
        let cannot = |error: std::io::Error| Failure::failed(format!("{}: {error}", fresh.display()));
        if let Some(bin) = target.parent() {
            private_dir(bin).map_err(cannot)?;
        }
        let done = match copy(&program, &fresh).map_err(cannot) {
            Err(failure) => Err(failure),
            Ok(()) => self.try_out(cargo, &fresh).await,
        };
        let done = done.and_then(|built| self.put_in_place(&fresh, &built).map(|()| built).map_err(cannot));
        if done.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        done
    }

    /// Lets the new program say what it is.
    async fn try_out(&self, cargo: &mut Cargo<'_>, program: &Path) -> Result<Built, Failure> {
        let ended = cargo.try_out(program, &["plugin", "check"]).await?;
        if !ended.success {
            let said = ended.stderr.trim();
            let said = said.strip_prefix("crow: ").unwrap_or(said);
            return Err(cargo.failed("the program that was built does not work", said));
        }
        let Some(mut built) = Built::read(&ended.stdout) else {
            return Err(cargo.failed("the program that was built is not this kind of crow", ended.stdout.trim()));
        };
        if !built.is_current() {
            let what = format!("that would be crow {}, and this is {VERSION}", built.crow);
            return Err(Failure::failed(what).next(format!("It was built from {}.", self.source.describe())));
        }
        let installed = self.manifest.installed();
        if built.plugins.len() < installed.len() {
            let old = fs::read_to_string(self.place.built()).ok().and_then(|text| Built::read(&text));
            let known = |name: &str| old.iter().flat_map(|old| &old.plugins).any(|plugin| plugin.package == name);
            let silent = installed.iter().find(|one| !known(&one.name)).map_or("a crate", |one| &one.name);
            return Err(Failure::failed(format!("`{silent}` is no plugin for Crow: it exports no `pub fn plugin()`"))
                .next("Nothing was changed. `crow plugin new NAME` writes a plugin to start from."));
        }
        built.name_crates(&installed);
        built.size = fs::metadata(program)?.len();
        Ok(built)
    }

    /// The program's own renaming is what counts. Whoever is killed between two of these can do the same again.
    fn put_in_place(&self, fresh: &Path, built: &Built) -> std::io::Result<()> {
        let dir = self.place.dir();
        private_dir(&dir.join("src"))?;
        let note = dir.join("built.json.new");
        write_private(&note, &built.text())?;
        fs::rename(fresh, self.place.program())?;
        fs::rename(note, self.place.built())?;
        for name in ["src/main.rs", "Cargo.lock", "Cargo.toml"] {
            fs::rename(self.staging.0.join(name), dir.join(name))?;
        }
        Ok(())
    }

    /// Takes the program away: there are no plugins any more. What was compiled stays for the next one.
    ///
    /// # Errors
    /// The files cannot be removed.
    pub(crate) fn clear(self) -> Result<(), Failure> {
        for path in [self.place.built(), self.place.program(), self.place.manifest()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::failed(format!("{} cannot be removed: {error}", path.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Cargo's first error, and what it means here.
fn explained(stderr: &str) -> String {
    let hint = hint(stderr).map(|hint| format!("\n{hint}"));
    first_error(stderr) + &hint.unwrap_or_default()
}

/// Copies a program, for its owner alone, and waits until it is on the disk.
fn copy(program: &Path, to: &Path) -> std::io::Result<()> {
    fs::copy(program, to)?;
    #[cfg(unix)]
    fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    File::open(to)?.sync_all()
}
