//! Downloads over CoAP, for firmware that is pulled.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use lwm2m_coap::{Code, Failure, IncomingResponse, OptionNumber, OutgoingRequest, RequestId};

use super::Client;
use crate::DownloadError;

/// The object that downloads.
const FIRMWARE: u16 = 5;

#[derive(Debug)]
pub(super) struct Download {
    request: RequestId,
    pub(super) peer: SocketAddr,
}

impl Client {
    pub(super) fn start_download(&mut self, now: Instant, uri: &str) {
        self.cancel_download();
        match parse(uri) {
            Ok((peer, request)) => match self.endpoint.request(now, peer, request) {
                Ok(request) => self.download = Some(Download { request, peer }),
                Err(_) => {
                    let lost = DownloadError::Transfer(Failure::PeerGone);
                    self.end_download(now, Err(lost));
                }
            },
            Err(error) => self.end_download(now, Err(error)),
        }
    }

    pub(super) fn cancel_download(&mut self) {
        if let Some(download) = self.download.take() {
            self.endpoint.cancel(download.request);
        }
    }

    /// True when the response was to a download.
    pub(super) fn downloaded(
        &mut self,
        now: Instant,
        response: &IncomingResponse<'_, SocketAddr>,
    ) -> bool {
        if !self.is_download(response.request) {
            return false;
        }
        let result = match response.message.code() {
            Code::CONTENT => Ok(&response.body[..]),
            code => Err(DownloadError::Code(code)),
        };
        self.end_download(now, result);
        true
    }

    /// True when the failed request was a download.
    pub(super) fn download_failed(
        &mut self,
        now: Instant,
        request: RequestId,
        failure: Failure,
    ) -> bool {
        let failed = self.is_download(request);
        if failed {
            self.end_download(now, Err(DownloadError::Transfer(failure)));
        }
        failed
    }

    fn is_download(&self, request: RequestId) -> bool {
        self.download.as_ref().is_some_and(|d| d.request == request)
    }

    fn end_download(&mut self, now: Instant, result: Result<&[u8], DownloadError>) {
        self.download = None;
        let mut context = self.tree.context(now);
        if let Ok(object) = self.tree.object_mut(FIRMWARE) {
            object.downloaded(result, &mut context);
        }
        self.perform(now, context.into_effects());
    }
}

/// Reads `coap://address[:port]/path`; a host name other than `localhost` is not resolved.
fn parse(uri: &str) -> Result<(SocketAddr, OutgoingRequest), DownloadError> {
    let (scheme, rest) = uri.split_once("://").ok_or(DownloadError::Uri)?;
    if !scheme.eq_ignore_ascii_case("coap") {
        let known = ["coaps", "coap+tcp", "coaps+tcp", "http", "https"];
        let known = known.iter().any(|name| scheme.eq_ignore_ascii_case(name));
        return Err(if known {
            DownloadError::Scheme
        } else {
            DownloadError::Uri
        });
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut request = OutgoingRequest::new(Code::GET);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        request = request.option(OptionNumber::URI_PATH, decoded(segment)?);
    }
    for item in query.split('&').filter(|item| !item.is_empty()) {
        request = request.option(OptionNumber::URI_QUERY, decoded(item)?);
    }
    Ok((address(host)?, request))
}

fn address(host: &str) -> Result<SocketAddr, DownloadError> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, 5683));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "5683"));
    let port = port.parse().map_err(|_| DownloadError::Uri)?;
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    Err(DownloadError::Uri)
}

/// Resolves `%41`.
fn decoded(text: &str) -> Result<Bytes, DownloadError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let hex = rest.get(..2).ok_or(DownloadError::Uri)?;
        let hex = std::str::from_utf8(hex).map_err(|_| DownloadError::Uri)?;
        out.push(u8::from_str_radix(hex, 16).map_err(|_| DownloadError::Uri)?);
        rest = &rest[2..];
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_coap_uris() {
        for (uri, expected) in [
            ("coap://192.0.2.1/fw/a%2Fb", "192.0.2.1:5683"),
            ("coap://192.0.2.1:5000/fw/a%2Fb", "192.0.2.1:5000"),
            ("COAP://[2001:db8::1]/fw/a%2Fb", "[2001:db8::1]:5683"),
            ("coap://[2001:db8::1]:5000/fw/a%2Fb", "[2001:db8::1]:5000"),
            ("coap://localhost:5000/fw/a%2Fb", "127.0.0.1:5000"),
        ] {
            let (peer, request) = parse(uri).unwrap();
            assert_eq!(peer.to_string(), expected);
            let segments: Vec<&[u8]> = request.options.iter().map(|(_, v)| &v[..]).collect();
            assert_eq!(segments, [&b"fw"[..], b"a/b"]);
        }
    }

    #[test]
    fn tells_unsupported_schemes_from_nonsense() {
        for (uri, error) in [
            ("https://example.org/fw", DownloadError::Scheme),
            ("coaps://192.0.2.1/fw", DownloadError::Scheme),
            ("gopher://192.0.2.1/fw", DownloadError::Uri),
            ("nonsense", DownloadError::Uri),
            ("coap://host.example/fw", DownloadError::Uri),
            ("coap://192.0.2.1/%4", DownloadError::Uri),
            ("coap://192.0.2.1/%zz", DownloadError::Uri),
        ] {
            assert_eq!(parse(uri).unwrap_err(), error, "{uri}");
        }
    }
}
