//! What the doctor found: one JSON object, or a page for a person.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::base::units::{count, counted};
use crate::doctor::checks::window;
use crate::doctor::finding::{Finding, Funnel, Report, Verdict};
use crate::doctor::picture::{arrow, cells};
use crate::export::json::VERSION;

/// One finding, as JSON.
#[derive(Serialize)]
struct FindingJson<'a> {
    /// The check, as in `rp.filter`.
    id: &'a str,
    /// `ok`, `note`, `warn`, `fail` or `unknown`.
    verdict: &'a str,
    /// What is, in a sentence.
    title: &'a str,
    /// The values read, and where.
    evidence: &'a str,
    /// Why it matters.
    why: &'a str,
    /// What to do: words, or commands.
    remedy: Option<&'a str>,
    /// The remedy if a shell can run it, as root, one command a line.
    command: Option<&'a str>,
    /// An interface, a group on an interface, a program, "this host".
    object: &'a str,
    /// Whether it explains why a group is silent.
    explains: bool,
}

/// One group, as JSON.
#[derive(Serialize)]
struct GroupJson<'a> {
    group: String,
    port: u16,
    iface: &'a str,
    sources: Vec<String>,
    /// Whether a socket received anything.
    arrives: bool,
    /// How many datagrams it received.
    packets: u64,
    window_ns: u64,
    funnel: Option<FunnelJson<'a>>,
}

#[derive(Serialize)]
struct FunnelJson<'a> {
    stages: Vec<StageJson<'a>>,
    /// The stage where the packets die.
    dies_at: Option<&'a str>,
    /// What the measurement leaves open.
    cannot_separate: Option<&'a str>,
}

#[derive(Serialize)]
struct StageJson<'a> {
    stage: &'a str,
    /// Packets counted there in the window, of what `scope` says.
    count: Option<u64>,
    /// `group`, `interface` or `host`.
    scope: &'a str,
    /// `passes`, `dies`, `unknown` or `unreached`.
    state: &'a str,
    note: Option<&'a str>,
}

/// The findings of all reports, each once, what explains a silence first, then the worst.
pub fn merged(reports: &[Report]) -> Vec<&Finding> {
    // Checks of the host and of an interface are in the report of each group.
    let mut told = HashSet::new();
    let mut all: Vec<&Finding> = reports.iter().flat_map(|r| &r.findings).collect();
    all.retain(|f| told.insert((f.id, f.object.as_str(), f.title.as_str())));
    all.sort_by_key(|f| f.rank());
    all
}

/// The reports as one JSON object: `{"v":1,"findings":[…],"groups":[…]}`.
pub fn json(reports: &[Report]) -> String {
    let findings: Vec<FindingJson<'_>> = merged(reports)
        .into_iter()
        .map(|f| FindingJson {
            id: f.id,
            verdict: f.verdict.word(),
            title: &f.title,
            evidence: &f.evidence,
            why: &f.why,
            remedy: f.remedy.as_ref().map(|r| r.text()),
            command: f.remedy.as_ref().and_then(|r| r.command()),
            object: &f.object,
            explains: f.explains,
        })
        .collect();
    let groups: Vec<GroupJson<'_>> = reports
        .iter()
        .filter_map(|r| {
            let m = r.membership.as_ref()?;
            Some(GroupJson {
                group: m.group.to_string(),
                port: m.port,
                iface: &m.iface,
                sources: m.filter.sources().iter().map(ToString::to_string).collect(),
                arrives: r.packets > 0,
                packets: r.packets,
                window_ns: r.window_ns,
                funnel: r.funnel.as_ref().map(funnel_json),
            })
        })
        .collect();
    serde_json::json!({ "v": VERSION, "findings": findings, "groups": groups }).to_string()
}

fn funnel_json(f: &Funnel) -> FunnelJson<'_> {
    FunnelJson {
        stages: f
            .stages
            .iter()
            .map(|s| StageJson {
                stage: s.station.word(),
                count: s.count,
                scope: s.scope.word(),
                state: s.passage.word(),
                note: s.note.as_deref(),
            })
            .collect(),
        dies_at: f.dies_at().map(|s| s.word()),
        cannot_separate: Some(f.cannot_separate.as_str()).filter(|t| !t.is_empty()),
    }
}

/// Columns of a page: a terminal has as many.
const WIDTH: usize = 80;

/// Groups whose way is drawn; of more, those of the same fate share a line.
const DRAWN: usize = 4;
/// Findings of one check and verdict that are told in full.
const TOLD: usize = 3;
/// Objects named in a line that stands for many.
const NAMED: usize = 4;

