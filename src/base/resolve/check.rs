//! Validation while typing: what is only unfinished is not called wrong.

use crate::base::spec::{Spec, SpecError, is_hex_word, parse_open};

use super::{Context, Part, Resolved, Unresolved, relocate, resolve_in};

/// What a text is worth so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// The beginning of something that may be right; the error says what is still missing, for a hint.
    Incomplete(SpecError),
    /// Right, and what it would join.
    Ok(Resolved),
    /// Wrong, whatever may follow.
    Wrong(SpecError),
}

/// Checks a text as it stands in an input line.
pub fn check(text: &str, context: &Context<'_>) -> Check {
    let spec = match parse_open(text) {
        Ok(spec) => spec,
        Err(fail) if fail.open => return Check::Incomplete(fail.error),
        Err(fail) => return Check::Wrong(fail.error),
    };
    match resolve_in(&spec, context) {
        Ok(resolved) => Check::Ok(resolved),
        Err(unresolved) => {
            let open = may_go_on(text, &spec, &unresolved, context);
            let error = relocate(unresolved.error, text);
            if open { Check::Incomplete(error) } else { Check::Wrong(error) }
        }
    }
}

/// Whether more text could mend what does not resolve yet.
fn may_go_on(text: &str, spec: &Spec, unresolved: &Unresolved, context: &Context<'_>) -> bool {
    match unresolved.part {
        Part::Port => true,
        Part::Iface => {
            let part = unresolved.error.part();
            let names = context.ifaces.iter().map(|i| &*i.name).chain(["all"]);
            !part.is_empty() && text.ends_with(part) && names.into_iter().any(|name| name.starts_with(part))
        }
        Part::Name => {
            let Spec::Name(name) = spec else {
                return false;
            };
            let word = name.name.to_lowercase();
            let words = context.registry.joinable_words();
            let words = words.into_iter().chain(["udp://", "rtp://"]);
            text.trim_end() == text
                && text.ends_with(&name.name)
                && (is_hex_word(&word)
                    || words.into_iter().any(|w| w.len() > word.len() && w.starts_with(&word)))
        }
    }
}
