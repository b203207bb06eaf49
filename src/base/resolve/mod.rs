//! From a group spec to memberships: what it means on this host.
//!
//! Ranges are counted out, names looked up, ports taken from the registry where it knows them, and
//! interfaces chosen: those named, or every candidate. What is allowed but worth a word becomes a
//! [`Note`].

use std::net::IpAddr;

use crate::base::group::{Endpoint, Membership, SourceFilter, is_ssm};
use crate::base::iface::{Iface, IfaceKind, candidates};
use crate::base::registry::{Registry, Row};
use crate::base::spec::{GroupSpec, IfaceChoice, NameSpec, Spec, SpecError};
use crate::base::text;

mod check;
mod note;
#[cfg(test)]
mod tests;

pub use check::{Check, check};
pub use note::Note;

/// The names joined when the user asks for nothing: the discovery groups of a LAN.
pub const DEFAULT_NAMES: [&str; 5] = ["mdns", "llmnr", "ssdp", "ws-discovery", "sap"];

/// What a spec comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// A row each, sorted, none twice.
    pub memberships: Vec<Membership>,
    /// What the user should know, each once.
    pub notes: Vec<Note>,
}

/// What texts are read against.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The well-known groups.
    pub registry: &'a Registry,
    /// The interfaces of this host.
    pub ifaces: &'a [Iface],
    /// Words that mean something else where the text stands (the commands of the program), to be offered
    /// beside the names for a mistyped word.
    pub commands: &'a [&'a str],
}

/// Which part of a spec could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// This interface, or all of them.
    Iface,
    /// The port, which is missing.
    Port,
    /// The name.
    Name,
}

/// A spec that cannot be resolved: which part, and the error for the spec's own text.
struct Unresolved {
    part: Part,
    error: SpecError,
}

/// Resolves a spec.
///
/// # Errors
/// An interface that does not exist (with those that do), a port that the registry does not settle (with
/// the usual ones), a name that it does not have or that cannot be joined. The error's text is the spec as
/// it prints; [`resolve_text`] points into the text as typed.
pub fn resolve(spec: &Spec, registry: &Registry, ifaces: &[Iface]) -> Result<Resolved, SpecError> {
    resolve_in(spec, &Context { registry, ifaces, commands: &[] }).map_err(|unresolved| unresolved.error)
}

/// Reads a spec and resolves it.
///
/// # Errors
/// As [`Spec::parse`] and [`resolve`], the span in `text` itself.
pub fn resolve_text(text: &str, context: &Context<'_>) -> Result<Resolved, SpecError> {
    let spec = Spec::parse(text)?;
    resolve_in(&spec, context).map_err(|unresolved| relocate(unresolved.error, text))
}

/// Several texts together, as from a command line: their memberships sorted, none twice.
///
/// # Errors
/// That of the first text that is wrong.
pub fn resolve_all<'t>(
    texts: impl IntoIterator<Item = &'t str>,
    context: &Context<'_>,
) -> Result<Resolved, SpecError> {
    let mut all = Resolved::default();
    for text in texts {
        let one = resolve_text(text, context)?;
        all.memberships.extend(one.memberships);
        one.notes.into_iter().for_each(|note| note::add(&mut all.notes, note));
    }
    all.memberships.sort_unstable();
    all.memberships.dedup();
    Ok(all)
}

/// The discovery groups, for a start without any: IPv4 and link-scope IPv6 on the candidates, on Wi-Fi
/// only if nothing else is a candidate. An interface without an address of a family has no row of it.
pub fn defaults(registry: &Registry, ifaces: &[Iface]) -> Vec<Membership> {
    let mut on = candidates(ifaces);
    if on.iter().any(|i| i.kind != IfaceKind::Wireless) {
        on.retain(|i| i.kind != IfaceKind::Wireless);
    }
    let link_scope = |ip: IpAddr| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => ip.octets()[1] & 0x0f == 2,
    };
    let rows: Vec<&Row> = DEFAULT_NAMES
        .iter()
        .flat_map(|name| registry.by_name(name))
        .filter(|row| row.is_joinable() && link_scope(row.address))
        .collect();
    let mut memberships = Vec::new();
    for iface in on {
        for row in rows.iter().filter(|row| iface.has_family(row.address)) {
            memberships.extend(row.each_port().map(|port| membership(row.address, port, iface, &[])));
        }
    }
    memberships.sort_unstable();
    memberships.dedup();
    memberships
}