/// The reports as a page. Without `all` the checks that are fine, or could not look, are only counted,
/// and what is the same for many groups is told of the first.
pub fn text(reports: &[Report], all: bool) -> String {
    let mut out = String::new();
    // Those that are silent are what was asked about.
    let mut order: Vec<&Report> = reports.iter().collect();
    if reports.len() > DRAWN && !all {
        order.sort_by_key(|r| r.packets > 0);
    }
    let drawn = if all { order.len() } else { order.len().min(DRAWN) };
    order[..drawn].iter().for_each(|r| heading(&mut out, r));
    fates(&mut out, &order[drawn..]);
    let findings = merged(reports);
    let shown = |f: &&&Finding| all || matches!(f.verdict, Verdict::Fail | Verdict::Warn) || f.explains;
    if all {
        findings.iter().for_each(|f| finding(&mut out, f));
        return out;
    }
    for (same, last) in folded(findings.iter().filter(shown)) {
        match last {
            None => finding(&mut out, same[0]),
            Some(f) => {
                finding(&mut out, f);
                out.truncate(out.trim_end().len() + 1);
                wrapped(
                    &mut out,
                    "  also     ",
                    "           ",
                    &format!("{} (--all shows each)", named(&same)),
                );
                out.push('\n');
            }
        }
    }
    for (same, last) in folded(findings.iter().filter(|f| f.verdict == Verdict::Note && !f.explains)) {
        let also = if last.is_some() { format!("; also {}", named(&same)) } else { String::new() };
        wrapped(&mut out, "· ", "  ", &format!("{}{also}", last.unwrap_or(same[0]).title));
    }
    let unseen: Vec<&&Finding> =
        findings.iter().filter(|f| f.verdict == Verdict::Unknown && !f.explains).collect();
    unknowns(&mut out, &unseen);
    let fine = findings.iter().filter(|f| f.verdict == Verdict::Ok).count();
    let other = if findings.len() > fine { "other " } else { "" };
    let verb = if fine == 1 { "check is" } else { "checks are" };
    let _ = writeln!(out, "✓ {fine} {other}{verb} fine (--all shows them)");
    out
}

/// Findings in their order. After so many of one check and verdict the rest comes at once: with the last
/// one that is told in full, those that are not.
fn folded<'f>(
    findings: impl Iterator<Item = &'f &'f Finding>,
) -> Vec<(Vec<&'f Finding>, Option<&'f Finding>)> {
    let mut out: Vec<(Vec<&Finding>, Option<&Finding>)> = Vec::new();
    let mut seen: HashMap<(&str, Verdict), (usize, usize)> = HashMap::new();
    for &f in findings {
        let (count, last) = seen.entry((f.id, f.verdict)).or_default();
        *count += 1;
        if *count <= TOLD {
            *last = out.len();
            out.push((vec![f], None));
            continue;
        }
        let (same, told) = &mut out[*last];
        if told.is_none() {
            *told = same.pop();
        }
        same.push(f);
    }
    out
}

/// What findings are about, the first few by name.
fn named(findings: &[&Finding]) -> String {
    let objects: Vec<&str> = findings.iter().map(|f| f.object.as_str()).collect();
    first_of(&objects)
}

fn first_of(all: &[&str]) -> String {
    let list = all[..all.len().min(NAMED)].join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => list,
        more => format!("{list} and {} more", count(more as u64)),
    }
}

/// The groups that are not drawn: a line for each fate and interface.
fn fates(out: &mut String, reports: &[&Report]) {
    let mut by_fate: Vec<((&str, &str), Vec<String>)> = Vec::new();
    for r in reports {
        let Some(m) = &r.membership else { continue };
        let note = r.funnel.iter().flat_map(|f| &f.stages).find_map(|s| s.note.as_deref());
        let fate = if r.packets > 0 { "arrives" } else { note.unwrap_or("silent") };
        let (key, group) = ((fate, &*m.iface), m.endpoint().to_string());
        match by_fate.iter_mut().find(|(k, _)| *k == key) {
            Some((_, groups)) => groups.push(group),
            None => by_fate.push((key, vec![group])),
        }
    }
    for ((fate, iface), groups) in &by_fate {
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        wrapped(out, "", "  ", &format!("{} on {iface}: {fate}", first_of(&groups)));
    }
    if !by_fate.is_empty() {
        out.push('\n');
    }
}

