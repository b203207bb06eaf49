//! Settings and what is remembered between runs.
//!
//! * `config.toml` in the configuration folder is the user's; mcscope only reads it.
//! * `kept` beside it holds the groups of "keep for next time", one spec a line.
//! * `recent` in the state folder holds the groups joined before, offered again in the join dialog.
//! * `tables.toml` beside it holds how the dashboard's tables were sorted and which columns they had.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use crate::base::units;
use crate::model::rules::Rule;

mod rules;
mod tables;

use crate::net::privilege;
use crate::ui::keymap::KeyMap;
use crate::ui::theme::Theme;
use crate::ui::widget::table::Arrangement;

/// Specs that are remembered.
const RECENT_MAX: usize = 50;

/// The largest receive buffer that can be asked for, in bytes; the kernel counts twice as much, in 32 bits.
const BUFFER_MAX: usize = 1 << 30;

/// The commented file that [`Config::load`] reads; shipped as the sample.
pub const SAMPLE: &str = include_str!("../assets/config.toml");

/// What can go wrong with the settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not as it should be.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Groups joined at every start, as group specs.
    pub groups: Vec<String>,
    /// `dark`, `light` or `mono`; by the environment when absent.
    pub theme: Option<String>,
    /// Whether names of addresses are looked up; true when absent.
    pub resolve: Option<bool>,
    /// Receive buffer of each membership in bytes, as in `"4MiB"`; the system's default when absent.
    pub rcvbuf: Option<String>,
    /// What streams are and where they count, before any recognition; the first rule that holds for
    /// a stream counts.
    #[serde(skip)]
    pub rules: Vec<Rule>,
    /// Which key does what on the dashboard.
    #[serde(skip)]
    pub keymap: KeyMap,
    /// The rules as they are written.
    protocol: Vec<Spanned<rules::Entry>>,
    /// The keys as they are written, by the names of the actions.
    keys: BTreeMap<String, Spanned<Keys>>,
}

/// The keys of an action.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a key, as in \"J\", or a list of them")]
enum Keys {
    One(String),
    Many(Vec<String>),
}

/// The key map of the `[keys]` table.
fn keymap(text: &str, written: &BTreeMap<String, Spanned<Keys>>) -> Result<KeyMap, String> {
    let list = |keys: &Keys| match keys {
        Keys::One(key) => vec![key.clone()],
        Keys::Many(keys) => keys.clone(),
    };
    let changes: Vec<_> = written.iter().map(|(name, keys)| (name.as_str(), list(keys.get_ref()))).collect();
    KeyMap::with(&changes).map_err(|(at, message)| {
        let start = written.values().nth(at).map_or(0, |keys| keys.span().start);
        format!("line {}: {message}", rules::line(text, start))
    })
}

/// Where the files are.
#[derive(Clone, Debug)]
pub struct Places {
    config: PathBuf,
    state: PathBuf,
}

impl Places {
    /// By the environment: `XDG_CONFIG_HOME` and `XDG_STATE_HOME`, or what the system has instead.
    /// `None` without a home folder: then nothing is remembered.
    pub fn find() -> Option<Places> {
        let dirs = etcetera::choose_base_strategy().ok()?;
        let state = dirs.state_dir().unwrap_or_else(|| dirs.data_dir());
        Some(Places { config: dirs.config_dir().join("mcscope"), state: state.join("mcscope") })
    }

    /// The user's file.
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    fn kept_file(&self) -> PathBuf {
        self.config.join("kept")
    }

    fn recent_file(&self) -> PathBuf {
        self.state.join("recent")
    }

    /// The groups kept for next time.
    pub fn kept(&self) -> Vec<String> {
        lines(&self.kept_file())
    }

    /// Keeps one more group for next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, spec: &str) -> Result<(), ConfigError> {
        let mut all = self.kept();
        if !all.iter().any(|s| s == spec) {
            all.push(spec.to_owned());
        }
        write(&self.kept_file(), "# Joined at every start; written by mcscope, one group a line.\n", &all)
    }

    /// The groups joined before, the last first.
    pub fn recent(&self) -> Vec<String> {
        lines(&self.recent_file())
    }

    fn tables_file(&self) -> PathBuf {
        self.state.join("tables.toml")
    }

    /// How the dashboard's tables were arranged when it was last quit, by their names.
    ///
    /// # Errors
    /// When the file holds something else.
    pub fn tables(&self) -> Result<BTreeMap<String, Arrangement>, ConfigError> {
        let path = self.tables_file();
        let text = fs::read_to_string(&path).unwrap_or_default();
        tables::read(&text).map_err(|message| ConfigError::Parse { path, message })
    }

    /// Remembers how the dashboard's tables are arranged.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember_tables(&self, all: &BTreeMap<String, Arrangement>) -> Result<(), ConfigError> {
        let path = self.tables_file();
        // Where nothing was ever arranged there is nothing to write.
        if all.is_empty() && !path.exists() {
            return Ok(());
        }
        write(&path, "# Written by mcscope at its end.\n", &[tables::written(all)])
    }

    /// Remembers the groups joined, the last first.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember(&self, recent: &[String]) -> Result<(), ConfigError> {
        write(&self.recent_file(), "", &recent[..recent.len().min(RECENT_MAX)])
    }
}

