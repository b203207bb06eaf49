//! The registry of well-known groups: what an address and port are usually for, and which groups a name
//! stands for. The table is `assets/groups.csv`, carried in the program.
//!
//! A row is a group (full prefix length) or a range (a shorter prefix). Groups with ports can be joined
//! by name; ranges only label.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use crate::base::group::Endpoint;
use crate::base::text;

#[cfg(test)]
mod tests;

/// The table as it stands in the repository.
const BUILTIN: &str = include_str!("../../../assets/groups.csv");

/// The heading line, which fixes the columns.
const COLUMNS: [&str; 8] =
    ["id", "address", "prefix_len", "ports", "name", "protocol", "purpose", "reference"];

/// One row: a group or a range, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The unique word for this row (`[a-z0-9-]`).
    pub id: String,
    /// The group, or the first address of the range.
    pub address: IpAddr,
    /// Length of the prefix in bits; 32 or 128 is a single group.
    pub prefix_len: u8,
    /// UDP ports in use there, as inclusive ranges; empty where none is known or it is not UDP.
    pub ports: Vec<(u16, u16)>,
    /// The name shown, which several rows may share.
    pub name: String,
    /// The protocol spoken, `range` for a range that only describes addresses, or empty.
    pub protocol: String,
    /// What it is for, in a few words.
    pub purpose: String,
    /// Where that is written.
    pub reference: String,
}

impl Row {
    /// Whether it is one group and not a range.
    pub fn is_group(&self) -> bool {
        self.prefix_len == full_len(self.address)
    }

