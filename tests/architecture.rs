//! Holds the tables of the design: which layer may import which, which outside crate may be used
//! where, and what the pure layers may not do. Reads the source text; knows nothing of its meaning
//! beyond paths, so that it needs no compiler.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Which parts of the crate a part may import. A part is a folder or file right under `src/`.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &["base"]),
    ("model", &["base", "wire"]),
    ("net", &["base"]),
    ("doctor", &["base", "wire", "model", "net"]),
    ("engine", &["base", "wire", "model", "net", "doctor"]),
    ("export", &["base", "wire", "model", "doctor"]),
    ("ui", &["base", "wire", "model", "doctor", "engine"]),
    ("config", &["*"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Which outside crate may be used where: parts, or single files as a path below `src/`. A number
/// after the colon is the greatest number of files that may do so in that part.
const CRATES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "main"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli", "main"]),
    ("clap_mangen", &["cli", "main"]),
    // The front ends' loops: the dashboard's, and the thread that writes its frames.
    ("crossbeam_channel", &["engine", "cli", "ui:2"]),
    ("crossterm", &["ui"]),
    ("etcetera", &["config", "cli"]),
    ("hashbrown", &["model", "engine"]),
    ("humansize", &["base"]),
    // The local time's offset is found once, where a front end starts.
    ("jiff", &["cli", "main", "ui:1"]),
    ("libc", &["net", "doctor"]),
    // Announcements are opened where they are read, and nothing else is.
    ("miniz_oxide", &["wire/sap.rs"]),
    ("netdev", &["net", "doctor"]),
    ("nix", &["net", "doctor"]),
    ("ratatui", &["ui"]),
    ("serde", &["config", "export"]),
    // In the doctor: what nft prints.
    ("serde_json", &["config", "export", "wire/json.rs", "doctor/gather/nft.rs"]),
    ("signal_hook", &["cli", "main", "engine", "ui"]),
    ("socket2", &["net", "doctor"]),
    ("thiserror", &["*"]),
    ("toml", &["config"]),
    ("tui_input", &["ui"]),
    ("unicode_width", &["base", "ui", "export", "cli"]),
    ("windows_sys", &["net", "doctor"]),
];

/// What must not stand in the code of these parts, and why.
const FORBIDDEN: &[(&[&str], &[&str], &str)] = &[
    (
        &["base", "wire", "model"],
        &[
            "Instant::now",
            "SystemTime::now",
            "std::fs",
            "std::thread",
            "std::process",
            "std::env",
            "UdpSocket",
            "TcpStream",
            "TcpListener",
            "println!",
            "eprintln!",
            "print!",
        ],
        "the pure core calls no clock, socket, file, thread or terminal",
    ),
    (
        &["ui/view"],
        &["Instant::now", "SystemTime::now", "std::fs", "UdpSocket", "to_socket_addrs"],
        "a view draws from the model: no look-ups, files or clocks while it renders",
    ),
];

/// Where threads may sleep, if a comment on the line or the one above says why.
const MAY_SLEEP: &[&str] = &["net", "engine"];

/// Lines a file may have, its tests apart. The design says about 500.
const MAX_LINES: usize = 600;

/// A broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    rule: String,
}

#[test]
fn the_source_holds_the_designs_tables() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        (name, std::fs::read_to_string(path).expect("source is readable text"))
    };
    let files: Vec<(String, String)> = files.iter().map(read).collect();
    assert!(files.iter().any(|(name, _)| name == "base/mod.rs"), "the source was not found in {root:?}");
    let findings = check(&files);
    let mut report = String::new();
    for f in &findings {
        let _ = writeln!(report, "src/{}:{}: {}", f.file, f.line, f.rule);
    }
    assert!(findings.is_empty(), "{} rules are broken:\n{report}", findings.len());
}

