//! Writing the configuration: keys are set, comments and everything else stay, and only the user can read the file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, value};

use crate::exit::Failure;
use crate::logs::private_dir;

/// A provider as `crow init` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    /// Its name.
    pub(crate) name: String,
    /// What it speaks.
    pub(crate) protocol: &'static str,
    /// Its address; `None` for the protocol's own.
    pub(crate) base_url: Option<String>,
    /// Its key: `${VARIABLE}`, or the key itself.
    pub(crate) api_key: Option<String>,
}

/// The text of a configuration with a provider and the model put in.
///
/// # Errors
/// The text is not TOML.
pub(crate) fn edit(text: &str, provider: &Provider, model: &str) -> Result<String, toml_edit::TomlError> {
    let fresh = text.trim().is_empty();
    let mut document: DocumentMut = text.parse()?;
    set(document.as_table_mut(), "model", model);
    let providers = document.entry("providers").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    if let Some(providers) = providers.as_table_like_mut() {
        let table = providers.entry(&provider.name).or_insert_with(|| Item::Table(Table::new()));
        if let Some(table) = table.as_table_like_mut() {
            let mut put = |key: &str, text: &str| {
                if let Some(Item::Value(old)) = table.get_mut(key) {
                    let decor = old.decor().clone();
                    *old = text.into();
                    *old.decor_mut() = decor;
                } else {
                    table.insert(key, value(text));
                }
            };
            put("protocol", provider.protocol);
            if let Some(url) = &provider.base_url {
                put("base_url", url);
            }
            if let Some(key) = &provider.api_key {
                put("api_key", key);
            }
        }
    }
    let body = document.to_string();
    Ok(if fresh { format!("# Crow's configuration. `crow doctor` checks it.\n\n{body}") } else { body })
}

/// Sets a key and keeps the comment behind its old value.
fn set(table: &mut Table, key: &str, text: &str) {
    if let Some(Item::Value(old)) = table.get_mut(key) {
        let decor = old.decor().clone();
        *old = text.into();
        *old.decor_mut() = decor;
    } else {
        table.insert(key, value(text));
    }
}

/// Puts a provider and the model into `config.toml` of the directory `home`, whole or not at all.
///
/// # Errors
/// The file is not TOML, or cannot be written.
pub(crate) fn write(home: &Path, provider: &Provider, model: &str) -> Result<(), Failure> {
    let path = home.join("config.toml");
    let cannot = |error: std::io::Error| Failure::usage(format!("{} cannot be written: {error}", path.display()));
    let old = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::usage(format!("{} cannot be read: {error}", path.display()))),
    };
    let new = edit(&old, provider, model)
        .map_err(|error| Failure::usage(format!("{} is not TOML: {}", path.display(), error.message())))?;
    private_dir(home).map_err(cannot)?;
    let fresh = home.join(format!("config.toml.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written =
        options.open(&fresh).and_then(|mut file| file.write_all(new.as_bytes()).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&fresh, &path)).map_err(|error| {
        let _ = fs::remove_file(&fresh);
        cannot(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn provider(base_url: Option<&str>, api_key: Option<&str>) -> Provider {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Provider { name: "local".into(), protocol: "openai", base_url: owned(base_url), api_key: owned(api_key) }
    }

    #[test]
    fn a_new_file() {
        let text = edit("", &provider(Some("http://127.0.0.1:8080/v1"), None), "local/qwen").unwrap();
        expect![[r##"
            # Crow's configuration. `crow doctor` checks it.

            model = "local/qwen"

            [providers.local]
            protocol = "openai"
            base_url = "http://127.0.0.1:8080/v1"
        "##]]
        .assert_eq(&text);
    }

    #[test]
    fn comments_and_other_keys_stay() {
        let old = "# mine\nmax_turns = 5 # enough\nmodel = \"a/b\" # the old one\n\n[providers.local] # at home\n# the key\n\
            api_key = \"old\" # secret\n\n[plugins.tools]\nx = 1\n";
        let text = edit(old, &provider(Some("http://h/v1"), Some("${KEY}")), "local/new").unwrap();
        expect![[r##"
            # mine
            max_turns = 5 # enough
            model = "local/new" # the old one

            [providers.local] # at home
            # the key
            api_key = "${KEY}" # secret
            protocol = "openai"
            base_url = "http://h/v1"

            [plugins.tools]
            x = 1
        "##]]
        .assert_eq(&text);
        assert_eq!(edit(&text, &provider(Some("http://h/v1"), Some("${KEY}")), "local/new").unwrap(), text);
    }

    #[test]
    fn the_file_is_private_and_no_other_is_left() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("new");
        write(&home, &provider(None, Some("sk-1")), "local/x").unwrap();
        let names: Vec<_> = fs::read_dir(&home).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["config.toml"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(home.join("config.toml")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        crow_acp::Config::load(&crow_acp::Sources::new(&home)).expect("what was written can be read");
    }
}
