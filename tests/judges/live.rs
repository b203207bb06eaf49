//! A live stream with real loss, as a person meets it: ffmpeg sends RTP, the network drops at random, and
//! the JSON of the program itself is judged by tshark's reading of a capture taken on the same interface.

use crate::has;
use crate::rtp::judge_streams;
use crate::support::judge::Judge;
use crate::support::netns::{Join, Options};
use crate::support::program::{interrupt, last, until_total, watch};
use crate::support::run::Sandbox;

#[test]
fn the_json_of_a_stream_that_loses_at_random_says_what_tshark_says() {
    if !has(test_name!(), "ffmpeg", "-version") {
        return;
    }
    let Some(lab) =
        lab!(Options { join: Join::Switch { snooping: false, querier: false }, ..Options::default() })
    else {
        return;
    };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), "--stats-only 239.1.1.1:5004%net0", 1);
    // The switch between the hosts drops one of ten at random: neither the capture nor the receiver sees it.
    lab.on_switch(
        0,
        "nft add table bridge f; nft add chain bridge f on '{ type filter hook forward priority 0; }'; \
         nft add rule bridge f on ip daddr 239.1.1.1 udp dport 5004 numgen random mod 10 == 0 drop",
    );
    let codecs = ["pcm_mulaw", "pcm_alaw"];
    std::thread::scope(|scope| {
        for (i, codec) in codecs.into_iter().enumerate() {
            let (lab, sandbox) = (&lab, &sandbox);
            scope.spawn(move || {
                let mut command = sandbox.command("ffmpeg");
                command.args("-nostdin -loglevel error -re -f lavfi -i sine=frequency=440 -t 4".split(' '));
                command.args(format!("-ar 8000 -ac 1 -c:a {codec} -packet_size 172 -f rtp").split(' '));
                command.arg(format!("rtp://239.1.1.1:5004?localport={}&ttl=1", 7000 + 2 * i));
                lab.enter(1, &mut command);
                sandbox.run(command).code(0);
            });
        }
    });
    let file = sandbox.path("live.pcap");
    judge.save(&file);
    let judged = judge_streams(&file, &[5004]);
    assert_eq!(judged.len(), codecs.len(), "{judged:#?}");
    until_total(&mut program, judged.values().map(|j| j.packets).sum());
    let lines = interrupt(program).json();
    for ((from, _, ssrc), j) in &judged {
        assert!(j.lost > 0 && j.packets > 100, "something was lost: {j:?}");
        let line = last(&lines, "source", |v| v["source"] == from.to_string());
        assert_eq!(line["packets"].as_u64(), Some(j.packets), "ssrc {ssrc:08x}: {line}");
        assert_eq!(line["rfc3550_lost"].as_i64(), Some(j.lost), "ssrc {ssrc:08x}: {line}");
        // Nothing came twice or late, and nothing was dropped here: the network's loss is all there is.
        assert_eq!(line["lost"].as_i64(), Some(j.lost), "ssrc {ssrc:08x}: {line}");
        for (name, printed) in [("jitter_mean_ns", j.jitter_mean_ms), ("jitter_max_ns", j.jitter_max_ms)] {
            let is = line[name].as_f64().unwrap_or_else(|| panic!("{name} in {line}")) / 1e6;
            assert!((is - printed).abs() <= 0.000_501, "{name}: {is} ms here, {printed} by tshark");
        }
    }
}
