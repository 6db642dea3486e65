//! Every hook is called, and what is answered arrives.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_core::{Attributes, ObjectLink, Path, Record, Value};
use lwm2m_server::bootstrap::{BootstrapAnswer, BootstrapRequest};
use lwm2m_server::credentials::Proof;
use lwm2m_server::hooks::{
    BootstrapEnd, CredentialAnswer, CredentialRequest, EndReason, FirmwareChoice, FirmwareEvent,
    FirmwareImage, FirmwareJob, FirmwareStrategy, FirmwareVerdict, Grouping, ObserveFailure,
    ObservePlan, Outcome, Repair,
};
use lwm2m_server::{Code, Decision, Hook, HookSet, Interceptor, PeerIdentity};

use super::guest::{DATA, Guest, answer, answer_words};
use super::{Hosted, batch, endpoint, refusal, registration, update};

fn psk() -> Arc<CredentialRequest> {
    Arc::new(CredentialRequest::new(PeerIdentity::psk(b"meter-1", None)))
}

fn bootstrap_request() -> Arc<BootstrapRequest> {
    Arc::new(BootstrapRequest::new(
        endpoint(),
        ([127, 0, 0, 1], 40_000).into(),
    ))
}

fn job() -> Arc<FirmwareJob> {
    Arc::new(FirmwareJob {
        id: "job-1".to_owned(),
        attempt: 1,
        target: registration(),
        image: FirmwareImage {
            id: "image-1".to_owned(),
            name: "meter".to_owned(),
            version: "2.0".to_owned(),
            size: 4096,
            sha256: [7; 32],
            uris: vec!["coap://127.0.0.1/image-1".to_owned()],
        },
    })
}

#[tokio::test]
async fn a_component_of_every_hook_is_asked_at_every_hook() {
    let hosted = Hosted::one(&Guest::of("plugin")).await;
    assert_eq!(hosted.refused("p"), "");
    let host = &hosted.host;
    assert_eq!(host.hooks(), HookSet::from_iter(Hook::ALL));

    assert_eq!(host.credentials(&psk()).await, CredentialAnswer::Unknown);
    assert_eq!(host.on_register(&registration()).await, Decision::Pass);
    assert_eq!(
        host.on_update(&registration(), &update()).await,
        Decision::Pass
    );
    host.on_registered(&registration()).await;
    host.on_updated(&registration(), &update()).await;
    host.on_gone(&registration(), EndReason::LifetimeExpired)
        .await;
    assert_eq!(host.observe_plan(&registration()).await, None);
    let plan = ObservePlan {
        owner: Some("p".into()),
        ..ObservePlan::default()
    };
    let paths = [Path::resource(3, 0, 9)];
    let failure = ObserveFailure::NotFound;
    let repair = host.observe_failed(&registration(), &plan, &paths, failure);
    assert_eq!(repair.await, Repair::Keep);
    assert_eq!(host.transform(&batch(Vec::new())).await, Outcome::Pass);
    assert_eq!(host.firmware(&job()).await, FirmwareChoice::Pass);
    let step = host
        .firmware_step(&job(), b"p\0", &FirmwareEvent::Started)
        .await;
    assert_eq!(
        step.map(|step| step.verdict),
        Some(FirmwareVerdict::Running)
    );

    assert_eq!(
        host.bootstrap(&bootstrap_request()).await,
        BootstrapAnswer::Unknown
    );
    host.on_bootstrapped(&Arc::new(BootstrapEnd::new(endpoint(), None)))
        .await;

    for figures in hosted.status("p").figures {
        assert_eq!(
            (figures.calls, &figures.failures),
            (1, &Vec::new()),
            "{figures:?}"
        );
    }
    let memory = hosted.status("p").memory;
    assert!((1..2 << 20).contains(&memory), "{memory} bytes");
}

