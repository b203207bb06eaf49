//! The parts in turn, and the table at the end.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::compare::{self, Kind, Reading, median, rounds};
use super::lab::Lab;
use super::lines;
use super::sender::Job;

const PARTS: &[&str] = &["sockets", "dashboard", "groups", "ring", "latency", "joins"];
/// Bounds of what may be asked for.
const ROUNDS_MAX: u32 = 50;
const SECONDS_MAX: f64 = 60.0;

struct Options {
    rounds: u32,
    time: Duration,
    only: Option<String>,
}

fn options(args: &[String]) -> Result<Options> {
    let mut o = Options { rounds: 5, time: Duration::from_secs(4), only: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => o.rounds = value()?.parse().context("--rounds")?,
            "--seconds" => {
                let s: f64 = value()?.parse().context("--seconds")?;
                ensure!(s > 0.0 && s <= SECONDS_MAX, "--seconds: more than 0, at most {SECONDS_MAX}");
                o.time = Duration::from_secs_f64(s);
            }
            "--only" => o.only = Some(value()?.clone()),
            // Of cargo.
            "--bench" => {}
            other => bail!("{other:?} is not known: --rounds N, --seconds N, --only PART exist"),
        }
    }
    ensure!((1..=ROUNDS_MAX).contains(&o.rounds), "--rounds: 1 to {ROUNDS_MAX}");
    if let Some(name) = &o.only {
        compare::part_named(name, PARTS)?;
    }
    Ok(o)
}

/// One line of the table.
struct Row {
    what: String,
    target: String,
    reached: String,
}

struct Bench {
    lab: Lab,
    options: Options,
    table: Vec<Row>,
}

/// Runs what the arguments say.
pub fn main(args: &[String]) -> Result<()> {
    if !args.iter().any(|a| a == "--bench") {
        println!("this is a benchmark: cargo bench --bench receive");
        return Ok(());
    }
    let options = options(args)?;
    super::process::raise_open_files();
    let mut bench = Bench { lab: Lab::new()?, options, table: Vec::new() };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    println!("load before the start: {load} (figures of a machine that others use are too high)");
    println!("{}", compare::LEGEND);
    for &part in PARTS {
        if bench.options.only.as_deref().is_none_or(|only| only == part) {
            println!("\n{part}");
            bench.part(part).with_context(|| part.to_owned())?;
        }
    }
    bench.summary();
    Ok(())
}

impl Bench {
    fn part(&mut self, part: &str) -> Result<()> {
        match part {
            "sockets" => self.sockets(),
            "dashboard" => {
                self.ratio("dashboard", [Kind::Bare, Kind::Dashboard], 1, 300_000, "1.3")?;
                Ok(())
            }
            "groups" => {
                for groups in [100, 1000] {
                    self.ratio("a thread a group", [Kind::Bare, Kind::Watch], groups, 100_000, "0.35")?;
                }
                Ok(())
            }
            "ring" => self.ring(),
            "latency" => self.latency(),
            _ => self.joins(),
        }
    }

    fn sockets(&mut self) -> Result<()> {
        let kinds = [Kind::Bare, Kind::Watch];
        self.ratio("sockets", kinds, 1, 100_000, "0.8")?;
        self.ratio("sockets", kinds, 1, 300_000, "1.2")?;
        println!("\nsockets: the bare receiver's loss-free rate");
        let free = compare::loss_free_rate(&self.lab)?;
        self.row("sockets, the bare receiver's loss-free rate", "-", format!("{free}/s"));
        let all = self.ratio("sockets at 0.9 of that", kinds, 1, free * 9 / 10, "1.2")?;
        let lost = |which: usize| all.iter().map(|p| p[which].lost()).sum::<u64>();
        self.row("  lost, all rounds", &format!("{} (bare)", lost(0)), lost(1).to_string());
        let not_analysed = all.iter().filter_map(|p| p[1].not_analysed).sum::<u64>();
        self.row("  not_analysed, all rounds", "0", not_analysed.to_string());
        Ok(())
    }

    fn ring(&mut self) -> Result<()> {
        if !compare::has("tcpdump") {
            println!("  there is no tcpdump to compare with");
            self.row("ring against tcpdump", "at most 2.0", "no tcpdump here".to_owned());
            return Ok(());
        }
        if !compare::knows_ring()? {
            println!("  `mcscope watch` of this build has no --capture; tcpdump alone:");
            let job = Job { groups: 1, rate: 300_000, time: self.options.time, busy: true };
            println!("  1 {:<12} {}", Kind::Tcpdump, compare::measure(&self.lab, Kind::Tcpdump, &job)?);
            self.row("ring against tcpdump", "at most 2.0", "not in this build".to_owned());
            return Ok(());
        }
        let all = self.ratio("ring against tcpdump", [Kind::Tcpdump, Kind::Ring], 1, 300_000, "2.0")?;
        let lost = |which: usize| all.iter().map(|p| p[which].lost()).sum::<u64>();
        self.row("  lost, all rounds", &format!("{} (tcpdump)", lost(0)), lost(1).to_string());
        Ok(())
    }

