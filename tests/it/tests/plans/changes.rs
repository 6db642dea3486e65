//! Plans that change, devices that change, and observations beside those of plans.

use std::time::Duration;

use lwm2m_core::Value;
use lwm2m_server::observe::ObserveStrategies;
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, CompositeByObject, Single};
use lwm2m_server::{CancelMode, EventKind};

use super::stand::{Stand, all, attributes, rule};
use crate::site::{V1_1, in_time, path};

const PATHS: &[&str] = &["/3/0/16", "/3303/0/5700"];

#[tokio::test]
async fn a_change_of_the_strategy_alone_changes_what_differs() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    stand.done();
    let change = |strategies| {
        stand
            .server
            .set_observe_strategies(strategies)
            .expect("taken")
    };
    change(all(CompositeAll, PATHS));
    assert_eq!(stand.established().await, (1, 2, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
    let expected = ["-/3/0/16", "-/3303/0/5700", "+/3/0/16 /3303/0/5700"];
    assert_eq!(stand.done(), expected);
    let change = |strategies| {
        stand
            .server
            .set_observe_strategies(strategies)
            .expect("taken")
    };
    change(all(CompositeByObject, PATHS));
    assert_eq!(stand.established().await, (2, 1, 0));
    assert_eq!(stand.standing().await, ["[/3/0/16]*", "[/3303/0/5700]*"]);
    let before = stand.observations().await;
    // An object that leaves the plan is cancelled, the other one stands.
    let change = |strategies| {
        stand
            .server
            .set_observe_strategies(strategies)
            .expect("taken")
    };
    change(all(CompositeByObject, &PATHS[1..]));
    assert_eq!(stand.established().await, (0, 1, 0));
    let after = stand.observations().await;
    assert_eq!(after.len(), 1);
    assert!(before.contains(&after[0]), "{before:?} {after:?}");
    // Nothing is planned any more.
    stand
        .server
        .set_observe_strategies(ObserveStrategies::default())
        .expect("taken");
    assert_eq!(stand.planned().await, (None, vec![]));
    assert_eq!(stand.established().await, (0, 1, 0));
    assert!(stand.standing().await.is_empty());
}

#[tokio::test]
async fn other_attributes_make_an_observation_anew_and_only_that() {
    let slow = |seconds: u32| {
        let query = format!("pmin={seconds}&pmax=90");
        let rule = rule(Single, PATHS).attributes(path("/3303/0/5700"), attributes(&query));
        ObserveStrategies::default().rule(rule)
    };
    let mut stand = Stand::new(slow(1), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    stand.done();
    stand.server.set_observe_strategies(slow(2)).expect("taken");
    assert_eq!(stand.established().await, (1, 1, 0));
    let expected = ["-/3303/0/5700", "/3303/0/5700 2.04", "+/3303/0/5700"];
    assert_eq!(stand.done(), expected);
    // The same again is nothing to do: what follows is the next change.
    stand.server.set_observe_strategies(slow(2)).expect("taken");
    stand
        .server
        .set_observe_strategies(all(Single, &PATHS[..1]))
        .expect("taken");
    assert_eq!(stand.established().await, (0, 1, 0));
    // What was written for the plan is taken back.
    assert_eq!(stand.done(), ["-/3303/0/5700", "/3303/0/5700 2.04"]);
}

#[tokio::test]
async fn an_update_brings_and_takes_instances() {
    let paths = ["/3/0/16", "/3303/0/5700", "/3303/2/5700"];
    let mut stand = Stand::new(all(Single, &paths), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    let changed = stand.device.with(|client, now| {
        client.with_object(now, 3303, |object| {
            object.store_mut().add_instance(2);
            object.store_mut().set(2, 5700, Value::Float(1.0));
            object.store_mut().remove_instance(0)
        })
    });
    assert_eq!(changed.await, Ok(Some(true)));
    stand.device.update().await.expect("it runs");
    // The device ends the one of the instance that is gone by itself, or we do.
    assert_eq!(stand.planned().await.1, ["/3303/0/5700"]);
    assert_eq!(stand.established().await.0, 1);
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/2/5700*"]);
}

#[tokio::test]
async fn an_instance_that_the_server_creates_is_observed() {
    let paths = ["/3/0/16", "/3303/2"];
    let mut stand = Stand::new(all(Single, &paths), V1_1).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    let create = lwm2m_core::Request::Create {
        object: 3303,
        instance: Some(2),
        records: vec![lwm2m_core::Record::new(path("/3303/2/5750"), "outside")],
        format: None,
    };
    let device = stand.server.device("a");
    let created = in_time(device.send(create, Default::default())).await;
    created.expect("created");
    assert_eq!(stand.established().await.0, 1);
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/2*"]);
}

#[tokio::test]
async fn a_new_registration_is_observed_anew() {
    let strategies = ObserveStrategies::default()
        .rule(rule(CompositeAll, PATHS).attributes(path("/3303/0/5700"), attributes("pmin=1")));
    let mut stand = Stand::new(strategies, V1_1).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    for _ in 0..3 {
        stand.done();
        stand.device.reboot().await.expect("it runs");
        assert_eq!(stand.established().await, (1, 0, 0));
        let done = stand.done();
        let expected = ["/3303/0/5700 2.04", "+/3/0/16 /3303/0/5700"];
        // The reboot itself ends what stood.
        assert_eq!(done[done.len() - 2..], expected, "{done:?}");
        assert_eq!(stand.standing().await, ["[/3/0/16 /3303/0/5700]*"]);
    }
}

#[tokio::test]
async fn what_was_made_by_hand_is_not_touched() {
    let mut stand = Stand::new(ObserveStrategies::default(), V1_1).await;
    in_time(stand.device.wait_registered())
        .await
        .expect("accepted");
    let observe = async |stand: &Stand, at: &str| {
        let observed = stand.server.device("a").observe_path(path(at)).await;
        observed.expect("an answer").observation.expect("it stands")
    };
    let same = observe(&stand, "/3/0/16").await;
    let other = observe(&stand, "/3303/1/5700").await;
    stand
        .server
        .set_observe_strategies(all(Single, PATHS))
        .expect("taken");
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(
        stand.standing().await,
        ["/3/0/16", "/3303/0/5700*", "/3303/1/5700"]
    );
    // It stood for one of the plan, which makes its own when it is cancelled.
    let device = stand.server.device("a");
    device
        .cancel(same, CancelMode::Active)
        .await
        .expect("cancelled");
    assert_eq!(stand.established().await, (1, 0, 0));
    assert_eq!(
        stand.standing().await,
        ["/3/0/16*", "/3303/0/5700*", "/3303/1/5700"]
    );
    stand
        .server
        .set_observe_strategies(ObserveStrategies::default())
        .expect("taken");
    assert_eq!(stand.established().await, (0, 2, 0));
    assert_eq!(stand.standing().await, ["/3303/1/5700"]);
    assert_eq!(stand.observations().await[0].id, other);
}

#[tokio::test]
async fn values_of_a_plan_come_like_any_others() {
    let mut stand = Stand::new(all(CompositeAll, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (1, 0, 0));
    stand
        .device
        .set(&path("/3303/0/5700"), 30.5)
        .await
        .expect("it runs");
    let value = stand.event(|event| match &event.kind {
        EventKind::Notification { values, .. } => {
            let mut values = values.records.iter();
            values
                .find(|record| record.value == Value::Float(30.5))
                .cloned()
        }
        _ => None,
    });
    assert_eq!(value.await.path, path("/3303/0/5700"));
}

#[tokio::test]
async fn the_server_stops_while_plans_are_made() {
    let mut quirks = lwm2m_device::Quirks::default();
    quirks.answer_delay = Duration::from_secs(3600);
    let strategies = all(Single, PATHS);
    let mut stand = Stand::of(
        |server| server.observe(strategies),
        V1_1,
        |device| device.quirks(quirks),
    )
    .await;
    stand.planned().await;
    in_time(stand.server.clone().shutdown()).await;
    while stand.events.next().await.is_some() {}
}
