//! Devices that sleep, are slow, or come all at once.

use std::time::Duration;

use lwm2m_device::Quirks;
use lwm2m_server::observe::ObserveStrategies;
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, Single};
use lwm2m_server::{
    Event, EventKind, Listener, ObservationTarget, Server, ServerBuilder, ServerConfig,
};

use super::stand::{Stand, all, device, rule, server};
use crate::peer::event;
use crate::site::{V1_1, in_time, path};

const PATHS: &[&str] = &["/3/0/16", "/3303/0/5700"];

#[tokio::test]
async fn the_plan_of_a_sleeping_device_waits_until_it_is_awake() {
    let configure = |server: ServerBuilder| {
        let mut config = ServerConfig::default();
        config.awake_time = Duration::from_secs(2);
        server.config(config).observe(all(Single, PATHS))
    };
    let mut stand = Stand::of(configure, V1_1, |device| device.queue_mode(true)).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    let asleep =
        |event: &lwm2m_server::Event| matches!(event.kind, EventKind::Asleep).then_some(());
    stand.event(asleep).await;
    stand.done();
    stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    assert_eq!(stand.failure().await, ("plan", None, "device-unreachable"));
    assert_eq!(stand.done(), [""; 0]);
    stand.device.update().await.expect("it runs");
    assert_eq!(stand.established().await, (1, 2, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
}

#[tokio::test]
async fn the_plan_of_a_device_that_does_not_answer_goes_on_when_it_is_heard_of() {
    let configure = |server: ServerBuilder| {
        let mut config = ServerConfig::default();
        config.coap.transmission.ack_timeout = Duration::from_secs(1);
        config.coap.transmission.max_retransmit = 0;
        server.config(config).observe(all(Single, PATHS))
    };
    let mut stand = Stand::of(configure, V1_1, |device| device).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    stand.device.set_offline(true).await.expect("it runs");
    stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    assert_eq!(stand.failure().await, ("plan", None, "device-unreachable"));
    stand.device.set_offline(false).await.expect("it runs");
    // Where it answers too late once more, on a busy machine, it is waited for once more.
    let device = stand.device.clone();
    let heard_of = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            device.update().await.expect("it runs");
        }
    };
    let made = tokio::select! {
        (made, ..) = stand.established() => made,
        () = heard_of => unreachable!("it says something for ever"),
    };
    assert_eq!(made, 1);
    // What the device did not hear of being cancelled it is told by a reset, at its next notification.
    let observations = stand.observations().await;
    let targets: Vec<_> = observations.iter().map(|o| &o.target).collect();
    let composite = ObservationTarget::Composite(PATHS.iter().map(|at| path(at)).collect());
    assert_eq!(targets, [&composite]);
}

#[tokio::test]
async fn a_new_registration_ends_the_plan_of_the_older_one() {
    let mut quirks = Quirks::default();
    quirks.answer_delay = Duration::from_secs(1);
    let strategies = all(Single, PATHS);
    let mut stand = Stand::of(
        |server| server.observe(strategies),
        V1_1,
        |device| device.quirks(quirks).new_port_on_reboot(true),
    )
    .await;
    stand.planned().await;
    stand.device.reboot().await.expect("it runs");
    // The one for the older registration is never carried out.
    assert_eq!(stand.established().await, (2, 0, 0));
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700*"]);
}

#[tokio::test]
async fn a_fleet_that_comes_at_once_is_observed_one_after_the_other() {
    const DEVICES: usize = 24;
    let server = server(|server| {
        let mut config = ServerConfig::default();
        config.limits.observe_plans_parallel_max = 1;
        config.limits.observe_looks_max = 4;
        let strategies = all(CompositeAll, PATHS);
        server.config(config).observe(strategies)
    })
    .await;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let builder = device(&server, &format!("meter-{number}"), V1_1);
        devices.push(builder.start().await.expect("a port"));
    }
    for device in &devices {
        in_time(device.wait_for(|status| status.observations == 1)).await;
    }
}

/// Two devices that take their time for an answer, and one behind them that does not: whose plans
/// are carried out first, up to that one.
async fn behind_slow_devices(waiting_max: usize, answer_delay: Duration) -> Vec<String> {
    let server = server(|server| {
        let mut config = ServerConfig::default();
        config.limits.observe_plans_parallel_max = 1;
        config.limits.observe_plans_waiting_max = waiting_max;
        server.config(config).observe(all(CompositeAll, PATHS))
    })
    .await;
    let mut quirks = Quirks::default();
    quirks.answer_delay = answer_delay;
    let mut events = server.events();
    let mut devices = Vec::new();
    for name in ["slow-0", "slow-1"] {
        let builder = device(&server, name, V1_1).quirks(quirks.clone());
        devices.push(builder.start().await.expect("a port"));
        in_time(devices[devices.len() - 1].wait_registered())
            .await
            .expect("accepted");
    }
    devices.push(
        device(&server, "quick", V1_1)
            .start()
            .await
            .expect("a port"),
    );
    let mut order = Vec::new();
    while order.last().is_none_or(|last| last != "quick") {
        let established = |event: &Event| match event.kind {
            EventKind::ObserveEstablished { .. } => event.endpoint.clone(),
            _ => None,
        };
        order.push(event(&mut events, established).await.to_string());
    }
    order
}

#[tokio::test]
async fn devices_that_do_not_answer_make_room_for_others() {
    assert_eq!(
        behind_slow_devices(2, Duration::from_secs(60)).await,
        ["quick"]
    );
}

#[tokio::test]
async fn one_more_than_may_wait_holds_its_place() {
    let order = behind_slow_devices(1, Duration::from_secs(10)).await;
    assert_eq!(order, ["slow-0", "slow-1", "quick"]);
}

#[tokio::test]
async fn observations_that_went_with_their_connection_are_made_anew() {
    let strategies = all(CompositeAll, PATHS);
    let server = Server::builder()
        .listen(Listener::coap_tcp(([127, 0, 0, 1], 0).into()))
        .observe(strategies)
        .start()
        .await
        .expect("the server starts");
    let mut events = server.events();
    let device = device(&server, "a", V1_1)
        .tcp()
        .start()
        .await
        .expect("a port");
    let made = |event: &Event| match event.kind {
        EventKind::ObserveEstablished { made, .. } => Some(made),
        _ => None,
    };
    assert_eq!(event(&mut events, made).await, 1);
    for _ in 0..3 {
        device.rebind().await.expect("it runs");
        assert_eq!(event(&mut events, made).await, 1);
        let standing = server.device("a").observations().await.expect("registered");
        assert_eq!(standing.len(), 1);
        assert!(standing[0].planned);
    }
}

#[tokio::test]
async fn a_plan_begins_after_its_delay() {
    let delayed = rule(Single, PATHS).delay(Duration::from_millis(1500));
    let begun = std::time::Instant::now();
    let mut stand = Stand::new(ObserveStrategies::default().rule(delayed), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    assert!(begun.elapsed() >= Duration::from_millis(1500));
}

#[tokio::test]
async fn a_device_that_leaves_before_its_plan_begins_is_forgotten() {
    let delayed = rule(Single, PATHS).delay(Duration::from_secs(3600));
    let stand = Stand::new(ObserveStrategies::default().rule(delayed), V1_1).await;
    in_time(stand.device.wait_registered())
        .await
        .expect("accepted");
    in_time(stand.device.deregister()).await.expect("it runs");
    in_time(stand.server.shutdown()).await;
}
