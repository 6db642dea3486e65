//! The whole way over connections: without security, with certificates, and under OSCORE.

use std::sync::Arc;

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, Path, Record, Untyped, Value};
use lwm2m_oscore::{PARTIAL_IV_MAX, ReplayState, SecurityContext};
use lwm2m_server::bootstrap::BootstrapPlan;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::{How, Port, Site};
use crate::oscore::streams::Device as Protected;
use crate::streams::peer::{Incoming, Peer};
use crate::streams::tls::raw_public_key;
use crate::streams::tls_own::connect_to;

/// Answers what a bootstrap server asks, and keeps what it writes, until the Finish.
async fn take<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> Vec<Record<'static>> {
    let mut records = Vec::new();
    loop {
        let request = peer.next().await;
        let code = answer(&request, &mut records);
        peer.answer(&request, code, &[], b"").await;
        if code == Code::CHANGED && request.code == Code::POST {
            return records;
        }
    }
}

fn answer(request: &Incoming, records: &mut Vec<Record<'static>>) -> Code {
    let format = request.uint(OptionNumber::CONTENT_FORMAT);
    take_step(
        request.code,
        &request.path(),
        format,
        &request.payload,
        records,
    )
}

fn take_step(
    method: Code,
    path: &str,
    format: Option<u32>,
    payload: &[u8],
    records: &mut Vec<Record<'static>>,
) -> Code {
    match (method, path) {
        (Code::POST, "bs") => Code::CHANGED,
        (Code::DELETE, _) => Code::DELETED,
        (Code::PUT, path) => {
            assert_eq!(format, Some(u32::from(ContentFormat::SenmlCbor.number())));
            let scope: Path = format!("/{path}").parse().expect("a path");
            let decoded = codec::decode(
                ContentFormat::SenmlCbor,
                Scope::from(scope),
                payload,
                &Untyped,
            );
            let decoded = decoded.expect("what the server writes").into_owned();
            records.extend(decoded.records);
            Code::CHANGED
        }
        // No Discover, as in some clients; and nothing else.
        (Code::GET, _) => Code::METHOD_NOT_ALLOWED,
        other => panic!("{other:?}"),
    }
}

fn bytes(records: &[Record<'static>], path: Path) -> Vec<u8> {
    let record = records.iter().find(|record| record.path == path);
    match &record.expect("it was written").value {
        Value::Opaque(bytes) => bytes.to_vec(),
        Value::String(text) => text.as_bytes().to_vec(),
        other => panic!("bytes, and not {other:?}"),
    }
}

fn plan(site: &Site, endpoint: &str, account: &lwm2m_server::bootstrap::ServerAccount) {
    let plan = BootstrapPlan::replacing_accounts().account(account);
    site.plans.set(endpoint, plan);
}

#[tokio::test]
async fn without_security() {
    let mut site = Site::open().await;
    let pass = site.pass(How::NoSec, "a", "own").await;
    plan(&site, "a", &site.server_account(&pass));
    let stream = TcpStream::connect(site.address(Port::TcpBootstrap)).await;
    let mut peer = Peer::over(stream.expect("connected"));
    peer.exchange_capabilities().await;
    let accepted = peer.ask(Code::POST, "bs?ep=a&pct=112", b"").await;
    assert_eq!(accepted.code, Code::CHANGED);
    let records = take(&mut peer).await;
    let uri = bytes(&records, Path::resource(0, 0, 0));
    assert_eq!(uri, site.uri(Port::Coap).into_bytes());
    let story = site.story("a").await;
    assert_eq!(
        story,
        ["started nosec", "discover / step-refused", "finished 1"]
    );

    // A connection that ends takes its session along.
    let stream = TcpStream::connect(site.address(Port::TcpBootstrap)).await;
    let mut peer = Peer::over(stream.expect("connected"));
    peer.exchange_capabilities().await;
    peer.ask(Code::POST, "bs?ep=a&pct=112", b"").await;
    drop(peer);
    let story = site.story("a").await;
    assert_eq!(
        story,
        [
            "started nosec",
            "discover / session-ended",
            "failed session-ended"
        ]
    );
}

/// A client that shows this certificate.
async fn connect(
    site: &Site,
    port: Port,
    certificate: &[u8],
    key: &[u8],
) -> Peer<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from(site.authority.as_der().to_vec());
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
    let chain = vec![CertificateDer::from(certificate.to_vec())];
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("they belong");
    config.alpn_protocols = vec![b"coap".to_vec()];
    let io = TcpStream::connect(site.address(port))
        .await
        .expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, io).await;
    let mut peer = Peer::over(stream.expect("a session"));
    peer.exchange_capabilities().await;
    peer
}

