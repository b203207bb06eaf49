//! What the language means, what its errors point at, and that it reads back what it writes.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::batch::{Batch, Datagram};
use crate::base::group::{Membership, MembershipId, SourceFilter};
use crate::base::time::{Mono, Now, Wall};
use crate::model::event::{Event, EventKind};
use crate::model::group::{Buffer, Origin};
use crate::model::{Model, Settings};

const ID: MembershipId = MembershipId(0);

fn at(ms: u64) -> Now {
    Now {
        mono: Mono(1_000_000_000_000 + ms * 1_000_000),
        wall: Wall(1_795_359_600_000_000_000 + ms as i64 * 1_000_000),
    }
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap())
}

/// One group: an RTP sender that lost three numbers, and one that sends text.
fn model() -> Model {
    let mut model = Model::new(Settings::default(), at(0));
    let m = Membership {
        group: "239.1.1.1".parse().unwrap(),
        port: 5004,
        iface: "eth0".into(),
        filter: SourceFilter::Any,
    };
    model.add(ID, Arc::new(m), Origin::User, Some("Stage".into()));
    model.joined(ID, Buffer::default(), at(0));
    for n in 0..200u64 {
        let mut batch = Batch::new();
        batch.received = at(n * 10);
        if !(100..103).contains(&n) {
            let mut rtp = vec![0x80, 98];
            rtp.extend_from_slice(&(n as u16).to_be_bytes());
            rtp.extend_from_slice(&(n as u32 * 48).to_be_bytes());
            rtp.extend_from_slice(&[0, 0, 0, 7]);
            rtp.resize(1200, n as u8);
            let mut d = Datagram::new(ID, at(n * 10).wall, endpoint("10.1.2.20:5004"), 1200);
            (d.ttl, d.tos) = (Some(64), Some(46 << 2));
            batch.push_copy(d, &rtp);
        }
        let text = format!("Hello {n}, this is the stage speaking");
        let mut d = Datagram::new(ID, at(n * 10).wall, endpoint("10.9.0.30:4000"), text.len() as u32);
        (d.ttl, d.tos) = (Some(32), Some(0));
        batch.push_copy(d, text.as_bytes());
        model.apply(&batch);
    }
    model.advance(at(2_500));
    model
}

fn names(ip: IpAddr) -> Option<&'static str> {
    (ip == IpAddr::from([10, 1, 2, 20])).then_some("Cam-A.local")
}

/// Which sources pass, by the last number of their address.
fn sources(model: &Model, text: &str) -> Vec<u8> {
    let filter = parse(text).unwrap_or_else(|e| panic!("{}", e.caret()));
    let group = model.group(ID).unwrap();
    let pass = |s: &&crate::model::source::Source| {
        let host = names(s.endpoint.ip);
        let words = &GroupWords::default();
        filter.passes(&Row { group, source: Some(s), for_group: false, host, now: model.now().mono, words })
    };
    let last = |ip: IpAddr| match ip {
        IpAddr::V4(v) => v.octets()[3],
        IpAddr::V6(_) => 0,
    };
    group.sources.list().iter().filter(pass).map(|s| last(s.endpoint.ip)).collect()
}

#[test]
fn each_property_finds_the_sources_that_have_it() {
    let model = model();
    let both = vec![20, 30];
    for (text, want) in [
        ("", both.clone()),
        ("rtp", vec![20]),
        ("RTP Stage", vec![20]),
        ("cam-a 5004", vec![20]),
        ("rtp and lost > 0", vec![20]),
        ("lost=3", vec![20]),
        ("lost != 3", vec![]),
        ("not lost > 0", vec![30]),
        ("source 10.1.2.0/24", vec![20]),
        ("source = 10.1.2.20 or source 10.9.0.30:4000", both.clone()),
        ("source != 10.1.2.20", vec![30]),
        ("src cam", vec![20]),
        ("src fe80::/10", vec![]),
        ("group 239.0.0.0/8 port 5004", both.clone()),
        ("port 5353", vec![]),
        ("not port 5353", both.clone()),
        ("source-port < 5000", vec![30]),
        ("iface eth1", vec![]),
        ("iface ETH*", both.clone()),
        ("protocol rtp", vec![20]),
        ("protocol != rtp", vec![30]),
        ("size >= 1000", vec![20]),
        ("size >= 1kB", vec![20]),
        ("size < 40", vec![30]),
        ("ttl != 64", vec![30]),
        ("dscp EF", vec![20]),
        ("dscp < 46", vec![30]),
        ("packets = 200", vec![30]),
        ("state live", both.clone()),
        ("pps > 50 size > 5k", vec![]),
        ("gap >= 9ms", both.clone()),
        ("gap < 9 ms", vec![]),
        ("text \"STAGE SPEAKING\"", vec![30]),
        ("hex \"48 65 6c\"", vec![30]),
        ("hex 8062", vec![20]),
        ("(rtp or hello) not ttl 32", vec![20]),
        ("rtp or ttl 32 and size > 1000", vec![20]),
        ("!rtp", vec![30]),
        ("rtp && lost>2 || ttl<=32", both),
        ("\"lost\"", vec![]),
    ] {
        assert_eq!(sources(&model, text), want, "{text}");
    }
}

