//! Device management: requests of the server on single paths (Core 1.2.2 §6.3).

use std::net::SocketAddr;
use std::time::Instant;

use lwm2m_coap::{Code, IncomingRequest, Message, OptionNumber, Response};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{
    Attributes, ContentFormat, DataType, ExecuteArguments, Path, PathLevel, Record, ResourceTypes,
    Version, WriteMode,
};

use super::{Client, DeviceEvent};
use crate::reporting::discover;
use crate::{ObjectTree, Refusal};

/// The parts of a request that operations go by.
pub(super) struct Asked<'r> {
    pub(super) method: Code,
    pub(super) path: Path,
    pub(super) query: Vec<&'r str>,
    pub(super) accept: Option<u16>,
    pub(super) format: Option<u16>,
    pub(super) observe: Option<u32>,
    pub(super) body: &'r [u8],
}

impl Client {
    /// The answer to a request; none when it stays unanswered.
    pub(super) fn serve(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
    ) -> Option<Response> {
        let method = request.message.code();
        let asked = self.asked(&request.message, &request.body);
        let path = asked.as_ref().ok().map(|asked| asked.path);
        let composite = matches!(method, Code::FETCH | Code::IPATCH | Code::PATCH);
        let quirks = &self.config.quirks;
        let response = if quirks.silent || (composite && quirks.composite_without_answer) {
            None
        } else {
            let outcome = asked.and_then(|asked| {
                if composite {
                    self.composite(now, request, &asked)
                } else {
                    self.operation(now, request, &asked)
                }
            });
            Some(outcome.unwrap_or_else(|refusal| {
                Response::new(refusal.code).payload(refusal.reason.as_bytes())
            }))
        };
        self.tell(DeviceEvent::Requested {
            method,
            path,
            code: response.as_ref().map(|response| response.code),
        });
        response
    }

    fn operation(
        &mut self,
        now: Instant,
        request: &IncomingRequest<'_, SocketAddr>,
        asked: &Asked<'_>,
    ) -> Result<Response, Refusal> {
        let path = &asked.path;
        if path.is_root() {
            return Err(Refusal::not_allowed("not on the root path"));
        }
        if path.level() == PathLevel::ResourceInstance && self.version == Version::V1_0 {
            return Err(Refusal::not_allowed(
                "LwM2M 1.0 has no resource instance paths",
            ));
        }
        // Closed objects are told apart before anything else (int-221).
        self.tree.object(path)?;
        match asked.method {
            Code::GET if asked.accept == Some(ContentFormat::Link.number()) => {
                self.discover(path, &asked.query)
            }
            Code::GET if asked.observe == Some(0) => self.observe(now, request, asked),
            Code::GET if asked.observe == Some(1) => {
                self.end_observation(&request.handle.token());
                self.read(path, asked.accept)
            }
            Code::GET => self.read(path, asked.accept),
            Code::PUT if asked.body.is_empty() && asked.format.is_none() => {
                self.write_attributes(now, path, &asked.query)
            }
            Code::PUT => self.write(now, asked, WriteMode::Replace),
            Code::POST => self.post(now, asked),
            Code::DELETE => {
                self.tree.delete(path)?;
                Ok(Response::new(Code::DELETED))
            }
            _ => Err(Refusal::not_allowed("unknown method")),
        }
    }

    fn read(&self, path: &Path, accept: Option<u16>) -> Result<Response, Refusal> {
        let records = self.tree.read(path)?;
        self.content(path, &records, accept)
    }

