//! A router between a device and the server that gives the device another address when told.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often the threads look whether they should end.
const BREATH: Duration = Duration::from_millis(100);

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// Passes datagrams on in both directions; stops when dropped.
pub(super) struct Relay {
    pub(super) port: u16,
    server: SocketAddr,
    state: Arc<State>,
}

/// What the threads share.
struct State {
    inside: UdpSocket,
    /// The socket that the server sees.
    outside: Mutex<Arc<UdpSocket>>,
    device: Mutex<Option<SocketAddr>>,
    ended: AtomicBool,
}

impl Relay {
    /// Between the loopback and a server on it.
    pub(super) fn to(server: u16) -> anyhow::Result<Relay> {
        let server = SocketAddr::from(([127, 0, 0, 1], server));
        let inside = UdpSocket::bind("127.0.0.1:0")?;
        inside.set_read_timeout(Some(BREATH))?;
        let port = inside.local_addr()?.port();
        let state = Arc::new(State {
            inside,
            outside: Mutex::new(outside(server)?),
            device: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || state.outwards()
        });
        let relay = Relay {
            port,
            server,
            state,
        };
        relay.listen();
        Ok(relay)
    }

    /// From now on the device has another port; the old one answers no more.
    pub(super) fn move_on(&self) -> anyhow::Result<()> {
        *lock(&self.state.outside) = outside(self.server)?;
        self.listen();
        Ok(())
    }

    /// Passes on what comes to the present outside, as long as it is the present one.
    fn listen(&self) {
        let state = Arc::clone(&self.state);
        let socket = Arc::clone(&lock(&state.outside));
        thread::spawn(move || state.inwards(&socket));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
    }
}

impl State {
    fn outwards(&self) {
        let mut datagram = vec![0; DATAGRAM_MAX];
        while !self.ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = self.inside.recv_from(&mut datagram) else {
                continue;
            };
            *lock(&self.device) = Some(from);
            let outside = Arc::clone(&lock(&self.outside));
            let _ = outside.send(datagram.get(..length).unwrap_or_default());
        }
    }

    fn inwards(&self, socket: &Arc<UdpSocket>) {
        let mut datagram = vec![0; DATAGRAM_MAX];
        while !self.ended.load(Ordering::Relaxed) && Arc::ptr_eq(&lock(&self.outside), socket) {
            let Ok(length) = socket.recv(&mut datagram) else {
                continue;
            };
            if let Some(device) = *lock(&self.device) {
                let _ = self
                    .inside
                    .send_to(datagram.get(..length).unwrap_or_default(), device);
            }
        }
    }
}

fn outside(server: SocketAddr) -> anyhow::Result<Arc<UdpSocket>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(BREATH))?;
    socket.connect(server)?;
    Ok(Arc::new(socket))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
