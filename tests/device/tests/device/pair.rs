//! A client and a server with a wire and a clock between them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lwm2m_coap::{
    Code, Endpoint, Event, Failure, OptionNumber, OutgoingRequest, RequestId, Response, Uint,
};
use lwm2m_core::ContentFormat;
use lwm2m_device::{Client, DeviceBuilder, DeviceEvent};

pub(crate) const SERVER: &str = "192.0.2.1:5683";
pub(crate) const DEVICE: &str = "192.0.2.2:40000";

/// A request that the server got from the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: Code,
    pub(crate) path: String,
    /// Sorted, joined by `&`.
    pub(crate) query: String,
    pub(crate) format: Option<u16>,
    pub(crate) body: Vec<u8>,
}

/// An answer of the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) code: Code,
    pub(crate) format: Option<ContentFormat>,
    pub(crate) body: Vec<u8>,
    pub(crate) location: String,
    pub(crate) observing: bool,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// A notification of the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notified {
    pub(crate) request: RequestId,
    pub(crate) second: u64,
    pub(crate) code: Code,
    pub(crate) body: Vec<u8>,
    pub(crate) format: Option<u16>,
}

pub(crate) struct Pair {
    pub(crate) client: Client,
    pub(crate) server: Endpoint<SocketAddr>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) seen: Vec<Seen>,
    pub(crate) events: Vec<DeviceEvent>,
    pub(crate) notified: Vec<Notified>,
    /// What the server answers next, instead of the usual.
    pub(crate) answers: VecDeque<Response>,
    replies: Vec<(RequestId, Result<Reply, Failure>)>,
    registrations: u32,
    /// True: datagrams get lost both ways.
    pub(crate) cut: bool,
}

impl Pair {
    /// A client that has registered.
    pub(crate) fn registered(builder: DeviceBuilder) -> Pair {
        let mut pair = Pair::new(builder);
        pair.start();
        assert!(pair.client.is_registered(), "{:?}", pair.events);
        pair.seen.clear();
        pair.events.clear();
        pair
    }

    pub(crate) fn new(builder: DeviceBuilder) -> Pair {
        let now = Instant::now();
        Pair {
            client: builder.server(SERVER.parse().unwrap()).into_client(7),
            server: Endpoint::new(lwm2m_coap::Config::default(), 8),
            start: now,
            now,
            seen: Vec::new(),
            events: Vec::new(),
            notified: Vec::new(),
            answers: VecDeque::new(),
            replies: Vec::new(),
            registrations: 0,
            cut: false,
        }
    }

    pub(crate) fn start(&mut self) {
        self.client.start(self.now);
        self.settle();
    }

    /// Lets time pass, with all that becomes due meanwhile.
    pub(crate) fn advance(&mut self, seconds: u64) {
        self.advance_by(Duration::from_secs(seconds));
    }

