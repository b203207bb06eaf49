//! Text to filter: words, then tests, then what joins them.

use std::ops::Range;

use crate::base::dscp;
use crate::base::group::Endpoint;
use crate::base::prefix::Prefix;
use crate::base::text::{TextError, nearest, parse_hex};
use crate::base::units::{Rate, parse_duration, parse_rate, parse_size};
use crate::model::filter::{
    DEPTH_MAX, Expr, Figure, Name, Op, PROPERTIES, Place, Property, TEXT_MAX, Test, UNKNOWN, property,
    wire_names,
};
use crate::model::source::State;
use crate::wire::own::protocols;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Op(Op),
    Word(String),
    Quoted(String),
}

type Piece = (Token, Range<usize>);

/// Characters that end a word.
fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '"' | '=' | '<' | '>')
}

fn keyword(word: &str) -> Option<Token> {
    match word {
        "&&" => Some(Token::And),
        "||" => Some(Token::Or),
        _ if word.eq_ignore_ascii_case("and") => Some(Token::And),
        _ if word.eq_ignore_ascii_case("or") => Some(Token::Or),
        _ if word.eq_ignore_ascii_case("not") => Some(Token::Not),
        _ => None,
    }
}

/// In quotes, so that it reads as itself.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word as it stands if it reads as itself, else in quotes.
pub(super) fn quoted_if_needed(word: &str) -> String {
    let plain = !word.is_empty()
        && !word.chars().any(ends_word)
        && !word.contains('!')
        && keyword(word).is_none()
        && property(word).is_none();
    if plain { word.to_owned() } else { quoted(word) }
}

fn tokens(text: &str) -> Result<Vec<Piece>, TextError> {
    let mut list = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let two = |next: char| rest[c.len_utf8()..].starts_with(next);
        let (token, len) = match c {
            _ if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '=' if two('=') => (Token::Op(Op::Eq), 2),
            '=' => (Token::Op(Op::Eq), 1),
            '<' if two('=') => (Token::Op(Op::Le), 2),
            '<' => (Token::Op(Op::Lt), 1),
            '>' if two('=') => (Token::Op(Op::Ge), 2),
            '>' => (Token::Op(Op::Gt), 1),
            '!' if two('=') => (Token::Op(Op::Ne), 2),
            '!' => (Token::Not, 1),
            '"' => quote(text, at)?,
            _ => {
                let ends = |(i, c): (usize, char)| ends_word(c) || rest[i..].starts_with("!=");
                let len = rest.char_indices().find(|&p| ends(p)).map_or(rest.len(), |(i, _)| i);
                let word = &rest[..len];
                (keyword(word).unwrap_or_else(|| Token::Word(word.to_owned())), len)
            }
        };
        list.push((token, at..at + len));
        at += len;
    }
    Ok(list)
}

/// A text in quotes that begins at `at`.
fn quote(text: &str, at: usize) -> Result<(Token, usize), TextError> {
    let mut out = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' if out.is_empty() => {
                return Err(TextError::new(text, at..at + i + 2, "nothing stands between the quotes"));
            }
            '"' => return Ok((Token::Quoted(out), i + 2)),
            '\\' => match chars.next() {
                Some((_, c)) => out.push(c),
                None => break,
            },
            _ => out.push(c),
        }
    }
    let help = "write \\\" for a quote within";
    Err(TextError::new(text, at..text.len(), "the closing quote is missing").help(help))
}

struct Parser<'a> {
    text: &'a str,
    list: Vec<Piece>,
    at: usize,
}

