//! Compares what the model says with what a scenario expects.

use mcscope::base::time::Mono;
use mcscope::model::Model;
use mcscope::model::group::Group;
use mcscope::model::media::Media;
use mcscope::model::pair::Pair;
use mcscope::model::rate::Rate;
use mcscope::model::sequence::SeqCounts;
use mcscope::model::shape::Peaks;
use mcscope::model::source::{Counters, Gaps, Source};

use crate::language::{Scenario, Scope, Truth};

/// A figure as it is compared; absent is not zero.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Absent,
    Number(f64),
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Absent => f.write_str("-"),
            Value::Number(n) => write!(f, "{n}"),
            Value::Text(t) => f.write_str(t),
        }
    }
}

fn number(n: Option<impl Into<f64>>) -> Value {
    n.map_or(Value::Absent, |n| Value::Number(n.into()))
}

fn count(n: Option<u64>) -> Value {
    number(n.map(|n| n as f64))
}

fn text(t: Option<&str>) -> Value {
    t.map_or(Value::Absent, |t| Value::Text(t.to_owned()))
}

/// Looks up a figure by its name.
type Figure<'a> = Box<dyn Fn(&str) -> Option<Value> + 'a>;

/// Adds to `problems` what does not hold.
pub fn check(
    model: &Model,
    scenario: &Scenario,
    line: usize,
    scope: &Scope,
    wants: &[(String, String)],
    problems: &mut Vec<String>,
) {
    let row = |i: usize| scenario.rows[i].to;
    let group = |i: usize| model.groups().nth(i).expect("a row for each group");
    let now = model.now().mono;
    let name;
    let figure: Figure<'_> = match scope {
        Scope::Source(i, from) => {
            name = format!("source {from}");
            let Some(s) = group(*i).sources.get(*from) else {
                problems.push(format!(":{line}: {name}: there is no such source"));
                return;
            };
            Box::new(move |k| of_source(s, now, k))
        }
        Scope::Group(i) => {
            name = format!("group {}", row(*i));
            Box::new(move |k| of_group(group(*i), now, k))
        }
        Scope::Pair(i) => {
            name = format!("pair {}", i + 1);
            let Some(p) = model.pairs().get(*i) else {
                problems.push(format!(":{line}: {name}: there is no such feed"));
                return;
            };
            Box::new(move |k| of_pair(p, now, k))
        }
        Scope::Total => {
            name = "total".to_owned();
            Box::new(|k| of_total(model, k))
        }
        Scope::Events => {
            name = "events".to_owned();
            Box::new(|k| {
                let kind = k.split('/').next().unwrap_or(k);
                let said = k.split_once('/').map_or("", |(_, said)| said);
                let n = model.events().iter().filter(|e| e.kind.word() == kind && e.text.contains(said));
                Some(Value::Number(n.count() as f64))
            })
        }
        Scope::Exact => return exact(model, scenario, line, problems),
    };
    for (key, want) in wants {
        match figure(key) {
            None => problems.push(format!(":{line}: {name}: there is no figure {key}")),
            Some(is) if !holds(&is, want) => {
                problems.push(format!(":{line}: {name}: {key} is {is}, expected {want}"));
            }
            Some(_) => {}
        }
    }
}

/// `5`, `48~2` (from 46 to 50), `>5`, `<5`, `-` for absent, or a word.
fn holds(is: &Value, want: &str) -> bool {
    let is = match is {
        Value::Absent => return want == "-",
        Value::Text(t) => return t == want,
        Value::Number(n) => *n,
    };
    let parse = |t: &str| t.parse::<f64>().ok();
    if let Some(w) = want.strip_prefix('>') {
        return parse(w).is_some_and(|w| is > w);
    }
    if let Some(w) = want.strip_prefix('<') {
        return parse(w).is_some_and(|w| is < w);
    }
    if let Some((w, by)) = want.split_once('~') {
        return parse(w).zip(parse(by)).is_some_and(|(w, by)| (is - w).abs() <= by);
    }
    parse(want) == Some(is)
}

/// Every sender against what was really sent and dropped on its way.
fn exact(model: &Model, scenario: &Scenario, line: usize, problems: &mut Vec<String>) {
    for ((row, from), truth) in &scenario.truth {
        let source = model.groups().nth(*row).and_then(|g| g.sources.get(*from));
        let Some(s) = source else {
            problems.push(format!(":{line}: exact: {from} is unknown"));
            continue;
        };
        let n = s.continuity().unwrap_or_default();
        let is = Truth {
            packets: s.counters.packets,
            lost: n.lost,
            duplicates: n.duplicates,
            reordered: n.reordered,
        };
        if is != *truth {
            problems.push(format!(":{line}: exact: {from}: {is:?}, really {truth:?}"));
        }
    }
}

