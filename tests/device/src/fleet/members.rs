//! A fleet of full clients, each with its own socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lwm2m_core::Version;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{FleetCounters, FleetStatus, allow_sockets, source};
use crate::device::{drain, flush, sleep_until, unix_now};
use crate::objects::Temperature;
use crate::{Client, ClientStatistics, Device, DeviceEvent, DtlsAccount, RegistrationError};

/// How often devices are started while the fleet grows.
const RAMP_TICK: Duration = Duration::from_millis(10);

/// What a fleet is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FleetConfig {
    /// The server.
    pub server: SocketAddr,
    /// DTLS accounts of the devices in their order; those without one have no DTLS.
    pub accounts: Vec<DtlsAccount>,
    /// How many devices.
    pub count: usize,
    /// Devices started in a second.
    pub ramp_per_s: f64,
    /// Endpoint names are this, and a number from 1 on.
    pub prefix: String,
    /// The version to register with.
    pub version: Version,
    /// The lifetime, in seconds.
    pub lifetime_s: u32,
    /// Queue mode.
    pub queue_mode: bool,
    /// How often the temperature of each device changes; none: never.
    pub interval: Option<Duration>,
}

impl FleetConfig {
    /// The most devices of one fleet.
    pub const COUNT_MAX: usize = 10_000;

    /// A fleet of LwM2M 1.1 devices, 100 started in a second.
    pub fn new(server: SocketAddr, count: usize) -> FleetConfig {
        FleetConfig {
            server,
            accounts: Vec::new(),
            count,
            ramp_per_s: 100.0,
            prefix: "device-".to_owned(),
            version: Version::V1_1,
            lifetime_s: 300,
            queue_mode: false,
            interval: None,
        }
    }

    /// The client of this number, from 1 on.
    fn client(&self, number: usize) -> Client {
        let mut sensor = Temperature::new(1);
        if let Some(interval) = self.interval {
            sensor = sensor.drifting(interval, number as u64);
        }
        let mut builder = Device::builder(format!("{}{number}", self.prefix));
        if let Some(account) = self.accounts.get(number - 1) {
            builder = builder.dtls(account.clone());
        }
        builder
            .server(self.server)
            .version(self.version)
            .lifetime_s(self.lifetime_s)
            .queue_mode(self.queue_mode)
            .object(sensor)
            .into_client(rand::random())
    }
}

/// Many devices that run; they stop without a word when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    shared: Arc<Shared>,
    leave: watch::Sender<bool>,
    ramp: tokio::task::JoinHandle<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    counters: FleetCounters,
    last_error: Mutex<Option<RegistrationError>>,
}

impl Fleet {
    /// Starts devices one after the other, as fast as [`FleetConfig::ramp_per_s`] says.
    ///
    /// # Errors
    /// The fleet needs more sockets than it may have.
    pub fn start(config: FleetConfig) -> Result<Fleet, FleetError> {
        if config.count > FleetConfig::COUNT_MAX {
            return Err(FleetError::TooMany {
                count: config.count,
            });
        }
        allow_sockets(config.count).map_err(|limit| FleetError::OpenFiles {
            count: config.count,
            limit,
        })?;
        let shared = Arc::new(Shared::default());
        let (leave, leaving) = watch::channel(false);
        let ramp = tokio::spawn(start_all(config, Arc::clone(&shared), leaving));
        Ok(Fleet {
            shared,
            leave,
            ramp,
        })
    }

    /// The counters now.
    pub fn status(&self) -> FleetStatus {
        self.shared.counters.status()
    }

    /// Why a Register or Update failed last.
    pub fn last_error(&self) -> Option<RegistrationError> {
        self.shared.last_error.lock().ok()?.clone()
    }

    /// De-registers all devices and waits for the answers, so long at most.
    pub async fn deregister(self, limit: Duration) {
        // The devices may all be gone.
        let _ = self.leave.send(true);
        let all_left = async {
            if let Ok(mut members) = self.ramp.await {
                while members.join_next().await.is_some() {}
            }
        };
        // Those that are late stop without a word.
        let _ = tokio::time::timeout(limit, all_left).await;
    }
}

/// Why a fleet does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// More devices than [`FleetConfig::COUNT_MAX`].
    #[error("{count} devices are too many for full clients; a storm runs more than 10000")]
    TooMany {
        /// The devices asked for.
        count: usize,
    },
    /// More sockets than the process may open.
    #[error(
        "{count} sockets are more than the limit of {limit} open files; raise it with `ulimit -n`"
    )]
    OpenFiles {
        /// The sockets needed.
        count: usize,
        /// The hard limit.
        limit: u64,
    },
}

async fn start_all(
    config: FleetConfig,
    shared: Arc<Shared>,
    leaving: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut members = JoinSet::new();
    let began = Instant::now();
    let mut tick = tokio::time::interval(RAMP_TICK);
    while members.len() < config.count && !*leaving.borrow() {
        tick.tick().await;
        if leaving.has_changed().is_err() {
            break; // the fleet was dropped
        }
        let due = began.elapsed().as_secs_f64() * config.ramp_per_s;
        let due = (due.ceil().max(1.0) as usize).min(config.count);
        while members.len() < due {
            let number = members.len();
            let client = config.client(number + 1);
            match UdpSocket::bind(source(&config.server, number)).await {
                Ok(socket) => {
                    let member = Member {
                        client,
                        socket,
                        shared: Arc::clone(&shared),
                        counted: ClientStatistics::default(),
                        registered: false,
                    };
                    members.spawn(member.run(leaving.clone()));
                }
                Err(error) => {
                    tracing::error!(%error, number, "no socket for a device");
                    return members;
                }
            }
        }
    }
    members
}

struct Member {
    client: Client,
    socket: UdpSocket,
    shared: Arc<Shared>,
    /// What the shared counters have got already.
    counted: ClientStatistics,
    registered: bool,
}

impl Member {
    async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let now = Instant::now();
        self.client.set_wall_clock(now, unix_now());
        self.client.start(now);
        let mut left = false;
        while !self.client.is_stopped() {
            self.count();
            flush(&self.socket, &mut self.client).await;
            let timeout = self.client.poll_timeout();
            tokio::select! {
                ready = self.socket.readable() => {
                    if ready.is_ok() {
                        drain(&self.socket, &mut self.client);
                    }
                }
                () = sleep_until(timeout) => self.client.handle_timeout(Instant::now()),
                changed = leaving.changed(), if !left => {
                    left = true;
                    match changed {
                        Ok(()) => self.client.deregister(Instant::now()),
                        Err(_) => self.client.stop(),
                    }
                }
            }
        }
        self.count();
    }

    fn count(&mut self) {
        while let Some(event) = self.client.poll_event() {
            let (DeviceEvent::RegistrationFailed(error) | DeviceEvent::UpdateFailed(error)) = event
            else {
                continue;
            };
            if let Ok(mut last) = self.shared.last_error.lock() {
                *last = Some(error);
            }
        }
        let registered = self.client.is_registered();
        if registered != self.registered {
            self.registered = registered;
            self.shared.counters.device(registered);
        }
        let now = *self.client.statistics();
        if now != self.counted {
            self.shared.counters.add(&FleetStatus {
                registered: 0,
                registrations: now.registered - self.counted.registered,
                updates: now.updated - self.counted.updated,
                notifications: now.notified - self.counted.notified,
                requests: now.answered - self.counted.answered,
                errors: now.failed - self.counted.failed,
            });
            self.counted = now;
        }
    }
}