    pub(crate) fn advance_by(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..10_000 {
            let due = [self.client.poll_timeout(), self.server.poll_timeout()];
            match due.into_iter().flatten().min() {
                Some(at) if at <= end => {
                    self.now = at.max(self.now);
                    self.client.handle_timeout(self.now);
                    self.server.handle_timeout(self.now);
                    self.settle();
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the timers never rest");
    }

    /// Moves datagrams until both sides are quiet.
    pub(crate) fn settle(&mut self) {
        let (device, server): (SocketAddr, SocketAddr) =
            (DEVICE.parse().unwrap(), SERVER.parse().unwrap());
        loop {
            let mut quiet = true;
            while let Some(transmit) = self.client.poll_transmit() {
                quiet = false;
                if !self.cut && transmit.peer == server {
                    self.serve(device, &transmit.datagram);
                }
            }
            while let Some(event) = self.server.poll_event() {
                self.take(event);
            }
            while let Some(transmit) = self.server.poll_transmit() {
                quiet = false;
                if !self.cut {
                    self.client.receive(self.now, server, &transmit.datagram);
                }
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
    }

    fn serve(&mut self, device: SocketAddr, datagram: &[u8]) {
        if let Some(event) = self.server.receive(self.now, device, datagram) {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event<'_, SocketAddr>) {
        match event {
            Event::Request(request) => {
                let text = |number| -> Vec<String> {
                    let values = request.message.values(number);
                    values
                        .map(|v| String::from_utf8(v.to_vec()).unwrap())
                        .collect()
                };
                let mut query = text(OptionNumber::URI_QUERY);
                query.sort();
                let seen = Seen {
                    method: request.message.code(),
                    path: format!("/{}", text(OptionNumber::URI_PATH).join("/")),
                    query: query.join("&"),
                    format: request.message.content_format(),
                    body: request.body.to_vec(),
                };
                let usual = self.usual(&seen);
                let response = self.answers.pop_front().unwrap_or(usual);
                self.seen.push(seen);
                self.server.respond(self.now, request.handle, response);
            }
            Event::Response(response) => {
                let message = &response.message;
                let location: Vec<String> = message
                    .values(OptionNumber::LOCATION_PATH)
                    .map(|v| String::from_utf8(v.to_vec()).unwrap())
                    .collect();
                let reply = Reply {
                    code: message.code(),
                    format: message
                        .content_format()
                        .and_then(ContentFormat::from_number),
                    body: response.body.to_vec(),
                    location: location.join("/"),
                    observing: response.observing,
                };
                self.replies.push((response.request, Ok(reply)));
            }
            Event::Failed {
                request, failure, ..
            } => self.replies.push((request, Err(failure))),
            Event::Notification(notification) => self.notified.push(Notified {
                request: notification.request,
                second: (self.now - self.start).as_secs(),
                code: notification.message.code(),
                body: notification.body.to_vec(),
                format: notification.message.content_format(),
            }),
            _ => {}
        }
    }

    /// What a friendly server answers.
    fn usual(&mut self, seen: &Seen) -> Response {
        match (seen.method, seen.path.as_str()) {
            (Code::POST, "/rd") => {
                self.registrations += 1;
                let id = format!("r{}", self.registrations);
                Response::new(Code::CREATED)
                    .option(OptionNumber::LOCATION_PATH, &b"rd"[..])
                    .option(OptionNumber::LOCATION_PATH, id)
            }
            (Code::DELETE, _) => Response::new(Code::DELETED),
            _ => Response::new(Code::CHANGED),
        }
    }

    /// Sends a request to the client; the reply is there when no time needs to pass.
    pub(crate) fn send(&mut self, request: OutgoingRequest) -> RequestId {
        let device = DEVICE.parse().unwrap();
        let id = self.server.request(self.now, device, request).unwrap();
        self.settle();
        id
    }

    pub(crate) fn reply(&mut self, id: RequestId) -> Option<Result<Reply, Failure>> {
        let at = self.replies.iter().position(|(other, _)| *other == id)?;
        Some(self.replies.remove(at).1)
    }

    pub(crate) fn ask(&mut self, request: OutgoingRequest) -> Reply {
        let id = self.send(request);
        self.reply(id)
            .expect("an answer at once")
            .expect("no failure")
    }

    pub(crate) fn get(&mut self, path: &str, accept: Option<ContentFormat>) -> Reply {
        self.ask(with_accept(to(Code::GET, path), accept))
    }

    pub(crate) fn discover(&mut self, path: &str) -> Reply {
        self.get(path, Some(ContentFormat::Link))
    }

    pub(crate) fn put(
        &mut self,
        path: &str,
        format: ContentFormat,
        body: impl Into<Vec<u8>>,
    ) -> Code {
        self.ask(with_body(to(Code::PUT, path), format, body)).code
    }

    pub(crate) fn post(
        &mut self,
        path: &str,
        format: ContentFormat,
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        self.ask(with_body(to(Code::POST, path), format, body))
    }

    pub(crate) fn execute(&mut self, path: &str) -> Code {
        self.ask(to(Code::POST, path)).code
    }

    pub(crate) fn delete(&mut self, path: &str) -> Code {
        self.ask(to(Code::DELETE, path)).code
    }

    /// PUT with a query, as in `/3?pmin=10`.
    pub(crate) fn write_attributes(&mut self, path: &str) -> Code {
        self.ask(to(Code::PUT, path)).code
    }

    /// Gives the id of the observation and its first value.
    pub(crate) fn observe(
        &mut self,
        path: &str,
        accept: Option<ContentFormat>,
    ) -> (RequestId, Reply) {
        let mut request = with_accept(to(Code::GET, path), accept);
        request.observe = Some(true);
        let id = self.send(request);
        let reply = self.reply(id).expect("an answer").expect("no failure");
        (id, reply)
    }

    /// The paths of the requests that the server has got since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    pub(crate) fn take_notified(&mut self) -> Vec<Notified> {
        std::mem::take(&mut self.notified)
    }
}

/// A request to a path, which may have a query.
pub(crate) fn to(code: Code, path: &str) -> OutgoingRequest {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut request = OutgoingRequest::new(code);
    for segment in path.split('/').filter(|s| !s.is_empty()) {
        request = request.option(OptionNumber::URI_PATH, segment.to_owned());
    }
    for item in query.split('&').filter(|s| !s.is_empty()) {
        request = request.option(OptionNumber::URI_QUERY, item.to_owned());
    }
    request
}

pub(crate) fn with_accept(
    request: OutgoingRequest,
    accept: Option<ContentFormat>,
) -> OutgoingRequest {
    match accept {
        None => request,
        Some(format) => request.uint(OptionNumber::ACCEPT, u32::from(format.number())),
    }
}

pub(crate) fn with_body(
    request: OutgoingRequest,
    format: ContentFormat,
    body: impl Into<Vec<u8>>,
) -> OutgoingRequest {
    let format = Uint::new(u32::from(format.number()));
    request
        .option(OptionNumber::CONTENT_FORMAT, format.as_bytes().to_vec())
        .payload(body.into())
}

/// Bytes from hexadecimal digits; white space is skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|c| c.to_digit(16).map(|d| d as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
