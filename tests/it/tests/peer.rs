//! A device that says exactly what a test tells it to.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_server::{Event, EventKind, Events, Listener, Server, ServerConfig};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const OBJECTS: &[u8] = b"</>;ct=\"60 110 112\",</1/0>,</3/0>,</4/0>";

/// A server on a port of its own.
pub(crate) async fn server(configure: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = ServerConfig::default();
    config.shards = 2;
    configure(&mut config);
    Server::builder()
        .config(config)
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .start()
        .await
        .expect("the server starts")
}

/// The next event that a test has an interest in.
pub(crate) async fn event<T>(
    events: &mut Events,
    mut wanted: impl FnMut(&Event) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("the server runs");
            if let Some(found) = wanted(&event.expect("no event is lost")) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the event comes")
}

/// The reason of the next refusal.
pub(crate) async fn refusal(events: &mut Events) -> (Code, &'static str) {
    event(events, |event| match &event.kind {
        EventKind::Refused { code, reason, .. } => Some((*code, reason.code)),
        _ => None,
    })
    .await
}

/// Starts a future: what it comes to when that is known at once.
pub(crate) async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = Some(future);
    std::future::poll_fn(|cx| {
        let future = future.take().expect("polled once");
        std::task::Poll::Ready(match std::pin::Pin::new(future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) message_type: MessageType,
    pub(crate) code: Code,
    pub(crate) message_id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(OptionNumber, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) datagram: Vec<u8>,
}

impl Incoming {
    pub(crate) fn parse(datagram: &[u8]) -> Incoming {
        let message = Message::parse(datagram).expect("the server writes CoAP");
        Incoming {
            message_type: message.message_type(),
            code: message.code(),
            message_id: message.message_id(),
            token: message.token().to_vec(),
            options: message
                .options()
                .map(|option| (option.number, option.value.to_vec()))
                .collect(),
            payload: message.payload().to_vec(),
            datagram: datagram.to_vec(),
        }
    }

    pub(crate) fn values(&self, number: OptionNumber) -> Vec<String> {
        let texts = self.options.iter().filter(|(n, _)| *n == number);
        texts
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    pub(crate) fn path(&self) -> String {
        self.values(OptionNumber::URI_PATH).join("/")
    }

    pub(crate) fn location(&self) -> String {
        self.values(OptionNumber::LOCATION_PATH).join("/")
    }

    pub(crate) fn uint(&self, number: OptionNumber) -> Option<u32> {
        let (_, value) = self.options.iter().find(|(n, _)| *n == number)?;
        Some(value.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }
}

/// A message to send.
pub(crate) struct Outgoing {
    pub(crate) message_type: MessageType,
    pub(crate) code: Code,
    pub(crate) message_id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(OptionNumber, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn option(mut self, number: OptionNumber, value: impl AsRef<[u8]>) -> Outgoing {
        self.options.push((number, value.as_ref().to_vec()));
        self
    }

    pub(crate) fn format(self, number: u16) -> Outgoing {
        let bytes = number.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        self.option(OptionNumber::CONTENT_FORMAT, &bytes[skip..])
    }

    pub(crate) fn payload(mut self, payload: impl AsRef<[u8]>) -> Outgoing {
        self.payload = payload.as_ref().to_vec();
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.sort_by_key(|(number, _)| *number);
        let token = Token::new(&self.token).expect("a token");
        let mut out = Vec::new();
        let builder = MessageBuilder::new(
            &mut out,
            self.message_type,
            self.code,
            self.message_id,
            &token,
        );
        options
            .iter()
            .fold(builder, |builder, (number, value)| {
                builder.option(*number, value)
            })
            .payload(&self.payload);
        out
    }
}

/// A device without a mind of its own.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    pub(crate) server: SocketAddr,
    message_id: u16,
}

impl Peer {
    pub(crate) async fn new(server: &Server) -> Peer {
        Peer::at(server.local_addresses()[0]).await
    }

    pub(crate) async fn at(server: SocketAddr) -> Peer {
        Peer {
            socket: UdpSocket::bind("127.0.0.1:0").await.expect("a port"),
            server,
            message_id: 1,
        }
    }

    /// A confirmable request, `path` with `?` and query.
    pub(crate) fn request(&mut self, code: Code, path: &str) -> Outgoing {
        self.message_id += 1;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let items = |text: &str, separator: char, number: OptionNumber| -> Vec<_> {
            let items = text.split(separator).filter(|item| !item.is_empty());
            items
                .map(|item| (number, item.as_bytes().to_vec()))
                .collect()
        };
        let mut options = items(path, '/', OptionNumber::URI_PATH);
        options.extend(items(query, '&', OptionNumber::URI_QUERY));
        Outgoing {
            message_type: MessageType::Confirmable,
            code,
            message_id: self.message_id,
            token: self.message_id.to_be_bytes().to_vec(),
            options,
            payload: Vec::new(),
        }
    }

    pub(crate) async fn send(&self, datagram: &[u8]) {
        let sent = self.socket.send_to(datagram, self.server).await;
        assert_eq!(sent.expect("sent"), datagram.len());
    }

    /// The length of the next datagram of the server. The server of another test may still ask a
    /// device that had this port before: answers are those that come from where they were asked.
    pub(crate) async fn datagram(&self, buffer: &mut [u8]) -> usize {
        loop {
            let (len, from) = self.socket.recv_from(buffer).await.expect("received");
            if from == self.server {
                return len;
            }
        }
    }

    pub(crate) async fn receive(&self) -> Incoming {
        let mut buffer = [0; 2048];
        let datagram = self.datagram(&mut buffer);
        let len = timeout(PATIENCE, datagram).await.expect("a datagram comes");
        Incoming::parse(&buffer[..len])
    }

    /// Sends a request and takes the next datagram for its answer.
    pub(crate) async fn exchange(&self, request: Outgoing) -> Incoming {
        self.send(&request.encode()).await;
        let answer = self.receive().await;
        assert_eq!(answer.message_type, MessageType::Acknowledgement);
        assert_eq!(answer.message_id, request.message_id);
        assert_eq!(answer.token, request.token);
        answer
    }

    /// Sends a request, and takes the answer with the acknowledgement or after it. What the server
    /// asks meanwhile is left unanswered.
    pub(crate) async fn ask(&self, request: Outgoing) -> Incoming {
        self.send(&request.encode()).await;
        loop {
            let answer = self.receive().await;
            if answer.token != request.token || answer.code.class() == 0 {
                continue;
            }
            if answer.message_type == MessageType::Confirmable {
                let acknowledgement = Outgoing {
                    token: Vec::new(),
                    ..self.answer(&answer, Code::EMPTY)
                };
                self.send(&acknowledgement.encode()).await;
            }
            return answer;
        }
    }

    /// Registers with the query, and answers the location.
    pub(crate) async fn register(&mut self, query: &str) -> String {
        let request = self
            .request(Code::POST, &format!("rd?{query}"))
            .format(40)
            .payload(OBJECTS);
        let answer = self.exchange(request).await;
        assert_eq!(answer.code, Code::CREATED);
        answer.location()
    }

    pub(crate) async fn post(&mut self, path: &str) -> Code {
        let request = self.request(Code::POST, path);
        self.exchange(request).await.code
    }

    /// Waits until a location is gone; the shard of a registration that was replaced on another
    /// shard hears of it after the answer.
    pub(crate) async fn until_gone(&mut self, location: &str) {
        let gone = async { while self.post(location).await != Code::NOT_FOUND {} };
        timeout(PATIENCE, gone).await.expect("the location is gone");
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Code {
        let request = self.request(Code::DELETE, path);
        self.exchange(request).await.code
    }

    /// The piggybacked answer to a request of the server.
    pub(crate) fn answer(&self, to: &Incoming, code: Code) -> Outgoing {
        Outgoing {
            message_type: MessageType::Acknowledgement,
            code,
            message_id: to.message_id,
            token: to.token.clone(),
            options: Vec::new(),
            payload: Vec::new(),
        }
    }
}