    /// Whether a name can join it: one group with at least one port.
    pub fn is_joinable(&self) -> bool {
        self.is_group() && !self.ports.is_empty()
    }

    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let shift = u32::from(full_len(ip) - self.prefix_len.min(full_len(ip)));
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether a port is one of its own.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|&(low, high)| (low..=high).contains(&port))
    }

    /// Every port, one by one.
    pub fn each_port(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().flat_map(|&(low, high)| low..=high)
    }

    /// The ports as written: `319 320`, `8700-8708`.
    pub fn ports_text(&self) -> String {
        let ranges = self
            .ports
            .iter()
            .map(|&(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") });
        ranges.collect::<Vec<_>>().join(" ")
    }

    /// The address with its prefix length if it is a range.
    pub fn address_text(&self) -> String {
        if self.is_group() {
            self.address.to_string()
        } else {
            format!("{}/{}", self.address, self.prefix_len)
        }
    }
}

/// A line of the table that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the group registry, line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for RegistryError {}

/// The table with its indexes.
#[derive(Debug)]
pub struct Registry {
    rows: Vec<Row>,
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// Rows by the key of their name; then by that of their id.
    by_name: HashMap<String, Vec<usize>>,
    by_id: HashMap<String, usize>,
    /// The ranges, most specific first.
    ranges: Vec<usize>,
}

impl Registry {
    /// The table that comes with the program, read once.
    pub fn builtin() -> &'static Registry {
        static REGISTRY: OnceLock<Registry> = OnceLock::new();
        REGISTRY.get_or_init(|| Registry::parse(BUILTIN).expect("the tests read this very table"))
    }

    /// Reads a table: the heading, then a row a line, fields in double quotes where they hold a comma.
    ///
    /// # Errors
    /// The first line that is wrong: its fields, an address that is no multicast, bits beyond the prefix,
    /// a port, an id that is not `[a-z0-9-]` or comes twice, a control character.
    pub fn parse(csv: &str) -> Result<Registry, RegistryError> {
        let mut rows: Vec<Row> = Vec::new();
        let mut by_id = HashMap::new();
        for (i, line) in csv.lines().enumerate() {
            let wrong = |message: String| RegistryError { line: i + 1, message };
            let fields = split_csv(line).map_err(|m| wrong(m.to_owned()))?;
            if i == 0 {
                if fields != COLUMNS {
                    return Err(wrong(format!("the heading must be {}", COLUMNS.join(","))));
                }
                continue;
            }
            let row = parse_row(fields).map_err(wrong)?;
            if by_id.insert(row.id.clone(), rows.len()).is_some() {
                return Err(wrong(format!("the id {} comes twice", row.id)));
            }
            rows.push(row);
        }
        let mut by_address: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut ranges = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            by_name.entry(key(&row.name)).or_default().push(i);
            if row.is_group() {
                by_address.entry(row.address).or_default().push(i);
            } else {
                ranges.push(i);
            }
        }
        ranges.sort_by_key(|&i| std::cmp::Reverse(rows[i].prefix_len));
        let by_id = by_id.into_iter().map(|(id, i)| (key(&id), i)).collect();
        Ok(Registry { rows, by_address, by_name, by_id, ranges })
    }

    /// All rows, in the order of the table.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows of exactly this group.
    pub fn at(&self, ip: IpAddr) -> impl Iterator<Item = &Row> {
        self.by_address.get(&ip).into_iter().flatten().map(|&i| &self.rows[i])
    }

    /// What a group and port are: the row with this port; else the one that stands for the whole
    /// address; else the address's only row. Where an address has several uses and the port is none of
    /// them, nothing is claimed; a range is never the answer (see [`Registry::range_at`]).
    pub fn label(&self, to: Endpoint) -> Option<&Row> {
        let mut rows = self.at(to.ip);
        let first = rows.next()?;
        let only = rows.next().is_none();
        let with_port = self.at(to.ip).find(|row| row.has_port(to.port));
        let whole = || self.at(to.ip).find(|row| row.ports.is_empty());
        with_port.or_else(whole).or(only.then_some(first))
    }

    /// The ranges that enclose an address, most specific first.
    pub fn ranges(&self, ip: IpAddr) -> impl Iterator<Item = &Row> {
        self.ranges.iter().map(|&i| &self.rows[i]).filter(move |row| row.contains(ip))
    }

    /// The most specific range that encloses an address; of equal ones the first in the table.
    pub fn range(&self, ip: IpAddr) -> Option<&Row> {
        self.ranges(ip).next()
    }

    /// The most specific enclosing range that knows this port, else [`Registry::range`]: 239.255.0.17
    /// port 5568 is sACN, port 5004 only the local scope.
    pub fn range_at(&self, to: Endpoint) -> Option<&Row> {
        self.ranges(to.ip).find(|row| row.has_port(to.port)).or_else(|| self.range(to.ip))
    }

    /// The ports in use at an address with the row that says so: those of the group itself, then those
    /// of the ranges around it.
    pub fn ports_of(&self, ip: IpAddr) -> Vec<(u16, u16, &Row)> {
        let rows = self.at(ip).chain(self.ranges(ip));
        rows.flat_map(|row| row.ports.iter().map(move |&(low, high)| (low, high, row))).collect()
    }

    /// The rows that a word names, whatever its case and punctuation: all that have it as their name,
    /// otherwise the one that has it as its id.
    pub fn by_name(&self, word: &str) -> Vec<&Row> {
        let key = key(word);
        match self.by_name.get(&key) {
            Some(rows) => rows.iter().map(|&i| &self.rows[i]).collect(),
            None => self.by_id.get(&key).map(|&i| &self.rows[i]).into_iter().collect(),
        }
    }

    /// Names and ids that can be joined, each once, in the order of the table: what completion offers.
    pub fn joinable_words(&self) -> Vec<&str> {
        let mut seen = std::collections::HashSet::new();
        let joinable = self.rows.iter().filter(|row| row.is_joinable());
        joinable.flat_map(|row| [&*row.name, &*row.id]).filter(|word| seen.insert(*word)).collect()
    }

    /// The joinable names and ids nearest to a mistyped one, at most three, best first.
    pub fn nearest(&self, word: &str) -> Vec<&str> {
        text::nearest(word, self.joinable_words(), 3)
    }

    /// Rows in which each word of the query is found, best first: id or name before address and port,
    /// those before protocol, that before purpose; whole words before beginnings before inner parts. An
    /// address finds its own rows, then the ranges around it. An empty query finds all.
    pub fn search(&self, query: &str) -> Vec<&Row> {
        if let Ok(ip) = query.trim().parse::<IpAddr>() {
            return self.at(ip).chain(self.ranges(ip)).collect();
        }
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let mut found: Vec<(u32, &Row)> = self
            .rows
            .iter()
            .filter_map(|row| {
                let ranks = words.iter().map(|word| rank(row, word));
                Some((ranks.sum::<Option<u32>>()?, row))
            })
            .collect();
        found.sort_by_key(|&(rank, _)| rank);
        found.into_iter().map(|(_, row)| row).collect()
    }
}