fn of_counters(c: &Counters, key: &str) -> Option<Value> {
    let any = c.packets > 0;
    Some(match key {
        "packets" => count(Some(c.packets)),
        "payload_bytes" => count(Some(c.payload_bytes)),
        "ip_bytes" => count(Some(c.ip_bytes)),
        "truncated" => count(Some(c.truncated)),
        "fragmented" => count(Some(c.fragmented)),
        "size_min" => number(any.then_some(c.size_min)),
        "size_max" => number(any.then_some(c.size_max)),
        "size_mean" => number(c.size_mean()),
        _ => return None,
    })
}

fn of_continuity(n: Option<SeqCounts>, key: &str) -> Option<Value> {
    let of = |f: fn(&SeqCounts) -> u64| count(n.as_ref().map(f));
    Some(match key {
        "lost" => of(|n| n.lost),
        "lost_here" => of(|n| n.lost_here),
        "lost_unclear" => of(|n| n.lost_unclear),
        "lost_at_start" => of(|n| n.lost_at_start),
        "duplicates" => of(|n| n.duplicates),
        "reordered" => of(|n| n.reordered),
        "late_max" => of(|n| n.late_max),
        "late_max_ms" => number(n.map(|n| n.late_max_ns as f64 / 1e6)),
        "gaps" => of(|n| n.gaps),
        "longest_gap" => of(|n| n.longest_gap),
        "restarts" => of(|n| n.restarts.into()),
        "strays" => of(|n| n.strays.into()),
        _ => return None,
    })
}

fn of_gaps(g: &Gaps, key: &str) -> Option<Value> {
    let ms = |ns: u64| (g.count > 0).then_some(ns as f64 / 1e6);
    Some(match key {
        "gap_min_ms" => number(ms(g.min_ns)),
        "gap_mean_ms" => number(ms(g.mean_ns().unwrap_or(0))),
        "gap_max_ms" => number(ms(g.max_ns)),
        _ => return None,
    })
}

fn of_rate(r: Option<Rate>, key: &str) -> Option<Value> {
    Some(match key {
        "packets_pps" => number(r.map(|r| r.packets_pps)),
        "payload_bps" => number(r.map(|r| r.payload_bps)),
        "ip_bps" => number(r.map(|r| r.ip_bps)),
        _ => return None,
    })
}

/// `5,.,3`: the last seconds, oldest first; `.` where nobody was watching yet. `strip3` asks for three.
fn of_strip(strip: Option<&mcscope::model::rate::Strip>, now: Mono, key: &str) -> Option<Value> {
    let seconds = key.strip_prefix("strip")?.parse().ok()?;
    let Some(strip) = strip else { return Some(Value::Absent) };
    let cells: Vec<String> =
        strip.packets(now, seconds).map(|c| c.map_or(".".to_owned(), |n| n.to_string())).collect();
    Some(Value::Text(cells.join(",")))
}

/// Of the first media clock.
fn media(s: &Source, figure: fn(&Media) -> Option<f64>, unit: f64) -> Value {
    let first = s.detail.as_ref().and_then(|d| d.media().first());
    number(first.and_then(figure).map(|n| n / unit))
}

fn of_peaks(peaks: Option<&Peaks>, key: &str) -> Option<Value> {
    let window = match key {
        "peak_1ms" => 1_000_000,
        "peak_10ms" => 10_000_000,
        "peak_100ms" => 100_000_000,
        _ => return None,
    };
    Some(number(peaks.and_then(|p| p.peak(window)).map(|p| p.packets)))
}

