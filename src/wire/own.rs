//! Protocols that nobody but the user knows: they have a name, and that is all.
//!
//! They come from the user's rules, once at the start, and stay as long as the program runs; a name
//! that comes again is the same protocol.

use std::sync::{PoisonError, RwLock};

use crate::wire::{PROTOCOLS, Protocol, preview_unknown};

/// Names that are kept at most.
pub const OWN_MAX: usize = 1_000;

static OWN: RwLock<Vec<&'static Protocol>> = RwLock::new(Vec::new());

/// All protocols: those of the table, in its order, then those that the user named.
pub fn protocols() -> impl Iterator<Item = &'static Protocol> {
    // What is in the list never changes, so that a thread that panicked cannot have left it half done.
    let own = OWN.read().unwrap_or_else(PoisonError::into_inner).clone();
    PROTOCOLS.iter().copied().chain(own)
}

/// Whether mcscope can read a protocol: false for one that the user only named.
pub fn is_known(p: &Protocol) -> bool {
    PROTOCOLS.iter().any(|known| std::ptr::eq(*known, p))
}

/// The word of a name: lower case, all but letters and digits become a `-`.
fn word(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            id.push(c);
        } else if !id.is_empty() && !id.ends_with('-') {
            id.push('-');
        }
    }
    id.truncate(id.trim_end_matches('-').len());
    id
}

/// The protocol of this name, made if there is none.
///
/// # Errors
/// When the name has neither letters nor digits, is that of a protocol of the table, or there are
/// [`OWN_MAX`] already.
pub fn named(name: &str) -> Result<&'static Protocol, String> {
    let id = word(name);
    if id.is_empty() {
        return Err("a name has letters or digits".to_owned());
    }
    if let Some(known) = PROTOCOLS.iter().find(|p| p.id == id) {
        return Err(format!(
            "{} is a protocol that mcscope knows: write protocol = \"{}\"",
            known.name, known.id
        ));
    }
    let mut own = OWN.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(p) = own.iter().find(|p| p.id == id) {
        return Ok(p);
    }
    if own.len() == OWN_MAX {
        return Err(format!("there are {OWN_MAX} names already"));
    }
    let made: &'static Protocol = Box::leak(Box::new(Protocol {
        id: String::leak(id),
        name: String::leak(name.trim().to_owned()),
        mark: "your rule",
        // It is never recognised: a rule says where it is.
        detect: |_, _| None,
        preview: preview_unknown,
        fields: |_| Vec::new(),
        sequence: None,
    }));
    own.push(made);
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::by_id;

    #[test]
    fn a_name_becomes_one_protocol_that_is_found_by_its_word() {
        let p = named("My Feed (v2)").unwrap();
        assert_eq!((p.id, p.name, is_known(p)), ("my-feed-v2", "My Feed (v2)", false));
        assert!(std::ptr::eq(p, named("my feed v2").unwrap()));
        assert!(std::ptr::eq(p, by_id("my-feed-v2").unwrap()));
        assert!(is_known(by_id("rtp").unwrap()));
    }

    #[test]
    fn a_name_that_is_taken_or_no_name_is_refused() {
        assert!(named("RTP").unwrap_err().contains("protocol = \"rtp\""));
        assert!(named(" - ").is_err());
    }
}