#[tokio::test]
async fn fuel_is_counted_where_it_is_asked_for_and_the_same_each_time() {
    let guest = Guest::of("telemetry-plugin");
    let mut burned = Vec::new();
    for settings in ["", "fuel = true", "fuel = true"] {
        let settings = format!("{settings}\n[[plugin]]\nname = 'p'\n{}", super::PATIENT);
        let hosted = Hosted::new(&[("p", guest.build())], &settings).await;
        for _ in 0..2 {
            hosted.host.transform(&batch(Vec::new())).await;
        }
        burned.push(hosted.status("p").figures[0].fuel);
    }
    assert!(
        burned[0] == 0 && burned[1] > 0 && burned[1] == burned[2],
        "{burned:?}"
    );
}

#[tokio::test]
async fn a_component_has_the_hooks_of_its_world() {
    for (world, hooks) in [
        (
            "registration-plugin",
            &[Hook::OnRegister, Hook::OnUpdate][..],
        ),
        (
            "devices-plugin",
            &[Hook::OnRegistered, Hook::OnUpdated, Hook::OnGone],
        ),
        ("credentials-plugin", &[Hook::Credentials]),
        ("observe-plugin", &[Hook::ObservePlan, Hook::ObserveFailed]),
        ("telemetry-plugin", &[Hook::Transform]),
        ("firmware-plugin", &[Hook::Firmware, Hook::FirmwareStep]),
        ("bootstrap-plugin", &[Hook::Bootstrap, Hook::OnBootstrapped]),
    ] {
        let hosted = Hosted::one(&Guest::of(world)).await;
        assert_eq!(hosted.refused("p"), "", "{world}");
        assert_eq!(hosted.status("p").hooks, hooks, "{world}");
        let all = hooks.iter().copied().collect::<HookSet>();
        assert_eq!(hosted.host.hooks(), all, "{world}");
    }
}

#[tokio::test]
async fn a_rejection_has_its_code_and_reason() {
    // reject(forbidden, the endpoint name): the name is the second field of a registration.
    let words = [
        "(i32.const 3)",
        "(i32.const 2)",
        "(i32.load offset=8 (local.get $0))",
        "(i32.load offset=12 (local.get $0))",
    ];
    let guest = Guest::of("registration-plugin")
        .does("on-register", answer_words(&words))
        .does("on-update", answer_words(&words));
    let hosted = Hosted::one(&guest).await;
    let update = hosted.host.on_update(&registration(), &update());
    for decision in [hosted.on_register().await, update.await] {
        let Decision::Reject(refusal) = &decision else {
            panic!("{decision:?}");
        };
        assert_eq!(refusal.code, Code::FORBIDDEN);
        let message = "plugin p: urn:imei:350000000000001";
        assert_eq!(
            (refusal.reason.code, &*refusal.reason.message),
            ("plugin-rejected", message)
        );
    }
}

#[tokio::test]
async fn an_annotation_arrives_with_its_lifetime() {
    // annotate({ set: [("tenant", "south")], remove: ["old"], lifetime-s: some(60) })
    let strings = b"tenantsouthold";
    let mut data = strings.to_vec();
    data.resize(16, 0);
    for number in [DATA, 6, DATA + 6, 5, DATA + 11, 3] {
        data.extend(number.to_le_bytes());
    }
    let set = format!("(i32.const {})", DATA + 16);
    let remove = format!("(i32.const {})", DATA + 32);
    let one = "(i32.const 1)";
    let words = [one, &set, one, &remove, one, one, "(i32.const 60)"];
    let guest = Guest::of("registration-plugin")
        .data(data)
        .does("on-register", answer_words(&words));
    let decision = Hosted::one(&guest).await.on_register().await;
    let Decision::Annotate(facts) = &decision else {
        panic!("{decision:?}");
    };
    assert_eq!(facts.set, [("tenant".to_owned(), "south".to_owned())]);
    assert_eq!(facts.remove, ["old"]);
    assert_eq!(facts.lifetime_s, Some(60));
}

/// transform: replace with the measurements that came.
pub(crate) fn echo() -> Guest {
    let words = [
        "(i32.const 2)",
        "(i32.load offset=56 (local.get $0))",
        "(i32.load offset=60 (local.get $0))",
    ];
    Guest::of("telemetry-plugin").does("transform", answer_words(&words))
}