pub(super) fn parse(text: &str) -> Result<Expr, TextError> {
    if text.len() > TEXT_MAX {
        let message = format!("a filter has at most {TEXT_MAX} bytes");
        return Err(TextError::new(text, TEXT_MAX..text.len(), message));
    }
    let list = tokens(text)?;
    if list.is_empty() {
        return Ok(Expr::default());
    }
    let mut p = Parser { text, list, at: 0 };
    let e = p.any(0)?;
    match p.peek() {
        None => Ok(e),
        Some(Token::Close) => Err(p.wrong("there is no parenthesis that this one closes")),
        Some(_) => Err(p.wrong("this does not belong here")),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.list.get(self.at).map(|p| &p.0)
    }

    /// Where the next token stands, or the end.
    fn here(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        self.list.get(self.at).map_or(end..end, |p| p.1.clone())
    }

    fn wrong(&self, message: impl Into<String>) -> TextError {
        TextError::new(self.text, self.here(), message)
    }

    fn any(&mut self, depth: usize) -> Result<Expr, TextError> {
        let mut list = vec![self.all(depth)?];
        while self.peek() == Some(&Token::Or) {
            self.at += 1;
            list.push(self.all(depth)?);
        }
        Ok(Expr::any(list))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, TextError> {
        let mut list = vec![self.one(depth)?];
        loop {
            match self.peek() {
                Some(Token::And) => self.at += 1,
                None | Some(Token::Or | Token::Close) => break,
                Some(_) => {}
            }
            list.push(self.one(depth)?);
        }
        Ok(Expr::all(list))
    }

    fn one(&mut self, depth: usize) -> Result<Expr, TextError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("too many parentheses within each other"));
        }
        let start = self.here();
        let Some(token) = self.peek().cloned() else {
            return Err(self.wrong("something is missing here").help("a word, or a comparison: lost > 0"));
        };
        self.at += 1;
        match token {
            Token::Not => Ok(Expr::Not(Box::new(self.one(depth + 1)?))),
            Token::Open => {
                if self.peek() == Some(&Token::Close) {
                    let all = start.start..self.here().end;
                    return Err(TextError::new(self.text, all, "nothing stands between the parentheses"));
                }
                let e = self.any(depth + 1)?;
                if self.peek() != Some(&Token::Close) {
                    return Err(TextError::new(self.text, start, "this parenthesis is never closed")
                        .help("write ) behind what belongs together; in quotes it is looked for as a word"));
                }
                self.at += 1;
                Ok(e)
            }
            Token::Quoted(text) => Ok(Expr::Test(Test::Word(text.to_lowercase()))),
            Token::Word(word) => self.word(&word, start).map(Expr::Test),
            Token::And | Token::Or => {
                let help = "in quotes it is looked for as a word";
                Err(TextError::new(self.text, start, "something is missing before this").help(help))
            }
            Token::Op(_) => {
                Err(TextError::new(self.text, start, "what is to be compared?")
                    .help("lost > 0, size >= 1000"))
            }
            Token::Close => Err(TextError::new(self.text, start, "something is missing before this")),
        }
    }

    /// A word that was taken: a comparison if it is a property and something to compare it with
    /// follows, else to be looked for.
    fn word(&mut self, word: &str, at: Range<usize>) -> Result<Test, TextError> {
        let looked_for = Test::Word(word.to_lowercase());
        let op = match self.peek() {
            Some(Token::Op(op)) => Some(*op),
            _ => None,
        };
        let Some(property) = property(word) else {
            if op.is_none() {
                return Ok(looked_for);
            }
            let words = PROPERTIES.iter().map(|p| p.0);
            let near = nearest(word, words, 3);
            let help = if near.is_empty() {
                "properties: source, group, port, iface, protocol, size, ttl, dscp, lost, rate …".to_owned()
            } else {
                format!("there is {}", near.join(", "))
            };
            let message = "this is no property that can be compared";
            return Err(TextError::new(self.text, at, message).help(help));
        };
        if op.is_some() {
            self.at += 1;
        }
        let place = self.here();
        let (value, bare) = match self.peek() {
            Some(Token::Word(w)) => (w.clone(), true),
            Some(Token::Quoted(q)) => (q.clone(), false),
            _ if op.is_none() => return Ok(looked_for),
            _ => {
                return Err(self
                    .wrong(format!("what {word} is compared with is missing"))
                    .help("as in lost > 0, source 10.1.2.0/24, text \"a b\""));
            }
        };
        let numeric =
            matches!(property, Property::Number(f) if f != Figure::Dscp) || property == Property::Rate;
        if numeric && op.is_none() && !value.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(looked_for);
        }
        self.at += 1;
        let op = op.unwrap_or(Op::Eq);
        let is = match (property, op) {
            (_, Op::Eq) => true,
            (Property::Text | Property::Hex, _) => {
                let message = format!("{word} is looked for: put `not` before it");
                return Err(TextError::new(self.text, at, message));
            }
            (_, Op::Ne) => false,
            (Property::Place(_) | Property::Name(_), _) => {
                let message = format!("{word} has no order: = and != work here");
                return Err(TextError::new(self.text, at, message));
            }
            _ => true,
        };
        let read = match property {
            Property::Place(who) => place_of(&value).map(|p| Test::Place(who, is, p)),
            Property::Name(name) => name_of(name, &value).map(|n| Test::Name(name, is, n)),
            Property::Text => Ok(Test::Text(value.clone())),
            Property::Hex => parse_hex(&value).and_then(|b| match b.is_empty() {
                true => Err(TextError::new(&value, 0..value.len(), "hex digits are missing")),
                false => Ok(Test::Hex(b)),
            }),
            Property::Number(_) | Property::Rate => self.number(property, op, &value, bare),
        };
        // What the value's reader marks is shown where it stands in the whole; within quotes, all of it.
        read.map_err(|e| {
            let within = place.start + e.span.start..place.start + e.span.end;
            let span = if bare && !e.part().is_empty() { within } else { place };
            TextError { help: e.help, ..TextError::new(self.text, span, e.message) }
        })
    }

    /// A number, whose unit may stand apart: `1.5 Mbit`.
    fn number(&mut self, property: Property, op: Op, value: &str, bare: bool) -> Result<Test, TextError> {
        let unit = match self.peek() {
            Some(Token::Word(w)) if bare && w.starts_with(|c: char| c.is_ascii_alphabetic()) => w.clone(),
            _ => String::new(),
        };
        if !unit.is_empty()
            && value.ends_with(|c: char| c.is_ascii_digit())
            && let Ok((figure, n)) = amount(property, &format!("{value}{unit}"))
        {
            self.at += 1;
            return Ok(Test::Number(figure, op, n));
        }
        amount(property, value).map(|(figure, n)| Test::Number(figure, op, n))
    }
}