fn heading(out: &mut String, r: &Report) {
    let measured =
        if r.window_ns > 0 { format!("  measured for {}", window(r.window_ns)) } else { String::new() };
    let Some(m) = &r.membership else {
        let _ = writeln!(out, "This host{measured}\n");
        return;
    };
    if r.packets > 0 {
        let _ = writeln!(
            out,
            "{} arrives on {}: {}{measured}\n",
            m.endpoint(),
            m.iface,
            counted(r.packets, "datagram", "datagrams")
        );
    } else {
        let _ = writeln!(out, "Why is {} silent on {}?{measured}\n", m.endpoint(), m.iface);
    }
    if let Some(f) = &r.funnel {
        picture(out, f);
    }
}

/// The path with the place where the packets die.
fn picture(out: &mut String, f: &Funnel) {
    const GAP: usize = 5;
    let (mut names, mut figures) = (String::new(), String::new());
    let mut note = None;
    for c in cells(f, GAP) {
        // Three lines that grow together, two blanks from the left.
        let pad = |line: &str| " ".repeat((c.column + 2).saturating_sub(line.width()));
        if c.column > 0 {
            let pad = " ".repeat((c.column + 2).saturating_sub(names.width() + GAP));
            let _ = write!(names, "{pad}{}", arrow(GAP));
        }
        let _ = write!(names, "{}{}", pad(&names), c.station.word());
        let _ = write!(figures, "{}{}", pad(&figures), c.figure);
        note = note.or(c.note.map(|n| format!("{}└ {n}", " ".repeat(c.column + 2))));
    }
    let _ = writeln!(out, "{names}\n{}", figures.trim_end());
    if let Some(note) = note {
        let _ = writeln!(out, "{note}");
    }
    if !f.cannot_separate.is_empty() {
        out.push('\n');
        wrapped(out, "  cannot be told apart: ", "    ", &f.cannot_separate);
    }
    out.push('\n');
}

fn mark(v: Verdict) -> &'static str {
    match v {
        Verdict::Fail => "✕",
        Verdict::Warn => "!",
        Verdict::Unknown => "?",
        Verdict::Note => "·",
        Verdict::Ok => "✓",
    }
}

fn finding(out: &mut String, f: &Finding) {
    wrapped(out, &format!("{} ", mark(f.verdict)), "  ", &f.title);
    const LABEL: &str = "           ";
    wrapped(out, &format!("  {:<9}", "check"), LABEL, &format!("{} on {}", f.id, f.object));
    wrapped(out, "  seen     ", LABEL, &f.evidence);
    if f.verdict != Verdict::Ok {
        wrapped(out, "  why      ", LABEL, &f.why);
    }
    if let Some(remedy) = &f.remedy {
        let mut label = "  remedy   ";
        for line in remedy.text().lines() {
            match remedy.command() {
                // A command is one line, however long, so that it can be copied.
                Some(_) => {
                    let _ = writeln!(out, "{label}{line}");
                }
                None => wrapped(out, label, LABEL, line),
            }
            label = LABEL;
        }
    }
    out.push('\n');
}

/// What could not be looked at, by what is missing.
fn unknowns(out: &mut String, all: &[&&Finding]) {
    let mut by_reason: Vec<(&str, Option<&str>, Vec<&str>)> = Vec::new();
    for f in all {
        let command = f.remedy.as_ref().and_then(|r| r.command());
        match by_reason.iter_mut().find(|(reason, ..)| *reason == f.evidence) {
            Some((_, _, ids)) if ids.contains(&f.id) => {}
            Some((_, _, ids)) => ids.push(f.id),
            None => by_reason.push((&f.evidence, command, vec![f.id])),
        }
    }
    for (reason, command, ids) in by_reason {
        let verb = if ids.len() == 1 { "is" } else { "are" };
        wrapped(out, "? ", "  ", &format!("{} {verb} not known: {reason}", ids.join(", ")));
        if let Some(command) = command.filter(|c| c.starts_with("setcap")) {
            let _ = writeln!(out, "  remedy   {command}");
        }
    }
}

