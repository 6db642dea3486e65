//! A caller of the HTTP API.

use std::net::SocketAddr;

use lwm2m_admin::HttpLimits;
use lwm2m_server::{Server, ServerConfig};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::peer::{Incoming, Outgoing, Peer, server};

/// The API of one server.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) location: String,
    pub(crate) retry_after: String,
    pub(crate) body: Json,
}

impl Reply {
    /// The word of a problem document.
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.content_type, "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        let word = self.body["type"].as_str().unwrap_or_default();
        word.strip_prefix("urn:lwm2m:problem:")
            .expect("a type of ours")
    }

    /// The body of an answer that is none of the problems.
    pub(crate) fn ok(self) -> Json {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }
}

impl Api {
    pub(crate) async fn of(server: &Server) -> Api {
        Api::with(server, HttpLimits::default()).await
    }

    pub(crate) async fn with(server: &Server, limits: HttpLimits) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(lwm2m_admin::serve(listener, server.clone(), limits));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build();
        Api {
            address,
            agent: config.into(),
        }
    }

    /// Starts a request; the body goes as it stands.
    pub(crate) fn start(&self, method: &str, path: &str, body: &str) -> JoinHandle<Reply> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .body(body.to_owned())
            .expect("a request");
        let agent = self.agent.clone();
        tokio::task::spawn_blocking(move || {
            let mut response = agent.run(request).expect("an answer");
            let header = |name: &str| {
                let value = response.headers().get(name);
                let text = value.and_then(|value| value.to_str().ok());
                text.unwrap_or_default().to_owned()
            };
            let (content_type, location) = (header("content-type"), header("location"));
            let retry_after = header("retry-after");
            let text = response.body_mut().read_to_string().expect("text");
            Reply {
                status: response.status().as_u16(),
                content_type,
                location,
                retry_after,
                body: serde_json::from_str(&text).unwrap_or(Json::Null),
            }
        })
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        self.start(method, path, body).await.expect("no panic")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, "").await
    }

    /// Opens the stream of events, and reads `name` and `data` of each on a thread of its own.
    pub(crate) async fn events(&self, path: &str) -> tokio::sync::mpsc::Receiver<(String, Json)> {
        use std::io::BufRead;

        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let url = format!("http://{}{path}", self.address);
        let agent = self.agent.clone();
        let response = tokio::task::spawn_blocking(move || agent.get(&url).call())
            .await
            .expect("no panic")
            .expect("a stream");
        assert_eq!(response.status().as_u16(), 200);
        std::thread::spawn(move || {
            let lines = std::io::BufReader::new(response.into_body().into_reader()).lines();
            let mut name = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some(text) = line.strip_prefix("event: ") {
                    name = text.to_owned();
                } else if let Some(text) = line.strip_prefix("data: ") {
                    let data = serde_json::from_str(text).expect("data is JSON");
                    if sender.blocking_send((name.clone(), data)).is_err() {
                        return;
                    }
                }
            }
        });
        receiver
    }
}

/// A server with its API and one registered device, `ep=a`, with `objects` besides the usual.
pub(crate) async fn setup(version: &str) -> (Server, Api, Peer) {
    setup_with(version, |_| {}).await
}

pub(crate) async fn setup_with(
    version: &str,
    configure: impl FnOnce(&mut ServerConfig),
) -> (Server, Api, Peer) {
    let server = server(configure).await;
    let api = Api::of(&server).await;
    let mut device = Peer::new(&server).await;
    device
        .register(&format!("ep=a&lt=300&lwm2m={version}&b=U"))
        .await;
    (server, api, device)
}

/// Takes the next request as the device, and answers it.
pub(crate) async fn serve(device: &Peer, answer: impl FnOnce(Outgoing) -> Outgoing) -> Incoming {
    let request = device.receive().await;
    let bare = device.answer(&request, lwm2m_coap::Code::CONTENT);
    device.send(&answer(bare).encode()).await;
    request
}