/// Every crate of the manifest has its row, so that a new one is placed by a decision.
#[test]
fn every_dependency_has_its_place() {
    let manifest = include_str!("../Cargo.toml");
    let mut section = "";
    let mut missing = Vec::new();
    for line in manifest.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name;
        } else if section.trim_end_matches(']').ends_with("dependencies") && !section.contains("dev-") {
            let Some((name, _)) = line.split_once(" = ") else { continue };
            let name = name.trim().replace('-', "_");
            if !CRATES.iter().any(|(c, _)| *c == name) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "no row in CRATES of tests/architecture.rs for {missing:?}");
    assert!(manifest.contains("socket2 = "), "the manifest was not understood");
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// All broken rules of these files, given by their path below `src/` and their text.
fn check(files: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Files of a part that use a crate whose use there is limited by number.
    let mut limited: BTreeMap<(&str, &str), Vec<(String, usize)>> = BTreeMap::new();
    for (name, text) in files {
        let is_test = name.ends_with("/tests.rs") || name.ends_with("_tests.rs") || name.contains("/tests/");
        if is_test {
            continue;
        }
        let code = without_tests(&blank(text));
        let part = part_of(name);
        let mut find = |line, rule| {
            let finding = Finding { file: name.clone(), line, rule };
            // A tree of imports may break one rule with several branches.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        };
        let Some((_, may)) = LAYERS.iter().find(|(layer, _)| *layer == part) else {
            find(1, format!("{part} is no layer of the design"));
            continue;
        };
        for (line, path) in paths(&code, name) {
            match &path[..] {
                [root, other, ..] if root == "crate" => {
                    let known = LAYERS.iter().any(|(l, _)| l == other);
                    if known && other != part && !may.contains(&"*") && !may.contains(&other.as_str()) {
                        find(line, format!("{part} must not import {other}"));
                    }
                }
                [root, ..] => {
                    let Some((krate, places)) = CRATES.iter().find(|(c, _)| c == root) else { continue };
                    let numbered = places.iter().find(|p| p.split_once(':').is_some_and(|(l, _)| l == part));
                    if let Some(place) = numbered {
                        let users = limited.entry((krate, place)).or_default();
                        if !users.iter().any(|(user, _)| user == name) {
                            users.push((name.clone(), line));
                        }
                    } else if !places.iter().any(|p| *p == "*" || *p == part || p == name) {
                        find(
                            line,
                            format!("{krate} must not be used in {part}, only in {}", places.join(", ")),
                        );
                    }
                }
                [] => {}
            }
        }
        for (number, (line, original)) in code.lines().zip(text.lines()).enumerate() {
            for (places, words, why) in FORBIDDEN {
                let here = places.iter().any(|p| name.starts_with(&format!("{p}/")) || *p == part);
                if let Some(word) = words.iter().find(|w| here && has_word(line, w)) {
                    find(number + 1, format!("{word} in {part}: {why}"));
                }
            }
            if has_word(line, "sleep(") {
                let above = number.checked_sub(1).and_then(|n| text.lines().nth(n)).unwrap_or("");
                let reasoned = original.contains("//") || above.trim_start().starts_with("//");
                if !MAY_SLEEP.contains(&part) {
                    find(number + 1, format!("sleep in {part}: only {} may", MAY_SLEEP.join(", ")));
                } else if !reasoned {
                    find(number + 1, "sleep without a comment that says why".into());
                }
            }
        }
        // Tests are blanked, not cut: what counts is where the last line of code stands, and how
        // many lines before it are not a test's.
        let lines = lines_apart_from_tests(text, &code);
        if lines > MAX_LINES {
            find(lines, format!("{lines} lines without tests; at most {MAX_LINES}, better 500"));
        }
    }
    for ((krate, place), users) in limited {
        let (part, most) = place.split_once(':').expect("a limited place has a number");
        let most: usize = most.parse().expect("a number");
        if let Some((file, line)) = users.get(most) {
            let all: Vec<&str> = users.iter().map(|(f, _)| f.as_str()).collect();
            let rule = format!(
                "{krate} is used in {} files of {part} ({}), at most {most} may",
                all.len(),
                all.join(", ")
            );
            findings.push(Finding { file: file.clone(), line: *line, rule });
        }
    }
    findings
}

/// The folder or file right under `src/`.
fn part_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name).trim_end_matches(".rs")
}