#[tokio::test]
async fn with_certificates() {
    let mut site = Site::open().await;
    let first = site.pass(How::X509, "a", "bootstrap").await;
    let own = site.pass(How::X509, "a", "own").await;
    plan(&site, "a", &site.server_account_at(Port::Tls, &own));
    let key = first.holder.key.to_pkcs8().expect("a key to write");
    let certificate = first.holder.certificate.as_der();
    let mut peer = connect(&site, Port::TlsBootstrap, certificate, &key).await;
    // Nobody else, and not at this port.
    let refused = peer.ask(Code::POST, "bs?ep=b&pct=112", b"").await;
    assert_eq!(refused.code, Code::BAD_REQUEST);
    assert_eq!(site.story("b").await, ["refused endpoint-not-allowed"]);
    let refused = peer.ask(Code::POST, "rd?ep=a&lwm2m=1.1", b"</1/0>").await;
    assert_eq!(refused.code, Code::NOT_FOUND);
    let accepted = peer.ask(Code::POST, "bs?pct=112", b"").await;
    assert_eq!(accepted.code, Code::CHANGED);
    let records = take(&mut peer).await;
    let story = site.story("a").await;
    assert_eq!(
        story,
        ["started x509", "discover / step-refused", "finished 1"]
    );

    let at = |resource| bytes(&records, Path::resource(0, 0, resource));
    assert_eq!(at(0), site.uri(Port::Tls).into_bytes());
    let mut peer = connect(&site, Port::Tls, &at(3), &at(5)).await;
    peer.register("ep=a").await;
    let registration = site.server.registration("a").await.expect("registered");
    assert_eq!(registration.identity.to_string(), "x509 CN=own-a");
}

/// Bootstraps, and gives what was written.
async fn bootstraps<S: AsyncRead + AsyncWrite + Unpin>(
    site: &mut Site,
    peer: &mut Peer<S>,
    mode: &str,
) -> Vec<Record<'static>> {
    // Nobody else.
    let refused = peer.ask(Code::POST, "bs?ep=b&pct=112", b"").await;
    assert_eq!(refused.code, Code::BAD_REQUEST);
    assert_eq!(site.story("b").await, ["refused endpoint-not-allowed"]);
    let accepted = peer.ask(Code::POST, "bs?ep=a&pct=112", b"").await;
    assert_eq!(accepted.code, Code::CHANGED);
    let records = take(peer).await;
    let story = site.story("a").await;
    let started = format!("started {mode}");
    assert_eq!(story, [&*started, "discover / step-refused", "finished 1"]);
    records
}

#[tokio::test]
async fn with_pre_shared_keys_over_tls() {
    let mut site = Site::open().await;
    let first = site.pass(How::Psk, "a", "bootstrap").await;
    let own = site.pass(How::Psk, "a", "own").await;
    plan(&site, "a", &site.server_account_at(Port::Tls, &own));
    let key = |key: &[u8]| lwm2m_dtls::Psk::new(key).expect("a key");
    let account = |identity: &[u8], key| lwm2m_dtls::ClientConfig::psk(identity, key);
    let bootstrap = site.address(Port::TlsBootstrap);
    let wrong = account(first.name.as_bytes(), key(b"some other key"));
    let wrong = connect_to(bootstrap, wrong).await.map(|_| ());
    wrong.expect_err("a wrong key");
    let good = account(first.name.as_bytes(), key(crate::secure::KEY));
    let mut peer = connect_to(bootstrap, good).await.expect("a session");
    peer.exchange_capabilities().await;
    let records = bootstraps(&mut site, &mut peer, "psk").await;
    let at = |resource| bytes(&records, Path::resource(0, 0, resource));
    assert_eq!(at(0), site.uri(Port::Tls).into_bytes());
    let given = account(&at(3), key(&at(5)));
    let peer = connect_to(site.address(Port::Tls), given).await;
    let mut peer = peer.expect("a session");
    peer.exchange_capabilities().await;
    peer.register("ep=a").await;
    let registration = site.server.registration("a").await.expect("registered");
    assert_eq!(registration.identity.to_string(), "psk own-a");
}

