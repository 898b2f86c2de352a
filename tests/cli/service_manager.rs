//! What systemd hears from a node: the messages of `sd_notify(3)`, on a socket of the test's.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use crate::servers::node::Node;

fn hear(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn a_service_manager_hears_that_a_node_is_ready_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut node = Node::start_with(&folder.path().join("data"), |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env("LOSTCARD_DRAIN_SECONDS", "1");
    });
    let mut heard = vec![hear(&socket)];
    while heard.iter().filter(|message| *message == "WATCHDOG=1\n").count() < 3 {
        heard.push(hear(&socket));
    }
    assert_eq!(heard.iter().filter(|message| *message == "READY=1\n").count(), 1, "{heard:?}");
    node.signal(Signal::TERM);
    let mut last = hear(&socket);
    while last == "WATCHDOG=1\n" {
        last = hear(&socket);
    }
    assert_eq!(last, "STOPPING=1\n");
    // It drains, and still lives.
    assert_eq!(hear(&socket), "WATCHDOG=1\n");
    // A manager hears to the end: a full socket would hold the node up.
    std::thread::spawn(move || while socket.recv(&mut [0; 256]).is_ok() {});
    assert!(node.wait().success());
}

#[test]
fn a_manager_that_does_not_listen_ends_no_node() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start_with(&folder.path().join("data"), |command| {
        command.env("NOTIFY_SOCKET", folder.path().join("nobody"));
    });
    assert!(node.log().contains("the service manager could not be told"), "{}", node.log());
    assert!(node.terminate().success());
}
