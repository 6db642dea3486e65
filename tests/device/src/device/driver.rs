//! Moves datagrams between a client and its socket, and wakes it in time.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::builder::{any_port, bind};
use super::connection::{News, ServerConnection};
use super::{DeviceHandle, DeviceStatus};
use crate::{Client, DeviceEvent};

/// Events that a slow reader may fall behind before it loses some.
const EVENTS_MAX: usize = 1024;

/// Commands that wait for the device.
const COMMANDS_MAX: usize = 64;

/// The largest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Something to do to a client in its own task.
pub(super) type ClientAction = Box<dyn FnOnce(&mut Client, Instant) + Send>;

/// Something that a handle wants from the task.
pub(super) enum Command {
    /// Do this to the client.
    Client(ClientAction),
    /// Send from another port from now on; gives the new address.
    Rebind(oneshot::Sender<Option<SocketAddr>>),
}

pub(super) struct Driver {
    client: Client,
    socket: UdpSocket,
    /// To the server, in place of datagrams.
    connection: Option<ServerConnection>,
    connected_from: Option<SocketAddr>,
    new_port_on_reboot: bool,
    commands: mpsc::Receiver<Command>,
    events: broadcast::Sender<DeviceEvent>,
    status: watch::Sender<DeviceStatus>,
}

impl Driver {
    pub(super) fn spawn(
        client: Client,
        socket: UdpSocket,
        connection: Option<ServerConnection>,
        new_port_on_reboot: bool,
    ) -> DeviceHandle {
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let endpoint_name = client.config().endpoint_name.as_str().into();
        let status = DeviceStatus {
            local_address: socket.local_addr().ok(),
            ..DeviceStatus::default()
        };
        let (status, status_receiver) = watch::channel(status);
        let driver = Driver {
            client,
            socket,
            connection,
            connected_from: None,
            new_port_on_reboot,
            commands,
            events: events.clone(),
            status,
        };
        tokio::spawn(driver.run());
        DeviceHandle::new(endpoint_name, command_sender, events, status_receiver)
    }

    async fn run(mut self) {
        self.client.start(Instant::now());
        loop {
            self.publish().await;
            if self.client.is_stopped() {
                break;
            }
            let timeout = self.client.poll_timeout();
            tokio::select! {
                ready = self.socket.readable() => {
                    if ready.is_ok() {
                        drain(&self.socket, &mut self.client);
                    }
                }
                news = news(&mut self.connection) => {
                    let now = Instant::now();
                    match news {
                        News::Connected(local, capabilities) => {
                            self.connected_from = Some(local);
                            self.client.connected(now, capabilities);
                        }
                        News::Frame(frame) => self.client.receive_frame(now, &frame),
                        News::Ended(reason) => self.client.disconnected(now, &reason),
                    }
                }
                () = sleep_until(timeout) => self.client.handle_timeout(Instant::now()),
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
            }
        }
        self.status.send_modify(|status| {
            status.running = false;
            status.registered = false;
        });
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Client(action) => action(&mut self.client, Instant::now()),
            Command::Rebind(done) => {
                self.rebind().await;
                // Nobody may wait any more.
                let _ = done.send(self.socket.local_addr().ok());
            }
        }
    }

    async fn rebind(&mut self) {
        if let Some(connection) = &self.connection {
            connection.again().await;
        }
        match bind(any_port(&self.client.config().server)).await {
            Ok(socket) => self.socket = socket,
            Err(error) => tracing::warn!(%error, "keeps the old port"),
        }
    }

    /// Events and status go out before the datagrams, so that whoever sees an answer of the
    /// server finds the status up to date.
    async fn publish(&mut self) {
        while let Some(event) = self.client.poll_event() {
            if event == DeviceEvent::Rebooted
                && (self.new_port_on_reboot || self.connection.is_some())
            {
                self.rebind().await;
            }
            self.note(&event);
            // Without readers nobody wants it.
            let _ = self.events.send(event);
        }
        let client = &self.client;
        let local_address = self.connected_from.or(self.socket.local_addr().ok());
        self.status.send_if_modified(|status| {
            let registered = client.is_registered();
            let changed = status.registered != registered
                || status.statistics != *client.statistics()
                || status.local_address != local_address
                || status.observations != client.observation_count();
            status.registered = registered;
            status.statistics = *client.statistics();
            status.location = client.location();
            status.version = Some(client.version());
            status.local_address = local_address;
            status.observations = client.observation_count();
            changed
        });
        if let Some(connection) = &self.connection {
            self.client.send_frames(|frame| connection.send(frame));
        }
        flush(&self.socket, &mut self.client).await;
    }

    fn note(&self, event: &DeviceEvent) {
        let endpoint = &self.client.config().endpoint_name;
        let error = match event {
            DeviceEvent::Registered { location, version } => {
                tracing::info!(%endpoint, location, %version, "registered");
                None
            }
            DeviceEvent::RegistrationFailed(error) => {
                tracing::warn!(%endpoint, %error, "registration failed");
                Some(error.clone())
            }
            DeviceEvent::Bootstrapped { server } => {
                tracing::info!(%endpoint, %server, "bootstrapped");
                None
            }
            DeviceEvent::BootstrapFailed(error) => {
                tracing::warn!(%endpoint, %error, "bootstrap failed");
                Some(error.clone())
            }
            DeviceEvent::UpdateFailed(error) => {
                tracing::warn!(%endpoint, %error, "update failed");
                Some(error.clone())
            }
            other => {
                tracing::debug!(%endpoint, event = ?other);
                return;
            }
        };
        self.status.send_modify(|status| status.last_error = error);
    }
}

/// Never ends without a connection.
async fn news(connection: &mut Option<ServerConnection>) -> News {
    match connection {
        Some(connection) => connection.next().await,
        None => std::future::pending().await,
    }
}

/// Gives the client what the socket has.
pub(crate) fn drain(socket: &UdpSocket, client: &mut Client) {
    thread_local! {
        // One buffer for all devices of a thread: a fleet has thousands of sockets.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM_MAX]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        while let Ok((length, peer)) = socket.try_recv_from(buffer) {
            client.receive(Instant::now(), peer, &buffer[..length]);
        }
    });
}

/// Sends what the client has. A datagram that the system does not take is lost, as on a network.
pub(crate) async fn flush(socket: &UdpSocket, client: &mut Client) {
    while let Some(transmit) = client.poll_transmit() {
        let sent = match socket.try_send_to(&transmit.datagram, transmit.peer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                socket.send_to(&transmit.datagram, transmit.peer).await
            }
            other => other,
        };
        if let Err(error) = sent {
            tracing::debug!(%error, peer = %transmit.peer, "datagram not sent");
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Never ends when nothing waits.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