/// What a figure is compared with.
fn amount(property: Property, value: &str) -> Result<(Figure, f64), TextError> {
    let whole = |n: u64| n as f64;
    let all = 0..value.len();
    Ok(match property {
        Property::Number(Figure::Dscp) => (Figure::Dscp, f64::from(dscp::parse(value)?)),
        Property::Number(Figure::Gap) => {
            (Figure::Gap, whole(u64::try_from(parse_duration(value)?.as_nanos()).unwrap_or(u64::MAX)))
        }
        Property::Number(f @ (Figure::Port | Figure::SourcePort | Figure::Ttl)) => {
            let (most, what) = if f == Figure::Ttl { (255, "a TTL") } else { (65_535, "a port") };
            match value.parse::<u32>() {
                Ok(n) if n <= most => (f, f64::from(n)),
                Ok(_) => return Err(TextError::new(value, all, format!("{what} goes up to {most}"))),
                Err(_) => return Err(TextError::new(value, all, format!("{what} is a number up to {most}"))),
            }
        }
        Property::Number(f @ (Figure::Bps | Figure::Pps)) => match rate(value)? {
            (Some(unit), _) if unit != f => {
                let (is, use_) = if f == Figure::Bps { ("bits", "pps") } else { ("packets", "bps") };
                return Err(TextError::new(value, all, format!("this counts {is}: use {use_} or rate")));
            }
            (_, n) => (f, n),
        },
        Property::Number(f @ Figure::Size) => (f, whole(parse_size(value)?)),
        Property::Number(f) => match parse_size(value) {
            // 5k lost: the same prefixes, but no bytes.
            Ok(n) if !value.ends_with(['B', 'b']) => (f, whole(n)),
            _ => return Err(TextError::new(value, all, "this is no number").help("0, 12, 5k, 2M")),
        },
        _ => {
            let (unit, n) = rate(value)?;
            (unit.unwrap_or(Figure::Bps), n)
        }
    })
}

/// A rate and what it counts, if its unit says so.
fn rate(value: &str) -> Result<(Option<Figure>, f64), TextError> {
    let zero = value.starts_with('0') && value.trim_start_matches(['0', '.']).is_empty();
    if zero {
        return Ok((None, 0.0));
    }
    let form = "a rate is written like 1.5Mbit, 64kbit/s, 2k (bits) or 500pps (packets)";
    let unit = value.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let named = unit.trim_start_matches(['k', 'K', 'M', 'G', 'T', 'i']);
    // Finer than a thousandth makes no difference, and this way it is written in few digits.
    let exact = |n: f64| (n * 1000.0).round() / 1000.0;
    match parse_rate(value).map_err(|e| e.help(form))? {
        // Without a unit the property says what is counted.
        Rate::Packets(n) if named.is_empty() => Ok((None, exact(n))),
        Rate::Packets(n) => Ok((Some(Figure::Pps), exact(n))),
        Rate::Bits(n) => Ok((Some(Figure::Bps), exact(n))),
    }
}

fn place_of(value: &str) -> Result<Place, TextError> {
    let wrong = |message: &str| {
        Err(TextError::new(value, 0..value.len(), message)
            .help("10.1.2.3, 10.1.2.0/24, 10.1.2.3:5004, fe80::/10, or a part of address or name"))
    };
    if let Ok(at) = value.parse::<std::net::SocketAddr>() {
        return Ok(Place::Endpoint(Endpoint::new(at.ip(), at.port())));
    }
    match Prefix::parse(value) {
        Ok(net) => return Ok(Place::Net(net)),
        Err(e) if value.contains('/') => return wrong(&e.message),
        Err(_) => {}
    }
    let numbers = value.chars().all(|c| c.is_ascii_digit() || c == '.');
    if value.contains(':') || (numbers && value.matches('.').count() >= 3 && !value.ends_with('.')) {
        return wrong("this is no address");
    }
    Ok(Place::Text(value.to_lowercase()))
}

fn name_of(name: Name, value: &str) -> Result<String, TextError> {
    let lower = value.to_lowercase();
    let wrong = |message: &str, help: String| Err(TextError::new(value, 0..value.len(), message).help(help));
    match name {
        Name::Protocol if lower != UNKNOWN && !protocols().any(|p| wire_names(p, &lower)) => {
            let ids = || protocols().map(|p| p.id);
            let near = nearest(value, ids(), 4);
            let list = if near.is_empty() { ids().collect() } else { near };
            wrong("no protocol of this name is known", format!("there is {}", list.join(", ")))
        }
        Name::State => {
            let states =
                [State::Live, State::Idle, State::Silent, State::Failed, State::Joining].map(State::word);
            match states.contains(&lower.as_str()) {
                true => Ok(lower),
                false => wrong("this is no state", format!("there is {}", states.join(", "))),
            }
        }
        _ => Ok(lower),
    }
}
