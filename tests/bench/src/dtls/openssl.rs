//! OpenSSL as the server: one `SSL` for each device, over memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

use openssl::pkey::PKey;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use super::material::{KEY, Material, Mode};
use super::wire::{Datagrams, Server};

/// What stands for a cookie that is bound to the address; OpenSSL leaves that to the application.
const COOKIE: [u8; 32] = [7; 32];

/// One session for each device.
pub(super) struct OpenSsl {
    context: SslContext,
    sessions: HashMap<SocketAddr, Session>,
    sent: Rc<RefCell<Datagrams>>,
}

struct Session {
    stream: SslStream<Pipe>,
    up: bool,
}

/// The version of the library, as it tells.
pub(super) fn version() -> &'static str {
    openssl::version::version()
}

impl OpenSsl {
    pub(super) fn new(mode: Mode, material: &Material) -> anyhow::Result<OpenSsl> {
        let mut context = SslContext::builder(SslMethod::dtls())?;
        context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
        context.set_options(SslOptions::COOKIE_EXCHANGE);
        context.set_cookie_generate_cb(|_, out| {
            out[..COOKIE.len()].copy_from_slice(&COOKIE);
            Ok(COOKIE.len())
        });
        context.set_cookie_verify_cb(|_, cookie| cookie == COOKIE);
        context.set_session_id_context(b"lwm2m")?;
        match mode {
            Mode::Psk => {
                context.set_cipher_list("PSK-AES128-CCM8:@SECLEVEL=0")?;
                context.set_psk_server_callback(|_, _, key| {
                    key[..KEY.len()].copy_from_slice(KEY);
                    Ok(KEY.len())
                });
            }
            Mode::X509 | Mode::RawPublicKey => {
                context.set_cipher_list("ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0")?;
                let (certificate, key) = &material.server;
                context.set_certificate(&*X509::from_der(certificate.as_der())?)?;
                context.set_private_key(&*PKey::private_key_from_pkcs8(&key.to_pkcs8()?)?)?;
                let mut store = X509StoreBuilder::new()?;
                store.add_cert(X509::from_der(material.authority.as_der())?)?;
                context.set_verify_cert_store(store.build())?;
                context.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            }
        }
        Ok(OpenSsl {
            context: context.build(),
            sessions: HashMap::new(),
            sent: Rc::default(),
        })
    }

    fn session(&mut self, device: SocketAddr) -> Option<&mut Session> {
        if !self.sessions.contains_key(&device) {
            let mut ssl = Ssl::new(&self.context).ok()?;
            ssl.set_mtu(1200).ok()?;
            let pipe = Pipe {
                device,
                received: Vec::new(),
                sent: Rc::clone(&self.sent),
            };
            let stream = SslStream::new(ssl, pipe).ok()?;
            let session = Session { stream, up: false };
            self.sessions.insert(device, session);
        }
        self.sessions.get_mut(&device)
    }
}

impl Server for OpenSsl {
    fn take(&mut self, device: SocketAddr, datagram: &mut [u8], out: &mut Datagrams) {
        // Who fails shows by the answer that does not come.
        let Some(session) = self.session(device) else {
            return;
        };
        let pipe = session.stream.get_mut();
        pipe.received.clear();
        pipe.received.extend_from_slice(datagram);
        if !session.up {
            session.up = session.stream.accept().is_ok();
        }
        if session.up {
            let mut buffer = [0; 256];
            while let Ok(length @ 1..) = session.stream.ssl_read(&mut buffer) {
                if session.stream.ssl_write(&buffer[..length]).is_err() {
                    break;
                }
            }
        }
        out.append(&mut self.sent.borrow_mut());
    }
}

/// What the library takes for the socket of one device: each read and write is a datagram.
struct Pipe {
    device: SocketAddr,
    received: Vec<u8>,
    sent: Rc<RefCell<Datagrams>>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = self.received.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.received[..length]);
        self.received.clear();
        Ok(length)
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.sent.borrow_mut().push(self.device, datagram);
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