#[tokio::test]
async fn values_of_every_type_go_in_and_come_out() {
    let values = [
        Value::String("é\u{0}".into()),
        Value::Integer(i64::MIN),
        Value::Unsigned(u64::MAX),
        Value::Float(-0.1),
        Value::Boolean(true),
        Value::Opaque(vec![0, 255, 1].into()),
        Value::Time(-1),
        Value::ObjectLink(ObjectLink::NULL),
        Value::CoreLink("</3/0>".into()),
        Value::Null,
    ];
    let paths = [
        Path::resource(3, 0, 9),
        Path::resource_instance(65_534, 1, 2, 3),
    ];
    let time = [None, Some(1_700_000_000.25)];
    let records: Vec<Record<'static>> = values
        .into_iter()
        .enumerate()
        .map(|(n, value)| Record {
            path: paths[n % 2],
            time: time[n / 2 % 2],
            value,
        })
        .collect();
    let hosted = Hosted::one(&echo()).await;
    let outcome = hosted.host.transform(&batch(records.clone())).await;
    assert_eq!(outcome, Outcome::Replace(records));
}

#[tokio::test]
async fn a_plan_arrives_with_its_attributes() {
    let mut target = Vec::new();
    // /3303/0/5700
    for number in [3303u16, 1, 0, 1, 5700, 0, 0] {
        target.extend(number.to_le_bytes());
    }
    target.resize(16, 0);
    // some(attributes), pmin = some(10), gt = some(30.5)
    target.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    target.extend([1, 0, 0, 0, 10, 0, 0, 0]);
    target.resize(24 + 32, 0);
    target.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    target.extend(30.5f64.to_le_bytes());
    target.resize(24 + 96, 0);
    let targets = format!("(i32.const {DATA})");
    let (none, one) = ("(i32.const 0)", "(i32.const 1)");
    // some({ targets, composite-by-object, none, 500 ms })
    let by_object = "(i32.const 2)";
    let delay = "(i32.const 500)";
    let words = [one, &targets, one, by_object, none, none, none, delay];
    let guest = Guest::of("observe-plugin")
        .data(target)
        .does("plan", answer_words(&words))
        .does("on-failure", answer(&[1]));
    let hosted = Hosted::one(&guest).await;
    let plan = hosted
        .host
        .observe_plan(&registration())
        .await
        .expect("a plan");
    assert_eq!(plan.targets.len(), 1);
    assert_eq!(plan.targets[0].path, Path::resource(3303, 0, 5700));
    let attributes = Attributes::from_query(["pmin=10", "gt=30.5"]).expect("attributes");
    assert_eq!(plan.targets[0].attributes, attributes);
    assert_eq!(plan.grouping, Grouping::CompositeByObject);
    assert_eq!(plan.delay, Duration::from_millis(500));
    assert_eq!(plan.owner.as_deref(), Some("p"));

    let failure = ObserveFailure::NotAllowed;
    let paths = [Path::resource(3303, 0, 5700)];
    let repair = hosted
        .host
        .observe_failed(&registration(), &plan, &paths, failure);
    assert_eq!(repair.await, Repair::Drop);
}