/// Whether the text holds the word, not as the end of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part_of_name(before) && (word.ends_with(['(', '!']) || !part_of_name(after))
    })
}

/// The text with comments, strings and characters replaced by blanks, line for line.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    let keep = |out: &mut String, c: char| out.push(if c == '\n' { '\n' } else { ' ' });
    while i < chars.len() {
        let rest = &chars[i..];
        let word_before = i > 0 && (chars[i - 1].is_alphanumeric() || chars[i - 1] == '_');
        let end = match rest {
            ['/', '/', ..] => i + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => {
                // Comments of this kind nest.
                let (mut depth, mut j) = (1, 2);
                while depth > 0 && j < rest.len() {
                    match rest[j..] {
                        ['/', '*', ..] => (depth, j) = (depth + 1, j + 2),
                        ['*', '/', ..] => (depth, j) = (depth - 1, j + 2),
                        _ => j += 1,
                    }
                }
                i + j
            }
            ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if !word_before => match raw_end(rest) {
                Some(n) => i + n,
                None => i,
            },
            ['"', ..] => {
                let mut j = 1;
                while j < rest.len() && rest[j] != '"' {
                    j += if rest[j] == '\\' { 2 } else { 1 };
                }
                i + (j + 1).min(rest.len())
            }
            ['\'', '\\', ..] => i + rest[3..].iter().position(|c| *c == '\'').map_or(rest.len(), |n| n + 4),
            ['\'', _, '\'', ..] => i + 3,
            _ => i,
        };
        if end == i {
            out.push(chars[i]);
            i += 1;
        }
        while i < end {
            keep(&mut out, chars[i]);
            i += 1;
        }
    }
    out
}

/// Length of the raw string that this begins with, if it does.
fn raw_end(rest: &[char]) -> Option<usize> {
    let start = rest.iter().position(|c| *c == 'r')? + 1;
    let hashes = rest[start..].iter().take_while(|c| **c == '#').count();
    let open = start + hashes;
    if rest.get(open) != Some(&'"') {
        return None;
    }
    let mut j = open + 1;
    while j < rest.len() {
        if rest[j] == '"' && rest[j + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(j + 1 + hashes);
        }
        j += 1;
    }
    Some(rest.len())
}

/// Blanks what belongs to tests: the item after `#[cfg(test)]`, to its closing brace or semicolon.
fn without_tests(code: &str) -> String {
    let mut out = code.to_string();
    let mut from = 0;
    while let Some(at) = out[from..].find("#[cfg(test)]").map(|n| n + from) {
        let mut depth = 0;
        let mut end = out.len();
        for (n, c) in out[at..].char_indices().skip("#[cfg(test)]".len()) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 && (c == ';' || c == '}') {
                end = at + n + 1;
                break;
            }
        }
        let hidden: String = out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(at..end, &hidden);
        from = at + hidden.len();
    }
    out
}

/// Lines of the file less those that belong to its tests.
fn lines_apart_from_tests(text: &str, code: &str) -> usize {
    let tests = without_code(&blank(text), code);
    text.lines().count() - tests
}

/// Lines that have something in `whole` and nothing in `rest`: those of the tests.
fn without_code(whole: &str, rest: &str) -> usize {
    whole.lines().zip(rest.lines()).filter(|(w, r)| !w.trim().is_empty() && r.trim().is_empty()).count()
}

