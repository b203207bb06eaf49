//! The parser of group specs. It knows of every failure whether more text could mend it, so that a
//! dialog can tell what is unfinished from what is wrong.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::address::{parse_v4, parse_v6};
use super::finish::{finish, list_without_group, prefix_notation, require_multicast};
use super::{IfaceChoice, MAX_COUNT, NameSpec, Spec, SpecError};

/// A failure, and whether it is open: the text is the beginning of something that may be right.
#[derive(Debug)]
pub(crate) struct Fail {
    /// What is wrong, and where.
    pub(crate) error: SpecError,
    /// Whether more text could mend it.
    pub(crate) open: bool,
}

impl Fail {
    pub(super) fn open_if(mut self, open: bool) -> Self {
        self.open |= open;
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.error.help = Some(help.into());
        self
    }
}

/// The text being read, and what is settled about it from the start.
pub(super) struct Text<'a> {
    text: &'a str,
    /// Where the meaningful part ends: before trailing spaces, a URL's query and its last slash.
    end: usize,
    /// Whether it is written as a URL.
    url: bool,
}

impl Text<'_> {
    pub(super) fn get(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or("")
    }

    pub(super) fn fail(&self, span: Range<usize>, message: impl Into<String>) -> Fail {
        Fail { error: SpecError::new(self.text, span, message), open: false }
    }

    /// Whether the user may still be typing here.
    pub(super) fn is_end(&self, at: usize) -> bool {
        at == self.text.len()
    }
}