    /// Rounds of two receivers; notes the second's cost as a multiple of the first's.
    fn ratio(
        &mut self,
        title: &str,
        kinds: [Kind; 2],
        groups: u32,
        rate: u64,
        target: &str,
    ) -> Result<Vec<[Reading; 2]>> {
        let groups_text = if groups == 1 { String::new() } else { format!(", {groups} groups") };
        let what = format!("{title}{groups_text}, {rate}/s");
        println!("\n{what}");
        let job = Job { groups, rate, time: self.options.time, busy: true };
        let (all, disturbed) = rounds(&self.lab, self.options.rounds, kinds, &job)?;
        let cost = |which: usize, of: fn(&Reading) -> f64| median(all.iter().map(|p| of(&p[which])));
        let ratio = |of: fn(&Reading) -> f64| median(all.iter().map(|p| of(&p[1]) / of(&p[0])));
        let (life, traffic) = (ratio(Reading::life), ratio(Reading::traffic));
        for (which, kind) in kinds.iter().enumerate() {
            let lost = all.iter().map(|p| p[which].lost()).sum::<u64>();
            println!(
                "  median {kind:<12} {:.0} ns a packet, {:.0} ns while there was traffic; lost {lost} in all",
                cost(which, Reading::life),
                cost(which, Reading::traffic)
            );
        }
        println!("  ratio {life:.2}, {traffic:.2} while there was traffic; target at most {target}");
        let doubt = match disturbed {
            0 => String::new(),
            n => format!("; IN DOUBT: others disturbed {n} of {} rounds", all.len()),
        };
        let skipped = match all.iter().filter_map(|p| p[1].not_analysed).sum::<u64>() {
            0 => String::new(),
            n => format!("; {n} not analysed"),
        };
        let reached = format!("{life:.2} ({traffic:.2} while there was traffic{skipped}{doubt})");
        self.row(&what, &format!("at most {target}"), reached);
        Ok(all)
    }

    fn latency(&mut self) -> Result<()> {
        for (groups, rate, target) in [
            (1, 1_000, "5 ms"),
            (1, 20_000, "5 ms"),
            (1, 100_000, "5 ms"),
            (20, 1_000, "5 ms"),
            (20, 20_000, "5 ms"),
            (20, 100_000, "5 ms"),
            (1000, 1_000, "100 ms"),
            (1000, 20_000, "100 ms"),
            (1000, 60_000, "100 ms"),
        ] {
            let late = lines::lag(&self.lab, groups, rate, self.options.time)?;
            self.late(&format!("arrival to counted, {groups} groups, {rate}/s"), target, &late);
        }
        // As a program that reads the lines gets them. The sender and the reader take their share.
        for (groups, rate) in [(1, 1_000), (20, 20_000)] {
            let late = lines::latency(&self.lab, groups, rate, self.options.time)?;
            self.late(&format!("arrival to line, {groups} groups, {rate}/s"), "5 ms", &late);
        }
        Ok(())
    }

    fn late(&mut self, what: &str, target: &str, late: &lines::Late) {
        let left_out = match late.left_out {
            0 => String::new(),
            n => format!(", {n} left out"),
        };
        println!(
            "  {what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {}{left_out}",
            late.p50_ms, late.p99_ms, late.max_ms, late.lines
        );
        let reached = format!("{:.1} ms (p50 {:.1} ms{left_out})", late.p99_ms, late.p50_ms);
        self.row(&format!("p99 {what}"), &format!("below {target}"), reached);
    }

    fn joins(&mut self) -> Result<()> {
        let mut all = Vec::new();
        for round in 0..self.options.rounds {
            let (whole, between) = lines::joins(&self.lab, 1000)?;
            println!(
                "  {} 1000 joins: {:.0} ms from the start of the program, {:.0} ms from the first line",
                round + 1,
                whole.as_secs_f64() * 1e3,
                between.as_secs_f64() * 1e3
            );
            all.push(whole.as_secs_f64() * 1e3);
        }
        self.row("1000 joins", "below 1000 ms", format!("{:.0} ms", median(all.into_iter())));
        for (groups, rate) in [(1, 20_000), (100, 20_000)] {
            let mut sum = lines::AfterJoin::default();
            for _ in 0..self.options.rounds {
                let a = lines::after_join(&self.lab, groups, rate)?;
                println!(
                    "  {groups} groups at {rate}/s joined under way: {} heard, {} delivered from the first one on, {} missing, {} dropped at the socket, {} groups unknown",
                    a.groups, a.sent, a.missing, a.drops, a.unknown
                );
                sum.missing += a.missing;
                sum.drops += a.drops;
                sum.unknown += a.unknown;
            }
            let unknown = if sum.unknown > 0 { format!(", {} unknown", sum.unknown) } else { String::new() };
            self.row(
                &format!("lost after a join, {groups} groups, {rate}/s"),
                "0",
                format!("{} missing, {} dropped{unknown}", sum.missing, sum.drops),
            );
        }
        Ok(())
    }

    fn row(&mut self, what: &str, target: &str, reached: String) {
        self.table.push(Row { what: what.to_owned(), target: target.to_owned(), reached });
    }

    fn summary(&self) {
        println!("\n{:<52} {:<16} reached", "summary (median of the rounds)", "target");
        for r in &self.table {
            println!("{:<52} {:<16} {}", r.what, r.target, r.reached);
        }
    }
}
