//! Answers and reports whose payload is nonsense (N21, N28 to N31, N45).

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, Path, Record, Value};

use super::random::Random;
use crate::http::api::{Api, serve, setup};
use crate::peer::Peer;
use crate::site::path;

/// Payloads of every format that are right, to be broken.
fn payloads(server: &lwm2m_server::Server) -> Vec<(u16, Vec<u8>)> {
    let records = [
        Record::new(path("/3/0/0"), "Simulated Devices"),
        Record::new(path("/3/0/9"), i64::MIN),
        Record::new(path("/3/0/11/0"), 0),
        Record::new(path("/3/0/13"), Value::Time(i64::MAX)),
    ];
    let models = server.models();
    let types = |object, resource| {
        let model = models.object(object, None)?;
        let resource = model.resource(resource)?;
        Some(lwm2m_core::ResourceType {
            data_type: resource.data_type?,
            multiple: resource.multiple,
        })
    };
    let types = Types(types);
    let scope = Scope::from(Path::ROOT);
    let mut payloads = Vec::new();
    for format in ContentFormat::ALL {
        let scope = match format {
            ContentFormat::Tlv | ContentFormat::Json => Scope::from(path("/3")),
            _ => scope,
        };
        let mut payload = Vec::new();
        if codec::encode(format, scope, &records, &types, &mut payload).is_ok() {
            payloads.push((format.number(), payload));
        }
    }
    assert!(payloads.len() >= 5, "{}", payloads.len());
    payloads.push((0, b"text".to_vec()));
    payloads.push((42, vec![0, 1, 2]));
    payloads.push((60, vec![0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]));
    payloads.push((40, b"</3>;pmin=1,</3/0>".to_vec()));
    payloads.push((65535, b"?".to_vec()));
    payloads
}

struct Types<F>(F);

impl<F> lwm2m_core::ResourceTypes for Types<F>
where
    F: Fn(u16, u16) -> Option<lwm2m_core::ResourceType>,
{
    fn resource_type(&self, object: u16, resource: u16) -> Option<lwm2m_core::ResourceType> {
        (self.0)(object, resource)
    }
}

/// One of the payloads, with up to four bytes broken.
fn broken(random: &mut Random, payloads: &[(u16, Vec<u8>)]) -> (u16, Vec<u8>) {
    let (format, mut payload) = random.pick(payloads).clone();
    for _ in 0..random.below(5) {
        if payload.is_empty() {
            break;
        }
        let at = random.below(payload.len());
        match random.below(3) {
            0 => payload[at] = random.byte(),
            1 => payload.truncate(at),
            _ => payload.insert(at, random.byte()),
        }
    }
    (format, payload)
}

async fn still_serves(api: &Api, device: &Peer) {
    let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/9", "");
    serve(device, |answer| answer.format(0).payload("87")).await;
    let body = reply.await.expect("no panic").ok();
    assert_eq!(body["values"][0]["value"], 87);
}

#[tokio::test]
async fn answers_of_nonsense() {
    let (server, api, device) = setup("1.2").await;
    let payloads = payloads(&server);
    let mut random = Random::new(31);
    let (mut understood, mut refused) = (0, 0);
    for _ in 0..600 {
        let (format, payload) = broken(&mut random, &payloads);
        let target = *random.pick(&[
            "objects/3",
            "objects/3/0",
            "objects/3/0/9",
            "objects/3/0/11",
            "discover/3",
        ]);
        let reply = api.start("GET", &format!("/api/v1/clients/a/{target}"), "");
        let shown = format!("{target} {format} {payload:02x?}");
        serve(&device, |answer| answer.format(format).payload(payload)).await;
        let reply = reply.await.expect(&shown);
        match reply.status {
            200 => understood += 1,
            502 => {
                refused += 1;
                let word = reply.problem();
                let known = ["undecodable-answer", "protocol-violation"];
                assert!(known.contains(&word), "{shown}: {word}");
            }
            status => panic!("{shown}: {status}"),
        }
    }
    assert!(understood > 50 && refused > 50, "{understood} {refused}");
    still_serves(&api, &device).await;
}

#[tokio::test]
async fn notifications_and_sends_of_nonsense() {
    let (server, api, mut device) = setup("1.2").await;
    let payloads = payloads(&server);
    let reply = api.start(
        "POST",
        "/api/v1/clients/a/observations",
        r#"{"path":"/3/0"}"#,
    );
    let observed = serve(&device, |answer| {
        answer.option(OptionNumber::OBSERVE, [1]).format(11542)
    })
    .await;
    assert_eq!(reply.await.expect("no panic").status, 201);
    let mut random = Random::new(32);
    for number in 2..300_u16 {
        let (format, payload) = broken(&mut random, &payloads);
        let mut notification = device
            .answer(&observed, Code::CONTENT)
            .option(OptionNumber::OBSERVE, number.to_be_bytes())
            .format(format)
            .payload(&payload);
        notification.message_type = MessageType::Confirmable;
        notification.message_id = 30_000 + number;
        device.send(&notification.encode()).await;
        let ack = device.receive().await;
        assert_eq!(ack.message_id, notification.message_id);
        assert_eq!(ack.message_type, MessageType::Acknowledgement);
        let (format, payload) = broken(&mut random, &payloads);
        let send = device
            .request(Code::POST, "dp")
            .format(format)
            .payload(&payload);
        let code = device.exchange(send).await.code;
        assert!(
            matches!(
                code,
                Code::CHANGED
                    | Code::BAD_REQUEST
                    | Code::NOT_FOUND
                    | Code::UNSUPPORTED_CONTENT_FORMAT
            ),
            "{format} {payload:02x?}: {code:?}"
        );
    }
    // The observation stands all the same.
    let standing = api.get("/api/v1/clients/a/observations").await.ok();
    assert!(standing.to_string().contains("/3/0"), "{standing}");
    still_serves(&api, &device).await;
}