/// A paragraph: the first line behind `first`, the others behind `rest`.
fn wrapped(out: &mut String, first: &str, rest: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.width() + 1 + word.width() > WIDTH {
            let _ = writeln!(out, "{line}");
            line = rest.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::{Fate, Passage, Remedy, Scope, Stage, Station};

    fn finding_of(id: &'static str, verdict: Verdict, explains: bool) -> Finding {
        Finding {
            id,
            verdict,
            title: format!("title of {id}"),
            evidence: "needs CAP_NET_RAW".into(),
            why: "it matters".into(),
            remedy: Some(Remedy::Command("sysctl -w a=1\nsysctl -w b=2".into())),
            object: "eth0".into(),
            explains,
        }
    }

    fn report() -> Report {
        let stage = |station: Station| Stage {
            station,
            count: Some(118),
            scope: Scope::Host,
            passage: match station.cmp(&Station::Group) {
                std::cmp::Ordering::Less => Passage::Passes,
                std::cmp::Ordering::Equal => Passage::Dies,
                std::cmp::Ordering::Greater => Passage::Unreached,
            },
            note: (station == Station::Group).then(|| "rp_filter dropped 118".into()),
        };
        Report {
            membership: Some(std::sync::Arc::new(crate::base::group::Membership {
                group: "239.7.7.7".parse().unwrap(),
                port: 5004,
                iface: "eth0".into(),
                filter: Default::default(),
            })),
            window_ns: 3_000_000_000,
            packets: 0,
            funnel: Some(Funnel {
                stages: Station::ALL.into_iter().map(stage).collect(),
                fate: Fate::ReversePath,
                cannot_separate: String::new(),
            }),
            findings: vec![
                finding_of("if.down", Verdict::Ok, false),
                finding_of("net.sender", Verdict::Fail, false),
                finding_of("rp.filter", Verdict::Warn, true),
                finding_of("fw.igmp", Verdict::Unknown, false),
            ],
        }
    }

    #[test]
    fn what_explains_comes_first_and_each_finding_once() {
        let json: serde_json::Value = serde_json::from_str(&json(&[report(), report()])).unwrap();
        assert_eq!(json["v"], 1);
        let ids: Vec<&str> =
            json["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["rp.filter", "net.sender", "fw.igmp", "if.down"]);
        assert_eq!(json["findings"][0]["command"], "sysctl -w a=1\nsysctl -w b=2");
        assert_eq!(json["groups"][0]["funnel"]["dies_at"], "group");
        assert_eq!(json["groups"][0]["funnel"]["cannot_separate"], serde_json::Value::Null);
        assert_eq!(json["groups"][0]["arrives"], false);
    }

    /// The report of another group, silent for the same reason.
    fn of_group(n: u8) -> Report {
        let mut r = report();
        let mut m = (**r.membership.as_ref().unwrap()).clone();
        m.group = std::net::Ipv4Addr::new(239, 7, 8, n).into();
        let object = format!("{}", m.endpoint());
        r.findings.iter_mut().for_each(|f| f.object = object.clone());
        r.membership = Some(std::sync::Arc::new(m));
        r
    }

    #[test]
    fn what_is_the_same_for_many_groups_is_told_of_the_first() {
        let mut reports: Vec<Report> = (0..200).map(of_group).collect();
        reports[0].packets = 5;
        let page = text(&reports, false);
        assert!(page.lines().count() < 80, "{page}");
        assert_eq!(page.matches("wire ──▶").count(), DRAWN);
        assert!(page.starts_with("Why is 239.7.8.1:5004 silent"), "the silent ones first: {page}");
        let rest = "239.7.8.5:5004, 239.7.8.6:5004, 239.7.8.7:5004, 239.7.8.8:5004 and 191 more on";
        assert!(page.contains(rest) && page.contains("eth0: rp_filter dropped 118"), "{page}");
        assert!(page.contains("239.7.8.0:5004 on eth0: arrives"), "{page}");
        assert_eq!(page.matches("title of rp.filter").count(), TOLD);
        assert_eq!(page.matches("193 more (--all shows each)").count(), 2, "of both checks: {page}");
        let whole = text(&reports, true);
        assert_eq!(whole.matches("title of rp.filter").count(), 200);
        // Three at most are told in full all the same.
        let page = text(&reports[..3], false);
        assert_eq!(page.matches("title of rp.filter").count(), 3);
        assert!(!page.contains("--all shows each"), "{page}");
    }

    #[test]
    fn the_page_has_the_path_and_counts_what_is_fine() {
        let page = text(&[report()], false);
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[0], "Why is 239.7.7.7:5004 silent on eth0?  measured for 3 s");
        // The cross stands under the station's name, and the branch under the cross.
        let column = |line: &str, what: &str| line[..line.find(what).unwrap()].width();
        assert_eq!(column(lines[2], "group"), column(lines[3], "✕"));
        assert_eq!(column(lines[3], "✕"), column(lines[4], "└ rp_filter dropped 118"));
        assert!(page.contains("  remedy   sysctl -w a=1\n           sysctl -w b=2\n"), "{page}");
        assert!(page.contains("? fw.igmp is not known: needs CAP_NET_RAW"), "{page}");
        assert!(page.ends_with("✓ 1 other check is fine (--all shows them)\n"), "{page}");
        assert!(!page.contains("title of if.down"));
        assert!(text(&[report()], true).contains("title of if.down"));
    }
}
