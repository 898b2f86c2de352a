//! A TCP proxy between a node and a server that spoils what passes. A fault holds for the connections that are open as for
//! those that come. It knows no protocol.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Everything passes.
    None,
    /// New connections are closed as they come; open ones continue.
    Refuse,
    /// Open connections are closed, new ones too.
    Cut,
    /// Connections stay open and are taken; nothing passes, in either direction.
    Hang,
    /// Requests pass, replies do not.
    HangReplies,
    /// Each piece passes so much later, in either direction.
    Delay(Duration),
}

/// A proxy; its connections end with it.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    upstream: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    fault: Mutex<Fault>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    ended: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

impl Proxy {
    pub(crate) fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, open) = (Mutex::new(Fault::None), Mutex::new(Vec::new()));
        let state = Arc::new(State { fault, changed: Condvar::new(), open, ended: AtomicBool::new(false) });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let still = |_: &_| !shared.ended.load(Ordering::SeqCst);
            for client in listener.incoming().take_while(still) {
                shared.connect(client.unwrap(), upstream);
            }
        });
        Self { address, upstream, state }
    }

    /// A URL of the server behind, by way of this proxy.
    pub(crate) fn url(&self, direct: &str) -> String {
        let (server, proxy) = (self.upstream.to_string(), self.address.to_string());
        assert!(direct.contains(&server), "{direct} is not at {server}");
        direct.replace(&server, &proxy)
    }

    /// Sets the fault from now on. What a hang held back passes when it ends.
    pub(crate) fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
        self.state.changed.notify_all();
        if fault == Fault::Cut {
            self.state.close_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Fault::Cut);
        self.state.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that takes connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream, upstream: SocketAddr) {
        if matches!(*self.fault.lock().unwrap(), Fault::Refuse | Fault::Cut) {
            return;
        }
        // A server that is down is a connection that is closed.
        let Ok(server) = TcpStream::connect(upstream) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        self.open.lock().unwrap().extend(both);
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        if *self.fault.lock().unwrap() == Fault::Cut {
            // It came meanwhile.
            self.close_all();
        }
        let (requests, replies) = (Arc::clone(self), Arc::clone(self));
        std::thread::spawn(move || requests.pump(from, to, Direction::Request));
        std::thread::spawn(move || replies.pump(server, client, Direction::Reply));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if !self.may_pass(direction) || to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Waits as long as the fault holds a piece back; false if the connection is to end.
    fn may_pass(&self, direction: Direction) -> bool {
        let mut fault = self.fault.lock().unwrap();
        loop {
            match *fault {
                Fault::None | Fault::Refuse => return true,
                Fault::HangReplies if direction == Direction::Request => return true,
                Fault::Cut => return false,
                Fault::Hang | Fault::HangReplies => fault = self.changed.wait(fault).unwrap(),
                Fault::Delay(by) => {
                    drop(fault);
                    std::thread::sleep(by);
                    return *self.fault.lock().unwrap() != Fault::Cut;
                }
            }
        }
    }

    fn close_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