/// The paths that the code names, with their lines: those of `use` trees, each branch a path of its
/// own, and every `a::b`. `super` that leads out to the crate is resolved to `crate`, and the
/// library's own name in the binary is `crate` as well.
fn paths(code: &str, file: &str) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(code);
    let mut out = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        // After a name or a generic's end `::` goes on with a path; elsewhere it begins one (`::libc`).
        let goes_on = |t: &Token| t.is_name() && !t.is_keyword() || t.text == ">";
        let inside = i > 1 && tokens[i - 1].text == "::" && goes_on(&tokens[i - 2]);
        let starts_path = tokens[i].is_name()
            && !tokens[i].is_keyword()
            && !inside
            && (tokens.get(i + 1).is_some_and(|t| t.text == "::")
                || i > 0 && matches!(tokens[i - 1].text.as_str(), "use" | "crate" | "extern"));
        if starts_path {
            branches(&tokens, &mut i, &mut Vec::new(), &mut out);
        } else {
            i += 1;
        }
    }
    // src/a/b.rs is the module a::b, two deep; src/a/mod.rs and src/a.rs are a.
    let inner = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let depth = inner.split('/').count();
    for (_, path) in &mut out {
        let ups = path.iter().take_while(|p| *p == "super").count();
        if ups > 0 && ups >= depth {
            path.splice(..ups, ["crate".to_string()]);
        } else if path[0] == "mcscope" {
            path[0] = "crate".into();
        }
    }
    out
}

/// Reads a path or a tree of paths from here on.
fn branches(tokens: &[Token], i: &mut usize, prefix: &mut Vec<String>, out: &mut Vec<(usize, Vec<String>)>) {
    let depth = prefix.len();
    let line = tokens[*i].line;
    while let Some(t) = tokens.get(*i) {
        if t.is_name() || t.text == "*" {
            prefix.push(t.text.clone());
            *i += 1;
        } else if t.text == "{" {
            *i += 1;
            while tokens.get(*i).is_some_and(|t| t.text != "}") {
                let before = *i;
                branches(tokens, i, prefix, out);
                while tokens.get(*i).is_some_and(|t| t.text != "," && t.text != "}") {
                    *i += 1;
                }
                if tokens.get(*i).is_some_and(|t| t.text == ",") {
                    *i += 1;
                }
                if *i == before {
                    break;
                }
            }
            *i += 1;
            prefix.truncate(depth);
            return;
        } else {
            break;
        }
        if tokens.get(*i).is_none_or(|t| t.text != "::") {
            break;
        }
        *i += 1;
    }
    if prefix.len() > depth {
        out.push((line, prefix.clone()));
    } else {
        *i += 1;
    }
    prefix.truncate(depth);
}

struct Token {
    text: String,
    line: usize,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    /// A word that may stand before a path, and is no part of it.
    fn is_keyword(&self) -> bool {
        const WORDS: [&str; 14] = [
            "as", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut", "return", "use", "where",
            "while",
        ];
        WORDS.contains(&self.text.as_str())
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let mut out: Vec<Token> = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(c) = rest.chars().next() {
            let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let len = match c {
                _ if name > 0 => name,
                ':' if rest.starts_with("::") => 2,
                _ => c.len_utf8(),
            };
            out.push(Token { text: rest[..len].into(), line: n + 1 });
            rest = rest[len..].trim_start();
        }
    }
    out
}

/// The rules that this one file breaks, as "line: rule".
#[cfg(test)]
fn broken(file: &str, text: &str) -> Vec<String> {
    check(&[(file.into(), text.into())]).into_iter().map(|f| format!("{}: {}", f.line, f.rule)).collect()
}

