//! Puts a device together and starts it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use lwm2m_core::{ContentFormat, Version};
use tokio::net::UdpSocket;

use super::DeviceHandle;
use super::connection::{Below, ServerConnection};
use super::driver::Driver;
use super::driver::unix_now;
use crate::objects::{DeviceObject, Server, ServerSettings, accounts, security, security_over_tcp};
use crate::{
    BootstrapAccount, Client, ClientConfig, DtlsAccount, Object, ObjectTree, OscoreAccount, Quirks,
    Retry, SimpleObject,
};

/// A simulated LwM2M device.
///
/// ```no_run
/// use lwm2m_core::{Path, Version};
/// use lwm2m_device::{Device, objects::Temperature};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::builder("thermometer-1")
///     .server("127.0.0.1:5683".parse()?)
///     .version(Version::V1_2)
///     .lifetime_s(60)
///     .object(Temperature::new(2))
///     .start()
///     .await?;
/// device.wait_registered().await?;
/// device.set(&Path::resource(3303, 0, 5700), 23.5).await?;
/// device.deregister().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Device;

impl Device {
    /// A device with this endpoint name. Without further words: LwM2M 1.1, a lifetime of 300 s,
    /// the objects 1 and 3, and a server at `127.0.0.1:5683`.
    pub fn builder(endpoint_name: impl Into<String>) -> DeviceBuilder {
        let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 5683);
        DeviceBuilder {
            config: ClientConfig::new(endpoint_name, server),
            settings: ServerSettings::default(),
            objects: Vec::new(),
            bind: None,
            below: Below::default(),
            new_port_on_reboot: false,
        }
    }
}

/// What a device is made of.
pub struct DeviceBuilder {
    config: ClientConfig,
    settings: ServerSettings,
    objects: Vec<Box<dyn Object>>,
    bind: Option<SocketAddr>,
    below: Below,
    new_port_on_reboot: bool,
}

