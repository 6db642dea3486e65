//! A simulated device at a server of its own, and what a test does with the two.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::link::DiscoveredLink;
use lwm2m_core::{
    Attributes, ContentFormat, ExecuteArguments, Path, Record, Request, Value, Version, WriteMode,
};
use lwm2m_device::{
    Device, DeviceBuilder, DeviceEvent, DeviceHandle, DtlsAccount, objects::DeviceObject,
};
use lwm2m_server::{
    Content, Event, EventKind, Events, ObservationId, Registration, RequestError, RequestOptions,
    Response, Server, ServerConfig,
};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::peer;
use crate::secure::{self, KEY};
use crate::streams;

pub(crate) use Version::{V1_0, V1_1, V1_2};

/// How long a test waits for what has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

tokio::task_local! {
    /// How the sites of a test talk.
    static OVER: Over;
}

/// How device and server talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// CoAP over UDP, without security.
    Udp,
    /// The same over DTLS with a pre-shared key.
    Psk,
    /// CoAP over TCP, without security.
    Tcp,
    /// The same over TLS 1.2 with a pre-shared key.
    #[cfg(feature = "tls-psk")]
    Tls12,
    /// The same over TLS 1.3.
    #[cfg(feature = "tls-psk")]
    Tls13,
}

impl Over {
    const ALL: &[Over] = &[
        Over::Udp,
        Over::Psk,
        Over::Tcp,
        #[cfg(feature = "tls-psk")]
        Over::Tls12,
        #[cfg(feature = "tls-psk")]
        Over::Tls13,
    ];

    fn has_key(self) -> bool {
        !matches!(self, Over::Udp | Over::Tcp)
    }

    async fn server(self, configure: impl FnOnce(&mut ServerConfig)) -> Server {
        match self {
            Over::Udp => peer::server(configure).await,
            Over::Psk => {
                secure::server_with(configure, vec![secure::psk("a", b"a", KEY)])
                    .await
                    .0
            }
            Over::Tcp => streams::peer::server(configure).await,
            #[cfg(feature = "tls-psk")]
            Over::Tls12 | Over::Tls13 => streams::tls_psk::server_of_one(configure).await,
        }
    }

    fn device(self, builder: DeviceBuilder) -> DeviceBuilder {
        match self {
            Over::Udp => builder,
            Over::Psk => builder.dtls(DtlsAccount::psk(b"a", KEY).expect("a key")),
            Over::Tcp => builder.tcp(),
            #[cfg(feature = "tls-psk")]
            Over::Tls12 => builder.tls(tls_account().newest(lwm2m_device::TlsVersion::Tls12)),
            #[cfg(feature = "tls-psk")]
            Over::Tls13 => builder.tls(tls_account()),
        }
    }
}

#[cfg(feature = "tls-psk")]
fn tls_account() -> lwm2m_device::TlsAccount {
    lwm2m_device::TlsAccount::psk(b"a", KEY).expect("a key")
}

/// The binding of the devices of a test, as they register with it.
pub(crate) fn binding() -> &'static str {
    match OVER.try_with(|over| *over).unwrap_or(Over::Udp) {
        Over::Udp | Over::Psk => "U",
        _ => "T",
    }
}

/// Runs a test for each version over each, all at once.
pub(crate) async fn across<F>(versions: &[Version], mut test: impl FnMut(Version) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut running = Vec::new();
    for over in Over::ALL {
        for version in versions {
            let task = tokio::spawn(OVER.scope(*over, test(*version)));
            running.push((version, over, task));
        }
    }
    for (version, over, task) in running {
        if let Err(error) = task.await {
            panic!("LwM2M {version} over {over:?}: {error}");
        }
    }
}

/// A path from its text.
pub(crate) fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// Waits for what has to come.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A registered device at a server of its own.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) device: DeviceHandle,
    pub(crate) events: Events,
    pub(crate) doings: broadcast::Receiver<DeviceEvent>,
}

impl Site {
    /// A device with the least of objects (configuration C.1), changed by `build`.
    pub(crate) async fn open(
        version: Version,
        build: impl FnOnce(DeviceBuilder) -> DeviceBuilder,
    ) -> Site {
        Site::configured(version, |_| {}, build).await
    }

    pub(crate) async fn configured(
        version: Version,
        configure: impl FnOnce(&mut ServerConfig),
        build: impl FnOnce(DeviceBuilder) -> DeviceBuilder,
    ) -> Site {
        let site = Site::started(version, configure, build).await;
        in_time(site.device.wait_registered())
            .await
            .expect("the server accepts");
        if OVER.try_with(|over| over.has_key()) == Ok(true) {
            assert_eq!(site.registration().await.identity.to_string(), "psk a");
        }
        site
    }

