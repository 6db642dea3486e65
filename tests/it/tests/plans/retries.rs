//! What a device does not answer is asked again later: no answer is not a no.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_device::Quirks;
use lwm2m_server::observe::ObserveStrategies;
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, CompositeByObject, Single};
use lwm2m_server::{ServerBuilder, ServerConfig};

use super::stand::{Stand, all, attributes, rule};
use crate::site::{V1_1, path};

const PATHS: &[&str] = &["/3303/0/5700", "/3/0/16"];

/// A server that waits two seconds for an answer, and asks `retries_max` times more.
fn impatient(
    retries_max: u32,
    strategies: ObserveStrategies,
) -> impl FnOnce(ServerBuilder) -> ServerBuilder {
    move |server| {
        let mut config = ServerConfig::default();
        config.request_timeout = Duration::from_secs(2);
        config.limits.observe_retries_max = retries_max;
        config.limits.observe_retry_delay = Duration::from_millis(50);
        config.limits.observe_retry_delay_max = Duration::from_millis(80);
        server.config(config).observe(strategies)
    }
}

fn mute() -> Quirks {
    let mut quirks = Quirks::default();
    quirks.composite_without_answer = true;
    quirks
}

async fn show(stand: &Stand, quirks: Quirks) {
    let shown = stand.device.with(|client, _| client.set_quirks(quirks));
    shown.await.expect("it runs");
}

#[tokio::test]
async fn a_composite_that_was_not_answered_is_asked_again_as_a_composite() {
    for strategy in [CompositeAll, CompositeByObject] {
        let configure = impatient(100, all(strategy, PATHS));
        let mut stand = Stand::of(configure, V1_1, |device| device.quirks(mute())).await;
        let unanswered = ("observe-composite", None, "not-answered");
        for _ in 0..2 {
            assert_eq!(stand.failure().await, unanswered);
        }
        show(&stand, Quirks::default()).await;
        let mut made = 0;
        let wanted = if strategy == CompositeAll { 1 } else { 2 };
        while made < wanted {
            let tally = stand.established().await;
            assert_eq!((tally.1, tally.2), (0, 0));
            made += tally.0;
        }
        let expected: &[&str] = match strategy {
            CompositeAll => &["[/3/0/16 /3303/0/5700]*"],
            _ => &["[/3/0/16]*", "[/3303/0/5700]*"],
        };
        assert_eq!(stand.standing().await, expected);
    }
}

#[tokio::test]
async fn one_silence_more_than_the_limit_and_a_composite_is_observed_path_by_path() {
    let configure = impatient(2, all(CompositeByObject, PATHS));
    let mut stand = Stand::of(configure, V1_1, |device| device.quirks(mute())).await;
    let said = async |stand: &mut Stand| stand.failure().await.2;
    assert_eq!(said(&mut stand).await, "not-answered");
    assert_eq!(said(&mut stand).await, "not-answered");
    assert_eq!(said(&mut stand).await, "composite-unanswered");
    while stand.established().await.0 != 2 {}
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700*"]);
}

/// A device whose composites were not answered, and are observed path by path.
async fn unanswered(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Stand {
    let mut stand = Stand::of(configure, V1_1, |device| device.quirks(mute())).await;
    while stand.failure().await.2 != "composite-unanswered" {}
    while stand.established().await.0 != 2 {}
    stand
}

const SKIPPED: (&str, Option<Code>, &str) = ("observe-composite", None, "composite-skipped");

#[tokio::test]
async fn who_answers_no_composite_is_asked_for_none_at_its_next_registration() {
    let mut stand = unanswered(impatient(0, all(CompositeAll, PATHS))).await;
    while stand.server.observe_progress().unanswered != 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        stand.device.reboot().await.expect("it runs");
        // Nothing failed before, so nothing was tried.
        assert_eq!(stand.failure().await, SKIPPED);
        assert_eq!(stand.established().await, (2, 0, 0));
        assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700*"]);
    }
}

#[tokio::test]
async fn composites_are_tried_again_when_the_device_is_another_one() {
    let mut stand = unanswered(impatient(0, all(CompositeAll, PATHS))).await;
    let changed = stand.device.with(|client, now| {
        client.set_quirks(Quirks::default());
        client.with_object(now, 3303, |object| object.store_mut().remove_instance(1))
    });
    assert_eq!(changed.await, Ok(Some(true)));
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
}

