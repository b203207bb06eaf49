//! How the tables of the dashboard were arranged when it was last quit: a table of the file for each.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

use crate::ui::widget::table::Arrangement;

/// A table as it is written.
#[derive(Deserialize)]
struct Entry {
    sort: String,
    descending: bool,
    hidden: Vec<String>,
}

/// Reads what [`written`] wrote.
///
/// # Errors
/// What is wrong with the text, with its line.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Arrangement>, String> {
    let all: BTreeMap<String, Entry> = toml::from_str(text).map_err(|e| e.to_string())?;
    let arrangement = |e: Entry| Arrangement { sort: e.sort, descending: e.descending, hidden: e.hidden };
    Ok(all.into_iter().map(|(name, e)| (name, arrangement(e))).collect())
}

/// The text of these arrangements.
pub(super) fn written(all: &BTreeMap<String, Arrangement>) -> String {
    let mut out = String::new();
    for (name, a) in all {
        // The names are the program's own: plain words, which TOML quotes as Rust does. Writing to a
        // string cannot fail.
        let _ = writeln!(
            out,
            "[{name:?}]\nsort = {:?}\ndescending = {}\nhidden = {:?}\n",
            a.sort, a.descending, a.hidden
        );
    }
    out
}