#[tokio::test]
async fn a_key_is_granted_to_who_presents_its_identity() {
    // grant({ psk(16 bytes), endpoint: none, cache-s: 300 })
    let key = format!("(i32.const {DATA})");
    let none = "(i32.const 0)";
    let one = "(i32.const 1)";
    let sixteen = "(i32.const 16)";
    let cache = "(i32.const 300)";
    // answer, credential, its payload (7 words, that of oscore), endpoint (3 words), cache
    let words = [
        one, none, &key, sixteen, none, none, none, none, none, none, none, none, none, cache,
    ];
    let guest = Guest::of("credentials-plugin")
        .data([9; 16])
        .does("lookup", answer_words(&words));
    let hosted = Hosted::one(&guest).await;
    let answer = hosted.host.credentials(&psk()).await;
    let CredentialAnswer::Grant { credential, cache } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(cache, Duration::from_secs(300));
    let Proof::Psk { identity, key } = &credential.proof else {
        panic!("{credential:?}");
    };
    assert_eq!((&**identity, key.expose()), (&b"meter-1"[..], &[9; 16][..]));
    assert!(!format!("{credential:?}").contains("9, 9"));

    let anonymous = Arc::new(CredentialRequest::new(PeerIdentity::Anonymous));
    let denied = hosted.host.credentials(&anonymous).await;
    let CredentialAnswer::Deny { why } = denied else {
        panic!("{denied:?}");
    };
    assert!(
        why.contains("grants psk to a peer that presents itself by nosec"),
        "{why}"
    );
}

#[tokio::test]
async fn firmware_is_driven_by_who_chose_to() {
    let custom = [
        "(i32.const 1)",
        "(i32.const 3)",
        &format!("(i32.const {DATA})"),
        "(i32.const 2)",
    ];
    // The state that came, no action, succeeded; its job is its first parameter.
    let step = [
        "(i32.load offset=216 (local.get $0))",
        "(i32.load offset=220 (local.get $0))",
        "(i32.const 0)",
        "(i32.const 0)",
        "(i32.const 1)",
    ];
    let guest = Guest::of("firmware-plugin")
        .data(*b"s1")
        .does("select", answer_words(&custom))
        .does("step", answer_words(&step));
    let hosted = Hosted::one(&guest).await;
    let choice = hosted.host.firmware(&job()).await;
    let FirmwareChoice::Deliver(FirmwareStrategy::Custom(state)) = &choice else {
        panic!("{choice:?}");
    };
    assert_eq!(state, b"p\0s1");
    let step = hosted
        .host
        .firmware_step(&job(), state, &FirmwareEvent::Started)
        .await;
    let step = step.expect("a step of its owner");
    assert_eq!(step.verdict, FirmwareVerdict::Succeeded);
    assert_eq!(step.state, b"p\0s1");
    let strange = hosted
        .host
        .firmware_step(&job(), b"q\0s1", &FirmwareEvent::Started);
    assert_eq!(strange.await, None);
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    // annotate is not needed: what matters is that each gets its own answer.
    let hosted = Arc::new(Hosted::one(&echo()).await);
    let calls = (0..1000).map(|n| {
        let hosted = Arc::clone(&hosted);
        tokio::spawn(async move {
            let record = Record::new(Path::resource(3303, 0, 5700), Value::Integer(n));
            let outcome = hosted.host.transform(&batch(vec![record.clone()])).await;
            assert_eq!(outcome, Outcome::Replace(vec![record]));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("an answer");
    }
    let status = hosted.status("p");
    assert_eq!(status.figures[0].calls, 1000);
    // No more than its eight instances of three pages each.
    assert!(status.memory <= 8 * 4 * 65_536, "{} bytes", status.memory);
}

/// on-register: passes the first time, rejects from the second on.
fn remembers() -> Guest {
    let reject = answer_words(&["(i32.const 3)", "(i32.const 2)"]);
    let body = format!(
        "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
         (if (result i32) (i32.gt_u (global.get $calls) (i32.const 1))
           (then {reject}) (else (i32.const 512)))"
    );
    Guest::of("registration-plugin").does("on-register", body)
}

#[tokio::test]
async fn an_instance_is_kept_warm_or_made_for_each_call() {
    let hosted = Hosted::one(&remembers()).await;
    assert_eq!(hosted.on_register().await, Decision::Pass);
    assert_eq!(refusal(&hosted.on_register().await).0, "plugin-rejected");

    let hosted = Hosted::patient(&remembers(), "limits = { recycle_after = 1 }").await;
    for _ in 0..3 {
        assert_eq!(hosted.on_register().await, Decision::Pass);
    }
    let memory = hosted.status("p").memory;
    assert_eq!(memory, 0, "no instance waits");
}