/// Whether a word could be the first part of an IPv6 address.
pub(crate) fn is_hex_word(word: &str) -> bool {
    (1..=4).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads a spec; a failure says whether it is open.
pub(crate) fn parse_open(text: &str) -> Result<Spec, Fail> {
    let start = text.len() - text.trim_start().len();
    let mut t = Text { text, end: text.trim_end().len().max(start), url: false };
    let body = t.get(&(start..t.end));
    if body.is_empty() {
        let fail = t.fail(start..start, "a group is missing").open_if(true);
        return Err(fail.help("for example 239.1.1.1:5004, [ff02::fb]:5353, mdns"));
    }
    let mut at = start;
    if let Some(len) = body.find("://") {
        at = parse_url(&mut t, start, len)?;
    } else if ["udp:", "udp:/", "rtp:", "rtp:/"].contains(&&*body.to_ascii_lowercase()) {
        let fail = t.fail(t.end..t.end, "the group is missing in this URL");
        return Err(fail.help("udp://@239.1.1.1:5004").open_if(true));
    }
    let sources = match t.get(&(at..t.end)).find('@') {
        Some(len) => {
            let sources = parse_sources(&t, at..at + len)?;
            at += len + 1;
            Some(sources)
        }
        None => None,
    };
    if at >= t.end {
        let fail = t.fail(t.end..t.end, "the group is missing after the @");
        return Err(fail.open_if(t.is_end(t.end)));
    }
    parse_target(&t, at, sources)
}

/// Takes a URL's scheme, query and path away; gives where the rest begins.
fn parse_url(t: &mut Text<'_>, start: usize, len: usize) -> Result<usize, Fail> {
    let scheme = start..start + len;
    let at = scheme.end + 3;
    if !["udp", "rtp"].contains(&&*t.get(&scheme).to_ascii_lowercase()) {
        let fail = t.fail(scheme, "only udp:// and rtp:// can name a group");
        return Err(fail.help("udp://@239.1.1.1:5004"));
    }
    t.url = true;
    let rest = t.get(&(at..t.end));
    let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    let host = rest.find('/').unwrap_or(rest.len());
    if rest[host..].len() > 1 {
        return Err(t.fail(at + host..at + rest.len(), "a path means nothing here").help("leave it out"));
    }
    t.end = at + host;
    if t.end == at {
        let fail = t.fail(at..at, "the group is missing in this URL").help("udp://@239.1.1.1:5004");
        return Err(fail.open_if(t.is_end(at)));
    }
    Ok(at)
}

/// Reads the senders before an `@`; a URL may have none.
fn parse_sources(t: &Text<'_>, range: Range<usize>) -> Result<Vec<(IpAddr, Range<usize>)>, Fail> {
    if range.is_empty() {
        if t.url {
            return Ok(Vec::new());
        }
        let fail = t.fail(range.end..range.end + 1, "a source is missing before the @");
        return Err(fail.help("write SOURCE@GROUP, or the group alone"));
    }
    let mut sources: Vec<(IpAddr, Range<usize>)> = Vec::new();
    for span in pieces(t, range) {
        let source = parse_source(t, span.clone())?;
        if sources.iter().all(|(other, _)| *other != source) {
            sources.push((source, span));
        }
    }
    Ok(sources)
}

/// The parts of a list between commas, without the spaces around them.
pub(super) fn pieces(t: &Text<'_>, range: Range<usize>) -> Vec<Range<usize>> {
    let mut at = range.start;
    let split = t.get(&range).split(',').map(|piece| {
        let start = at + (piece.len() - piece.trim_start().len());
        at += piece.len() + 1;
        start..start + piece.trim().len()
    });
    split.collect()
}

/// Reads one sender's address; IPv6 may stand in brackets.
pub(super) fn parse_source(t: &Text<'_>, span: Range<usize>) -> Result<IpAddr, Fail> {
    let word = t.get(&span);
    let last = t.is_end(span.end);
    if word.is_empty() {
        return Err(t.fail(span.start..span.end, "a source is missing here").open_if(last));
    }
    if let Some(i) = word.find('%') {
        let fail = t.fail(span.start + i..span.end, "a source has no interface");
        return Err(fail.help("name the interface after the group: SOURCE@GROUP%eth0"));
    }
    let inner = match word.strip_prefix('[') {
        Some(rest) if rest.ends_with(']') => span.start + 1..span.end - 1,
        Some(_) => {
            parse_v6(t, span.start + 1..span.end)
                .map(drop)
                .or_else(|f| if f.open { Ok(()) } else { Err(f) })?;
            return Err(t.fail(span.start..span.start + 1, "this bracket is not closed").open_if(last));
        }
        None => span.clone(),
    };
    let source: IpAddr = if t.get(&inner).contains(':') {
        parse_v6(t, inner.clone())?.into()
    } else if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        parse_v4(t, inner.clone())?.into()
    } else {
        let fail = t.fail(inner.clone(), "a source is an address, not a name");
        return Err(fail.open_if(last && is_hex_word(word)));
    };
    let no_sender = match source {
        ip if ip.is_multicast() => "a source is one sender's address, this is multicast",
        ip if ip.is_unspecified() => "a source is one sender's address, this is the unspecified address",
        IpAddr::V4(Ipv4Addr::BROADCAST) => "a source is one sender's address, this is broadcast",
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            let fail = t.fail(inner, "this is an IPv4 address written as IPv6");
            return Err(fail.help(format!("write {}", ip.to_canonical())));
        }
        _ => return Ok(source),
    };
    Err(t.fail(inner, no_sender))
}

/// What may follow an address.
#[derive(Default)]
pub(super) struct Suffix {
    pub(super) count: Option<(u32, Range<usize>)>,
    pub(super) ifaces: Option<IfaceChoice>,
    pub(super) port: Option<u16>,
}

/// Sources as read, `None` where there was no `@`.
pub(super) type Sources = Option<Vec<(IpAddr, Range<usize>)>>;

