//! Tables for people and their JSON twins: the interfaces of this host, the registry of groups.

use serde::Serialize;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::base::iface::{Iface, candidates};
use crate::base::registry::Row;
use crate::export::json::VERSION;

/// Lines up columns: a heading and rows, two spaces between, nothing behind the last column.
pub fn columns(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|h| h.width()).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(cell.width());
        }
    }
    let mut out = String::new();
    let heading: Vec<String> = heading.iter().map(|h| (*h).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if i + 1 < row.len() {
                line.extend(std::iter::repeat_n(' ', widths[i] + 2 - cell.width()));
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The interfaces as a table.
pub fn interfaces(list: &[Iface]) -> String {
    let joined: Vec<u32> = candidates(list).iter().map(|i| i.index).collect();
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|i| {
            let state = match (i.up, i.carrier) {
                (false, _) => "down",
                (true, Some(false)) => "no carrier",
                (true, _) => "up",
            };
            let join = match (joined.contains(&i.index), i.candidate()) {
                (true, Ok(())) => "yes".to_owned(),
                (true, Err(_)) => "yes, as there is no other".to_owned(),
                (false, Err(why)) => format!("only when named: it {why}"),
                (false, Ok(())) => "only when named".to_owned(),
            };
            let addrs: Vec<String> = i.addrs.iter().map(ToString::to_string).collect();
            vec![
                i.index.to_string(),
                i.name.to_string(),
                i.kind.word().to_owned(),
                state.to_owned(),
                i.mtu.map_or_else(|| "–".to_owned(), |m| m.to_string()),
                if addrs.is_empty() { "–".to_owned() } else { addrs.join(" ") },
                join,
            ]
        })
        .collect();
    columns(&["INDEX", "NAME", "KIND", "STATE", "MTU B", "ADDRESSES", "JOINED BY DEFAULT"], &rows)
}

#[derive(Serialize)]
struct IfaceJson<'a> {
    index: u32,
    name: &'a str,
    kind: &'a str,
    up: bool,
    carrier: Option<bool>,
    multicast: bool,
    master: Option<&'a str>,
    mtu_bytes: Option<u32>,
    mac: Option<String>,
    addresses: Vec<String>,
    candidate: bool,
    reason: Option<String>,
}

/// The interfaces as one JSON object: `{"v":1,"interfaces":[…]}`. `candidate` says whether a join
/// that names no interface takes it, `reason` why not.
pub fn interfaces_json(list: &[Iface]) -> String {
    let joined: Vec<u32> = candidates(list).iter().map(|i| i.index).collect();
    let all: Vec<IfaceJson<'_>> = list
        .iter()
        .map(|i| IfaceJson {
            index: i.index,
            name: &i.name,
            kind: i.kind.word(),
            up: i.up,
            carrier: i.carrier,
            multicast: i.multicast,
            master: i.master.as_deref(),
            mtu_bytes: i.mtu,
            mac: i.mac.map(|m| m.map(|b| format!("{b:02x}")).join(":")),
            addresses: i.addrs.iter().map(ToString::to_string).collect(),
            candidate: joined.contains(&i.index),
            reason: i.candidate().err().map(|why| why.to_string()),
        })
        .collect();
    serde_json::json!({ "v": VERSION, "interfaces": all }).to_string()
}

/// Rows of the registry as a table.
pub fn groups(rows: &[&Row]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|r| {
            let ports = r.ports_text();
            vec![
                r.id.clone(),
                r.address_text(),
                if ports.is_empty() { "–".to_owned() } else { ports },
                if r.protocol.is_empty() { "–".to_owned() } else { r.protocol.clone() },
                r.purpose.clone(),
            ]
        })
        .collect();
    columns(&["ID", "GROUP", "PORTS", "PROTOCOL", "WHAT IT IS FOR"], &rows)
}

/// Rows of the registry as one JSON object: `{"v":1,"groups":[…]}`.
pub fn groups_json(rows: &[&Row]) -> String {
    let all: Vec<Value> = rows
        .iter()
        .map(|r| {
            let ports: Vec<Value> =
                r.ports.iter().map(|&(a, b)| serde_json::json!({ "from": a, "to": b })).collect();
            serde_json::json!({
                "id": r.id, "name": r.name, "address": r.address, "prefix_len": r.prefix_len,
                "ports": ports, "protocol": r.protocol, "purpose": r.purpose, "reference": r.reference,
            })
        })
        .collect();
    serde_json::json!({ "v": VERSION, "groups": all }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let text =
            columns(&["A", "LONGER"], &[vec!["x–y".into(), "1".into()], vec!["z".into(), String::new()]]);
        assert_eq!(text, "A    LONGER\nx–y  1\nz\n");
    }
}