/// The one interface to send on, or to use where only one will do: the one named, or the only candidate.
/// A selected row's interface goes before this and is not asked here.
///
/// # Errors
/// When there are several, or none, or the one named does not exist; the possible ones are listed.
pub fn one_iface<'i>(spec: &Spec, ifaces: &'i [Iface]) -> Result<&'i Iface, SpecError> {
    let on = choose(spec, ifaces).map_err(|unresolved| unresolved.error)?;
    if let [only] = on[..] {
        return Ok(only);
    }
    let text = spec.to_string();
    let names = names_of(on.iter().copied());
    let span = match spec.ifaces() {
        IfaceChoice::Unnamed => text.len()..text.len(),
        choice => {
            let part = choice.to_string();
            let at = text.find(&part).unwrap_or(0);
            at..at + part.len()
        }
    };
    let write = spec.clone().on(IfaceChoice::Named(vec![on[0].name.to_string()]));
    Err(SpecError::new(&text, span, format!("one interface must be named of {names}"))
        .help(format!("write {write}")))
}

/// The error for a bare word that is no name of the registry: the nearest commands and names, or what
/// else it is.
pub fn unknown_word(word: &str, context: &Context<'_>) -> SpecError {
    let message = if context.commands.is_empty() {
        "there is no group of this name"
    } else {
        "this is neither a command nor a group"
    };
    let error = SpecError::new(word, 0..word.len(), message);
    if context.ifaces.iter().any(|i| &*i.name == word) {
        return error.help(format!("{word} is an interface: write GROUP%{word}"));
    }
    let commands = text::nearest(word, context.commands.iter().copied(), 2);
    let names = context.registry.nearest(word);
    let list = |what: &str, words: &[&str]| match words {
        [] => None,
        words => Some(format!("the {what} {}", words.join(", "))),
    };
    let near: Vec<String> =
        [list("command", &commands), list("group", &names)].into_iter().flatten().collect();
    error.help(match near.is_empty() {
        true => "a group is written like 239.1.1.1:5004, or as a name that `mcscope groups` lists".to_owned(),
        false => format!("nearest: {}", near.join("; ")),
    })
}

/// Moves an error about a spec as it prints to the text that it was read from.
fn relocate(mut error: SpecError, text: &str) -> SpecError {
    let part = error.part();
    let end = text.trim_end().len();
    let word_ends = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric());
    // The interface and the name stand as whole words; what is missing is missing at the end.
    let found = text.match_indices(part).map(|(at, _)| at..at + part.len()).find(|span| {
        word_ends(text[..span.start].chars().next_back()) && word_ends(text[span.end..].chars().next())
    });
    // In a URL `%25` stands before the interface.
    let found = found.or_else(|| text.rfind(part).map(|at| at..at + part.len()));
    error.span = found.filter(|span| !span.is_empty()).unwrap_or(end..end);
    error.text = text.to_owned();
    error
}

fn resolve_in(spec: &Spec, context: &Context<'_>) -> Result<Resolved, Unresolved> {
    let mut notes = Vec::new();
    let mut memberships = match spec {
        Spec::Group(group) => resolve_group(group, spec, context, &mut notes)?,
        Spec::Name(name) => resolve_name(name, spec, context, &mut notes)?,
    };
    memberships.sort_unstable();
    memberships.dedup();
    Ok(Resolved { memberships, notes })
}