    /// The same, not waiting for the registration.
    pub(crate) async fn started(
        version: Version,
        configure: impl FnOnce(&mut ServerConfig),
        build: impl FnOnce(DeviceBuilder) -> DeviceBuilder,
    ) -> Site {
        let over = OVER.try_with(|over| *over).unwrap_or(Over::Udp);
        let server = over.server(configure).await;
        let events = server.events();
        let builder = Device::builder("a")
            .server(server.local_addresses()[0])
            .version(version)
            .lifetime_s(86400)
            .object(DeviceObject::minimal(version, "Model 500", "000000001"));
        let device = build(over.device(builder)).start().await.expect("a port");
        Site {
            doings: device.events(),
            server,
            device,
            events,
        }
    }

    // What a server does.

    pub(crate) async fn ask(&self, request: Request) -> Result<Response, RequestError> {
        let options = RequestOptions::default();
        in_time(self.server.device("a").send(request, options)).await
    }

    /// Asks although the device will refuse, and gives its code.
    pub(crate) async fn refused(&self, request: Request) -> Code {
        let mut options = RequestOptions::default();
        options.unchecked = true;
        let answer = in_time(self.server.device("a").send(request, options)).await;
        match answer {
            Err(RequestError::Refused { code, .. }) => code,
            other => panic!("the device refuses, and not {other:?}"),
        }
    }

    async fn expect(&self, request: Request, code: Code) -> Response {
        let asked = format!("{request:?}");
        match self.ask(request).await {
            Ok(response) => {
                assert_eq!(response.code, code, "{asked}");
                response
            }
            Err(error) => panic!("{asked}: {error}"),
        }
    }

    /// Reads, in the format asked for, and lists the values.
    pub(crate) async fn read(
        &self,
        at: &str,
        accept: impl Into<Option<ContentFormat>>,
    ) -> Vec<String> {
        let accept = accept.into();
        let request = Request::Read {
            path: path(at),
            accept,
        };
        let response = self.expect(request, Code::CONTENT).await;
        if accept.is_some() {
            assert_eq!(response.format, accept, "{at}");
        }
        values(&response)
    }

    /// Reads one value as text.
    pub(crate) async fn value(&self, at: &str) -> String {
        let values = self.read(at, None).await;
        let [value] = values.as_slice() else {
            panic!("one value at {at}, and not {values:?}");
        };
        value.split_once('=').expect("path=value").1.to_owned()
    }

    /// Reads until a resource has this value.
    pub(crate) async fn until(&self, at: &str, value: &str) {
        in_time(async { while self.value(at).await != value {} }).await;
    }

    pub(crate) async fn read_composite(
        &self,
        paths: &[&str],
        accept: impl Into<Option<ContentFormat>>,
    ) -> Vec<String> {
        let accept = accept.into();
        let request = Request::ReadComposite {
            paths: paths.iter().map(|text| path(text)).collect(),
            format: None,
            accept,
        };
        let response = self.expect(request, Code::CONTENT).await;
        if accept.is_some() {
            assert_eq!(response.format, accept);
        }
        values(&response)
    }

