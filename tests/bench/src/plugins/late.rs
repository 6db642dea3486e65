//! Devices that register and update while a plugin loops for some of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_server::{Listener, Server};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::guests::{Form, Hosted};
use crate::report::{Cell, Report};

/// Devices that wait for an answer at once.
const AT_ONCE: u32 = 16;

/// Of so many devices, one is looped for.
const LOOPS_EVERY: u32 = 20;

/// A message that is lost on the way is no figure.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(forms: &[Form], devices: u32) -> anyhow::Result<Report> {
    let columns = [
        "plugin", "devices", "requests", "p50_ms", "p99_ms", "max_ms",
    ];
    let mut report = Report::new(
        "Registrations while a plugin loops for one device in 20",
        &columns,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        measure("none", None, devices, &mut report).await?;
        for form in forms {
            measure(form.name(), Some(form), devices, &mut report).await?;
        }
        anyhow::Ok(())
    })?;
    report.note(
        "from Register to 2.01 over UDP, 16 devices at once; `looped for`: the plugin never comes \
         back and is given up after the 50 ms of on_register, with fail = \"open\" and no breaker; \
         `asked about`: it answers, when it gets to it; `update`: the same devices at a hook that the \
         script does not have, and that components have and have no opinion at",
    );
    Ok(report)
}

async fn measure(
    name: &str,
    form: Option<&Form>,
    devices: u32,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut builder = Server::builder().listen(Listener::coap(([127, 0, 0, 1], 0).into()));
    let hosted = form.map(|form| Hosted::new(form, "loop")).transpose()?;
    if let Some(hosted) = &hosted {
        builder = builder.intercept(Hosted::open(hosted.config()?).await?);
    }
    let server = builder.start().await?;
    let address = *server.local_addresses().first().context("an address")?;
    let mut tasks = JoinSet::new();
    for lane in 0..AT_ONCE {
        tasks.spawn(async move {
            let mut times = Times::default();
            for number in (lane..devices).step_by(AT_ONCE as usize) {
                times.device(address, number).await?;
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Times::default();
    while let Some(times) = tasks.join_next().await {
        let times = times??;
        all.looped.extend(times.looped);
        all.asked.extend(times.asked);
        all.update.extend(times.update);
    }
    for (devices, mut times) in [
        ("looped for", all.looped),
        ("asked about", all.asked),
        ("update", all.update),
    ] {
        times.sort_unstable();
        let quantile = |share: f64| {
            let at = (times.len() as f64 * share).ceil() as usize;
            let time = times.get(at.saturating_sub(1)).copied().unwrap_or_default();
            Cell::Number(time.as_secs_f64() * 1e3, 2)
        };
        report.row(vec![
            Cell::Text(name.to_owned()),
            Cell::Text(devices.to_owned()),
            Cell::Number(times.len() as f64, 0),
            quantile(0.5),
            quantile(0.99),
            quantile(1.0),
        ]);
    }
    server.shutdown().await;
    Ok(())
}

/// How long devices have waited for their answers.
#[derive(Default)]
struct Times {
    looped: Vec<Duration>,
    asked: Vec<Duration>,
    update: Vec<Duration>,
}

impl Times {
    /// A device registers and updates.
    async fn device(&mut self, server: SocketAddr, number: u32) -> anyhow::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server).await?;
        let looped = number.is_multiple_of(LOOPS_EVERY);
        let name = match looped {
            true => format!("ep=loop-{number}"),
            false => format!("ep=meter-{number}"),
        };
        let query = [name.as_bytes(), b"lt=86400", b"lwm2m=1.1", b"b=U"];
        let mut links = String::from("</1/0>,</3/0>;ver=1.1");
        for instance in 0..18 {
            links += &format!(",</3303/{instance}>");
        }
        let registered = exchange(&socket, 1, &[b"rd"], &query, links.as_bytes()).await?;
        ensure!(registered.code == Code::CREATED, "{:?}", registered.code);
        match looped {
            true => self.looped.push(registered.took),
            false => self.asked.push(registered.took),
        }
        let location: Vec<&[u8]> = registered.location.iter().map(Vec::as_slice).collect();
        let updated = exchange(&socket, 2, &location, &[], b"").await?;
        ensure!(updated.code == Code::CHANGED, "{:?}", updated.code);
        self.update.push(updated.took);
        Ok(())
    }
}

struct Answered {
    code: Code,
    location: Vec<Vec<u8>>,
    took: Duration,
}

/// A confirmable POST and its answer, with the acknowledgement or after it.
async fn exchange(
    socket: &UdpSocket,
    id: u16,
    path: &[&[u8]],
    query: &[&[u8]],
    payload: &[u8],
) -> anyhow::Result<Answered> {
    let token = Token::new(&id.to_be_bytes()).context("a token")?;
    let mut request = Vec::new();
    let kind = MessageType::Confirmable;
    let mut builder = MessageBuilder::new(&mut request, kind, Code::POST, id, &token);
    for segment in path {
        builder = builder.option(OptionNumber::URI_PATH, segment);
    }
    if !payload.is_empty() {
        builder = builder.uint(OptionNumber::CONTENT_FORMAT, 40);
    }
    for item in query {
        builder = builder.option(OptionNumber::URI_QUERY, item);
    }
    builder.payload(payload);
    let begun = Instant::now();
    socket.send(&request).await?;
    let mut buffer = vec![0; 2048];
    loop {
        let length = timeout(PATIENCE, socket.recv(&mut buffer)).await;
        let length = length.context("no answer")??;
        let datagram = buffer.get(..length).unwrap_or_default();
        let answer = Message::parse(datagram).context("no CoAP")?;
        if answer.code() == Code::EMPTY {
            continue;
        }
        let took = begun.elapsed();
        if answer.message_type() == MessageType::Confirmable {
            let none = Token::new(&[]).context("a token")?;
            let mut acknowledged = Vec::new();
            let kind = MessageType::Acknowledgement;
            let id = answer.message_id();
            MessageBuilder::new(&mut acknowledged, kind, Code::EMPTY, id, &none).payload(b"");
            socket.send(&acknowledged).await?;
        }
        let location = answer.values(OptionNumber::LOCATION_PATH);
        return Ok(Answered {
            code: answer.code(),
            location: location.map(<[u8]>::to_vec).collect(),
            took,
        });
    }
}