    /// A 2.05 with these values, for Read and for notifications.
    pub(super) fn content(
        &self,
        path: &Path,
        records: &[Record<'_>],
        accept: Option<u16>,
    ) -> Result<Response, Refusal> {
        let quirks = &self.config.quirks;
        let scope = self.scope(*path);
        let accept = accept.filter(|_| !quirks.ignore_accept);
        let (format, body) = self.formats.encode(&self.tree, scope, records, accept)?;
        let response = Response::new(Code::CONTENT).payload(body);
        if quirks.no_content_format {
            return Ok(response);
        }
        Ok(response.uint(OptionNumber::CONTENT_FORMAT, u32::from(format.number())))
    }

    fn discover(&self, path: &Path, query: &[&str]) -> Result<Response, Refusal> {
        const DEPTH: Refusal = Refusal::bad_request("depth is 0 to 3");
        let mut depth = None;
        for item in query {
            match item.strip_prefix("depth=") {
                // Clients before 1.2 ignore what they do not know.
                _ if self.version < Version::V1_2 => {}
                Some(levels) if depth.is_none() => {
                    depth = Some(levels.parse().ok().filter(|d| *d <= 3).ok_or(DEPTH)?);
                }
                _ => return Err(DEPTH),
            }
        }
        let defaults = self.default_attributes();
        let links = self.links();
        let text = discover(&self.tree, &self.attributes, &defaults, links, path, depth)?;
        let format = u32::from(ContentFormat::Link.number());
        Ok(Response::new(Code::CONTENT)
            .uint(OptionNumber::CONTENT_FORMAT, format)
            .payload(text))
    }

    fn write_attributes(
        &mut self,
        now: Instant,
        path: &Path,
        query: &[&str],
    ) -> Result<Response, Refusal> {
        self.tree.check_target(path)?;
        let attributes = self.attributes_of(path, query)?;
        if attributes.is_empty() {
            return Err(Refusal::bad_request("no attribute is named"));
        }
        self.attributes.write(*path, &attributes)?;
        self.conditions_changed(now);
        Ok(Response::new(Code::CHANGED))
    }

    /// Attributes in a query, with their scope checked.
    pub(super) fn attributes_of(&self, path: &Path, query: &[&str]) -> Result<Attributes, Refusal> {
        let attributes = Attributes::from_query(query.iter().copied())
            .map_err(|_| Refusal::bad_request("the attributes are malformed or unknown"))?;
        attributes
            .validate(self.version, path.level(), self.data_type(path))
            .map_err(|_| Refusal::bad_request("the attributes do not apply or contradict"))?;
        Ok(attributes)
    }

    fn write(
        &mut self,
        now: Instant,
        asked: &Asked<'_>,
        mode: WriteMode,
    ) -> Result<Response, Refusal> {
        let path = &asked.path;
        if path.level() == PathLevel::Object {
            return Err(Refusal::not_allowed("Write is for instances and resources"));
        }
        self.tree.check_target_to_write(path)?;
        let records = self.decode(asked)?;
        let effects = self.tree.write(path, mode, records, now)?;
        self.effects.extend(effects);
        Ok(Response::new(Code::CHANGED))
    }

    fn post(&mut self, now: Instant, asked: &Asked<'_>) -> Result<Response, Refusal> {
        match asked.path.level() {
            PathLevel::Object => self.create(now, asked),
            PathLevel::ObjectInstance => self.write(now, asked, WriteMode::Update),
            PathLevel::Resource => {
                let operations = self.tree.definition(&asked.path)?.operations;
                if operations.execute || !operations.write {
                    self.execute(now, asked)
                } else {
                    self.write(now, asked, WriteMode::Update)
                }
            }
            _ => Err(Refusal::not_allowed("POST is not for resource instances")),
        }
    }

    fn execute(&mut self, now: Instant, asked: &Asked<'_>) -> Result<Response, Refusal> {
        const ARGUMENTS: Refusal = Refusal::bad_request("the arguments are malformed");
        let text = ContentFormat::Text.number();
        if !asked.body.is_empty() && asked.format.is_some_and(|format| format != text) {
            return Err(Refusal::unsupported_format("arguments are plain text"));
        }
        let arguments = std::str::from_utf8(asked.body).map_err(|_| ARGUMENTS)?;
        let arguments = ExecuteArguments::parse(arguments).map_err(|_| ARGUMENTS)?;
        let effects = self.tree.execute(&asked.path, &arguments, now)?;
        self.effects.extend(effects);
        Ok(Response::new(Code::CHANGED))
    }

    fn create(&mut self, now: Instant, asked: &Asked<'_>) -> Result<Response, Refusal> {
        let object = asked.path.ids()[0];
        let records = self.decode(asked)?;
        let (instance, chosen, effects) = self.tree.create(object, records, now)?;
        self.effects.extend(effects);
        let response = Response::new(Code::CREATED);
        if !chosen || self.config.quirks.create_without_location {
            return Ok(response);
        }
        let prefix = self.config.alternate_path.split('/').map(str::to_owned);
        let ids = [object.to_string(), instance.to_string()];
        let segments = prefix.filter(|segment| !segment.is_empty()).chain(ids);
        Ok(segments.fold(response, |response, segment| {
            response.option(OptionNumber::LOCATION_PATH, segment)
        }))
    }

    fn decode<'r>(&self, asked: &Asked<'r>) -> Result<Vec<Record<'r>>, Refusal> {
        let format = match asked.format {
            Some(number) => self.formats.of_payload(number)?,
            None if asked.path.level() >= PathLevel::Resource => ContentFormat::Text,
            None => return Err(Refusal::unsupported_format("no content format")),
        };
        let scope = self.scope(asked.path);
        let decoded = codec::decode(format, scope, asked.body, &self.tree)
            .map_err(|_| Refusal::bad_request("the payload is malformed"))?;
        decoded
            .strict()
            .map_err(|_| Refusal::bad_request("a value has the wrong type"))
    }

    pub(super) fn scope(&self, path: Path) -> Scope<'_> {
        Scope {
            path,
            prefix: &self.config.alternate_path,
        }
    }

    fn data_type(&self, path: &Path) -> Option<DataType> {
        let (object, resource) = (path.object_id()?, path.resource_id()?);
        let resource_type = self.tree.resource_type(object, resource)?;
        Some(resource_type.data_type)
    }

    pub(super) fn asked<'r>(
        &self,
        message: &Message<'r>,
        body: &'r [u8],
    ) -> Result<Asked<'r>, Refusal> {
        let query: Result<Vec<&str>, _> = message
            .values(OptionNumber::URI_QUERY)
            .map(std::str::from_utf8)
            .collect();
        let number = |option| {
            let value = message.uint(option);
            value.and_then(|number| u16::try_from(number).ok())
        };
        Ok(Asked {
            method: message.code(),
            path: self.target(message)?,
            query: query.map_err(|_| Refusal::bad_request("the query is not UTF-8"))?,
            accept: number(OptionNumber::ACCEPT),
            format: number(OptionNumber::CONTENT_FORMAT),
            observe: message.uint(OptionNumber::OBSERVE),
            body,
        })
    }

    /// The target without the alternate path.
    fn target(&self, message: &Message<'_>) -> Result<Path, Refusal> {
        const NOT_FOUND: Refusal = Refusal::not_found("no LwM2M path");
        let mut segments = message.values(OptionNumber::URI_PATH);
        let prefix = self.config.alternate_path.split('/');
        for expected in prefix.filter(|segment| !segment.is_empty()) {
            if segments.next() != Some(expected.as_bytes()) {
                return Err(NOT_FOUND);
            }
        }
        let mut path = Path::ROOT;
        for segment in segments {
            if segment.is_empty() {
                let reason = "a path has no empty segment";
                return Err(Refusal::new(Code::BAD_OPTION, reason));
            }
            let id = std::str::from_utf8(segment).map_err(|_| NOT_FOUND)?;
            let one: Path = format!("/{id}").parse().map_err(|_| NOT_FOUND)?;
            let [id] = one.ids() else {
                return Err(NOT_FOUND);
            };
            path = path.child(*id).map_err(|_| NOT_FOUND)?;
        }
        Ok(path)
    }
}

impl ObjectTree {
    /// As [`ObjectTree::check_target`], but a resource may be without a value yet, and a resource
    /// instance is made by writing it.
    fn check_target_to_write(&self, path: &Path) -> Result<(), Refusal> {
        match path.level() {
            PathLevel::Resource | PathLevel::ResourceInstance => self.definition(path).map(|_| ()),
            _ => self.check_target(path),
        }
    }
}