    pub(crate) async fn put(
        &self,
        at: &str,
        records: &[(&str, Value<'static>)],
        format: impl Into<Option<ContentFormat>>,
    ) {
        let request = write(at, WriteMode::Replace, records, format.into());
        self.expect(request, Code::CHANGED).await;
    }

    pub(crate) async fn post(
        &self,
        at: &str,
        records: &[(&str, Value<'static>)],
        format: impl Into<Option<ContentFormat>>,
    ) {
        let request = write(at, WriteMode::Update, records, format.into());
        self.expect(request, Code::CHANGED).await;
    }

    /// Writes one resource.
    pub(crate) async fn set(&self, at: &str, value: impl Into<Value<'static>>) {
        self.put(at, &[(at, value.into())], None).await;
    }

    pub(crate) async fn write_composite(
        &self,
        records: &[(&str, Value<'static>)],
        format: impl Into<Option<ContentFormat>>,
    ) {
        let request = Request::WriteComposite {
            records: to_records(records),
            format: format.into(),
        };
        self.expect(request, Code::CHANGED).await;
    }

    pub(crate) async fn attributes(&self, at: &str, query: &str) {
        let request = write_attributes(at, query);
        self.expect(request, Code::CHANGED).await;
    }

    pub(crate) async fn execute(&self, at: &str) {
        self.expect(execute(at), Code::CHANGED).await;
    }

    pub(crate) async fn create(
        &self,
        object: u16,
        instance: Option<u16>,
        records: &[(&str, Value<'static>)],
        format: impl Into<Option<ContentFormat>>,
    ) -> Path {
        let request = Request::Create {
            object,
            instance,
            records: to_records(records),
            format: format.into(),
        };
        match self.expect(request, Code::CREATED).await.content {
            Content::Created(path) => path,
            _ => Path::instance(object, instance.expect("the server knows the instance")),
        }
    }

    pub(crate) async fn delete(&self, at: &str) {
        let request = Request::Delete { path: path(at) };
        self.expect(request, Code::DELETED).await;
    }

    /// Discovers, and gives the links as they came, in link format.
    pub(crate) async fn discover(&self, at: &str, depth: Option<u8>) -> String {
        let path = path(at);
        let request = Request::Discover { path, depth };
        let response = self.expect(request, Code::CONTENT).await;
        let Content::Links(links) = &response.content else {
            panic!("links, and not {:?}", response.content);
        };
        let raw = String::from_utf8_lossy(&response.raw).into_owned();
        assert_eq!(written(links), raw, "the server understands the links");
        raw
    }

    pub(crate) async fn observe(&self, at: &str, query: &str) -> ObservationId {
        let request = Request::Observe {
            path: path(at),
            attributes: attributes(query),
            accept: None,
        };
        let response = self.expect(request, Code::CONTENT).await;
        response.observation.expect("it stands")
    }

    pub(crate) async fn observe_composite(&self, paths: &[&str]) -> (ObservationId, Vec<String>) {
        let request = Request::ObserveComposite {
            paths: paths.iter().map(|text| path(text)).collect(),
            attributes: Attributes::default(),
            format: None,
            accept: None,
        };
        let response = self.expect(request, Code::CONTENT).await;
        let id = response.observation.expect("it stands");
        (id, values(&response))
    }

    pub(crate) async fn registration(&self) -> Registration {
        let registration = self.server.registration("a").await;
        registration.expect("the device is registered")
    }

    // What happens.

    pub(crate) async fn event<T>(&mut self, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        peer::event(&mut self.events, wanted).await
    }

    /// The next Update.
    pub(crate) async fn updated(&mut self) -> Registration {
        self.event(|event| match &event.kind {
            EventKind::Updated { registration, .. } => Some((**registration).clone()),
            _ => None,
        })
        .await
    }

    /// The next Register, and whether it replaces another registration.
    pub(crate) async fn registered(&mut self) -> (Registration, bool) {
        self.event(|event| match &event.kind {
            EventKind::Registered {
                registration,
                replaced,
            } => Some(((**registration).clone(), *replaced)),
            _ => None,
        })
        .await
    }

    /// The next values of an observation, the first ones included.
    pub(crate) async fn notified(&mut self, id: ObservationId) -> Vec<String> {
        self.event(|event| match &event.kind {
            EventKind::Notification {
                id: named, values, ..
            } if *named == id => Some(lines(&values.records)),
            _ => None,
        })
        .await
    }

    /// The next thing that the device does.
    pub(crate) async fn done<T>(&mut self, mut wanted: impl FnMut(DeviceEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.doings.recv().await.expect("the device runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        in_time(search).await
    }

    /// Changes values of the device in one step.
    pub(crate) async fn change(&self, at: &str, value: impl Into<Value<'static>>) {
        self.device
            .set(&path(at), value.into())
            .await
            .expect("the device runs");
    }
}

pub(crate) fn read(at: &str) -> Request {
    Request::Read {
        path: path(at),
        accept: None,
    }
}

pub(crate) fn write(
    at: &str,
    mode: WriteMode,
    records: &[(&str, Value<'static>)],
    format: Option<ContentFormat>,
) -> Request {
    Request::Write {
        path: path(at),
        mode,
        records: to_records(records),
        format,
    }
}

pub(crate) fn execute(at: &str) -> Request {
    Request::Execute {
        path: path(at),
        arguments: ExecuteArguments::default(),
    }
}

pub(crate) fn write_attributes(at: &str, query: &str) -> Request {
    Request::WriteAttributes {
        path: path(at),
        attributes: attributes(query),
    }
}

fn attributes(query: &str) -> Attributes {
    let items = query.split('&').filter(|item| !item.is_empty());
    Attributes::from_query(items).expect("attributes")
}

fn to_records(records: &[(&str, Value<'static>)]) -> Vec<Record<'static>> {
    let record = |(at, value): &(&str, Value<'static>)| Record::new(path(at), value.clone());
    records.iter().map(record).collect()
}

/// The values of an answer as `path=value`; there is nothing that could not be decoded.
pub(crate) fn values(response: &Response) -> Vec<String> {
    match &response.content {
        Content::Values(decoded) => {
            assert_eq!(decoded.faults, []);
            lines(&decoded.records)
        }
        other => panic!("values, and not {other:?}"),
    }
}

fn lines(records: &[Record<'_>]) -> Vec<String> {
    let line = |record: &Record<'_>| format!("{}={}", record.path, record.value.to_text());
    records.iter().map(line).collect()
}

/// Links in the order and form of the simulator.
fn written(links: &[DiscoveredLink]) -> String {
    let link = |link: &DiscoveredLink| {
        let mut out = format!("<{}>", link.path);
        let version = link.version.map(|version| format!("ver={version}"));
        let dim = link.dim.map(|dim| format!("dim={dim}"));
        let items = version
            .into_iter()
            .chain(dim)
            .chain(link.attributes.query_items());
        for item in items {
            out.push(';');
            out.push_str(&item);
        }
        out
    };
    links.iter().map(link).collect::<Vec<_>>().join(",")
}
