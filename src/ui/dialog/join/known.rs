//! What can be offered for a text begun: what was joined before, and the registry.

use std::collections::HashSet;

use crate::base::registry::{Registry, Row};
use crate::base::resolve::DEFAULT_NAMES;

/// Entries offered at most.
const MAX: usize = 40;

/// Something to put into the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The text to put there.
    pub text: String,
    /// The group and its ports.
    pub group: String,
    /// What it is for.
    pub purpose: String,
}

/// What fits `typed`, the best first: recent texts, then the registry's names, each name once. The text
/// itself is not offered again.
pub fn known(typed: &str, recent: &[String], registry: &Registry) -> Vec<Known> {
    let word = typed.trim().to_lowercase();
    let mut seen = HashSet::from([word.clone()]);
    let mut found = Vec::new();
    for text in recent.iter().filter(|t| t.to_lowercase().contains(&word)) {
        if seen.insert(text.to_lowercase()) {
            let group = "joined before".to_owned();
            found.push(Known { text: text.clone(), group, purpose: String::new() });
        }
    }
    let rows = if word.is_empty() { usual(registry) } else { registry.search(&word) };
    for row in rows.into_iter().filter(|row| row.is_joinable()) {
        // Some names have blanks, which a spec does not: their rows go by the id.
        let one = row.name.contains(char::is_whitespace);
        let text = if one { &row.id } else { &row.name };
        if seen.insert(text.to_lowercase()) {
            let group = group(row, if one { 0 } else { others(row, registry) });
            found.push(Known { text: text.clone(), group, purpose: row.purpose.clone() });
        }
    }
    found.truncate(MAX);
    found
}

/// The discovery groups of a LAN, then all others.
fn usual(registry: &Registry) -> Vec<&Row> {
    DEFAULT_NAMES.iter().flat_map(|name| registry.by_name(name)).chain(registry.rows()).collect()
}

/// How many other rows the name of this one joins.
fn others(row: &Row, registry: &Registry) -> usize {
    registry.by_name(&row.name).iter().filter(|r| r.is_joinable()).count().saturating_sub(1)
}

/// The group of a row with its ports, and how many others come with it.
fn group(row: &Row, others: usize) -> String {
    let ports = row.ports_text().replace(' ', ",");
    let text = if row.address.is_ipv4() {
        format!("{}:{ports}", row.address)
    } else {
        format!("[{}]:{ports}", row.address)
    };
    if others > 0 { format!("{text} +{others}") } else { text }
}