#[test]
fn a_group_matches_when_one_of_its_sources_does_or_its_own_figures_do() {
    let model = model();
    let group = model.group(ID).unwrap();
    let now = model.now().mono;
    let passes = |text: &str| group_passes(&parse(text).unwrap(), group, &names, now);
    assert!(passes("source 10.9.0.30 ttl 32") && passes("source cam-a lost 3"));
    // No single source has both.
    assert!(!passes("source 10.9.0.30 ttl 64"));
    // The group counts 397 datagrams, no source more than 200.
    assert!(passes("packets > 300") && passes("packets 200") && !passes("packets > 400"));
    assert!(passes("stage live") && !passes("state silent"));
}

#[test]
fn packets_have_their_own_size_and_payload_and_their_sources_losses() {
    let model = model();
    let group = model.group(ID).unwrap();
    let find = |text: &str| {
        let filter = parse(text).unwrap();
        let ring = &group.packets;
        let pass = |p: &&crate::model::packets::Packet| {
            let payload = ring.payload(p);
            let host = names(p.datagram.source.ip);
            let now = model.now().mono;
            filter.passes(&Packeted {
                group,
                datagram: &p.datagram,
                payload,
                protocol: p.protocol,
                gap_ns: p.gap_ns,
                host,
                now,
            })
        };
        ring.iter().filter(pass).count()
    };
    assert_eq!(find("text \"hello 19\""), 11);
    assert_eq!(find("size 1200 lost > 0"), 197);
    assert_eq!(find("gap > 20ms"), 1, "the gap of the three lost");
    assert_eq!(find("seq 150"), 1, "words look into the preview");
    assert_eq!(find("hex 80620096"), 1);
}

#[test]
fn events_lack_sizes_and_have_words() {
    let event = Event {
        number: 0,
        time: Wall(0),
        kind: EventKind::SourceSilent,
        membership: None,
        source: Some(endpoint("10.0.0.9:5")),
        iface: Some("eth1".into()),
        text: "10.0.0.9:5 went silent".into(),
    };
    let passes = |text: &str| parse(text).unwrap().passes(&Happening(&event));
    assert!(passes("silent eth1") && passes("event source_silent") && passes("event silent"));
    assert!(passes("source 10.0.0.0/8 iface eth1") && passes("\"source silent\""));
    assert!(
        !passes("size > 5") && !passes("size != 5") && passes("not size > 5") && !passes("group 239.1.1.1")
    );
}