#[test]
fn imports_upwards_are_found_in_every_spelling() {
    let spellings = [
        "use crate::model::Model;",
        "use crate::{base::time::Wall, model::{self, Model}};",
        "use super::super::model::Model;",
        "fn f(m: &crate::model::Model) {}",
        "pub(in crate::model) fn f() {}",
        "use crate::{\n    base::time::Wall,\n    model::Model,\n};",
    ];
    for text in spellings {
        let found = broken("net/socket.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with("net must not import model"), "{found:?}");
    }
    assert_eq!(broken("net/socket.rs", spellings[5]), ["3: net must not import model"]);
    assert_eq!(broken("base/mod.rs", "use super::wire::Hint;").len(), 1);
    for allowed in [
        "use crate::base::time::Wall;",
        "use super::sibling::Thing;",
        "// use crate::model::Model;\n/* crate::model */",
        "const S: &str = \"crate::model::Model\"; const R: &str = r#\"crate::model\" \"#;",
        "#[cfg(test)]\nmod tests {\n    use crate::model::Model;\n    fn f() { if true {} }\n}\n",
        "#[cfg(test)]\nmod tests;\n",
        "fn f<'a>(x: &'a str) -> char { ':' }",
    ] {
        assert!(
            broken("net/socket.rs", allowed).is_empty(),
            "{allowed}: {:?}",
            broken("net/socket.rs", allowed)
        );
    }
    let after = "#[cfg(test)]\nmod tests {\n}\nuse crate::ui::App;";
    assert_eq!(broken("net/socket.rs", after), ["4: net must not import ui"]);
    assert_eq!(broken("misc/mod.rs", "").len(), 1);
    assert!(broken("main.rs", "use mcscope::cli;").is_empty());
}

#[test]
fn outside_crates_are_held_to_their_places() {
    assert_eq!(broken("engine/listener.rs", "use socket2::Socket;").len(), 1);
    assert_eq!(broken("model/mod.rs", "fn f() { let x = libc::getpid(); }").len(), 1);
    assert_eq!(broken("model/mod.rs", "#[derive(serde::Serialize)]\nstruct S;").len(), 1);
    assert_eq!(broken("ui/app.rs", "use anyhow;").len(), 1);
    assert_eq!(broken("ui/app.rs", "use ::anyhow::Result;").len(), 1);
    assert_eq!(broken("wire/rtp.rs", "use serde_json as j;").len(), 1);
    for (file, text) in [
        ("net/socket.rs", "use socket2::Socket;"),
        ("wire/json.rs", "use serde_json::Value;"),
        ("ui/app.rs", "use std::sync::mpsc; use ratatui::Frame;"),
        ("model/mod.rs", "use thiserror::Error; use hashbrown::HashMap;"),
    ] {
        assert!(broken(file, text).is_empty(), "{file}: {:?}", broken(file, text));
    }
    let files: Vec<(String, String)> = ["a", "b", "c"]
        .iter()
        .map(|f| (format!("ui/{f}.rs"), "use crossbeam_channel::bounded;".into()))
        .collect();
    assert!(check(&files[..2]).is_empty());
    assert_eq!(check(&files).len(), 1);
}

#[test]
fn the_pure_core_is_held_pure_and_sleeps_have_reasons() {
    assert_eq!(broken("model/mod.rs", "fn f() {\n    let t = std::time::Instant::now();\n}").len(), 1);
    assert!(broken("model/mod.rs", "/// Never Instant::now\nfn f() {}").is_empty());
    assert_eq!(broken("wire/rtp.rs", "fn f() { eprintln!(\"x\") }").len(), 1);
    assert_eq!(broken("ui/view/live.rs", "fn f() { SystemTime::now(); }").len(), 1);
    assert!(broken("ui/app.rs", "fn f() { SystemTime::now(); }").is_empty());
    assert_eq!(broken("ui/app.rs", "fn f() { thread::sleep(d) }").len(), 1);
    assert_eq!(broken("engine/sender.rs", "fn f() { thread::sleep(d) }").len(), 1);
    assert!(broken("engine/sender.rs", "// The rate.\nthread::sleep(d);").is_empty());
}

#[test]
fn length_is_counted_without_tests() {
    let code = "fn f() {}\n".repeat(MAX_LINES);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    fn t() {}\n".repeat(300));
    assert!(broken("model/mod.rs", &(code.clone() + &tests)).is_empty());
    assert_eq!(broken("model/mod.rs", &(code + "fn g() {}\n")).len(), 1);
}
