//! Compact devices, as many as a server can take: load, not behaviour.
//!
//! A device is a number and a location. Many share a socket, and with it a source address, so a
//! server must tell registrations apart by their locations and observations by their tokens.

mod lane;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Version;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::lane::{Lane, Order};
use super::{FleetCounters, FleetError, FleetStatus, allow_sockets, source};

/// What a storm is made of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StormConfig {
    /// The server.
    pub server: SocketAddr,
    /// How many devices.
    pub devices: u32,
    /// How many sockets they share; by default one for each thousand.
    pub sockets: usize,
    /// Requests of one socket that wait for their answers at the same time; 16.
    pub window: usize,
    /// Endpoint names are this, and a number from 1 on.
    pub prefix: String,
    /// The version to register with.
    pub version: Version,
    /// The lifetime, in seconds.
    pub lifetime_s: u32,
    /// Queue mode.
    pub queue_mode: bool,
    /// The object list: 20 links by default.
    pub links: String,
    /// Each device whose number this divides has one link of its own.
    pub own_links_every: Option<u32>,
    /// A request is repeated after this, 2 s, and then after twice that, four times in all.
    pub ack_timeout: Duration,
}

impl StormConfig {
    /// LwM2M 1.1 devices with 20 links.
    pub fn new(server: SocketAddr, devices: u32) -> StormConfig {
        let instances: Vec<String> = (0..13).map(|i| format!("</3303/{i}>")).collect();
        let links = "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\",</1/0>,</3/0>,</4/0>,</5/0>,\
                     </6/0>,</7/0>,";
        StormConfig {
            server,
            devices,
            sockets: devices.div_ceil(1000).max(1) as usize,
            window: 16,
            prefix: "storm-".to_owned(),
            version: Version::V1_1,
            lifetime_s: 300,
            queue_mode: false,
            links: format!("{links}{}", instances.join(",")),
            own_links_every: None,
            ack_timeout: Duration::from_secs(2),
        }
    }
}

/// One round over all devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// A Register for each device that has none.
    Register,
    /// An Update for each registered device.
    Update,
    /// A notification for each observation.
    Notify {
        /// CON, or else NON.
        confirmable: bool,
    },
    /// A De-register for each registered device.
    Deregister,
}

/// What came of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StormOutcome {
    /// Requests that were accepted, notifications that were acknowledged or are NON.
    pub done: u64,
    /// Those that were refused or never answered.
    pub failed: u64,
    /// Messages that were sent again.
    pub retransmitted: u64,
    /// The code of the last refusal.
    pub refused: Option<Code>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Compact devices that run. Between rounds they answer the server: reads with a temperature,
/// everything else with success.
#[derive(Debug)]
pub struct Storm {
    lanes: Vec<mpsc::Sender<Order>>,
    counters: Arc<FleetCounters>,
    // Aborts the lanes when the storm goes.
    _tasks: JoinSet<()>,
}

impl Storm {
    /// Opens the sockets. Nothing is sent yet.
    ///
    /// # Errors
    /// There are not enough sockets.
    pub async fn start(config: StormConfig) -> Result<Storm, StormError> {
        let sockets = config.sockets.clamp(1, config.devices.max(1) as usize);
        allow_sockets(sockets).map_err(|limit| FleetError::OpenFiles {
            count: sockets,
            limit,
        })?;
        let counters = Arc::new(FleetCounters::default());
        let config = Arc::new(config);
        let mut tasks = JoinSet::new();
        let mut lanes = Vec::with_capacity(sockets);
        let mut first = 1;
        for number in 0..sockets {
            let left = config.devices + 1 - first;
            let count = left / (sockets - number) as u32;
            let lane = Lane::open(
                source(&config.server, number),
                Arc::clone(&config),
                Arc::clone(&counters),
                first..first + count,
            )
            .await?;
            first += count;
            let (orders, inbox) = mpsc::channel(1);
            lanes.push(orders);
            tasks.spawn(lane.run(inbox));
        }
        Ok(Storm {
            lanes,
            counters,
            _tasks: tasks,
        })
    }

    /// Runs one round to its end, with at most so many messages in a second.
    pub async fn run(&self, job: Job, per_second: Option<f64>) -> StormOutcome {
        let share = per_second.map(|rate| rate / self.lanes.len() as f64);
        let mut outcomes = Vec::with_capacity(self.lanes.len());
        for lane in &self.lanes {
            let (done, outcome) = oneshot::channel();
            let order = Order {
                job,
                per_second: share,
                done,
            };
            if lane.send(order).await.is_ok() {
                outcomes.push(outcome);
            }
        }
        let mut total = StormOutcome::default();
        for outcome in outcomes {
            if let Ok(outcome) = outcome.await {
                total.done += outcome.done;
                total.failed += outcome.failed;
                total.retransmitted += outcome.retransmitted;
                total.refused = outcome.refused.or(total.refused);
                total.elapsed = total.elapsed.max(outcome.elapsed);
            }
        }
        total
    }

    /// The counters now.
    pub fn status(&self) -> FleetStatus {
        self.counters.status()
    }
}

/// Why a storm does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StormError {
    /// More sockets than the process may open.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A socket cannot be opened.
    #[error("cannot open a socket: {0}")]
    Socket(#[from] io::Error),
}