fn of_source(s: &Source, now: Mono, key: &str) -> Option<Value> {
    let percentile = |q| s.detail.as_ref().and_then(|d| d.gaps.quantile(q)).map(|ns| ns as f64 / 1e6);
    let own = match key {
        "state" => text(Some(s.state.word())),
        "protocol" => text(s.protocol().map(|p| p.id)),
        "ttl" => number(s.ttl.last),
        "ttl_min" => number(s.ttl.last.map(|_| s.ttl.min)),
        "ttl_max" => number(s.ttl.last.map(|_| s.ttl.max)),
        "ttl_changes" => number(Some(s.ttl.changes)),
        "dscp" => number(s.dscp.last),
        "dscp_changes" => number(Some(s.dscp.changes)),
        "ecn" => number(s.ecn.last),
        "ecn_changes" => number(Some(s.ecn.changes)),
        "gap_p50_ms" => number(percentile(0.5)),
        "gap_p99_ms" => number(percentile(0.99)),
        "rfc3550_lost" => number(s.rfc3550_lost().map(|n| n as f64)),
        "jitter_ms" => media(s, Media::jitter_ns, 1e6),
        "jitter_max_ms" => media(s, Media::jitter_max_ns, 1e6),
        "jitter_mean_ms" => media(s, Media::jitter_mean_ns, 1e6),
        "drift_ppm" => media(s, Media::drift_ppm, 1.0),
        "clock_hz" => media(s, |m| m.clock_hz().map(f64::from), 1.0),
        "silence_ms" => count(Some(s.longest_silence_ns(now) / 1_000_000)),
        "counter" => s.counter().map_or(Value::Absent, |(c, _)| {
            let order = if c.little_endian { "le" } else { "be" };
            Value::Text(format!("{}:{}:{order}:{}", c.offset, c.width, c.step))
        }),
        "detailed" => text(Some(if s.detail.is_some() { "yes" } else { "no" })),
        _ => {
            return of_counters(&s.counters, key)
                .or_else(|| of_continuity(s.continuity(), key))
                .or_else(|| of_gaps(&s.gaps, key))
                .or_else(|| of_rate(s.rate.rate(now, s.first.mono), key))
                .or_else(|| of_peaks(s.detail.as_ref().map(|d| &d.peaks), key))
                .or_else(|| of_strip(s.detail.as_ref().map(|d| &d.strip), now, key));
        }
    };
    Some(own)
}

fn of_group(g: &Group, now: Mono, key: &str) -> Option<Value> {
    let own = match key {
        "state" => text(Some(g.state.word())),
        "detailed" => count(Some(g.sources.detailed() as u64)),
        "notes" => match &g.notes[..] {
            [] => Value::Absent,
            all => Value::Text(all.iter().map(|n| n.text().replace(' ', "_")).collect::<Vec<_>>().join(";")),
        },
        "sources" => count(Some(g.sources.len() as u64)),
        "socket_drops" => count(g.drops.socket_drops),
        "not_analysed" => count(Some(g.drops.not_analysed)),
        "not_analysed_bytes" => count(Some(g.drops.not_analysed_bytes)),
        _ => {
            return of_counters(&g.counters, key)
                .or_else(|| of_continuity(g.continuity(), key))
                .or_else(|| of_gaps(&g.gaps, key))
                .or_else(|| of_rate(g.rate(now), key))
                .or_else(|| of_peaks(Some(&g.peaks), key))
                .or_else(|| of_strip(g.strip.as_ref(), now, key));
        }
    };
    Some(own)
}

fn of_pair(p: &Pair, now: Mono, key: &str) -> Option<Value> {
    let (c, s) = (p.counts(), p.skew());
    if let Some((key, leg)) =
        key.strip_suffix("_a").map(|k| (k, 0)).or(key.strip_suffix("_b").map(|k| (k, 1)))
    {
        let l = c.legs[leg];
        return Some(count(Some(match key {
            "packets" => l.packets,
            "received" => l.received,
            "lost" => l.lost,
            "duplicates" => l.duplicates,
            "late" => l.late,
            _ => return None,
        })));
    }
    let ms = |ns: Option<i64>| number(ns.map(|ns| ns as f64 / 1e6));
    Some(match key {
        "standing" => text(Some(p.standing(now).word())),
        "why" => p.standing(now).why().map_or(Value::Absent, |w| Value::Text(w.replace(' ', "_"))),
        "compared" => count(Some(c.compared)),
        "lost_both" => count(Some(c.lost_both)),
        "restarts" => count(Some(c.restarts)),
        "both" => count(Some(s.count())),
        "a_first" => count(Some(s.a_first())),
        "b_first" => count(Some(s.b_first())),
        "skew_last_ms" => ms(s.last_ns()),
        "skew_min_ms" => ms(s.min_ns()),
        "skew_mean_ms" => ms(s.mean_ns()),
        "skew_max_ms" => ms(s.max_ns()),
        "skew_p50_ms" => ms(s.quantile_ns(0.5)),
        "skew_p99_ms" => ms(s.quantile_ns(0.99)),
        _ => return None,
    })
}

fn of_total(model: &Model, key: &str) -> Option<Value> {
    let t = model.totals();
    let own = match key {
        "groups" => count(Some(t.groups as u64)),
        "sources" => count(Some(t.sources as u64)),
        "lost" => count(t.lost),
        "lost_here" => count(t.lost_here),
        "lost_unclear" => count(t.lost_unclear),
        "duplicates" => count(t.duplicates),
        "reordered" => count(t.reordered),
        "socket_drops" => count(t.socket_drops),
        "nic_drops" => count(t.nic_drops),
        "not_analysed" => count(Some(t.not_analysed)),
        "not_analysed_bytes" => count(Some(t.not_analysed_bytes)),
        _ => return of_counters(&t.counters, key).or_else(|| of_rate(t.rate, key)),
    };
    Some(own)
}
