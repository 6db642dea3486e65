//! Alerts of our own, where no library has taken the connection (RFC 8446 §6).

use lwm2m_dtls::Alert;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Ends a handshake; a peer that does not hear of it has gone.
pub(in crate::transport) async fn send(io: &mut (impl AsyncWrite + Unpin), alert: Alert) {
    const RECORD_ALERT: u8 = 21;
    const FATAL: u8 = 2;
    let record = [RECORD_ALERT, 3, 3, 0, 2, FATAL, alert.0];
    let _ = io.write_all(&record).await;
    let _ = io.shutdown().await;
}
