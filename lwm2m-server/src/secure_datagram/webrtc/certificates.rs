//! Certificates between the library and us.

use base64::Engine as _;
use lwm2m_dtls::{
    Certificate, CertificateChain, CertificateError, ChainLimits, ServerCertificate, TrustStore,
    X509Identity, verify_client,
};
use webrtc_dtls::crypto::Certificate as WebRtcCertificate;
use zeroize::Zeroizing;

use super::WebRtcDtlsError;

/// Checks the chain of a client as `lwm2m-dtls` does.
pub(super) fn verify(
    chain: &[Vec<u8>],
    trust: &TrustStore,
    unix_s: u64,
) -> Result<X509Identity, CertificateError> {
    let mut body = Vec::new();
    let length = |bytes: usize| (bytes as u32).to_be_bytes();
    let total: usize = chain.iter().map(|certificate| certificate.len() + 3).sum();
    body.extend_from_slice(&length(total)[1..]);
    for certificate in chain {
        body.extend_from_slice(&length(certificate.len())[1..]);
        body.extend_from_slice(certificate);
    }
    let none = || CertificateChain::new(Vec::<Certificate>::new());
    let chain = match CertificateChain::decode(&body, ChainLimits::default())? {
        Some(chain) => chain,
        None => none()?,
    };
    verify_client(&chain, trust, unix_s)
}

/// The library takes a key and its chain as one text.
pub(super) fn convert(server: &ServerCertificate) -> Result<WebRtcCertificate, WebRtcDtlsError> {
    let error = |error: String| WebRtcDtlsError::Certificate(error);
    let key = server.key().to_pkcs8().map_err(|e| error(e.to_string()))?;
    let mut text = Zeroizing::new(String::with_capacity(8192));
    section(&mut text, "PRIVATE_KEY", &key);
    for certificate in server.chain().certificates() {
        section(&mut text, "CERTIFICATE", certificate.as_der());
    }
    WebRtcCertificate::from_pem(&text).map_err(|e| error(e.to_string()))
}

fn section(text: &mut String, label: &str, der: &[u8]) {
    let base64 = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in base64.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
}