#[test]
fn rates_say_by_their_unit_what_they_count() {
    let number = |text: &str| match parse(text).unwrap() {
        Expr::Test(Test::Number(f, op, v)) => (f, op, v),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(number("rate > 1.5Mbit"), (Figure::Bps, Op::Gt, 1.5e6));
    assert_eq!(number("rate > 1.5 Mbit/s"), (Figure::Bps, Op::Gt, 1.5e6));
    assert_eq!(number("rate>=2M"), (Figure::Bps, Op::Ge, 2e6));
    assert_eq!(number("rate < 500pps"), (Figure::Pps, Op::Lt, 500.0));
    assert_eq!(number("pps > 5k"), (Figure::Pps, Op::Gt, 5e3));
    assert_eq!(number("bps > 5k"), (Figure::Bps, Op::Gt, 5e3));
    assert_eq!(number("rate = 0"), (Figure::Bps, Op::Eq, 0.0));
    assert_eq!(number("lost >= 2k"), (Figure::Lost, Op::Ge, 2e3));
    assert_eq!(number("gap > 1.5ms"), (Figure::Gap, Op::Gt, 1.5e6));
}

#[test]
fn errors_point_at_the_place() {
    for (text, part, message) in [
        ("lost >", "", "missing"),
        ("lost > x", "x", "no number"),
        ("lsot > 0", "lsot", "no property"),
        ("rtp (size > 5", "(", "never closed"),
        ("rtp size > 5)", ")", "no parenthesis"),
        ("a or", "", "missing"),
        ("a and or b", "or", "missing"),
        ("> 5", ">", "what is to be compared"),
        ("text \"open", "\"open", "closing quote"),
        ("hex \"de a\"", "\"de a\"", "hex"),
        ("hex xy", "x", "hex"),
        ("source 10.1.2.300", "10.1.2.300", "no address"),
        ("source 10.0.0.0/33", "10.0.0.0/33", "bits"),
        ("source < 10.0.0.1", "source", "no order"),
        ("size > 5q", "q", "unit"),
        ("port 70000", "70000", "65535"),
        ("protocol rtpp", "rtpp", "no protocol"),
        ("state quiet", "quiet", "no state"),
        ("ttl 256", "256", "255"),
        ("bps > 5pps", "5pps", "bits"),
        ("()", "()", "nothing"),
        ("\"\"", "\"\"", "nothing"),
        ("text != x", "text", "not"),
    ] {
        let e = parse(text).expect_err(text);
        assert_eq!(e.part(), part, "{text}: {e}");
        assert!(e.message.contains(message), "{text}: {e}");
        assert_eq!(e.text, text);
    }
    let e = parse("rtp and lots > 5").unwrap_err();
    assert_eq!(e.columns(), 8..12);
    assert!(e.help.unwrap().contains("lost"));
}

#[test]
fn the_corpus_of_the_fuzz_target_reads_and_reads_back() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/filter");
    let files =
        std::fs::read_dir(folder).unwrap().map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap());
    let all: Vec<String> = files.collect();
    assert!(all.len() >= 6);
    for text in all {
        let e = parse(&text).unwrap_or_else(|e| panic!("{}", e.caret()));
        assert_eq!(parse(&e.to_string()).unwrap(), e, "{text}");
    }
}

#[test]
fn it_cannot_be_made_to_nest_without_end() {
    assert!(parse(&"(".repeat(1_500)).is_err());
    assert!(parse(&"not ".repeat(400)).unwrap_err().message.contains("too many"));
    assert!(parse(&"a ".repeat(2_000)).is_err());
    assert!(parse(&format!("{}a{}", "(".repeat(30), ")".repeat(30))).is_ok());
}

#[test]
fn what_is_lit_up_is_what_was_looked_for_and_not_what_was_excluded() {
    let e = parse("Cam not foo (text Stage or source 10.0.0.1) size > 5 iface eth0").unwrap();
    assert_eq!(e.lights(), ["cam", "stage", "10.0.0.1", "eth0"]);
    let e = parse("hex 6c6c hello").unwrap();
    assert_eq!(e.found_in(b"say HELLO, hello all"), [13..15, 4..9]);
}

fn a_word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9.:/\\[\\]%_-]{1,12}",
        "[ -~]{1,12}",
        "\\PC{1,6}",
        Just("and".to_owned()),
        Just("lost".to_owned())
    ]
    .prop_map(|w| w.to_lowercase())
    .prop_filter("lower case stays", |w| w.to_lowercase() == *w)
}

fn a_place() -> impl Strategy<Value = Place> {
    prop_oneof![
        (any::<IpAddr>(), 0u8..=128).prop_map(|(ip, len)| { Place::Net(Prefix::new(ip, len)) }),
        (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| Place::Endpoint(Endpoint::new(ip, port))),
        "[a-z-]{1,8}".prop_map(Place::Text),
    ]
}

fn a_test() -> impl Strategy<Value = Test> {
    use Figure::*;
    let op = prop::sample::select(vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge]);
    let counts = prop::sample::select(vec![Size, Lost, Duplicates, Reordered, Packets, Gap]);
    let who = prop::sample::select(vec![Who::Group, Who::Source]);
    prop_oneof![
        a_word().prop_map(Test::Word),
        "[ -~]{1,9}".prop_map(Test::Text),
        prop::collection::vec(any::<u8>(), 1..8).prop_map(Test::Hex),
        (who, any::<bool>(), a_place()).prop_map(|(w, is, p)| Test::Place(w, is, p)),
        (any::<bool>(), a_word()).prop_map(|(is, w)| Test::Name(Name::Iface, is, w)),
        (any::<bool>(), a_word()).prop_map(|(is, w)| Test::Name(Name::Event, is, w)),
        (0..crate::wire::PROTOCOLS.len()).prop_map(|i| Test::Name(
            Name::Protocol,
            true,
            crate::wire::PROTOCOLS[i].id.to_owned()
        )),
        (counts, op.clone(), 0u64..1 << 50).prop_map(|(f, op, n)| Test::Number(f, op, n as f64)),
        (prop::sample::select(vec![Port, SourcePort]), op.clone(), any::<u16>())
            .prop_map(|(f, op, n)| Test::Number(f, op, f64::from(n))),
        (prop::sample::select(vec![Bps, Pps]), op.clone(), 0u64..1 << 40)
            .prop_map(|(f, op, n)| Test::Number(f, op, n as f64 / 8.0)),
        (op, 0u8..64).prop_map(|(op, n)| Test::Number(Dscp, op, f64::from(n))),
    ]
}

