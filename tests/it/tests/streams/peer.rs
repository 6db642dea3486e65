//! A device at the other end of a connection, that says exactly what a test tells it to.

use std::time::Duration;

use lwm2m_coap::tcp::{CapabilitiesMessage, FrameBuilder, FrameDecoder, Signal};
use lwm2m_coap::{Code, Message, OptionNumber, Token};
use lwm2m_server::{Listener, Server, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::peer::OBJECTS;

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest message that the device takes, in bytes.
pub(crate) const MESSAGE_MAX: usize = 4096;

/// A server that devices connect to, with four shards.
pub(crate) async fn server(configure: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = ServerConfig::default();
    config.shards = 4;
    configure(&mut config);
    Server::builder()
        .config(config)
        .listen(Listener::coap_tcp(([127, 0, 0, 1], 0).into()))
        .start()
        .await
        .expect("the server starts")
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) code: Code,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Vec<(OptionNumber, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Incoming {
    fn of(message: &Message<'_>) -> Incoming {
        Incoming {
            code: message.code(),
            token: message.token().to_vec(),
            options: message
                .options()
                .map(|option| (option.number, option.value.to_vec()))
                .collect(),
            payload: message.payload().to_vec(),
        }
    }

    pub(crate) fn path(&self) -> String {
        self.texts(OptionNumber::URI_PATH).join("/")
    }

    pub(crate) fn location(&self) -> String {
        self.texts(OptionNumber::LOCATION_PATH).join("/")
    }

    pub(crate) fn uint(&self, number: OptionNumber) -> Option<u32> {
        let (_, value) = self.options.iter().find(|(n, _)| *n == number)?;
        Some(value.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
    }

    fn texts(&self, number: OptionNumber) -> Vec<String> {
        let texts = self.options.iter().filter(|(n, _)| *n == number);
        texts
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

/// A connection of a device without a mind of its own.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) io: S,
    decoder: FrameDecoder,
    unread: Vec<u8>,
    token: u16,
}

impl Peer {
    /// Connects, and says nothing yet.
    pub(crate) async fn silent(server: &Server) -> Peer {
        let address = server.local_addresses()[0];
        Peer::over(TcpStream::connect(address).await.expect("connected"))
    }

    /// Connects, and exchanges capabilities.
    pub(crate) async fn new(server: &Server) -> Peer {
        let mut peer = Peer::silent(server).await;
        peer.exchange_capabilities().await;
        peer
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn over(io: S) -> Peer<S> {
        Peer {
            io,
            decoder: FrameDecoder::new(1 << 20),
            unread: Vec::new(),
            token: 0,
        }
    }

    pub(crate) async fn exchange_capabilities(&mut self) {
        let mut bytes = Vec::new();
        let csm = Signal::Csm(CapabilitiesMessage {
            max_message_size: Some(MESSAGE_MAX as u32),
            block_wise: true,
            extended_token_length: None,
        });
        csm.write(&Token::EMPTY, &mut bytes);
        self.write(&bytes).await;
        assert_eq!(self.receive().await.expect("their CSM").code, Code::CSM);
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.expect("written");
    }

    /// The next message; none when the server has closed the connection.
    pub(crate) async fn receive(&mut self) -> Option<Incoming> {
        loop {
            let mut input = self.unread.as_slice();
            let message = self.decoder.decode(&mut input);
            let message = message.expect("the server writes CoAP");
            let message = message.map(|message| Incoming::of(&message));
            let left = input.len();
            self.unread.drain(..self.unread.len() - left);
            if let Some(message) = message {
                return Some(message);
            }
            let read = self.io.read_buf(&mut self.unread);
            match timeout(PATIENCE, read).await.expect("something comes") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Incoming {
        self.receive().await.expect("the connection stands")
    }

    /// Waits for the end of the connection; gives the codes of what came before.
    pub(crate) async fn until_closed(&mut self) -> Vec<Code> {
        let mut codes = Vec::new();
        while let Some(message) = self.receive().await {
            codes.push(message.code);
        }
        codes
    }

    /// Sends a request, `path` with `?` and query, and takes the next message for its answer.
    pub(crate) async fn ask(&mut self, code: Code, path: &str, payload: &[u8]) -> Incoming {
        self.token += 1;
        let token = self.token.to_be_bytes();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut options = Vec::new();
        let items = |text: &str, separator| -> Vec<Vec<u8>> {
            let items = text.split(separator).filter(|item| !item.is_empty());
            items.map(|item| item.as_bytes().to_vec()).collect()
        };
        for segment in items(path, '/') {
            options.push((OptionNumber::URI_PATH, segment));
        }
        for item in items(query, '&') {
            options.push((OptionNumber::URI_QUERY, item));
        }
        self.say(code, &token, &options, payload).await;
        let answer = self.next().await;
        assert_eq!(answer.token, token, "{answer:?}");
        answer
    }

    pub(crate) async fn say(
        &mut self,
        code: Code,
        token: &[u8],
        options: &[(OptionNumber, Vec<u8>)],
        payload: &[u8],
    ) {
        let token = Token::new(token).expect("a token");
        let mut bytes = Vec::new();
        let builder = FrameBuilder::new(&mut bytes, code, &token);
        options
            .iter()
            .fold(builder, |builder, (number, value)| {
                builder.option(*number, value)
            })
            .payload(payload);
        self.write(&bytes).await;
    }

    /// Answers a request of the server.
    pub(crate) async fn answer(
        &mut self,
        to: &Incoming,
        code: Code,
        options: &[(OptionNumber, Vec<u8>)],
        payload: &[u8],
    ) {
        self.say(code, &to.token, options, payload).await;
    }

    /// Registers with the query, and gives the location.
    pub(crate) async fn register(&mut self, query: &str) -> String {
        let path = format!("rd?lwm2m=1.1&lt=300&b=T&{query}");
        let answer = self.ask(Code::POST, &path, OBJECTS).await;
        assert_eq!(answer.code, Code::CREATED);
        answer.location()
    }
}