/// The interfaces that a spec wants.
fn choose<'i>(spec: &Spec, ifaces: &'i [Iface]) -> Result<Vec<&'i Iface>, Unresolved> {
    let text = spec.to_string();
    let fail = |span, message: String, help: String| Unresolved {
        part: Part::Iface,
        error: SpecError::new(&text, span, message).help(help),
    };
    let IfaceChoice::Named(names) = spec.ifaces() else {
        let found = candidates(ifaces);
        if found.is_empty() {
            let help = "`mcscope interfaces` says why each is not taken".to_owned();
            return Err(fail(
                text.len()..text.len(),
                "no interface here can join by itself".to_owned(),
                help,
            ));
        }
        return Ok(found);
    };
    let mut at = text.find('%').map_or(text.len(), |i| i + 1);
    let mut found = Vec::new();
    for name in names {
        let span = at..at + name.len();
        at = span.end + 1;
        // A zone may be written as a number (RFC 4007 section 11.2).
        let index = name.parse::<u32>().ok();
        let by_name = ifaces.iter().find(|i| &*i.name == name.as_str());
        match by_name.or_else(|| ifaces.iter().find(|i| Some(i.index) == index)) {
            Some(iface) => found.push(iface),
            None if ifaces.is_empty() => {
                let help = "this host has no network interface".to_owned();
                return Err(fail(span, format!("there is no interface {name}"), help));
            }
            None => {
                let verb = if ifaces.len() == 1 { "exists" } else { "exist" };
                let help = format!("{} {verb}", names_of(ifaces));
                return Err(fail(span, format!("there is no interface {name}"), help));
            }
        }
    }
    Ok(found)
}

/// `eth0, eth1, wlan0`.
fn names_of<'i>(ifaces: impl IntoIterator<Item = &'i Iface>) -> String {
    ifaces.into_iter().map(|i| &*i.name).collect::<Vec<_>>().join(", ")
}

fn membership(group: IpAddr, port: u16, iface: &Iface, sources: &[IpAddr]) -> Membership {
    let filter = match sources {
        [] => SourceFilter::Any,
        _ => {
            let mut sources = sources.to_vec();
            sources.sort_unstable();
            SourceFilter::Include(sources)
        }
    };
    Membership { group, port, iface: iface.name.clone(), filter }
}

fn resolve_group(
    group: &GroupSpec,
    spec: &Spec,
    context: &Context<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Membership>, Unresolved> {
    let on = choose(spec, context.ifaces)?;
    note_unusual(spec, &on, notes);
    let mut memberships = Vec::new();
    for ip in group.groups() {
        let ports = match group.port {
            Some(port) => vec![port],
            None => {
                let row = known_port(ip, spec, context.registry)?;
                if group.count == 1 {
                    note::add(
                        notes,
                        Note::PortFromRegistry { name: row.name.clone(), ports: row.ports_text() },
                    );
                }
                row.each_port().collect()
            }
        };
        match (is_ssm(ip), group.sources.is_empty()) {
            (true, true) => note::add_first(notes, Note::SsmWithoutSource { group: ip }),
            (false, false) => note::add_first(notes, Note::SourceOutsideSsm { group: ip }),
            _ => {}
        }
        for port in ports {
            memberships.extend(on.iter().map(|iface| membership(ip, port, iface, &group.sources)));
        }
    }
    Ok(memberships)
}

/// Notes interfaces that are joined only because they were named.
fn note_unusual(spec: &Spec, on: &[&Iface], notes: &mut Vec<Note>) {
    if !matches!(spec.ifaces(), IfaceChoice::Named(_)) {
        return;
    }
    for iface in on.iter().filter(|i| i.kind != IfaceKind::Loopback) {
        if let Err(reason) = iface.candidate() {
            note::add(notes, Note::NotCandidate { iface: iface.name.to_string(), reason });
        }
    }
}

/// The row that settles the port of a group without one: the only one there, or the first of several that
/// agree.
fn known_port<'r>(ip: IpAddr, spec: &Spec, registry: &'r Registry) -> Result<&'r Row, Unresolved> {
    let rows: Vec<&Row> = registry.at(ip).filter(|row| row.is_joinable()).collect();
    if let Some(first) = rows.first()
        && rows.iter().all(|row| row.ports == first.ports)
    {
        return Ok(first);
    }
    let text = spec.to_string();
    let usual: Vec<String> = registry
        .ports_of(ip)
        .into_iter()
        // The ranges around it say little where the group itself is known.
        .filter(|(.., row)| rows.is_empty() || row.is_group())
        .map(|(low, high, row)| match low == high {
            true => format!("{low} ({})", row.name),
            false => format!("{low}-{high} ({})", row.name),
        })
        .collect();
    let form = form_of(ip);
    let help = match (read_as_port(ip), registry.at(ip).next()) {
        (Some(meant), _) => format!("if {} is the port, write {meant}; else {form}", meant.port),
        _ if !usual.is_empty() => format!("usual here: {}; write {form}", usual.join(", ")),
        (_, Some(row)) => format!("{} ({}) has no usual UDP port; write {form}", row.name, row.purpose),
        _ => format!("write {form}"),
    };
    let message =
        if rows.len() > 1 { "the port is missing, several are usual" } else { "the port is missing" };
    let error = SpecError::new(&text, text.len()..text.len(), message).help(help);
    Err(Unresolved { part: Part::Port, error })
}