#[tokio::test]
async fn composites_are_tried_again_when_the_strategy_has_changed() {
    let mut stand = unanswered(impatient(0, all(CompositeAll, PATHS))).await;
    show(&stand, Quirks::default()).await;
    let changed = stand.server.set_observe_strategies(all(Single, PATHS));
    changed.expect("taken");
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.established().await, (2, 0, 0));
    let changed = stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS));
    changed.expect("taken");
    assert_eq!(stand.established().await, (1, 2, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
}

#[tokio::test]
async fn composites_are_tried_again_after_the_time_of_the_limit() {
    let configure = |server: ServerBuilder| {
        let server = impatient(0, all(CompositeAll, PATHS))(server);
        let mut config = ServerConfig::default();
        config.request_timeout = Duration::from_secs(2);
        config.limits.observe_retries_max = 0;
        config.limits.observe_unanswered_time = Duration::ZERO;
        server.config(config)
    };
    let mut stand = unanswered(configure).await;
    show(&stand, Quirks::default()).await;
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
}

#[tokio::test]
async fn who_has_answered_a_composite_is_asked_for_composites_again() {
    let configure = impatient(0, all(CompositeAll, &PATHS[..1]));
    let mut stand = Stand::of(configure, V1_1, |device| device).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    show(&stand, mute()).await;
    stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    let unanswered = ("observe-composite", None, "composite-unanswered");
    assert_eq!(stand.failure().await, unanswered);
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.failure().await, unanswered);
}

#[tokio::test]
async fn an_observe_that_is_never_answered_is_left_alone_at_the_limit() {
    let mut quirks = Quirks::default();
    quirks.answer_delay = Duration::from_secs(3600);
    let configure = impatient(1, all(Single, &PATHS[..1]));
    let mut stand = Stand::of(configure, V1_1, |device| device.quirks(quirks)).await;
    assert_eq!(stand.failure().await, ("observe", None, "not-answered"));
    assert_eq!(stand.failure().await, ("observe", None, "observe-refused"));
    while stand.established().await.2 != 1 {}
    assert!(stand.observations().await.is_empty());
    // Other rules are another chance, at once.
    show(&stand, Quirks::default()).await;
    stand
        .server
        .set_observe_strategies(all(Single, PATHS))
        .expect("taken");
    while stand.established().await.0 != 2 {}
}

#[tokio::test]
async fn other_rules_do_not_wait_for_a_retry() {
    let configure = |server: ServerBuilder| {
        let server = impatient(1, all(CompositeAll, PATHS))(server);
        let mut config = ServerConfig::default();
        config.request_timeout = Duration::from_secs(2);
        config.limits.observe_retry_delay = Duration::from_secs(3600);
        server.config(config)
    };
    let mut stand = Stand::of(configure, V1_1, |device| device.quirks(mute())).await;
    let unanswered = ("observe-composite", None, "not-answered");
    assert_eq!(stand.failure().await, unanswered);
    stand
        .server
        .set_observe_strategies(all(Single, PATHS))
        .expect("taken");
    while stand.established().await.0 != 2 {}
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700*"]);
}

#[tokio::test]
async fn attributes_that_were_not_acknowledged_are_written_before_it_is_observed() {
    let mut quirks = Quirks::default();
    quirks.answer_delay = Duration::from_secs(3600);
    let strategies = ObserveStrategies::default().rule(
        rule(Single, &PATHS[..1]).attributes(path("/3303/0/5700"), attributes("pmin=1&pmax=60")),
    );
    let configure = impatient(100, strategies);
    let mut stand = Stand::of(configure, V1_1, |device| device.quirks(quirks)).await;
    let unanswered = ("write-attributes", None::<Code>, "not-answered");
    assert_eq!(stand.failure().await, unanswered);
    show(&stand, Quirks::default()).await;
    while stand.established().await.0 != 1 {}
    let done = stand.done();
    let last_two = &done[done.len() - 2..];
    assert_eq!(last_two, ["/3303/0/5700 2.04", "+/3303/0/5700"], "{done:?}");
}
