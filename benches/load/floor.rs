//! What bare receiving costs, on the same machine in the same run: the floors that the ingest is
//! held against.
//!
//! In: a way to receive and how many streams will come. Out: ports to send to, then packets and
//! CPU time of the receiving thread alone. Nothing is done with the packets.

use std::net::{Ipv4Addr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ingress::rtp::receive::{Datagram, Readiness, Receive};
use ingress::sys::mmsg::Inbox;
use rusuden_benches::process::cpu_of_this_thread;
use serde_json::{Value, json};

/// The ways, by the names that the report gives them.
pub(crate) const WAYS: [&str; 4] = ["recvmmsg", "epoll", "tokio", "tokio_uring"];
/// How long datagrams gather, as in a shard.
const TICK: Duration = Duration::from_millis(5);
const BATCH: usize = 64;
const BYTES: usize = 2_048;

/// What a receiving thread shares.
#[derive(Default)]
struct Shared {
    packets: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn count(&self, packets: usize) {
        self.packets.fetch_add(packets as u64, Ordering::Relaxed);
    }
}

/// A floor at work.
pub(crate) struct Floor {
    shared: Arc<Shared>,
    thread: JoinHandle<Duration>,
    /// One for each stream.
    pub(crate) ports: Vec<u16>,
}

impl Floor {
    pub(crate) fn start(way: &str, streams: usize) -> Self {
        let run: fn(Vec<UdpSocket>, &Arc<Shared>) = match way {
            "recvmmsg" => one_socket,
            "epoll" => epoll,
            "tokio" => tokio_tasks,
            "tokio_uring" => uring_tasks,
            _ => panic!("{way} is no way to receive"),
        };
        let count = if way == "recvmmsg" { 1 } else { streams };
        let sockets: Vec<UdpSocket> = (0..count).map(|_| socket()).collect();
        let ports = sockets.iter().map(|socket| socket.local_addr().unwrap().port());
        let ports = ports.collect::<Vec<_>>().into_iter().cycle().take(streams).collect();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let before = cpu_of_this_thread();
            run(sockets, &theirs);
            cpu_of_this_thread().saturating_sub(before)
        });
        Self { shared, thread, ports }
    }

    /// Asks it to end; those that wait for a datagram end with the next one.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn result(self) -> Value {
        let cpu = self.thread.join().unwrap();
        let packets = self.shared.packets.load(Ordering::Relaxed);
        json!({"packets": packets, "nanos": cpu.as_nanos() as u64 / packets.max(1)})
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    ingress::sys::socket::set_receive_buffer(&socket, 4 << 20).unwrap();
    socket
}

#[expect(clippy::needless_pass_by_value, reason = "every way takes its sockets")]
fn one_socket(sockets: Vec<UdpSocket>, shared: &Arc<Shared>) {
    let mut inbox = Inbox::new(BATCH, BYTES);
    while shared.goes_on() {
        std::thread::sleep(TICK);
        while let Ok(came) = inbox.receive(&sockets[0]) {
            shared.count(came);
        }
    }
}

fn epoll(sockets: Vec<UdpSocket>, shared: &Arc<Shared>) {
    let mut receive = Readiness::new().unwrap();
    for (token, socket) in sockets.into_iter().enumerate() {
        receive.watch(token, Rc::new(socket)).unwrap();
    }
    while shared.goes_on() {
        std::thread::sleep(TICK);
        shared.count(receive.drain(usize::MAX, &mut |_: Datagram| ()));
    }
}

fn tokio_tasks(sockets: Vec<UdpSocket>, shared: &Arc<Shared>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let mut tasks = Vec::new();
        for socket in sockets {
            let shared = Arc::clone(shared);
            tasks.push(tokio::task::spawn_local(async move {
                let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
                let mut buffer = [0; BYTES];
                while shared.goes_on() && socket.recv_from(&mut buffer).await.is_ok() {
                    shared.count(1);
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

fn uring_tasks(sockets: Vec<UdpSocket>, shared: &Arc<Shared>) {
    let mut builder = tokio_uring::builder();
    builder.entries(4_096);
    let ring = tokio_uring::Runtime::new(&builder).unwrap();
    ring.block_on(async {
        let mut tasks = Vec::new();
        for socket in sockets {
            let shared = Arc::clone(shared);
            socket.set_nonblocking(false).unwrap();
            tasks.push(tokio_uring::spawn(async move {
                let socket = tokio_uring::net::UdpSocket::from_std(socket);
                let mut buffer = vec![0; BYTES];
                // Each ends with a datagram: dropping the runtime while the kernel still receives
                // for it would let the kernel write into freed memory.
                while shared.goes_on() {
                    let (result, back) = socket.recv_from(buffer).await;
                    buffer = back;
                    shared.count(usize::from(result.is_ok()));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}
