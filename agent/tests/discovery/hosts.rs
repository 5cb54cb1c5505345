//! Linux hosts behind an agent, whose own kernels ask and answer.

use pointsman_proto::pointsman::agent::v1 as pb;

use crate::net::{Net, run, until};
use crate::{hosts, is_root};

const GATEWAYS: &str = "gateways: [{ ip: 10.7.0.1, mac: \"00:00:00:00:01:00\" }, \
                        { ip: \"fd07::1\", mac: \"00:00:00:00:01:00\" }]";

/// Whether a host has an address at a port.
fn is_at(host: &pb::Host, port: u32, ip: &[u8]) -> bool {
    host.locations.iter().any(|at| at.port == port)
        && host.addresses.iter().any(|address| address.ip == ip)
}

#[tokio::test]
async fn hosts_are_learnt_answered_asked_and_forgotten() {
    if !is_root() {
        return;
    }
    let mut net = Net::new();
    let (here, there) = (net.switches.clone(), net.server.clone());
    let settings = format!("discovery: {{ host_idle_seconds: 1, proxy: true, {GATEWAYS} }}\n");
    let (_, mut leaf) = net.start_agent_with(1, "[1=p1, 2=p2]", &settings).await;
    run(&format!("ip -n {there} addr add 10.7.0.5/24 dev eth0"));
    run(&format!("ip -n {there} addr add fd07::5/64 dev eth0 nodad"));
    run(&format!("ip -n {here} addr add 10.7.0.9/24 dev q1"));

    // Asking for their gateways makes them known; nobody but the agent answers.
    let neighbor = |namespace: &str, interface: &str, ip: &str| {
        let mut ping = net.in_namespace(namespace, "ping");
        // There is nobody to answer the ping itself.
        drop(ping.args(["-c1", "-W1", "-I", interface, ip]).output());
        let known = net
            .in_namespace(namespace, "ip")
            .args(["neigh", "show", ip])
            .output();
        String::from_utf8_lossy(&known.expect("ip runs").stdout).into_owned()
    };
    for gateway in ["10.7.0.1", "fd07::1"] {
        let resolved = until(async || {
            let known = neighbor(&there, "eth0", gateway);
            known.contains("00:00:00:00:01:00").then_some(())
        });
        let resolved = resolved.await;
        resolved.unwrap_or_else(|| panic!("{gateway} does not answer:\n{}", net.log(1)));
    }
    let v6 = [&[0xfd, 7][..], &[0; 13], &[5]].concat();
    let known = until(async || {
        let hosts = hosts(&mut leaf).await;
        let is_known = |ip: &[u8]| hosts.iter().any(|host| is_at(host, 2, ip));
        (is_known(&[10, 7, 0, 5]) && is_known(&v6)).then_some(())
    });
    let known = known.await;
    known.unwrap_or_else(|| panic!("the host is not known:\n{}", net.log(1)));

    // A host at another port asks for it. The pipeline forwards nothing here.
    let shown = net
        .in_namespace(&there, "ip")
        .args(["-br", "link", "show", "eth0"])
        .output();
    let shown = String::from_utf8_lossy(&shown.expect("ip runs").stdout).into_owned();
    let mac = shown
        .split_whitespace()
        .nth(2)
        .expect("name, state, address");
    let proxied = until(async || {
        neighbor(&here, "q1", "10.7.0.5")
            .contains(mac)
            .then_some(())
    });
    let proxied = proxied.await;
    proxied.unwrap_or_else(|| panic!("{mac} is not told:\n{}", net.log(1)));

    // It is silent for longer than hosts may be, and answers when it is asked.
    let before = hosts(&mut leaf).await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let after = hosts(&mut leaf).await;
    for host in &before {
        assert!(
            after.iter().any(|other| other.key == host.key),
            "{host:?}\n{}",
            net.log(1)
        );
    }
    run(&format!("ip -n {there} addr flush dev eth0"));
    let mut seen = Vec::new();
    let gone = until(async || {
        seen = hosts(&mut leaf).await;
        let is_there = seen
            .iter()
            .any(|host| host.locations.iter().any(|at| at.port == 2));
        (!is_there).then_some(())
    });
    let gone = gone.await;
    gone.unwrap_or_else(|| panic!("it stays: {seen:#?}\n{}", net.log(1)));
}
