//! Operations on a device: each handler makes a request, sends it, and shows the answer.

use std::time::{Instant, SystemTime};

use axum::extract::State;
use lwm2m_core::{Attributes, ExecuteArguments, Path, PathLevel, Request, WriteMode};
use lwm2m_server::{Content, EndpointName, Registration, RequestOptions, Server};
use serde::Deserialize;

use crate::answer::Answer;
use crate::body::Body;
use crate::naming::Naming;
use crate::problem::Problem;
use crate::query::Query;
use crate::target::{Client, Target};
use crate::value::WriteBody;

pub(crate) async fn read(
    State(server): State<Server>,
    target: Target,
    mut query: Query,
) -> Result<Answer, Problem> {
    let request = Request::Read {
        path: target.path,
        accept: query.format("format")?,
    };
    answered(&server, &target.endpoint, request, query).await
}

pub(crate) async fn replace(
    State(server): State<Server>,
    target: Target,
    query: Query,
    Body(body): Body<WriteBody>,
) -> Result<Answer, Problem> {
    write(&server, target, WriteMode::Replace, query, body).await
}

pub(crate) async fn update(
    State(server): State<Server>,
    target: Target,
    query: Query,
    Body(body): Body<WriteBody>,
) -> Result<Answer, Problem> {
    write(&server, target, WriteMode::Update, query, body).await
}

async fn write(
    server: &Server,
    target: Target,
    mode: WriteMode,
    mut query: Query,
    body: WriteBody,
) -> Result<Answer, Problem> {
    let exchange = Exchange::with(server, &target.endpoint).await?;
    let request = Request::Write {
        path: target.path,
        mode,
        records: body.records(target.path, &exchange.naming())?,
        format: query.format("format")?,
    };
    exchange.send(request, query).await
}

pub(crate) async fn delete(
    State(server): State<Server>,
    target: Target,
    query: Query,
) -> Result<Answer, Problem> {
    let request = Request::Delete { path: target.path };
    answered(&server, &target.endpoint, request, query).await
}

pub(crate) async fn discover(
    State(server): State<Server>,
    target: Target,
    mut query: Query,
) -> Result<Answer, Problem> {
    let request = Request::Discover {
        path: target.path,
        depth: query.parsed("depth")?,
    };
    answered(&server, &target.endpoint, request, query).await
}

