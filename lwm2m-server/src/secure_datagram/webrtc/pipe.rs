//! The pipe that the library takes for the socket of one peer.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use lwm2m_dtls::Path;
use tokio::sync::{Mutex, mpsc};
use webrtc_util::Conn;

use super::Report;

/// What the library takes for the socket of one peer.
pub(super) struct Pipe<P> {
    path: P,
    datagrams: Mutex<mpsc::Receiver<Vec<u8>>>,
    reporter: mpsc::Sender<Report<P>>,
}

impl<P> Pipe<P> {
    /// A pipe from where `datagrams` come.
    pub(super) fn new(
        path: P,
        datagrams: mpsc::Receiver<Vec<u8>>,
        reporter: mpsc::Sender<Report<P>>,
    ) -> Pipe<P> {
        Pipe {
            path,
            datagrams: Mutex::new(datagrams),
            reporter,
        }
    }
}

type UtilResult<T> = Result<T, webrtc_util::Error>;

#[async_trait::async_trait]
impl<P: Path + Send + Sync + 'static> Conn for Pipe<P> {
    async fn connect(&self, _: SocketAddr) -> UtilResult<()> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> UtilResult<usize> {
        let datagram = self.datagrams.lock().await.recv().await;
        let Some(datagram) = datagram else {
            return Err(webrtc_util::Error::ErrAlreadyClosed);
        };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> UtilResult<(usize, SocketAddr)> {
        Ok((self.recv(buffer).await?, nowhere()))
    }

    async fn send(&self, datagram: &[u8]) -> UtilResult<usize> {
        let report = Report::Transmit(self.path, Bytes::copy_from_slice(datagram));
        // Lost when too many wait already.
        let _ = self.reporter.try_send(report);
        Ok(datagram.len())
    }

    async fn send_to(&self, datagram: &[u8], _: SocketAddr) -> UtilResult<usize> {
        self.send(datagram).await
    }

    fn local_addr(&self) -> UtilResult<SocketAddr> {
        Ok(nowhere())
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(nowhere())
    }

    async fn close(&self) -> UtilResult<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// The library asks for an address and has no use for it.
fn nowhere() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}
