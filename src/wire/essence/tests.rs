//! What an announced payload is shown as; the headers are written here as the standards have them.

use super::*;
use crate::wire::by_id;
use crate::wire::sdp::Session;

/// The formats of the first media of a description.
pub(super) fn formats(media: &str) -> Vec<Format> {
    let text = format!("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=x\r\nc=IN IP4 239.69.1.1/15\r\n{media}");
    Format::of(&Session::parse(text.as_bytes()).unwrap().media[0])
}

/// An RTP packet of this type, number and payload.
pub(super) fn packet(payload_type: u8, number: u16, payload: &[u8]) -> Vec<u8> {
    let mut b = vec![0x80, payload_type];
    b.extend(number.to_be_bytes());
    b.extend([0, 0, 0, 48, 0, 0, 0, 9]);
    b.extend(payload);
    b
}

pub(super) fn shown(b: &[u8], formats: &[Format], len: usize) -> String {
    let mut out = String::new();
    preview(by_id("rtp").unwrap(), b, &Told { formats, len }, &mut out);
    out
}

/// The fields below the payload, a line each: name, value, range.
pub(super) fn inner(b: &[u8], formats: &[Format]) -> Vec<String> {
    let all = fields(by_id("rtp").unwrap(), b, &Told { formats, len: b.len() });
    let from = all.iter().position(|f| f.name == "payload").unwrap() + 1;
    let line = |f: &Field| {
        let deeper = "  ".repeat(usize::from(f.depth - 1));
        format!("{deeper}{}: {} [{}..{}]", f.name, f.value, f.range.start, f.range.end)
    };
    all[from..].iter().map(line).collect()
}

const STEREO: &str = "m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\na=ptime:1\r\n";

#[test]
fn announced_audio_is_counted_in_samples_and_time() {
    let b = packet(97, 7, &[0xff; 288]);
    assert_eq!(
        shown(&b, &formats(STEREO), b.len()),
        "RTP L24/48000/2, 2 channels, 48 samples (1 ms)  ssrc 00000009  seq 7  ts 48"
    );
    let eight = formats("m=audio 5004 RTP/AVP 98\r\na=rtpmap:98 l16/96000/8\r\n");
    let b = packet(98, 7, &[0; 12 * 16]);
    assert!(shown(&b, &eight, b.len()).starts_with("RTP l16/96000/8, 8 channels, 12 samples (0.125 ms)"));
    let one = formats("m=audio 5004 RTP/AVP 98\r\na=rtpmap:98 L16/44100\r\n");
    let b = packet(98, 7, &[0; 88]);
    assert!(shown(&b, &one, b.len()).starts_with("RTP L16/44100, 1 channel, 44 samples (0.998 ms)"));
}

#[test]
fn audio_that_is_not_as_announced_is_said() {
    let b = packet(97, 7, &[0; 290]);
    assert!(shown(&b, &formats(STEREO), b.len()).contains("2 channels, but 290 B are no whole samples"));
    let said = inner(&b, &formats(STEREO)).join("\n");
    assert!(said.contains("samples: 290 B are no whole number of 6 B: not as announced [12..302]"), "{said}");
}

#[test]
fn a_cut_packet_is_counted_by_its_true_length() {
    let b = packet(97, 7, &[0; 288]);
    assert!(shown(&b[..64], &formats(STEREO), b.len()).contains("48 samples (1 ms)"));
    // How much of it is padding stands in the byte that is missing.
    let mut padded = b.clone();
    padded[0] |= 0x20;
    padded[63] = 4;
    let line = shown(&padded[..64], &formats(STEREO), b.len());
    assert!(line.contains("2 channels  ssrc") && !line.contains("samples"), "{line}");
}

#[test]
fn the_first_sample_of_each_channel_stands_at_its_bytes() {
    let mut payload = [0u8; 288];
    payload[..6].copy_from_slice(&[0x00, 0x01, 0x02, 0xff, 0xff, 0xfe]);
    assert_eq!(
        inner(&packet(97, 7, &payload), &formats(STEREO)),
        [
            "channels: 2 [12..300]",
            "bits per sample: 24 [12..300]",
            "samples: 48 [12..300]",
            "time: 1 ms [12..300]",
            "first sample, channel 1: 258 [12..15]",
            "first sample, channel 2: -2 [15..18]",
        ]
    );
}

#[test]
fn without_an_announcement_of_its_payload_type_a_packet_stays_plain_rtp() {
    let rtp = by_id("rtp").unwrap();
    let b = packet(96, 7, &[0; 288]);
    let mut plain = String::new();
    (rtp.preview)(&b, &mut plain);
    for told in [vec![], formats(STEREO), formats("m=audio 5004 udp 96\r\na=rtpmap:96 L24/48000/2\r\n")] {
        assert_eq!(shown(&b, &told, b.len()), plain);
        assert_eq!(fields(rtp, &b, &Told { formats: &told, len: b.len() }), (rtp.fields)(&b));
    }
}

#[test]
fn an_encoding_that_is_only_a_name_is_named() {
    let told = formats("m=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n");
    let b = packet(96, 7, &[0; 100]);
    assert_eq!(shown(&b, &told, b.len()), "RTP H264/90000  100 B  ssrc 00000009  seq 7  ts 48");
    let none = formats("m=audio 5004 RTP/AVP 96\r\na=rtpmap:96 L24/0/2\r\na=rtpmap:97 L16/48000/0\r\n");
    assert!(none.iter().all(|f| f.kind == Kind::Other), "{none:?}");
}