#[tokio::test]
async fn with_raw_public_keys_over_tls() {
    let mut site = Site::open().await;
    let first = site.pass(How::Rpk, "a", "bootstrap").await;
    let own = site.pass(How::Rpk, "a", "own").await;
    plan(&site, "a", &site.server_account_at(Port::Tls, &own));
    let session = async |address, key: &[u8], server: &[u8]| {
        let config = raw_public_key(key, server);
        let io = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::new(config)).connect(name, io).await;
        let mut peer = Peer::over(stream.expect("a session"));
        peer.exchange_capabilities().await;
        peer
    };
    let key = first.holder.key.to_pkcs8().expect("a key to write");
    let spki = site.own.key.public_key().as_spki().to_vec();
    let mut peer = session(site.address(Port::TlsBootstrap), &key, &spki).await;
    let records = bootstraps(&mut site, &mut peer, "rpk").await;
    let at = |resource| bytes(&records, Path::resource(0, 0, resource));
    assert_eq!(at(0), site.uri(Port::Tls).into_bytes());
    let mut peer = session(site.address(Port::Tls), &at(5), &at(4)).await;
    peer.register("ep=a").await;
    let registration = site.server.registration("a").await.expect("registered");
    assert_eq!(registration.identity.mode(), "rpk");
}

#[tokio::test]
async fn under_oscore() {
    let mut site = Site::open().await;
    let first = site.pass(How::Oscore, "a", "bootstrap").await;
    let own = site.pass(How::Psk, "a", "own").await;
    plan(&site, "a", &site.server_account(&own));
    let stream = TcpStream::connect(site.address(Port::TcpBootstrap)).await;
    let mut io = Peer::over(stream.expect("connected"));
    io.exchange_capabilities().await;
    let context = SecurityContext::derive(&first.parameters(), ReplayState::Unused, 0);
    let mut device = Protected {
        io,
        context: context.expect("parameters of a context"),
    };
    device.context.reserve(PARTIAL_IV_MAX);
    let mut request = vec![
        (OptionNumber::URI_PATH, b"bs".to_vec()),
        (OptionNumber::URI_QUERY, b"ep=a".to_vec()),
        (OptionNumber::URI_QUERY, b"pct=112".to_vec()),
    ];
    // The first use of a context is answered with a challenge.
    let (code, challenge) = device.ask(1, &request, b"").await;
    assert_eq!(code, Code::UNAUTHORIZED);
    assert_eq!(site.server.statistics().bootstrap_sessions, 0);
    let echo = challenge
        .into_iter()
        .find(|(n, _)| *n == OptionNumber::ECHO);
    request.push(echo.expect("a challenge"));
    let (code, _) = device.ask(2, &request, b"").await;
    assert_eq!(code, Code::CHANGED);
    let mut records = Vec::new();
    loop {
        let step = device.take().await;
        let code = take_step(
            step.method,
            &step.path,
            step.format,
            &step.payload,
            &mut records,
        );
        device.reply(&step, code, &Vec::new(), b"").await;
        if step.method == Code::POST {
            break;
        }
    }
    let story = site.story("a").await;
    assert_eq!(
        story,
        ["started oscore", "discover / step-refused", "finished 1"]
    );
    let identity = bytes(&records, Path::resource(0, 0, 3));
    assert_eq!(identity, b"own-a");
}