/// Reads what stands after the sources: an address with its suffixes, or a name.
fn parse_target(t: &Text<'_>, at: usize, sources: Sources) -> Result<Spec, Fail> {
    let rest = t.get(&(at..t.end));
    if rest.starts_with('[') {
        return parse_bracketed(t, at, sources);
    }
    let head_len = rest.find(['%', '+']).unwrap_or(rest.len());
    let head = at..at + head_len;
    let word = t.get(&head);
    let (before_colon, after_colon) = word.split_once(':').unwrap_or((word, ""));
    // What has a dot before its first colon is IPv4, and what follows is its port.
    let v4 = before_colon.contains('.');
    if sources.is_none() && if v4 { before_colon } else { word }.contains(',') {
        return Err(list_without_group(t, head));
    }
    let hex = before_colon.is_empty() || is_hex_word(before_colon);
    if word.contains(':') && !v4 && (hex || after_colon.contains(':')) {
        let ip = parse_v6(t, head.clone())?.into();
        require_multicast(t, ip, head.clone(), &sources)?;
        let mut suffix = Suffix::default();
        let mut at = head.end;
        if t.get(&(at..t.end)).starts_with('+') {
            let len = t.get(&(at..t.end)).find('%').unwrap_or(t.end - at);
            no_port_without_brackets(t, &head, at..at + len)?;
            suffix.count = Some(parse_count(t, at + 1..at + len)?);
            at += len;
        }
        if at < t.end {
            no_port_without_brackets(t, &head, at..t.end)?;
            suffix.ifaces = Some(parse_ifaces(t, at + 1..t.end)?);
        }
        return finish(t, ip, suffix, sources);
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let head = at..at + rest.find(['%', '+', ':']).unwrap_or(rest.len());
        if let Some(i) = t.get(&head).find('/') {
            return Err(prefix_notation(t, head.start..head.start + i, head.start + i..head.end));
        }
        let ip = parse_v4(t, head.clone())?.into();
        require_multicast(t, ip, head.clone(), &sources)?;
        let suffix = parse_suffix_v4(t, head.end)?;
        return finish(t, ip, suffix, sources);
    }
    parse_name(t, head, sources)
}

/// `[ADDR+N%IFACE]:PORT`.
fn parse_bracketed(t: &Text<'_>, at: usize, sources: Sources) -> Result<Spec, Fail> {
    let close = t.get(&(at..t.end)).find(']').map(|i| at + i);
    let inner = at + 1..close.unwrap_or(t.end);
    let word = t.get(&inner);
    let head_len = word.find(['%', '+']).unwrap_or(word.len());
    let head = inner.start..inner.start + head_len;
    let unclosed = || t.fail(at..at + 1, "this bracket is not closed").open_if(t.is_end(t.end));
    if close.is_none() && (head.is_empty() || is_hex_word(t.get(&head))) && head.end == inner.end {
        return Err(unclosed());
    }
    if head.is_empty() {
        return Err(t.fail(at..inner.end + 1, "an IPv6 address is missing in the brackets"));
    }
    if !t.get(&head).contains(':') && t.get(&head).contains('.') {
        let fail = t.fail(at..close.map_or(t.end, |c| c + 1), "brackets are for IPv6");
        return Err(fail.help(format!("write {}:PORT", t.get(&head))));
    }
    let ip = parse_v6(t, head.clone())?.into();
    // Up to its closing bracket it may still become a source.
    let closed = close.map(|i| i + 1).filter(|&end| head.end == inner.end && t.is_end(end));
    require_multicast(t, ip, head.start..closed.unwrap_or(head.end), &sources)?;
    let mut suffix = Suffix::default();
    let mut next = head.end;
    if t.get(&(next..inner.end)).starts_with('+') {
        let len = t.get(&(next..inner.end)).find('%').unwrap_or(inner.end - next);
        suffix.count = Some(parse_count(t, next + 1..next + len)?);
        next += len;
    }
    if next < inner.end {
        suffix.ifaces = Some(parse_ifaces(t, next + 1..inner.end)?);
    }
    let Some(close) = close else {
        return Err(unclosed());
    };
    let after = close + 1;
    match t.get(&(after..t.end)).chars().next() {
        None => {}
        Some(':') => suffix.port = Some(parse_port(t, after + 1..t.end)?),
        Some('%') => {
            let fail = t.fail(after..t.end, "the interface of an IPv6 group goes inside the brackets");
            let iface = t.get(&(after..t.end));
            let iface = &iface[..iface.find(':').unwrap_or(iface.len())];
            return Err(fail.help(format!("write [{}{iface}]:PORT", t.get(&inner))));
        }
        Some(_) => return Err(t.fail(after..t.end, "only :PORT may follow the bracket")),
    }
    finish(t, ip, suffix, sources)
}

