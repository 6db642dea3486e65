//! Composite operations (Core 1.2.2 §6.3.8 to §6.3.9, §6.4.4).

use std::net::SocketAddr;
use std::time::Instant;

use lwm2m_coap::{Code, IncomingRequest, OptionNumber, Response};
use lwm2m_core::codec;
use lwm2m_core::{ContentFormat, Path, Record, Version};

use super::Client;
use super::operation::Asked;
use crate::Refusal;
use crate::tree::closed;

/// The most paths of one composite request.
const PATHS_MAX: usize = 256;

impl Client {
    pub(super) fn composite(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
        asked: &Asked<'_>,
    ) -> Result<Response, Refusal> {
        if self.version == Version::V1_0 || self.config.quirks.composite_refused {
            return Err(Refusal::not_allowed("no composite operations"));
        }
        if !asked.path.is_root() {
            return Err(Refusal::not_allowed(
                "composite operations are for the root path",
            ));
        }
        match (asked.method, asked.observe) {
            (Code::FETCH, Some(0)) => self.observe_composite(now, request, asked),
            (Code::FETCH, observe) => {
                if observe == Some(1) {
                    self.end_observation(&request.handle.token());
                }
                let (paths, accept) = self.composite_read(asked)?;
                self.composite_content(&paths, accept)
            }
            (Code::IPATCH, _) => self.write_composite(now, asked),
            _ => Err(Refusal::not_allowed("unknown method")),
        }
    }

    /// The paths of a FETCH and the format of its answer.
    pub(super) fn composite_read(&self, asked: &Asked<'_>) -> Result<(Vec<Path>, u16), Refusal> {
        let format = self.composite_format(asked)?;
        let prefix = &self.config.alternate_path;
        let paths = codec::decode_paths(format, prefix, asked.body)
            .map_err(|_| Refusal::bad_request("the payload is no list of paths"))?;
        if paths.len() > PATHS_MAX {
            return Err(Refusal::bad_request("too many paths"));
        }
        let all_closed = paths
            .iter()
            .all(|path| path.object_id().is_some_and(|id| closed(id).is_err()));
        if all_closed && !paths.is_empty() {
            return Err(Refusal::unauthorized("the objects are closed to servers"));
        }
        let default = self.formats.composite_default(format).number();
        Ok((paths, asked.accept.unwrap_or(default)))
    }

    /// The values of these paths; what cannot be read is left out.
    pub(super) fn composite_records(&self, paths: &[Path]) -> Vec<Record<'static>> {
        let mut records: Vec<Record<'static>> = Vec::new();
        for (at, path) in paths.iter().enumerate() {
            // A path below another one is answered with that.
            if paths[..at].iter().any(|earlier| earlier.contains(path)) {
                continue;
            }
            let Ok(found) = self.tree.read(path) else {
                continue;
            };
            let later = &paths[..at];
            let already = |record: &Record<'_>| later.iter().any(|p| p.contains(&record.path));
            records.extend(found.into_iter().filter(|record| !already(record)));
        }
        records
    }

    fn composite_content(&self, paths: &[Path], accept: u16) -> Result<Response, Refusal> {
        let records = self.composite_records(paths);
        self.composite_response(&records, accept)
    }

    pub(super) fn composite_response(
        &self,
        records: &[Record<'_>],
        accept: u16,
    ) -> Result<Response, Refusal> {
        const REFUSED: Refusal = Refusal::not_acceptable("the accepted format is not available");
        let format = ContentFormat::from_number(accept).ok_or(REFUSED)?;
        let carries_paths = matches!(
            format,
            ContentFormat::SenmlJson | ContentFormat::SenmlCbor | ContentFormat::Lwm2mCbor
        );
        if !carries_paths {
            return Err(REFUSED);
        }
        self.content(&Path::ROOT, records, Some(accept))
    }

    fn write_composite(&mut self, now: Instant, asked: &Asked<'_>) -> Result<Response, Refusal> {
        let format = match asked.format.and_then(ContentFormat::from_number) {
            Some(ContentFormat::Lwm2mCbor) => {
                self.formats.of_payload(ContentFormat::Lwm2mCbor.number())?
            }
            _ => self.composite_format(asked)?,
        };
        let decoded = codec::decode(format, self.scope(Path::ROOT), asked.body, &self.tree)
            .map_err(|_| Refusal::bad_request("the payload is malformed"))?;
        let records = decoded
            .strict()
            .map_err(|_| Refusal::bad_request("a value has the wrong type"))?;
        if records.is_empty() {
            return Err(Refusal::bad_request("nothing to write"));
        }
        let effects = self.tree.write_composite(records, now)?;
        self.effects.extend(effects);
        Ok(Response::new(Code::CHANGED))
    }

    /// The format of the body, which is some form of SenML.
    fn composite_format(&self, asked: &Asked<'_>) -> Result<ContentFormat, Refusal> {
        const UNSUPPORTED: Refusal =
            Refusal::unsupported_format("composite bodies are SenML or SenML-ETCH");
        let number = asked.format.ok_or(UNSUPPORTED)?;
        let format = self.formats.of_payload(number)?;
        let senml = matches!(
            format,
            ContentFormat::SenmlJson
                | ContentFormat::SenmlCbor
                | ContentFormat::SenmlEtchJson
                | ContentFormat::SenmlEtchCbor
        );
        if senml { Ok(format) } else { Err(UNSUPPORTED) }
    }

    /// A response to an observe request carries the Observe option; the engine numbers it.
    pub(super) fn observing(response: Response) -> Response {
        response.uint(OptionNumber::OBSERVE, 0)
    }
}
