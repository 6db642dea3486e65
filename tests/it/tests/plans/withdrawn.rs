//! Observations of a plan that somebody cancels by hand.

use lwm2m_core::Value;
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, Single};
use lwm2m_server::{CancelMode, EventKind, ObservationTarget};

use super::stand::{Stand, all, attributes, rule};
use crate::site::{V1_1, in_time, path};

const PATHS: &[&str] = &["/3/0/16", "/3303/0/5700"];

/// Cancels the one of these paths; answers why it is said to have ended.
async fn cancel(stand: &mut Stand, at: &str, mode: CancelMode) -> &'static str {
    let target = ObservationTarget::Single(path(at));
    let observations = stand.observations().await;
    let observation = observations.iter().find(|o| o.target == target);
    let id = observation.expect("it stands").id;
    let device = stand.server.device("a");
    in_time(device.cancel(id, mode)).await.expect("cancelled");
    stand
        .event(|event| match &event.kind {
            EventKind::ObservationEnded {
                id: ended, reason, ..
            } if *ended == id => {
                assert!(reason.hint.is_some(), "{reason:?}");
                Some(reason.code)
            }
            _ => None,
        })
        .await
}

async fn withdrawn(stand: &Stand) -> Vec<ObservationTarget> {
    let device = stand.server.device("a");
    let withdrawn = in_time(device.withdrawn_observations()).await;
    withdrawn.expect("registered")
}

#[tokio::test]
async fn it_stays_away_until_the_plan_changes_and_is_shown() {
    for mode in [CancelMode::Active, CancelMode::Passive] {
        let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
        assert_eq!(stand.established().await, (2, 0, 0));
        assert_eq!(cancel(&mut stand, PATHS[1], mode).await, "cancelled");
        let gone = [ObservationTarget::Single(path(PATHS[1]))];
        assert_eq!(withdrawn(&stand).await, gone);
        // All devices are looked at anew, and the plan is the same; what it lacks otherwise is made.
        stand.server.plan_observations();
        stand
            .server
            .set_observe_strategies(all(Single, PATHS))
            .expect("taken");
        // An observation by hand that comes and goes has the plan looked at.
        let device = stand.server.device("a");
        let other = in_time(device.observe_path(path("/3303/1/5700"))).await;
        let other = other.expect("an answer").observation;
        let ended = device.cancel(other.expect("it stands"), CancelMode::Active);
        in_time(ended).await.expect("cancelled");
        assert_eq!(withdrawn(&stand).await, gone);
        // Another plan is another matter.
        let pmin = rule(Single, PATHS).attributes(path("/3/0/16"), attributes("pmin=2"));
        let strategies = lwm2m_server::observe::ObserveStrategies::default().rule(pmin);
        stand
            .server
            .set_observe_strategies(strategies)
            .expect("taken");
        // The one with attributes is made anew, and the other one comes back.
        assert_eq!(stand.established().await, (2, 1, 0));
        assert!(withdrawn(&stand).await.is_empty());
    }
}

#[tokio::test]
async fn it_comes_back_when_the_links_change() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    cancel(&mut stand, PATHS[1], CancelMode::Active).await;
    let changed = stand.device.with(|client, now| {
        client.with_object(now, 3303, |object| {
            object.store_mut().add_instance(2);
            object.store_mut().set(2, 5700, Value::Float(1.0));
        })
    });
    changed.await.expect("it runs");
    stand.device.update().await.expect("it runs");
    assert_eq!(stand.established().await, (1, 0, 0));
    assert!(withdrawn(&stand).await.is_empty());
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700*"]);
}

#[tokio::test]
async fn it_comes_back_with_the_next_registration() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    cancel(&mut stand, PATHS[1], CancelMode::Active).await;
    stand.device.reboot().await.expect("it runs");
    assert_eq!(stand.established().await, (2, 0, 0));
    assert!(withdrawn(&stand).await.is_empty());
}

#[tokio::test]
async fn what_a_plan_cancels_itself_is_not_withdrawn() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    stand
        .server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    let reason = stand.event(|event| match &event.kind {
        EventKind::ObservationEnded { reason, .. } => Some(reason.code),
        _ => None,
    });
    assert_eq!(reason.await, "plan-changed");
    assert_eq!(stand.established().await, (1, 2, 0));
    assert!(withdrawn(&stand).await.is_empty());
}

#[tokio::test]
async fn who_observes_it_by_hand_has_it_again() {
    let mut stand = Stand::new(all(Single, PATHS), V1_1).await;
    assert_eq!(stand.established().await, (2, 0, 0));
    cancel(&mut stand, PATHS[1], CancelMode::Active).await;
    let device = stand.server.device("a");
    in_time(device.observe_path(path(PATHS[1])))
        .await
        .expect("an answer");
    assert!(withdrawn(&stand).await.is_empty());
    assert_eq!(stand.standing().await, ["/3/0/16*", "/3303/0/5700"]);
}
