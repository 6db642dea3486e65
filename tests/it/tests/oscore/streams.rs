//! The same over a connection, message by message: the challenge of the first use shows.

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_core::Path;
use lwm2m_oscore::{PARTIAL_IV_MAX, ReplayState, RequestBinding, SecurityContext};
use lwm2m_server::{Listener, PeerIdentity};

use super::{guarded_at, parameters};
use crate::peer::OBJECTS;
use crate::site::in_time;
use crate::streams::peer::{Incoming, Peer};

/// A device that protects each message by hand.
pub(crate) struct Device {
    pub(crate) io: Peer,
    pub(crate) context: SecurityContext,
}

/// A request of the server, with what it says inside.
pub(crate) struct Step {
    pub(crate) request: Incoming,
    pub(crate) binding: RequestBinding,
    pub(crate) method: Code,
    pub(crate) path: String,
    pub(crate) format: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

type Options = Vec<(OptionNumber, Vec<u8>)>;

impl Device {
    /// Sends a request, takes the answer, and gives its code and options.
    pub(crate) async fn ask(
        &mut self,
        token: u8,
        options: &Options,
        payload: &[u8],
    ) -> (Code, Options) {
        let plain = message(Code::POST, &[token], options, payload);
        let mut content = Vec::new();
        let (code, mut binding) = self
            .context
            .protect_request(&parse(&plain), &mut content)
            .expect("protected");
        self.say(code, &[token], &content).await;
        let answer = self.io.next().await;
        assert_eq!(answer.code, Code::CHANGED, "outside it is always that");
        let outer = message(answer.code, &answer.token, &answer.options, &answer.payload);
        let mut content = Vec::new();
        let code = self
            .context
            .unprotect_response(&mut binding, &parse(&outer), &answer.payload, &mut content)
            .expect("authentic");
        let options = parse(&outer)
            .with_content(code, &content)
            .expect("a message")
            .options()
            .map(|option| (option.number, option.value.to_vec()))
            .collect();
        (code, options)
    }

    /// Takes a request of the server.
    pub(crate) async fn take(&mut self) -> Step {
        let request = self.io.next().await;
        let outer = message(
            request.code,
            &request.token,
            &request.options,
            &request.payload,
        );
        let mut content = Vec::new();
        let taken = self
            .context
            .unprotect_request(&parse(&outer), &request.payload, &mut content)
            .expect("authentic");
        let outer = parse(&outer);
        let inner = outer.with_content(taken.code, &content);
        let inner = inner.expect("a message");
        let path: Vec<&str> = inner.uri_path_str().flatten().collect();
        Step {
            binding: taken.binding,
            method: taken.code,
            path: path.join("/"),
            format: inner.uint(OptionNumber::CONTENT_FORMAT),
            payload: inner.payload().to_vec(),
            request,
        }
    }

    /// Answers a request of the server.
    pub(crate) async fn reply(
        &mut self,
        step: &Step,
        code: Code,
        options: &Options,
        payload: &[u8],
    ) {
        let token = &step.request.token;
        let plain = message(code, token, options, payload);
        let mut content = Vec::new();
        let code = self
            .context
            .protect_response(&step.binding, &parse(&plain), &mut content)
            .expect("protected");
        self.say(code, token, &content).await;
    }

    async fn say(&mut self, code: Code, token: &[u8], content: &[u8]) {
        let empty = message(code, token, &Vec::new(), &[]);
        let outer = parse(&empty);
        let outer = outer.with_content(code, content).expect("a message");
        let options: Options = outer
            .options()
            .map(|option| (option.number, option.value.to_vec()))
            .collect();
        self.io.say(code, token, &options, outer.payload()).await;
    }
}

/// A message with any header: a stream has another one.
fn message(code: Code, token: &[u8], options: &Options, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let token = Token::new(token).expect("a token");
    let start = MessageBuilder::new(&mut out, MessageType::NonConfirmable, code, 0, &token);
    options
        .iter()
        .fold(start, |builder, (number, value)| {
            builder.option(*number, value)
        })
        .payload(payload);
    out
}

fn parse(datagram: &[u8]) -> Message<'_> {
    Message::parse(datagram).expect("a message")
}

#[tokio::test]
async fn a_connected_device_registers_with_an_echo_and_is_read() {
    let site = guarded_at(4, Listener::coap_tcp(([127, 0, 0, 1], 0).into())).await;
    let context = SecurityContext::derive(&parameters(super::SECRET), ReplayState::Unused, 0);
    let mut device = Device {
        io: Peer::new(&site.server).await,
        context: context.expect("parameters of a context"),
    };
    device.context.reserve(PARTIAL_IV_MAX);
    let mut register: Options = vec![(OptionNumber::URI_PATH, b"rd".to_vec())];
    for item in ["ep=a", "lwm2m=1.1", "b=T"] {
        register.push((OptionNumber::URI_QUERY, item.as_bytes().to_vec()));
    }
    let (code, challenge) = device.ask(1, &register, OBJECTS).await;
    assert_eq!(code, Code::UNAUTHORIZED);
    assert!(site.server.registration("a").await.is_none());
    let echo = challenge
        .into_iter()
        .find(|(n, _)| *n == OptionNumber::ECHO);
    register.push(echo.expect("a challenge"));
    let (code, _) = device.ask(2, &register, OBJECTS).await;
    assert_eq!(code, Code::CREATED);
    let registration = site.server.registration("a").await.expect("registered");
    let identity = PeerIdentity::oscore(b"dev", Some(b"fleet"));
    assert_eq!(registration.identity, identity);

    let at_server = site.server.device("a");
    let name = Path::resource(3, 0, 0);
    let reading = tokio::spawn(async move { at_server.read_path(name).await });
    let step = device.take().await;
    assert_eq!((step.method, step.path.as_str()), (Code::GET, "3/0/0"));
    let text = vec![(OptionNumber::CONTENT_FORMAT, vec![])];
    device.reply(&step, Code::CONTENT, &text, b"Acme").await;
    let response = in_time(reading).await.expect("no panic");
    assert_eq!(&response.expect("an answer").raw[..], b"Acme");
}
