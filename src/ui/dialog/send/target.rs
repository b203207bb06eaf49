//! The endpoint to send to, as typed: a group spec that means one endpoint, or a unicast address.

use std::net::{IpAddr, SocketAddr};

use crate::base::group::Endpoint;
use crate::base::registry::Registry;
use crate::base::resolve::{Check, Context, check, unknown_word};
use crate::base::spec::{IfaceChoice, Spec};
use crate::base::text::TextError;

/// An endpoint, and the interface if one was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to.
    pub to: Endpoint,
    /// By which interface, as written.
    pub iface: Option<String>,
}

/// Reads where to send: `239.1.1.1:5004`, `[ff02::fb%eth0]:5353`, `ssdp`, `10.0.0.7:9999`.
///
/// # Errors
/// The wrong part; also where the text means several groups, ports or interfaces.
pub fn target(text: &str) -> Result<Target, TextError> {
    const FORM: &str = "write ADDRESS:PORT, as in 239.1.1.1:5004 or [ff02::fb%eth0]:5353";
    let word = text.trim();
    let start = text.len() - text.trim_start().len();
    let whole = |message: String| TextError::new(text, start..start + word.len(), message).help(FORM);
    if word.is_empty() {
        return Err(whole("where to is missing".to_owned()));
    }
    if let Ok(to) = word.parse::<SocketAddr>()
        && !to.ip().is_multicast()
    {
        return match to.port() {
            0 => Err(whole("port 0 is no port to send to".to_owned())),
            _ if to.ip().is_unspecified() => Err(whole(format!("{} is nobody's address", to.ip()))),
            _ => Ok(Target { to: to.into(), iface: None }),
        };
    }
    let spec = Spec::parse(text)?;
    let iface = match spec.ifaces() {
        IfaceChoice::Unnamed => None,
        IfaceChoice::Named(names) if names.len() == 1 => names.first().cloned(),
        IfaceChoice::All | IfaceChoice::Named(_) => {
            return Err(whole("a send leaves by one interface".to_owned()));
        }
    };
    let registry = Registry::builtin();
    let to = match &spec {
        Spec::Group(group) if group.count > 1 => {
            return Err(whole("a send goes to one group, not to a range".to_owned()));
        }
        Spec::Group(group) if !group.sources.is_empty() => {
            return Err(whole("a source is chosen by who joins, not by who sends".to_owned()));
        }
        Spec::Group(group) => {
            let ports: Vec<u16> = registry.at(group.group).flat_map(|row| row.each_port()).collect();
            Endpoint { ip: group.group, port: port(group.group, group.port, &ports).map_err(whole)? }
        }
        Spec::Name(name) => {
            let rows = registry.by_name(&name.name);
            let joinable: Vec<_> = rows.into_iter().filter(|row| row.is_joinable()).collect();
            let row = match joinable.iter().find(|row| row.address.is_ipv4()).or(joinable.first()) {
                Some(row) => row,
                None => return Err(unknown(text, &name.name)),
            };
            let ports: Vec<u16> = row.each_port().collect();
            Endpoint { ip: row.address, port: port(row.address, None, &ports).map_err(whole)? }
        }
    };
    Ok(Target { to, iface })
}

/// The port written, or the only one that is usual there.
fn port(group: IpAddr, written: Option<u16>, usual: &[u16]) -> Result<u16, String> {
    match (written, usual) {
        (Some(port), _) => Ok(port),
        (None, [port]) => Ok(*port),
        (None, []) => Err(format!("the port is missing: no port is usual for {group}")),
        (None, several) => {
            let list: Vec<String> = several.iter().take(6).map(u16::to_string).collect();
            Err(format!("the port is missing: usual for {group} are {}", list.join(", ")))
        }
    }
}

/// The error for a name that the registry does not have.
fn unknown(text: &str, name: &str) -> TextError {
    let context = Context { registry: Registry::builtin(), ifaces: &[], commands: &[] };
    let at = text.find(name).unwrap_or(0);
    TextError { span: at..at + name.len(), text: text.to_owned(), ..unknown_word(name, &context) }
}

/// Whether a text that is no target yet may become one by going on.
pub fn may_go_on(text: &str) -> bool {
    let context = Context { registry: Registry::builtin(), ifaces: &[], commands: &[] };
    // A unicast address is none of a group spec's business.
    let endings = ["1", ":1", ".1:1", ".0.1:1", ".0.0.1:1", "]:1", ":1]:1", "::1]:1"];
    matches!(check(text, &context), Check::Incomplete(_))
        || endings.iter().any(|ending| target(&format!("{text}{ending}")).is_ok())
}
