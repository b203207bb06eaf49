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

const VIDEO: &str = "m=video 5004 RTP/AVP 96\r\na=rtpmap:96 raw/90000\r\n";

/// Two segments, of lines 17 and 18 of the second field.
fn two_lines() -> Vec<u8> {
    let mut b = vec![0x00, 0x12, 0x00, 0x0a, 0x80, 0x11, 0x83, 0xc0, 0x00, 0x05, 0x80, 0x12, 0x00, 0x00];
    b.extend([7; 15]);
    b
}

#[test]
fn announced_video_says_its_lines_and_counts_in_32_bits() {
    let told = formats(VIDEO);
    let b = packet(96, 0xa3f1, &two_lines());
    assert_eq!(
        shown(&b, &told, b.len()),
        "RTP raw/90000, line 17 field 2 from pixel 960, line 18 field 2 from pixel 0, 15 B  \
         ssrc 00000009  seq 0x0012a3f1  ts 48"
    );
    assert_eq!(
        inner(&b, &told),
        [
            "extended sequence number: 18 (0x0012a3f1 in all) [12..14]",
            "segment 1: line 17 [14..20]",
            "  length: 10 bytes [14..16]",
            "  field: 2 [16..17]",
            "  line: 17 [16..18]",
            "  continuation: another header [18..19]",
            "  offset: pixel 960 [18..20]",
            "  samples: 10 bytes [26..36]",
            "segment 2: line 18 [20..26]",
            "  length: 5 bytes [20..22]",
            "  field: 2 [22..23]",
            "  line: 18 [22..24]",
            "  continuation: the last [24..25]",
            "  offset: pixel 0 [24..26]",
            "  samples: 5 bytes [36..41]",
        ]
    );
    let short = &b[..b.len() - 1];
    assert!(shown(short, &told, short.len()).contains("but 28 B are too few for its segments"));
    assert!(inner(short, &told).join("\n").contains("segments: do not fit in 28 bytes: not as announced"));
    // Only the capture cut it.
    assert!(shown(short, &told, b.len()).contains("15 B"));
}

#[test]
fn raw_is_video_only_where_video_is_announced() {
    let told = formats("m=application 5004 RTP/AVP 96\r\na=rtpmap:96 raw/90000\r\n");
    assert_eq!(told[0].kind, Kind::Other);
}

const DATA: &str = "m=video 5004 RTP/AVP 100\r\na=rtpmap:100 smpte291/90000\r\n";

/// Words of ten bits one after the other, filled up to four bytes.
fn words(list: &[u16]) -> Vec<u8> {
    let mut bits: Vec<bool> = list.iter().flat_map(|w| (0..10).rev().map(move |i| w >> i & 1 != 0)).collect();
    bits.resize(bits.len().next_multiple_of(32), false);
    bits.chunks(8).map(|c| c.iter().fold(0, |v, &bit| v << 1 | u8::from(bit))).collect()
}

#[test]
fn announced_ancillary_data_says_what_it_is_and_on_which_line() {
    // Captions on line 9 and timecode on line 10, colour difference, stream 3.
    let captions = words(&[0x161, 0x101, 0x203, 0x296, 0x269, 0x152, 0x200]);
    let timecode = words(&[0x260, 0x260, 0x101, 0x200, 0x200]);
    let mut p = vec![0x00, 0x01, 0x00, 0x00, 0x02, 0x80, 0x00, 0x00];
    p.extend([0x00, 0x90, 0x00, 0x00]);
    p.extend(&captions);
    let second = p.len();
    p.extend([0x80, 0xa0, 0x10, 0x83]);
    p.extend(&timecode);
    let length = (p.len() - 8) as u8;
    p[3] = length;
    let b = packet(100, 5, &p);
    let told = formats(DATA);
    assert_eq!(
        shown(&b, &told, b.len()),
        "RTP smpte291/90000, 2 ANC packets, DID 61 SDID 01 CEA-708 captions line 9, \
         DID 60 SDID 60 timecode line 10  ssrc 00000009  seq 0x00010005  ts 48"
    );
    let at = 12 + second;
    let lines = inner(&b, &told);
    let want = [
        "extended sequence number: 1 (0x00010005 in all) [12..14]".to_owned(),
        format!("length: {length} bytes [14..16]"),
        "ANC packets: 2 [16..17]".to_owned(),
        "field: 1 [17..18]".to_owned(),
        format!("ANC packet 1: CEA-708 captions [20..{at}]"),
        "  channel: luma [20..21]".to_owned(),
        "  line: 9 [20..22]".to_owned(),
        "  horizontal offset: 0 [21..23]".to_owned(),
        "  DID: 0x61 [24..26]".to_owned(),
        "  SDID: 0x01 [25..27]".to_owned(),
        "  data count: 3 words [26..28]".to_owned(),
        format!("ANC packet 2: timecode [{at}..{}]", b.len()),
        format!("  channel: colour difference [{at}..{}]", at + 1),
        format!("  line: 10 [{at}..{}]", at + 2),
        format!("  horizontal offset: 16 [{}..{}]", at + 1, at + 3),
        format!("  stream: 3 [{}..{}]", at + 3, at + 4),
    ];
    assert_eq!(lines[..want.len()], want);
    let short = &b[..b.len() - 4];
    let said = inner(short, &told).join("\n");
    assert!(said.contains("bytes: more than there are, not as announced"), "{said}");
}

#[test]
fn announced_sdi_says_its_source_and_that_it_is_whole() {
    let told = formats("m=video 5004 RTP/AVP 98\r\na=rtpmap:98 SMPTE2022-6/27000000\r\n");
    let mut p = vec![0x08, 42, 0x40, 0x20, 0x02, 0x01, 0x71, 0x00, 0, 0, 1, 0];
    p.extend([1; 1376]);
    let b = packet(98, 7, &p);
    assert_eq!(
        shown(&b[..64], &told, b.len()),
        "RTP SMPTE2022-6/27000000, frame 42, format 0x20 rate 0x17 sampling 1, 1376 B  \
         ssrc 00000009  seq 7  ts 48"
    );
    let said = inner(&b, &told).join("\n");
    for want in [
        "source format: follows [12..13]",
        "frame count: 42 [13..14]",
        "timestamp reference: 1 [14..15]",
        "clock frequency: code 1 [14..16]",
        "mapping: 0 [16..17]",
        "frame: code 0x20 [16..18]",
        "frame rate: code 0x17 [17..19]",
        "sampling: code 1 [18..19]",
        "video timestamp: 256 [20..24]",
        "media: 1376 bytes [24..1400]",
    ] {
        assert!(said.contains(want), "{want} in\n{said}");
    }
    let short = &b[..b.len() - 1];
    assert!(shown(short, &told, short.len()).contains("but 1375 B of media, not 1376"));
}