/// An IPv6 address without brackets has no port after its interface or count.
fn no_port_without_brackets(t: &Text<'_>, head: &Range<usize>, rest: Range<usize>) -> Result<(), Fail> {
    let Some(colon) = t.get(&rest).find(':') else {
        return Ok(());
    };
    let colon = rest.start + colon;
    let fail = t.fail(colon..t.end, "an IPv6 group with a port stands in brackets");
    Err(fail.help(format!("write [{}]{}", t.get(&(head.start..colon)), t.get(&(colon..t.end)))))
}

/// Reads `+N`, `%IFACE` and `:PORT` behind an IPv4 address.
fn parse_suffix_v4(t: &Text<'_>, from: usize) -> Result<Suffix, Fail> {
    let mut suffix = Suffix::default();
    let mut at = from;
    while at < t.end {
        let mark = t.get(&(at..t.end)).chars().next();
        let rest = at + 1..t.end;
        let stops: &[char] = match mark {
            Some('+') => &['%', ':'],
            Some('%') => &[':'],
            _ => &['%'],
        };
        let len = t.get(&rest).find(stops).unwrap_or(rest.len());
        let part = rest.start..rest.start + len;
        match mark {
            Some('+') => suffix.count = Some(parse_count(t, part.clone())?),
            Some('%') if suffix.ifaces.is_some() => {
                let fail = t.fail(at..part.end, "interfaces are given twice");
                return Err(fail.help("write them once, with commas: %eth0,eth1"));
            }
            Some('%') => suffix.ifaces = Some(parse_ifaces(t, part.clone())?),
            _ if suffix.port.is_some() => return Err(t.fail(at..part.end, "a port is given twice")),
            _ => suffix.port = Some(parse_port(t, part.clone())?),
        }
        at = part.end;
    }
    Ok(suffix)
}

/// Reads the number of groups.
fn parse_count(t: &Text<'_>, span: Range<usize>) -> Result<(u32, Range<usize>), Fail> {
    let word = t.get(&span);
    if word.is_empty() {
        let fail = t.fail(span.start..span.end, "the number of groups is missing after the +");
        return Err(fail.open_if(t.is_end(span.end)));
    }
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        return Err(t.fail(span, "the number of groups is not a number"));
    }
    if word.starts_with('0') {
        return Err(t
            .fail(span, "the number of groups in all starts at 1")
            .help("+4 is this group and the next three"));
    }
    match word.parse::<u32>() {
        Ok(count) if count <= MAX_COUNT => Ok((count, span)),
        _ => Err(t.fail(span, "a range has at most 65,536 groups")),
    }
}

