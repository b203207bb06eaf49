//! The interfaces of this host as the options of a choice.

use std::sync::Arc;

use super::choice::Choose;
use crate::base::iface::Iface;
use crate::model::IfaceState;

/// What stands for every candidate.
const ALL: &str = "all that are up";

/// The interfaces in the order offered: candidates first, then the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfaceOptions {
    names: Vec<Option<Arc<str>>>,
    options: Vec<Choose>,
}

impl IfaceOptions {
    /// The options; `with_all` offers all candidates together as well, if there are
    /// several.
    pub fn new(ifaces: &[IfaceState], with_all: bool) -> Self {
        let mut list = IfaceOptions::default();
        let (good, rest): (Vec<&Iface>, Vec<&Iface>) =
            ifaces.iter().map(|i| &i.iface).partition(|i| i.candidate().is_ok());
        for iface in &good {
            list.push(iface, if iface.carrier == Some(false) { "no carrier" } else { "" }, false);
        }
        if with_all && good.len() > 1 {
            list.names.push(None);
            list.options.push(Choose::plain(ALL));
        }
        for iface in rest {
            let reason = iface.candidate().err().map_or(String::new(), |why| why.to_string());
            list.push(iface, &reason, true);
        }
        list
    }

    fn push(&mut self, iface: &Iface, reason: &str, dim: bool) {
        let first = iface.addrs.iter().find(|a| a.ip.is_ipv4()).or(iface.addrs.first());
        let parts = [first.map_or("no address".to_owned(), |a| a.to_string()), reason.to_owned()];
        let note = parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" · ");
        self.names.push(Some(iface.name.clone()));
        self.options.push(Choose { text: iface.name.to_string(), note, dim });
    }

    /// What the choice shows.
    pub fn options(&self) -> Vec<Choose> {
        self.options.clone()
    }

    /// The interface at a place; `None` for all, or where there is none.
    pub fn name(&self, at: usize) -> Option<&Arc<str>> {
        self.names.get(at)?.as_ref()
    }

    /// Whether the place stands for all.
    pub fn is_all(&self, at: usize) -> bool {
        self.names.get(at).is_some_and(Option::is_none)
    }

    /// The place of an interface.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n.as_deref() == Some(name))
    }

    /// The place of all.
    pub fn place_of_all(&self) -> Option<usize> {
        self.names.iter().position(Option::is_none)
    }
}