impl Config {
    /// Reads the settings; a file that is not there means the defaults, unless it was `named`.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that is no setting; the message has line and
    /// column.
    pub fn load(path: &Path, named: bool) -> Result<Config, ConfigError> {
        let read = privilege::read(path).and_then(|b| String::from_utf8(b).map_err(io::Error::other));
        let text = match read {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !named => return Ok(Config::default()),
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        Config::parse(&text).map_err(|message| ConfigError::Parse { path: path.to_owned(), message })
    }

    fn parse(text: &str) -> Result<Config, String> {
        let mut config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.rules = rules::read(text, &config.protocol)?;
        config.keymap = keymap(text, &config.keys)?;
        if let Some(theme) = &config.theme
            && Theme::named(theme).is_none()
        {
            return Err(format!("there is no theme \"{theme}\": {}", Theme::NAMES));
        }
        if let Some(text) = &config.rcvbuf {
            buffer(text).map_err(|e| format!("rcvbuf = \"{text}\": {e}"))?;
        }
        Ok(config)
    }
}

/// Reads the size of a receive buffer, in bytes.
///
/// # Errors
/// When it is no size, or none that a buffer can have.
pub fn buffer(text: &str) -> Result<usize, String> {
    let bytes = units::parse_size(text).map_err(|e| e.in_a_line())?;
    match usize::try_from(bytes) {
        Ok(n) if (1..=BUFFER_MAX).contains(&n) => Ok(n),
        _ => Err("a receive buffer has 1 byte to 1GiB; without it the system's default is used".to_owned()),
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
        .take(1000)
        .map(str::to_owned)
        .collect()
}

/// Writes beside and renames, so that a full disk never leaves half a file.
fn write(path: &Path, head: &str, all: &[String]) -> Result<(), ConfigError> {
    let fail = |source| ConfigError::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut text = head.to_owned();
    for line in all {
        text.push_str(line);
        text.push('\n');
    }
    let beside = path.with_extension("new");
    fs::write(&beside, text).map_err(fail)?;
    fs::rename(&beside, path).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::keys::Cmd;

    #[test]
    fn the_sample_is_valid_and_holds_only_defaults() {
        assert_eq!(Config::parse(SAMPLE), Ok(Config::default()));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let e = Config::parse("groups = [\"a\"]\ncolour = 1\n").unwrap_err();
        assert!(e.contains("line 2") && e.contains("colour"), "{e}");
        let e = Config::parse("theme = \"pink\"").unwrap_err();
        assert!(e.contains("pink") && e.contains("mono"), "{e}");
        for (size, why) in [("x", "expected a number"), ("0", "1 byte"), ("4GiB", "1GiB")] {
            let e = Config::parse(&format!("rcvbuf = \"{size}\"")).unwrap_err();
            assert!(e.contains(&format!("rcvbuf = \"{size}\"")) && e.contains(why), "{e}");
        }
    }

    #[test]
    fn keys_are_read_and_what_is_wrong_with_one_has_its_line() {
        let config = Config::parse("[keys]\nleave = \"f8\"\njoin = [\"ins\", \"J\"]\ntap = []\n").unwrap();
        let caps = [Cmd::Leave, Cmd::Join, Cmd::Tap, Cmd::Quit].map(|c| config.keymap.cap(c));
        assert_eq!(caps, ["F8", "Ins", ":tap", "q"]);
        for (line, place, why) in [
            ("levae = \"x\"", "line 3: there is no action \"levae\"", "leave"),
            ("leave = \"hyper-x\"", "line 3: leave = \"hyper-x\"", "is no key"),
            ("leave = \"s\"", "line 3: leave = \"s\": this is the key of send-test too", "another"),
            ("leave = 5", "line 3", "expected a key"),
        ] {
            let e = Config::parse(&format!("[keys]\nup = \"K\"\n{line}\n")).expect_err(line);
            assert!(e.contains(place) && e.contains(why), "{line}: {e}");
        }
    }

    #[test]
    fn what_is_kept_is_there_next_time_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { config: dir.path().join("c"), state: dir.path().join("s") };
        assert!(places.kept().is_empty());
        places.keep("239.1.1.1:5004").unwrap();
        places.keep("mdns%eth0").unwrap();
        places.keep("239.1.1.1:5004").unwrap();
        assert_eq!(places.kept(), ["239.1.1.1:5004", "mdns%eth0"]);
        places.remember(&["b".into(), "a".into()]).unwrap();
        assert_eq!(places.recent(), ["b", "a"]);
    }

    #[test]
    fn how_tables_are_arranged_is_there_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places { config: dir.path().join("c"), state: dir.path().join("s") };
        assert_eq!(places.tables().unwrap(), BTreeMap::new());
        places.remember_tables(&BTreeMap::new()).unwrap();
        assert!(!places.tables_file().exists());
        let by = Arrangement {
            sort: "bit/s with headers".into(),
            descending: true,
            hidden: vec!["last seen".into(), "NET (lost)".into()],
        };
        let all = BTreeMap::from([("live groups".to_owned(), by)]);
        places.remember_tables(&all).unwrap();
        assert_eq!(places.tables().unwrap(), all);
        places.remember_tables(&BTreeMap::new()).unwrap();
        assert_eq!(places.tables().unwrap(), BTreeMap::new());
        fs::write(places.tables_file(), "[\"live groups\"]\nsort = 5\n").unwrap();
        let e = places.tables().unwrap_err().to_string();
        assert!(e.contains("tables.toml") && e.contains("line 2"), "{e}");
    }
}