/// How well a lower-case word fits a row, 0 best.
fn rank(row: &Row, word: &str) -> Option<u32> {
    let port = word.parse::<u16>().is_ok_and(|p| row.has_port(p));
    let address = row.address_text();
    let fields = [&*row.id, &row.name, &address, &row.protocol, &row.purpose];
    let text = fields.iter().zip([0, 0, 10, 20, 30]).filter_map(|(field, base)| {
        let field = field.to_lowercase();
        let at = field.find(word)?;
        let fit = match at {
            _ if field.len() == word.len() => 0,
            0 => 1,
            _ if !field.as_bytes()[at - 1].is_ascii_alphanumeric() => 2,
            _ => 3,
        };
        Some(base + fit)
    });
    text.chain(port.then_some(10)).min()
}

/// What is left of a word to compare by: letters and digits, in lower case.
fn key(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Bits of an address of this family.
fn full_len(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The fields of a line, RFC 4180 without line breaks inside quotes.
fn split_csv(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().ok_or("no field")?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => {
                quoted = false;
                if chars.peek().is_some_and(|c| *c != ',') {
                    return Err("text after a closing quote");
                }
            }
            '"' if field.is_empty() => quoted = true,
            '"' => return Err("a quote inside an unquoted field"),
            ',' if !quoted => fields.push(String::new()),
            c if c.is_control() => return Err("a control character"),
            c => field.push(c),
        }
    }
    if quoted { Err("a quote is not closed") } else { Ok(fields) }
}

/// A row from its fields.
fn parse_row(fields: Vec<String>) -> Result<Row, String> {
    let count = fields.len();
    let Ok([id, address, prefix_len, ports, name, protocol, purpose, reference]) =
        <[String; COLUMNS.len()]>::try_from(fields)
    else {
        return Err(format!("{count} fields instead of {}", COLUMNS.len()));
    };
    if id.is_empty() || !id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        return Err(format!("the id `{id}` is not of a-z, 0-9 and -"));
    }
    if name.is_empty() || reference.is_empty() {
        return Err("name and reference must not be empty".to_owned());
    }
    let address: IpAddr = address.parse().map_err(|_| format!("`{address}` is not an address"))?;
    if !address.is_multicast() {
        return Err(format!("{address} is not multicast"));
    }
    let prefix_len: u8 = prefix_len
        .parse()
        .ok()
        .filter(|len| *len <= full_len(address))
        .ok_or_else(|| format!("`{prefix_len}` is not a prefix length"))?;
    let host = u32::from(full_len(address) - prefix_len);
    let trailing = match address {
        IpAddr::V4(ip) => ip.to_bits().trailing_zeros(),
        IpAddr::V6(ip) => ip.to_bits().trailing_zeros(),
    };
    if trailing < host {
        return Err(format!("{address} has bits beyond its prefix of {prefix_len}"));
    }
    let ports = ports.split_whitespace().map(parse_ports).collect::<Result<_, _>>()?;
    Ok(Row { id, address, prefix_len, ports, name, protocol, purpose, reference })
}

/// `319` or `8700-8708`.
fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    match (low.parse::<u16>(), high.parse::<u16>()) {
        (Ok(low), Ok(high)) if 0 < low && low <= high => Ok((low, high)),
        _ => Err(format!("`{text}` is not a port or range of ports")),
    }
}