fn an_expr() -> impl Strategy<Value = Expr> {
    a_test().prop_map(Expr::Test).prop_recursive(5, 24, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone().prop_map(Expr::all),
            list.prop_map(Expr::any),
            inner.prop_map(|e| Expr::Not(Box::new(e)))
        ]
    })
}

/// A row that does not know better than what describes it.
struct Described<'a>(Row<'a>);

impl Subject for Described<'_> {
    fn endpoint(&self, who: Who) -> Option<Endpoint> {
        self.0.endpoint(who)
    }
    fn name(&self, which: Name) -> Option<&str> {
        self.0.name(which)
    }
    fn protocol(&self) -> Option<Option<&'static wire::Protocol>> {
        self.0.protocol()
    }
    fn figures(&self, figure: Figure) -> [Option<subject::Span>; 2] {
        self.0.figures(figure)
    }
    fn payload(&self) -> Option<&[u8]> {
        self.0.payload()
    }
    fn describe(&self, out: &mut String) {
        self.0.describe(out);
    }
}

#[test]
fn a_word_is_found_in_a_row_where_its_description_has_it() {
    let model = model();
    let group = model.group(ID).unwrap();
    let list = group.sources.list();
    let sources = list.iter().map(Some).chain([None]);
    let rows: Vec<(Option<_>, bool)> = sources.flat_map(|s| [(s, false), (s, true)]).collect();
    let words = "stage 239.1 5004 :5004 eth eth0 rtp text 10.1.2.20:5004 10.9.0.30:40 0.30:4 .30: 10.1.2.20:50041 \
                 cam cam-a.local local live idle 4000 [ % fe80 ffff zebra 1 é";
    let mut found = 0;
    for word in words.split_whitespace() {
        for &(source, for_group) in &rows {
            let host = source.and_then(|s| names(s.endpoint.ip));
            let common = &GroupWords::default();
            let row = Row { group, source, for_group, host, now: model.now().mono, words: common };
            let filter = Expr::Test(Test::Word(word.into()));
            assert_eq!(filter.passes(&row), filter.passes(&Described(row)), "{word} in {source:?}");
            found += usize::from(filter.passes(&row));
        }
    }
    assert!(found > 40, "{found}");
}

proptest! {
    #[test]
    fn a_part_of_an_address_is_found_where_it_is_written(
        ip in any::<u32>(), port in any::<u16>(), from in 0usize..12, len in 1usize..12, other in "[0-9.:a]{1,5}",
    ) {
        let e = Endpoint::new(std::net::Ipv4Addr::from(ip).into(), port);
        let text = e.to_string();
        let part: String = text.chars().skip(from).take(len).collect();
        for word in [part, other].iter().filter(|w| !w.is_empty()) {
            prop_assert_eq!(subject::occurs_in_endpoint(word, e), text.contains(word.as_str()), "{}", word);
        }
    }

    #[test]
    fn no_text_makes_it_panic_and_an_error_lies_within_it(text in "\\PC{0,60}") {
        if let Err(e) = parse(&text) {
            prop_assert!(e.span.end <= text.len() && text.get(e.span.clone()).is_some());
            prop_assert!(!e.message.is_empty());
        }
    }

    #[test]
    fn no_row_of_its_own_words_makes_it_panic(words in prop::collection::vec(prop_oneof![
        prop::sample::select(PROPERTIES.iter().map(|p| p.0).collect::<Vec<_>>()),
        prop::sample::select(vec!["and", "or", "not", "!", "(", ")", "=", "!=", "<", ">=", "\"", "\"x\"", "\\"]),
        prop::sample::select(vec!["5", "5k", "0", "1.5Mbit", "10.0.0.1", "fe80::/10", "rtp", "é", "EF", "9ms"]),
    ], 0..14), gap in prop::sample::select(vec!["", " ", "  "])) {
        let text = words.join(gap);
        if let Ok(e) = parse(&text) {
            prop_assert_eq!(parse(&e.to_string()).unwrap(), e);
        }
    }

    #[test]
    fn what_it_writes_it_reads_back(e in an_expr()) {
        let text = e.to_string();
        if text.len() <= TEXT_MAX {
            let back = parse(&text);
            prop_assert_eq!(back.as_ref(), Ok(&e), "{}", text);
        }
    }
}