/// What an IPv6 group was probably meant to be whose last part is really a port: `ff02::fb:5353`.
fn read_as_port(ip: IpAddr) -> Option<Endpoint> {
    let IpAddr::V6(ip) = ip else {
        return None;
    };
    let text = ip.to_string();
    let (group, port) = text.rsplit_once(':')?;
    let group: IpAddr = group.parse().ok()?;
    // Shorter ones are parts of addresses more often than ports.
    let port = port.parse::<u16>().ok().filter(|_| port.len() == 4)?;
    Some(Endpoint::new(group, port))
}

fn resolve_name(
    name: &NameSpec,
    spec: &Spec,
    context: &Context<'_>,
    notes: &mut Vec<Note>,
) -> Result<Vec<Membership>, Unresolved> {
    let rows = context.registry.by_name(&name.name);
    let joinable: Vec<&Row> = rows.iter().copied().filter(|row| row.is_joinable()).collect();
    let Some(any) = rows.first() else {
        let mut error = unknown_word(&name.name, context);
        error.text = spec.to_string();
        return Err(Unresolved { part: Part::Name, error });
    };
    if joinable.is_empty() {
        let (message, help) = match rows.iter().find(|row| row.is_group()) {
            Some(row) => (
                format!("{} has no usual UDP port", row.name),
                format!("{}; write the group with a port: {}", row.purpose, form_of(row.address)),
            ),
            None => (
                format!("{} is a range of addresses, it cannot be joined", any.name),
                format!("write the group and port meant in {}", any.address_text()),
            ),
        };
        let error = SpecError::new(&spec.to_string(), 0..name.name.len(), message).help(help);
        return Err(Unresolved { part: Part::Name, error });
    }
    let on = choose(spec, context.ifaces)?;
    note_unusual(spec, &on, notes);
    for row in rows.iter().filter(|row| row.is_group() && !row.is_joinable()) {
        note::add(notes, Note::NoPort { name: row.name.clone(), group: row.address });
    }
    // An interface that has addresses, but none of a family, is not asked for groups of that family:
    // the row could only fail. If nothing else is left, it is tried all the same.
    let suits = |iface: &Iface, row: &Row| iface.addrs.is_empty() || iface.has_family(row.address);
    let any_suits = joinable.iter().any(|row| on.iter().any(|iface| suits(iface, row)));
    let mut memberships = Vec::new();
    for row in joinable {
        for iface in &on {
            if any_suits && !suits(iface, row) {
                let iface = iface.name.to_string();
                note::add(
                    notes,
                    Note::NoAddress { iface, ipv6: row.address.is_ipv6(), name: row.name.clone() },
                );
                continue;
            }
            memberships.extend(row.each_port().map(|port| membership(row.address, port, iface, &[])));
        }
        if is_ssm(row.address) {
            note::add_first(notes, Note::SsmWithoutSource { group: row.address });
        }
    }
    Ok(memberships)
}

/// How a group is written with a port that the user must fill in.
fn form_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("{ip}:PORT"),
        IpAddr::V6(ip) => format!("[{ip}]:PORT"),
    }
}
