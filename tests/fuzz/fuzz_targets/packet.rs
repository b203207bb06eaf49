//! IP, UDP, IGMP, MLD, the routers' protocols, and the answers to our own messages, on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcscope::wire::input::{Input, input};
use mcscope::wire::probe::{Probe, Report};
use mcscope::wire::ssmping::Message;
use mcscope::wire::{igmp, ip, mld, routing};

fuzz_target!(|b: &[u8]| {
    let _ = igmp::parse(b).map(|m| m.message.to_string());
    let _ = mld::parse(b).map(|m| m.to_string());
    let _ = (Probe::parse(b), Report::parse(b), Message::answer(b));
    for verified in [true, false] {
        if let Input::Datagram(d) = input(b, verified) {
            assert!(d.payload.end <= b.len());
        }
    }
    if let Ok(ip) = ip::Ip::parse(b) {
        assert!(ip.payload.end <= b.len() && ip.payload.len() <= ip.payload_len);
        let _ = igmp::parse(ip.payload(b));
        let _ = mld::parse(ip.payload(b));
        routing::preview(&ip, b, &mut String::new());
    }
    if let Ok(Some(d)) = ip::datagram(b) {
        assert!(d.payload.end <= b.len() && d.payload.len() <= d.payload_len);
        let _ = ip::udp_checksum_holds(b, &d);
    }
});