impl std::fmt::Debug for DeviceBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceBuilder")
            .field("config", &self.config)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl DeviceBuilder {
    /// The server's address.
    pub fn server(mut self, server: SocketAddr) -> DeviceBuilder {
        self.config.server = server;
        self
    }

    /// A connection to the server (binding T, `coap+tcp://`) in place of datagrams. A bootstrap
    /// server, and the server that it names, get datagrams all the same.
    pub fn tcp(mut self) -> DeviceBuilder {
        self.config.connects = true;
        self.settings.binding = "T".to_owned();
        self
    }

    /// The same over TLS (`coaps+tcp://`).
    #[cfg(feature = "tls-psk")]
    pub fn tls(mut self, account: crate::TlsAccount) -> DeviceBuilder {
        self.below = Below::Tls(account);
        self.tcp()
    }

    /// DTLS between device and server.
    pub fn dtls(mut self, account: DtlsAccount) -> DeviceBuilder {
        self.config.dtls = Some(account);
        self
    }

    /// The security context that protects everything between device and server.
    pub fn oscore(mut self, account: OscoreAccount) -> DeviceBuilder {
        self.config.oscore = Some(account);
        self
    }

    /// The bootstrap server, which gives the account of the server: whatever was said of that does
    /// not count.
    pub fn bootstrap(mut self, account: BootstrapAccount) -> DeviceBuilder {
        self.config.bootstrap = Some(account);
        self
    }

    /// The version to register with.
    pub fn version(mut self, version: Version) -> DeviceBuilder {
        self.config.version = version;
        self
    }

    /// The lifetime of the registration, in seconds; 0 never ends.
    pub fn lifetime_s(mut self, lifetime_s: u32) -> DeviceBuilder {
        self.settings.lifetime_s = lifetime_s;
        self
    }

    /// Queue mode: the device listens only for some time after it has said something.
    pub fn queue_mode(mut self, queue_mode: bool) -> DeviceBuilder {
        self.config.queue_mode = queue_mode;
        self
    }

    /// How long a device in queue mode listens after its last message; 93 s.
    pub fn awake_for(mut self, awake_for: Duration) -> DeviceBuilder {
        self.config.awake_for = awake_for;
        self
    }

    /// The binding, as in `U`.
    pub fn binding(mut self, binding: impl Into<String>) -> DeviceBuilder {
        self.settings.binding = binding.into();
        self
    }

    /// The alternate path, as in `/lwm2m`.
    pub fn alternate_path(mut self, path: impl Into<String>) -> DeviceBuilder {
        self.config.alternate_path = path.into();
        self
    }

    /// The format of answers to requests without Accept.
    pub fn default_format(mut self, format: ContentFormat) -> DeviceBuilder {
        self.config.default_format = Some(format);
        self
    }

    /// Formats beyond text, opaque and, in 1.0, TLV.
    pub fn formats(mut self, formats: impl Into<Vec<ContentFormat>>) -> DeviceBuilder {
        self.config.formats = Some(formats.into());
        self
    }

    /// A query item of the Register beyond those of the version, as in `sms=4915112345678`.
    pub fn query(mut self, item: impl Into<String>) -> DeviceBuilder {
        self.config.extra_query.push(item.into());
        self
    }

    /// Deviations from the specification.
    pub fn quirks(mut self, quirks: Quirks) -> DeviceBuilder {
        self.config.quirks = quirks;
        self
    }

    /// Pauses between attempts to register.
    pub fn retry(mut self, retry: Retry) -> DeviceBuilder {
        self.config.retry = retry;
        self
    }

    /// The address to send from; any free port of the right family otherwise.
    pub fn bind(mut self, address: SocketAddr) -> DeviceBuilder {
        self.bind = Some(address);
        self
    }

    /// Comes back from another port after a reboot.
    pub fn new_port_on_reboot(mut self, new_port: bool) -> DeviceBuilder {
        self.new_port_on_reboot = new_port;
        self
    }

    /// An object, in place of another with the same id.
    pub fn object(mut self, object: impl Object) -> DeviceBuilder {
        self.objects.push(Box::new(object));
        self
    }

    /// Changes what has no method of its own.
    pub fn configure(mut self, change: impl FnOnce(&mut ClientConfig)) -> DeviceBuilder {
        change(&mut self.config);
        self
    }

    /// Changes what the Server object starts with.
    pub fn server_settings(mut self, change: impl FnOnce(&mut ServerSettings)) -> DeviceBuilder {
        change(&mut self.settings);
        self
    }

    /// The client without a socket, for those who move its datagrams themselves.
    pub fn into_client(mut self, seed: u64) -> Client {
        let version = self.config.version;
        let mut tree = ObjectTree::new();
        let server = Server::new(version, &self.settings);
        if let Some(account) = self.config.bootstrap.clone() {
            tree.insert(accounts::security(version, &account));
            tree.insert(accounts::access_control());
            tree.insert(accounts::oscore(version, &account));
            tree.insert(server.before_bootstrap());
            self.config.connects = false;
            self.config.server = account.server;
            self.config.dtls = account.dtls;
            self.config.oscore = account.oscore;
        } else {
            tree.insert(self.security());
            tree.insert(server);
        }
        tree.insert(DeviceObject::new(
            version,
            "lwm2m-device",
            &self.config.endpoint_name,
        ));
        for object in self.objects {
            tree.insert_boxed(object);
        }
        Client::new(self.config, tree, seed)
    }

    fn security(&self) -> SimpleObject {
        let (version, server) = (self.config.version, self.config.server);
        let short_server_id = self.settings.short_server_id;
        match self.config.connects {
            true => security_over_tcp(version, server, self.below.identity(), short_server_id),
            false => security(version, server, self.config.dtls.as_ref(), short_server_id),
        }
    }

    /// Binds a socket and starts the device on the current tokio runtime. The device runs until it
    /// is de-registered or stopped, or its last handle is dropped.
    ///
    /// # Errors
    /// The socket cannot be bound.
    pub async fn start(self) -> Result<DeviceHandle, StartError> {
        let bootstrap = self.config.bootstrap.as_ref();
        let first = bootstrap.map_or(self.config.server, |account| account.server);
        let local = self.bind.unwrap_or_else(|| any_port(&first));
        let new_port_on_reboot = self.new_port_on_reboot;
        let socket = bind(local).await?;
        let below = self.below.clone();
        let mut client = self.into_client(rand::random());
        client.set_wall_clock(Instant::now(), unix_now());
        let config = client.config();
        let connection = config
            .connects
            .then(|| ServerConnection::open(config.server, below, config.retry));
        Ok(Driver::spawn(
            client,
            socket,
            connection,
            new_port_on_reboot,
        ))
    }
}

pub(super) async fn bind(address: SocketAddr) -> Result<UdpSocket, StartError> {
    let bound = UdpSocket::bind(address).await;
    bound.map_err(|source| StartError::Bind { address, source })
}

/// Any port of the unspecified address; of loopback where the server is there.
pub(super) fn any_port(server: &SocketAddr) -> SocketAddr {
    let ip: IpAddr = match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

/// Why a device does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No socket at this address.
    #[error("cannot open a socket at {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}
