//! What is worth a word and no warning, each provoked.

use socket2::{Domain, Socket, Type};

use super::case::*;
use super::craft;
use super::support::netns::Options;
use super::support::run::Sandbox;

#[test]
fn a_group_in_a_range_that_is_held_in_reserve() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, "225.1.1.1%net0:5004", &Traffic::to("225.1.1.1:5004"));
    report.is_well();
    report.has("note", "addr.plan").shows(&["225.1.1.1"]).remedy();
    ask(&lab, "234.10.9.8%net0:5004", &Traffic::Nothing).has("ok", "addr.plan").shows(&["10.9.8.0/24"]);
}

#[test]
fn how_far_a_group_and_its_packets_go() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to, id, words) in [
        (GROUP, TO, "scope.v4", "239.1.1.1"),
        (GROUP6, TO6, "scope.v6", "site"),
        (GROUP, TO, "ttl.threshold", "1 on arrival"),
    ] {
        let report = ask(&lab, group, &Traffic::to(to));
        report.is_well();
        report.has("ok", id).shows(&[words]);
    }
}

#[test]
fn reports_of_the_links_own_groups_that_are_turned_off() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv4.igmp_link_local_mcast_reports", "0");
    let report = ask(&lab, "224.0.0.77%net0:5004", &Traffic::to("224.0.0.77:5004"));
    report.is_well();
    report.has("note", "igmp.llreports").shows(&["0"]);
}

#[test]
fn a_source_on_another_network_of_a_group_that_crosses_no_router() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, "192.0.2.7@224.0.0.77%net0:5004", &Traffic::Nothing);
    report.has("warn", "snoop.224-0-0").shows(&["192.0.2.7", "224.0.0.77"]).remedy();
}

#[test]
fn a_program_that_hears_every_group_on_its_port() {
    let Some(lab) = lab!(Options::default()) else { return };
    let open = lab.inside(2, || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("share the port");
        let any: std::net::SocketAddr = "0.0.0.0:5004".parse().expect("an address");
        socket.bind(&any.into()).expect("bind");
        socket
    });
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    drop(open);
    report.is_well();
    report.has("note", "sock.crosstalk").shows(&["0.0.0.0:5004", "(pid "]).remedy();
    assert!(report.findings.iter().any(|f| f.id == "sock.reuseport"), "{report}");
}

#[test]
fn a_container_behind_a_bridge() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["doctor", "--json", "--for", "1s", GROUP]);
    command.env("container", "podman");
    lab.enter(2, &mut command);
    let report = under(&lab, &Traffic::to(TO), |_| Report::read(sandbox.spawn(command).wait()));
    report.is_well();
    // The veth's other end is in host 1, as a container's is in its host.
    report.has("note", "env.container").shows(&["bridge"]).remedy();
}

#[test]
fn a_router_for_multicast_that_says_hello() {
    let Some(lab) = lab!(Options::default()) else { return };
    let mut hello = craft::datagram(lab.v4(1).into(), "224.0.0.13".parse().expect("a group"), 0, b"");
    // PIM version 2, hello, no option (RFC 7761 section 4.9), in place of UDP.
    hello[9] = 103;
    hello[20..24].copy_from_slice(&[0x20, 0, 0xdf, 0xff]);
    craft::identify(&mut hello, 1);
    let stream = craft::datagram(lab.v4(1).into(), address(TO), 5004, b"here");
    let report = ask(&lab, GROUP, &Traffic::packets(vec![hello, stream]));
    report.is_well();
    report.has("ok", "net.pim").shows(&["PIM"]);
}

#[test]
fn a_host_that_routes_multicast_itself() {
    let Some(lab) = lab!(Options::default()) else { return };
    // What mrouted and smcroute do first: MRT_INIT (200) and MRT_ADD_VIF (202) of linux/mroute.h.
    let router = "import socket,struct,time; s=socket.socket(socket.AF_INET,socket.SOCK_RAW,2); \
                  s.setsockopt(0,200,1); i=socket.if_nametoindex('net0'); \
                  s.setsockopt(0,202,struct.pack('HBBIII',0,8,1,0,i,0)); print('on',flush=True); time.sleep(60)";
    let mut command = lab.cmd(2, "python3");
    command.args(["-c", router]).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("start python3");
    let mut said = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().expect("a pipe")),
        &mut said,
    )
    .expect("read python3");
    // A kernel without CONFIG_IP_MROUTE cannot.
    if said.trim() == "on" {
        let report = ask(&lab, GROUP, &Traffic::to(TO));
        report.is_well();
        report.has("note", "net.mroute").shows(&["net0"]);
    }
    child.kill().expect("end python3");
    child.wait().expect("python3's end");
}

#[test]
fn a_tunnel_that_is_asked() {
    let Some(lab) = lab!(Options::default()) else { return };
    let made = lab.sh(
        2,
        "ip tuntap add dev far mode tun 2>/dev/null && ip link set far up && ip addr add 10.55.0.1/24 dev far && echo made || true",
    );
    if made.trim() != "made" {
        // The kernel has no tun.
        return;
    }
    let report = ask(&lab, "239.1.1.1%far:5004", &Traffic::Nothing);
    let told = report.tells("env.vpn");
    told.shows(&["far"]).remedy();
}