/// Reads the interfaces after a percent sign.
fn parse_ifaces(t: &Text<'_>, span: Range<usize>) -> Result<IfaceChoice, Fail> {
    let mut span = span;
    if t.url {
        // RFC 6874: the percent sign of a zone is itself escaped.
        if t.get(&span) == "2" && t.is_end(span.end) {
            return Err(t.fail(span, "an interface is missing after %25").open_if(true));
        }
        span.start += if t.get(&span).starts_with("25") { 2 } else { 0 };
    }
    if let Some(i) = t.get(&span).find('%') {
        let at = span.start + i;
        let fail = t.fail(at..at + 1, "several interfaces are separated by commas");
        return Err(fail.help(format!("write %{}", t.get(&span).replace('%', ","))));
    }
    let mut names: Vec<String> = Vec::new();
    for piece in pieces(t, span.clone()) {
        let name = t.get(&piece);
        if name.is_empty() {
            let fail = t.fail(piece.clone(), "the name of an interface is missing here");
            return Err(fail.open_if(t.is_end(piece.end)));
        }
        let stray =
            |c: &(usize, char)| c.1.is_control() || matches!(c.1, '/' | ':' | '@' | '[' | ']' | '?' | '#');
        if let Some((i, c)) = name.char_indices().find(stray) {
            let at = piece.start + i;
            let message = "this cannot be part of an interface's name";
            return Err(t.fail(at..at + c.len_utf8(), message));
        }
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    match names.iter().any(|name| name == "all") {
        false => Ok(IfaceChoice::Named(names)),
        true if names.len() == 1 => Ok(IfaceChoice::All),
        true => {
            let fail = t.fail(span, "`all` stands for every candidate by itself");
            Err(fail.help("write %all, or only the interfaces' names"))
        }
    }
}

/// Reads a port.
fn parse_port(t: &Text<'_>, span: Range<usize>) -> Result<u16, Fail> {
    let word = t.get(&span);
    if word.is_empty() {
        let fail = t.fail(span.start..span.end, "the port is missing after the colon");
        return Err(fail.open_if(t.is_end(span.end)));
    }
    if let Some(i) = word.find(':') {
        return Err(t.fail(span.start + i..span.end, "a port is given twice"));
    }
    if let Some(plus) = word.find('+')
        && word.bytes().all(|b| b.is_ascii_digit() || b == b'+')
    {
        let fail = t.fail(span.start + plus..span.end, "the number of groups goes behind the address");
        return Err(fail.help(format!("write ADDR{}:{}", &word[plus..], &word[..plus])));
    }
    if !word.bytes().all(|b| b.is_ascii_digit()) {
        let fail = t.fail(span, "a port is a number from 1 to 65535");
        return Err(if word.contains(',') {
            fail.help("one port each: give several apart, with spaces")
        } else {
            fail
        });
    }
    if word.bytes().all(|b| b == b'0') {
        return Err(t
            .fail(span, "nothing can be received on port 0")
            .help("a port is a number from 1 to 65535"));
    }
    if word.starts_with('0') {
        let help = format!("write {}", word.trim_start_matches('0'));
        return Err(t.fail(span, "a port has no leading zero").help(help));
    }
    word.parse().map_err(|_| t.fail(span, "a port goes up to 65535"))
}

/// Reads a name of the registry.
fn parse_name(t: &Text<'_>, head: Range<usize>, sources: Sources) -> Result<Spec, Fail> {
    let word = t.get(&head);
    let unfinished = t.is_end(head.end) && is_hex_word(word);
    if sources.is_some() || t.url {
        let message = if word.is_empty() {
            "the group's address is missing here"
        } else {
            "this must be a group's address"
        };
        return Err(t.fail(head, message).open_if(unfinished));
    }
    if let Some(i) = word.find(':') {
        let fail = t.fail(head.start + i..head.end, "only an address takes a port");
        return Err(fail.help("a name of the registry brings its own; host names are not looked up"));
    }
    let stray = |c: &(usize, char)| !c.1.is_alphanumeric() && !matches!(c.1, '-' | '_' | '.' | ' ');
    if let Some((i, c)) = word.char_indices().find(stray) {
        let at = head.start + i;
        return Err(t.fail(at..at + c.len_utf8(), "this can be neither a group nor a name"));
    }
    let rest = head.end..t.end;
    if word.is_empty() {
        return Err(t.fail(rest, "a group is missing before this"));
    }
    let ifaces = match t.get(&rest).chars().next() {
        None => IfaceChoice::Unnamed,
        Some('%') => {
            let span = rest.start + 1..rest.end;
            if let Some(i) = t.get(&span).find(':') {
                let at = span.start + i;
                return Err(t
                    .fail(at..span.end, "only an address takes a port")
                    .help("a name of the registry brings its own"));
            }
            parse_ifaces(t, span)?
        }
        Some(_) => return Err(t.fail(rest, "a name has no range").help("write the group's address: ADDR+N")),
    };
    Ok(Spec::Name(NameSpec { name: word.trim_end().to_owned(), ifaces }))
}