pub(crate) async fn write_attributes(
    State(server): State<Server>,
    target: Target,
    mut query: Query,
) -> Result<Answer, Problem> {
    let options = query.options()?;
    let items = query.items();
    let attributes = Attributes::from_query(items.iter().map(String::as_str))
        .map_err(|error| Problem::parameter(error.to_string()))?;
    let request = Request::WriteAttributes {
        path: target.path,
        attributes,
    };
    let exchange = Exchange::with(&server, &target.endpoint).await?;
    exchange.send_with(request, options).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExecuteBody {
    arguments: String,
}

pub(crate) async fn execute(
    State(server): State<Server>,
    target: Target,
    query: Query,
    Body(body): Body<ExecuteBody>,
) -> Result<Answer, Problem> {
    let arguments = ExecuteArguments::parse(&body.arguments)
        .map_err(|error| Problem::value(error.to_string()))?;
    let request = Request::Execute {
        path: target.path,
        arguments,
    };
    answered(&server, &target.endpoint, request, query).await
}

pub(crate) async fn create(
    State(server): State<Server>,
    target: Target,
    mut query: Query,
    Body(body): Body<WriteBody>,
) -> Result<Answer, Problem> {
    let exchange = Exchange::with(&server, &target.endpoint).await?;
    let device_chooses = match query.take("instance").as_deref() {
        None => false,
        Some("device") => true,
        Some(other) => {
            return Err(Problem::parameter(format!(
                "instance={other:?}: device, or no such parameter; a number goes into the path"
            )));
        }
    };
    let (object, instance) = match (target.path.ids(), device_chooses) {
        (&[object], true) => (object, None),
        (&[object], false) => (object, exchange.free_instance(object)),
        (&[object, instance], false) => (object, Some(instance)),
        _ => {
            return Err(Problem::path(format!(
                "{} is neither an object nor an instance to create",
                target.path
            )));
        }
    };
    // 65535 stands for the instance that the device will choose.
    let new = Path::instance(object, instance.unwrap_or(u16::MAX));
    let request = Request::Create {
        object,
        instance,
        records: body.records_or_none(new, &exchange.naming())?,
        format: query.format("format")?,
    };
    exchange.send(request, query).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PathsBody {
    paths: Vec<String>,
}

pub(crate) async fn read_composite(
    State(server): State<Server>,
    Client(endpoint): Client,
    mut query: Query,
    Body(body): Body<PathsBody>,
) -> Result<Answer, Problem> {
    let request = Request::ReadComposite {
        paths: paths(&body.paths)?,
        format: query.format("format")?,
        accept: query.format("accept")?,
    };
    answered(&server, &endpoint, request, query).await
}

pub(crate) async fn write_composite(
    State(server): State<Server>,
    Client(endpoint): Client,
    mut query: Query,
    Body(body): Body<WriteBody>,
) -> Result<Answer, Problem> {
    let exchange = Exchange::with(&server, &endpoint).await?;
    let request = Request::WriteComposite {
        records: body.records(Path::ROOT, &exchange.naming())?,
        format: query.format("format")?,
    };
    exchange.send(request, query).await
}

/// LwM2M paths of a body.
pub(crate) fn paths(texts: &[String]) -> Result<Vec<Path>, Problem> {
    let parsed = texts.iter().map(|text| {
        text.parse()
            .map_err(|error| Problem::path(format!("{text:?}: {error}")))
    });
    parsed.collect()
}

/// Sends a request that needs no look at the models.
async fn answered(
    server: &Server,
    endpoint: &EndpointName,
    request: Request,
    query: Query,
) -> Result<Answer, Problem> {
    let exchange = Exchange::with(server, endpoint).await?;
    exchange.send(request, query).await
}

/// One request to one device.
pub(crate) struct Exchange<'s> {
    server: &'s Server,
    registration: Registration,
}

impl<'s> Exchange<'s> {
    pub(crate) async fn with(
        server: &'s Server,
        endpoint: &EndpointName,
    ) -> Result<Exchange<'s>, Problem> {
        let registration = server
            .registration(endpoint.as_str())
            .await
            .ok_or_else(|| Problem::not_registered(endpoint.as_str()))?;
        Ok(Exchange {
            server,
            registration,
        })
    }

    pub(crate) fn naming(&self) -> Naming<'_> {
        Naming::new(self.server.models(), Some(&self.registration))
    }

    /// The lowest instance id that the device does not list.
    fn free_instance(&self, object: u16) -> Option<u16> {
        let taken: Vec<u16> = self.registration.objects.instances(object).collect();
        (0..=Path::MAX_ID).find(|id| !taken.contains(id))
    }

    /// Sends a request as the rest of the query says.
    pub(crate) async fn send(self, request: Request, mut query: Query) -> Result<Answer, Problem> {
        let options = query.options()?;
        query.finish()?;
        self.send_with(request, options).await
    }

    async fn send_with(self, request: Request, options: RequestOptions) -> Result<Answer, Problem> {
        let endpoint = self.registration.endpoint.as_str();
        let sent_at = Instant::now();
        let response = self.server.device(endpoint).send(request, options).await?;
        let naming = self.naming();
        let answer = Answer::new(&response, &naming, sent_at.elapsed(), SystemTime::now());
        let client = format!("/api/v1/clients/{}", encoded(endpoint));
        Ok(match (&response.content, response.observation) {
            (Content::Created(path), _) if path.level() == PathLevel::ObjectInstance => {
                answer.at(format!("{client}/objects{path}"))
            }
            (_, Some(id)) => answer.at(format!("{client}/observations/{}", id.0)),
            _ => answer,
        })
    }
}

/// Percent-encodes a segment of a path.
fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
